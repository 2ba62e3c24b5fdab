"""From a recording's samples to the chunks of it that are worth decoding, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from verbatim.domain.audio import Samples, to_pcm
from verbatim.domain.request import VadOptions
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from verbatim.engine.vad import BATCH_FRAMES, SileroVad, VadState
from verbatim.stages import cuts, speech
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities, Region, SpeechChunk, SpeechState

STEP_SAMPLES: Final = BATCH_FRAMES * FRAME_SAMPLES
"""Audio is looked at in steps of this many samples (8 s)."""
PAUSE_SEARCH_S: Final = 15
"""Speech without a silence is cut in a pause within this time before it fills a window."""
QUIET_SEARCH_S: Final = 6
"""Without voice activity detection, a chunk ends where it is quietest within this time before it
fills a window."""

Scalar = TypeVar("Scalar", bound=np.generic)


class FrontEnd:
    """The chunks of a recording, made as its samples come in. Iterate it once.

    With voice activity detection the chunks are the regions of speech, exactly; a region longer
    than 30 s is cut in its longest and deepest pause between 15 and 30 s, or where it is quietest
    if it has none. Without (`vad=None`) the chunks are the whole recording, cut where it is
    quietest between 24 and 30 s.

    How the samples are cut into blocks changes nothing. With the default options at most about
    a minute of audio is held, whatever the recording's length and content.

    Args:
        blocks: the recording, each block (n,) float32, mono at 16 kHz within ±1.
        vad: the voice activity model; None keeps everything.
        options: what counts as speech.

    Attributes:
        samples_read: length of the recording so far; all of it when the iteration has ended.
        speech_samples: how many of them are in the chunks so far.

    Raises:
        BadRequestError: the options make no sense.
    """

    def __init__(
        self, blocks: Iterable[Samples], vad: SileroVad | None, options: VadOptions
    ) -> None:
        speech.check(options)
        self.samples_read = 0
        self.speech_samples = 0
        self._finder: _Finder = _Everything() if vad is None else _Speech(vad, options)
        self._pcm = _Recent(np.int16)
        self._begin = 0
        """Everything before this sample is handed out or was dropped for good."""
        self._gap_samples = self._lead_samples = 0
        self._chunks = self._run(blocks)

    def __iter__(self) -> Iterator[SpeechChunk]:
        return self._chunks

    def _run(self, blocks: Iterable[Samples]) -> Iterator[SpeechChunk]:
        for step in _steps(blocks):
            self.samples_read += len(step)
            self._pcm.append(to_pcm(step))
            for region in self._finder.advance(step):
                yield from self._hand_out(region)
            growing = self._finder.settled()
            if growing is not None:
                yield from self._hand_out_full_windows(growing)
            oldest = max(self._begin, self._finder.oldest_needed())
            self._pcm.forget(oldest)
            self._finder.forget(oldest)
        for region in self._finder.finish(self.samples_read):
            yield from self._hand_out(region)

    def _hand_out(self, region: Region) -> Iterator[SpeechChunk]:
        """A region, or what is left of it."""
        yield from self._hand_out_full_windows(region)
        yield self._chunk(region.end_sample)

    def _hand_out_full_windows(self, region: Region) -> Iterator[SpeechChunk]:
        """As much of a region as is longer than a window."""
        if self._begin <= region.start_sample:
            self._begin = region.start_sample
            self._gap_samples, self._lead_samples = region.silence_samples, region.lead_samples
        while region.end_sample - self._begin > WINDOW_SAMPLES:
            cut = self._finder.cut(self._begin)
            yield self._chunk(cut.frame * FRAME_SAMPLES)
            self._gap_samples = cut.silence_frames * FRAME_SAMPLES

    def _chunk(self, end: int) -> SpeechChunk:
        chunk = SpeechChunk(
            self._pcm.take(self._begin, end),
            self._begin,
            self._gap_samples / SAMPLE_RATE_HZ,
            self._lead_samples,
        )
        self._begin, self._lead_samples = end, 0
        self.speech_samples += len(chunk.samples)
        return chunk


class _Finder(Protocol):
    """What decides which stretches of a stream are kept, and where long ones are cut."""

    def advance(self, samples: Samples) -> tuple[Region, ...]:
        """Hear the next samples; gives the regions that are now final, in order."""
        ...

    def finish(self, total_samples: int) -> tuple[Region, ...]:
        """The last regions, when the stream has ended."""
        ...

    def settled(self) -> Region | None:
        """The part of a region without an end yet that is kept whatever follows."""
        ...

    def cut(self, begin: int) -> cuts.Cut:
        """Where to cut a region (what is left of it begins at `begin`) that fills a window.

        The frame is counted from the beginning of the stream.
        """
        ...

    def oldest_needed(self) -> int:
        """The first sample that can lie in a region which is still to come."""
        ...

    def forget(self, before: int) -> None:
        """No cut will be asked for at a sample before this one."""
        ...


class _Everything:
    """The whole recording is one region, cut where it is quietest."""

    def __init__(self) -> None:
        self._position = 0
        self._energies = _Recent(np.float32)

    def advance(self, samples: Samples) -> tuple[Region, ...]:
        self._position += len(samples)
        self._energies.append(cuts.frame_energies(samples))
        return ()

    def finish(self, total_samples: int) -> tuple[Region, ...]:
        return (Region(0, total_samples),) if total_samples else ()

    def settled(self) -> Region:
        return Region(0, self._position)

    def cut(self, begin: int) -> cuts.Cut:
        first, last = _cut_frames(begin, QUIET_SEARCH_S)
        return cuts.quietest(self._energies.take(first, last)).shifted(first)

    def oldest_needed(self) -> int:
        return 0

    def forget(self, before: int) -> None:
        self._energies.forget(before // FRAME_SAMPLES)


class _Speech:
    """The stretches in which somebody speaks, cut in their pauses."""

    def __init__(self, vad: SileroVad, options: VadOptions) -> None:
        self._vad = vad
        self._options = options
        self._vad_state = VadState()
        self._state = SpeechState()
        self._energies = _Recent(np.float32)
        self._probabilities = _Recent(np.float32)

    def advance(self, samples: Samples) -> tuple[Region, ...]:
        probabilities, self._vad_state = self._vad.advance(samples, self._vad_state)
        self._energies.append(cuts.frame_energies(samples))
        return self._hear(probabilities)

    def finish(self, total_samples: int) -> tuple[Region, ...]:
        regions = self._hear(self._vad.finish(self._vad_state))
        return regions + speech.finish(self._state, total_samples, self._options)

    def settled(self) -> Region | None:
        return speech.settled(self._state)

    def cut(self, begin: int) -> cuts.Cut:
        first, last = _cut_frames(begin, PAUSE_SEARCH_S)
        probabilities = self._probabilities.take(first, last)
        pause = cuts.best_pause(probabilities, self._options.threshold)
        return (pause or cuts.quietest(self._energies.take(first, last))).shifted(first)

    def oldest_needed(self) -> int:
        return speech.oldest_needed(self._state, self._options)

    def forget(self, before: int) -> None:
        self._energies.forget(before // FRAME_SAMPLES)
        self._probabilities.forget(before // FRAME_SAMPLES)

    def _hear(self, probabilities: Probabilities) -> tuple[Region, ...]:
        self._probabilities.append(probabilities)
        self._state, regions = speech.advance(self._state, probabilities, self._options)
        return regions


class _Recent(Generic[Scalar]):
    """The recent values of a stream, addressed from the stream's beginning."""

    def __init__(self, kind: type[Scalar]) -> None:
        self._parts: deque[NDArray[Scalar]] = deque()
        self._empty = np.zeros(0, kind)
        self._start = 0

    def append(self, part: NDArray[Scalar]) -> None:
        """Add the next values (n,)."""
        self._parts.append(part)

    def take(self, begin: int, end: int) -> NDArray[Scalar]:
        """A copy of the values from `begin` to `end`, (end - begin,)."""
        taken, at = [self._empty], self._start
        for part in self._parts:
            taken.append(part[max(0, begin - at) : max(0, end - at)])
            at += len(part)
        return np.concatenate(taken)

    def forget(self, before: int) -> None:
        """Let go of values before this one, in whole parts."""
        while self._parts and self._start + len(self._parts[0]) <= before:
            self._start += len(self._parts.popleft())


def _cut_frames(begin: int, search_s: int) -> tuple[int, int]:
    """First and last (exclusive) frame within `search_s` before `begin` and a window."""
    latest = begin + WINDOW_SAMPLES
    earliest = latest - search_s * SAMPLE_RATE_HZ
    return -(-earliest // FRAME_SAMPLES), latest // FRAME_SAMPLES


def _steps(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The same samples in steps of `STEP_SAMPLES`, the last one shorter."""
    held: list[Samples] = []
    missing = STEP_SAMPLES
    for block in blocks:
        rest = block
        while len(rest):
            held.append(rest[:missing])
            rest = rest[missing:]
            missing -= len(held[-1])
            if missing == 0:
                yield np.concatenate(held)
                held, missing = [], STEP_SAMPLES
    if held:
        yield np.concatenate(held)
