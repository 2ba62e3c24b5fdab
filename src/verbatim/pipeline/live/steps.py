"""Which audio of an utterance is decoded next, and how far it was decoded.

An utterance is made of stretches of speech. The first that is not settled is decoded in steps while
it goes on, as a whole where silence follows, and is settled when it was decoded to its end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from verbatim.domain.live import LiveOptions
from verbatim.domain.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from verbatim.stages.trimming import MAX_WINDOW_S

FIRST_STEP_S: Final = 0.2
"""Of speech, before an utterance is decoded for the first time."""
EAGER_STEP_S: Final = 0.2
"""The shortest step where nothing of an utterance was shown yet, or some of what was understood is
too doubtful to be shown."""
PAUSE_S: Final = 0.1
"""Silence after which the utterance is decoded as if it was over."""
TRAILING_S: Final = 0.3
"""Of the silence after speech, decoded with it."""
LARGE_WINDOW_S: Final = 25.0
"""A window so long has words committed that are not near its end, stable or not."""


class Purpose(Enum):
    """What a decoding is for."""

    STEP = auto()
    """To show the words so far."""
    WHOLE = auto()
    """To be the last one of this stretch, if nothing but silence follows."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A decoding that should be done now: samples `first` up to `last`, exclusive."""

    first: int
    last: int
    purpose: Purpose

    @property
    def large(self) -> bool:
        """Whether it is a step so long that words are committed for its length."""
        long = self.last - self.first >= samples(LARGE_WINDOW_S)
        return self.purpose is Purpose.STEP and long


@dataclass(slots=True)
class Stretch:
    """Speech between two silences, with some audio around it, in samples of the session.

    Attributes:
        end: exclusive; None while it goes on.
        speech_end: where its speech ended, once it has ended.
    """

    start: int
    end: int | None = None
    speech_end: int = 0

    @property
    def trailing(self) -> int:
        """Where it ends for the decoder, once it is over."""
        with_silence = self.speech_end + samples(TRAILING_S)
        return with_silence if self.end is None else min(self.end, with_silence)


@dataclass(frozen=True, slots=True)
class Heard:
    """How far voice activity detection is.

    Attributes:
        position: samples it has heard.
        silence_start: where the silence began that goes on there; None where there is speech.
    """

    position: int
    silence_start: int | None


class Steps:
    """The stretches that are not settled, and how far the first of them was decoded.

    Args:
        options: by which the utterance is heard.
        start: its first sample.
    """

    def __init__(self, options: LiveOptions, start: int) -> None:
        self._options = options
        self._stretches: deque[Stretch] = deque()
        self._whole = False
        """Whether the last decoding can be the last one of its stretch."""
        self.first = start
        """First sample of the audio that is decoded."""
        self.heard_to = start
        """Up to where it was decoded."""

    def __bool__(self) -> bool:
        """Whether any speech is not settled."""
        return bool(self._stretches)

    @property
    def oldest(self) -> int | None:
        """First sample of the stretches; None where there are none."""
        return self._stretches[0].start if self._stretches else None

    def begin_stretch(self, start: int) -> bool:
        """Speech goes on after a silence; tells whether the audio that is decoded begins anew."""
        anew = not self._stretches
        if anew:
            self._enter(start)
        self._stretches.append(Stretch(start))
        return anew

    def end_stretch(self, end: int, speech_end: int) -> None:
        """Silence: the stretch that goes on is over."""
        if self._stretches and self._stretches[-1].end is None:
            last = self._stretches[-1]
            last.end, last.speech_end = max(end, last.start), max(speech_end, last.start)

    def settle(self) -> Stretch | None:
        """The first stretch, if it was decoded to its end; then the next one's audio begins."""
        if not (self._stretches and self._is_decoded(self._stretches[0])):
            return None
        stretch = self._stretches.popleft()
        self._enter(self._stretches[0].start if self._stretches else self.heard_to)
        return stretch

    def wanted(self, heard: Heard, busy_s: float, *, in_doubt: bool) -> Wanted | None:
        """What should be decoded now; None where there is nothing worth it.

        Args:
            heard: how far the audio is known.
            busy_s: how much new audio the engine wants for a decoding, so that it keeps up.
            in_doubt: nothing is shown yet, or not all that was understood.
        """
        if not self._stretches:
            return None
        stretch = self._stretches[0]
        if stretch.end is not None:
            return self._window(stretch.trailing, Purpose.WHOLE)
        if heard.silence_start is not None:
            enough = heard.silence_start + samples(PAUSE_S)
            known = self._whole and self.heard_to >= enough
            due = heard.position >= enough and not known
            return self._window(heard.position, Purpose.WHOLE) if due else None
        due = heard.position >= self._next_step(busy_s, in_doubt=in_doubt)
        return self._window(heard.position, Purpose.STEP) if due else None

    def take(self, wanted: Wanted, *, whole: bool) -> None:
        """A window was decoded; `whole`: it can be the last one of its stretch."""
        self.heard_to = wanted.last
        self._whole = whole

    def drop_until(self, sample: int) -> None:
        """Audio before this sample is not needed any more."""
        self.first = max(self.first, min(sample, self.heard_to))

    def _enter(self, start: int) -> None:
        self.first = self.heard_to = start
        self._whole = False

    def _next_step(self, busy_s: float, *, in_doubt: bool) -> int:
        """The sample at which what is spoken is decoded again."""
        large = self.first + samples(LARGE_WINDOW_S)
        options = self._options
        if not options.partials:
            return large
        if self.heard_to > self.first:
            least_s = min(EAGER_STEP_S, options.step_s) if in_doubt else options.step_s
            step_s = min(max(busy_s, least_s), max(options.max_step_s, options.step_s))
            return min(self.heard_to + samples(step_s), large)
        return self.first + samples(options.turns.padding_s + FIRST_STEP_S)

    def _is_decoded(self, stretch: Stretch) -> bool:
        if stretch.end is None:
            return False
        enough = min(stretch.end, stretch.speech_end + samples(PAUSE_S))
        if enough - self.first < HOP_SAMPLES:
            return True  # Too short for a single frame of the model.
        return self._whole and self.heard_to >= enough

    def _window(self, last: int, purpose: Purpose) -> Wanted:
        longest = self.first + samples(MAX_WINDOW_S)
        if last > longest:
            return Wanted(self.first, longest, Purpose.STEP)
        return Wanted(self.first, last, purpose)


def samples(seconds: float) -> int:
    """How many samples last so long."""
    return round(seconds * SAMPLE_RATE_HZ)
