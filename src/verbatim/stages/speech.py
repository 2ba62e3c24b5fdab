"""From speech probabilities to the stretches of a recording in which somebody speaks.

A stretch opens at the first frame at or above the threshold. It closes when the probability has
been below the lower threshold (`threshold - hysteresis`) and did not come back to the threshold
for `min_silence_s`. These are the rules of Silero VAD's own `get_speech_timestamps`, here as a
state machine over a stream; tests/unit/test_speech.py states the two differences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verbatim.domain.audio import Pcm
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import VadOptions
from verbatim.domain.units import SAMPLE_RATE_HZ

Probabilities: TypeAlias = NDArray[np.float32]
"""Speech probabilities (frames,), one for every `FRAME_SAMPLES` samples."""

FRAME_SAMPLES: Final = 512
"""Silero VAD's step at 16 kHz: 32 ms."""
MIN_LOWER_THRESHOLD: Final = 0.01
"""The lower threshold never sinks below this; else some noises would never end a stretch."""
MAX_DOUBT_S: Final = 5.0
"""A probability that stays between the thresholds this long after the silence is long enough is
silence too; so what must be remembered of a stream has a bound."""
LONGEST_OPTION_S: Final = 20.0
"""Limit of the options in seconds, which bound what must be remembered of a stream."""


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of the recording that is kept: its speech, and the padding around it.

    Attributes:
        start_sample: where it begins.
        end_sample: where it ends, exclusive.
        silence_samples: from the end of the speech before it (or the start of the recording) to
            the start of its own speech; counts the padding.
        lead_samples: the padding before its speech.
    """

    start_sample: int
    end_sample: int
    silence_samples: int = 0
    lead_samples: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SpeechChunk:
    """Audio that goes to the model in one piece.

    Attributes:
        samples: (n,) int16, mono at 16 kHz, 0 < n <= 480,000, contiguous in the recording.
        start_sample: where it lies in the recording.
        gap_before_s: seconds without speech between the speech before and its own, also where
            they stay in the audio as padding; 0 where it was cut off in the middle of speech.
        lead_samples: how many of its samples come before its speech.
    """

    samples: Pcm
    start_sample: int
    gap_before_s: float
    lead_samples: int = 0

    @property
    def end_sample(self) -> int:
        """Where it ends in the recording, exclusive."""
        return self.start_sample + len(self.samples)


@dataclass(frozen=True, slots=True)
class SpeechState:
    """How far a stream was heard, and what is not decided yet; the default is its beginning.

    A stretch of speech is open from its first frame. It counts once it is longer than
    `min_speech_s`. When it has closed, it waits until what follows says how much padding fits.

    Attributes:
        position: samples heard; a whole number of frames.
        start: first sample of the open stretch's speech; None in silence.
        quiet_since: where the open stretch fell silent, if it did.
        padded_start: first sample of the open stretch's region; None as long as it does not count.
        waiting: the stretch before, whose end is not padded yet; None once an open one counts.
        last_speech_end: where the speech of the last stretch that counted and closed ended.
    """

    position: int = 0
    start: int | None = None
    quiet_since: int | None = None
    padded_start: int | None = None
    waiting: Region | None = None
    last_speech_end: int = 0


@dataclass(frozen=True, slots=True)
class _Limits:
    """`VadOptions` in samples."""

    threshold: float
    lower_threshold: float
    min_speech: int
    min_silence: int
    max_silence: int
    pad: int


def check(options: VadOptions) -> None:
    """Refuse options that make no sense.

    Raises:
        BadRequestError: which one, and what it may be.
    """
    for name in ("threshold", "hysteresis"):
        value: float = getattr(options, name)
        if not 0.0 <= value <= 1.0:
            raise BadRequestError(
                f"The voice activity option {name} is {value}; give a number from 0 to 1.",
                param=name,
            )
    for name in ("min_speech_s", "min_silence_s", "pad_s"):
        value = getattr(options, name)
        if not 0.0 <= value <= LONGEST_OPTION_S:
            raise BadRequestError(
                f"The voice activity option {name} is {value};"
                f" give seconds from 0 to {LONGEST_OPTION_S:g}.",
                param=name,
            )


def advance(
    state: SpeechState, probabilities: Probabilities, options: VadOptions
) -> tuple[SpeechState, tuple[Region, ...]]:
    """Hear the next frames of a stream.

    Args:
        state: as the call before left it.
        probabilities: (frames,) float32, the next frames.
        options: the same in every call.

    Returns:
        The state for the next call, and the regions that are now final, in order, not
        overlapping. How the frames are cut into calls changes nothing but when a region comes.
    """
    limits = _limits(options)
    regions: list[Region] = []
    at = state.position
    for probability in probabilities.tolist():
        state, region = _step(state, at, probability, limits)
        if region is not None:
            regions.append(region)
        at += FRAME_SAMPLES
    return replace(state, position=at), tuple(regions)


def finish(state: SpeechState, total_samples: int, options: VadOptions) -> tuple[Region, ...]:
    """The last regions of a stream that ends after `total_samples`.

    Speech that had fallen silent ends where it did; other open speech ends with the stream.
    """
    limits = _limits(options)
    regions: list[Region] = []
    if (
        state.start is not None
        and state.quiet_since is None
        and total_samples - state.start > limits.min_speech
    ):
        state, before = _count(state, limits)
        regions += [before] if before else []
    last = settled(state) or state.waiting
    if last is not None:
        end = min(last.end_sample + limits.pad, total_samples)
        regions.append(replace(last, end_sample=end))
    return tuple(regions)


def settled(state: SpeechState) -> Region | None:
    """What of the open stretch will be in a region whatever follows; None where nothing is."""
    if state.start is None or state.padded_start is None:
        return None
    end = state.position if state.quiet_since is None else state.quiet_since
    silence, lead = state.start - state.last_speech_end, state.start - state.padded_start
    return Region(state.padded_start, end, silence, lead)


def oldest_needed(state: SpeechState, options: VadOptions) -> int:
    """The first sample that can lie in a region which is still to come."""
    if state.waiting is not None:
        return state.waiting.start_sample
    if state.padded_start is not None:
        return state.padded_start
    first = state.position if state.start is None else state.start
    return max(0, first - _limits(options).pad)


def _limits(options: VadOptions) -> _Limits:
    min_silence = _to_samples(options.min_silence_s)
    return _Limits(
        threshold=options.threshold,
        lower_threshold=max(options.threshold - options.hysteresis, MIN_LOWER_THRESHOLD),
        min_speech=_to_samples(options.min_speech_s),
        min_silence=min_silence,
        max_silence=min_silence + _to_samples(MAX_DOUBT_S),
        pad=_to_samples(options.pad_s),
    )


def _to_samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _step(
    state: SpeechState, at: int, probability: float, limits: _Limits
) -> tuple[SpeechState, Region | None]:
    """Hear the frame that begins at `at`; gives the region that this makes final, if any."""
    final: Region | None = None
    waiting = state.waiting
    if waiting and state.start is None and at - waiting.end_sample >= 2 * limits.pad:
        # Speech from here on is too far away to share the padding.
        final = replace(waiting, end_sample=waiting.end_sample + limits.pad)
        state = replace(state, waiting=None)
    if probability >= limits.threshold:
        if state.start is None or state.quiet_since is not None:
            start = at if state.start is None else state.start
            state = replace(state, start=start, quiet_since=None)
    elif state.start is None:
        return state, final
    elif state.quiet_since is not None or probability < limits.lower_threshold:
        return _hear_silence(state, at, probability, limits), final
    if (
        state.start is not None
        and state.padded_start is None
        and at + FRAME_SAMPLES - state.start > limits.min_speech
    ):
        state, before = _count(state, limits)
        final = final or before
    return state, final


def _hear_silence(state: SpeechState, at: int, probability: float, limits: _Limits) -> SpeechState:
    """A frame of an open stretch in which nobody speaks: close the stretch if it is time."""
    quiet_since = at if state.quiet_since is None else state.quiet_since
    if state.quiet_since is None:
        state = replace(state, quiet_since=quiet_since)
    silence = at - quiet_since
    in_doubt = probability >= limits.lower_threshold and silence < limits.max_silence
    if silence < limits.min_silence or in_doubt:
        return state
    region = settled(state)
    closed = replace(state, start=None, quiet_since=None, padded_start=None)
    if region is None:
        return closed  # It was too short to count.
    return replace(closed, waiting=region, last_speech_end=quiet_since)


def _count(state: SpeechState, limits: _Limits) -> tuple[SpeechState, Region | None]:
    """The open stretch counts from now on: pad its start, and the end of the one before it."""
    if state.start is None or state.padded_start is not None:
        return state, None
    if state.waiting is None:
        # Either there was none, or it is further away than both paddings.
        return replace(state, padded_start=max(0, state.start - limits.pad)), None
    pad = min(limits.pad, (state.start - state.last_speech_end) // 2)
    before = replace(state.waiting, end_sample=state.waiting.end_sample + pad)
    return replace(state, padded_start=state.start - pad, waiting=None), before
