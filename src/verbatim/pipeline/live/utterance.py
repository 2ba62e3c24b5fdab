"""One utterance of a live session: which audio it wants decoded next, and what came of it.

Nothing here waits or decodes; the session does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import takewhile
from typing import Final

from verbatim.domain.audio import Pcm
from verbatim.domain.live import EndReason, LiveOptions, Partial
from verbatim.domain.live import Final as FinalEvent
from verbatim.domain.request import DecodeOptions, Gates
from verbatim.domain.transcript import WindowResult, Word
from verbatim.domain.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from verbatim.stages import live_language, stability
from verbatim.stages.language_names import WRITTEN_WITHOUT_SPACES
from verbatim.stages.live_language import HeardLanguage
from verbatim.stages.live_segments import sentences
from verbatim.stages.repetition import without_loops
from verbatim.stages.stability import Guess, StableText, word_key
from verbatim.stages.trimming import MAX_NEW_TOKENS, MAX_WINDOW_S, ends_sentence, find_cut

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
OVERLAP_S: Final = 5.0
"""How near its end they may be."""
LONGEST_LEFT_S: Final = 10.0
"""What a large window may leave to be decoded again."""
SENTENCE_GRACE_S: Final = 10.0
"""How long an utterance that is too long may go on to the end of a sentence."""
UNKNOWN: Final = "en"
"""The language of an utterance in which nobody spoke."""
LOOP_MEMORY_WORDS: Final = 48
MAX_COMPRESSION_RATIO: Final = 2.4
STEP_TEMPERATURES: Final = (0.0,)
FINAL_TEMPERATURES: Final = (0.0, 0.2, 0.4, 0.6)
FINAL_BEAM_SIZE: Final = 5
FINAL_PATIENCE: Final = 2.0
"""Without timestamps, beams that end too early win more often."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Samples (n,) int16 at 16 kHz of an utterance, and where they begin in the session."""

    start: int
    samples: Pcm


@dataclass(frozen=True, slots=True)
class Heard:
    """How far voice activity detection is.

    Attributes:
        position: samples it has heard.
        silence_start: where the silence began that goes on there; None where there is speech.
    """

    position: int
    silence_start: int | None


class Utterance:
    """What is known of an utterance while it is spoken and decoded.

    Args:
        number: its own among those of the session.
        options: by which it is heard.
        start: its first sample.
        hint: the language of the utterance before it.
    """

    def __init__(self, number: int, options: LiveOptions, start: int, hint: str | None) -> None:
        self.number = number
        self.options = options
        self.start = start
        self.end: int | None = None
        self.reason: EndReason | None = None
        self.cleared = False
        self.pieces: list[Piece] = []
        """Its audio, where it is to be heard a second time."""
        self.text = StableText()
        self._stretches: deque[Stretch] = deque()
        self._hint = hint
        self._language = live_language.given(options.language)
        self._decoded_language: str | None = None
        self._no_speech_prob = 0.0
        self._prefix_from = 0
        """Committed words before this one have no audio any more."""
        self._run_up: tuple[Word, ...] = ()
        """Words of the utterance before, whose audio this one's decoding begins with."""
        self._first = start
        """First sample of the audio that is decoded."""
        self._heard_to = start
        """Up to where it was decoded."""
        self._whole = False
        """Whether the last decoding can be the last one."""
        self._told = ("", "")
        """Committed text and tail."""
        self._told_language: str | None = None

    @property
    def open(self) -> bool:
        """Whether more audio may belong to it."""
        return self.end is None

    @property
    def language(self) -> str | None:
        """The language, once it is settled."""
        return self._language.settled

    @property
    def oldest_needed(self) -> int | None:
        """The first sample that will be heard again; None where none will."""
        if not self._stretches:
            return None
        return self._stretches[0].start if self.options.second_pass else self._first

    @property
    def undecoded_from(self) -> int:
        """The first sample that was not decoded yet."""
        return self._heard_to

    def begin_stretch(self, start: int) -> None:
        """Speech goes on after a silence."""
        if not self._stretches:
            self._enter(start)
        self._stretches.append(Stretch(start))

    def end_stretch(self, end: int, speech_end: int) -> None:
        """Silence: the stretch that goes on is over."""
        if self._stretches and self._stretches[-1].end is None:
            last = self._stretches[-1]
            last.end, last.speech_end = max(end, last.start), max(speech_end, last.start)

    def close(self, end: int, reason: EndReason) -> None:
        """No more audio belongs to it."""
        self.end, self.reason = max(end, self.start), reason

    @property
    def complete(self) -> bool:
        """Whether everything that was said is known."""
        return not self.open and not self._stretches

    def settle(self) -> list[tuple[int, int]]:
        """Commit the words of stretches that were decoded to their end.

        Returns:
            Where these lie: first and last sample, exclusive.
        """
        settled: list[tuple[int, int]] = []
        while self._stretches and self._is_decoded(self._stretches[0]):
            stretch = self._stretches.popleft()
            settled.append((stretch.start, self._trailing(stretch)))
            self.text = stability.complete(self.text)
            self._settle_language()
            self._enter(self._stretches[0].start if self._stretches else self._heard_to)
        return settled

    def wanted(self, heard: Heard, busy_s: float) -> Wanted | None:
        """What should be decoded now; None where there is nothing worth it.

        Args:
            heard: how far the audio is known.
            busy_s: how much new audio the engine wants for a decoding, so that it keeps up.
        """
        if not self._stretches:
            return None
        stretch = self._stretches[0]
        if stretch.end is not None:
            return self._window(self._trailing(stretch), Purpose.WHOLE)
        if heard.silence_start is not None:
            enough = heard.silence_start + _samples(PAUSE_S)
            known = self._whole and self._heard_to >= enough
            due = heard.position >= enough and not known
            return self._window(heard.position, Purpose.WHOLE) if due else None
        due = heard.position >= self._next_step(busy_s)
        return self._window(heard.position, Purpose.STEP) if due else None

    def _next_step(self, busy_s: float) -> int:
        """The sample at which what is spoken is decoded again."""
        large = self._first + _samples(LARGE_WINDOW_S)
        options = self.options
        if not options.partials:
            return large
        if self._heard_to > self._first:
            in_doubt = not any(self._told) or self._tail != self.text.tail
            least_s = min(EAGER_STEP_S, options.step_s) if in_doubt else options.step_s
            step_s = min(max(busy_s, least_s), max(options.max_step_s, options.step_s))
            return min(self._heard_to + _samples(step_s), large)
        return self._first + _samples(self.options.turns.padding_s + FIRST_STEP_S)

    def decode_options(self, wanted: Wanted) -> DecodeOptions:
        """How a window of this utterance is decoded."""
        whole = wanted.purpose is Purpose.WHOLE or self._is_large(wanted)
        hint = self._hint if whole else None
        options = self.options
        prefix = self._prefix or None
        return DecodeOptions(
            language=live_language.to_decode_in(self._language, hint),
            candidate_languages=options.languages,
            task=options.task,
            # After a forced beginning the first token would have to be a timestamp.
            timestamps=prefix is None,
            word_timestamps=True,
            beam_size=FINAL_BEAM_SIZE if whole else 1,
            patience=FINAL_PATIENCE if whole and prefix is not None else 1.0,
            temperatures=FINAL_TEMPERATURES if whole else STEP_TEMPERATURES,
            max_new_tokens=MAX_NEW_TOKENS,
            # Hotwords by themselves would give way to the prefix.
            initial_prompt=" ".join(filter(None, (options.hotwords, options.prompt))) or None,
            prefix=prefix,
            # After words that are certain, there is speech.
            gates=Gates(no_speech=None) if prefix else Gates(),
        )

    def take(self, wanted: Wanted, result: WindowResult) -> None:
        """Take in what a decoding said."""
        start, edge = wanted.first / SAMPLE_RATE_HZ, wanted.last / SAMPLE_RATE_HZ
        large = self._is_large(wanted)
        if result.language_probabilities:
            self._language = live_language.hear(
                self._language, result.language, result.language_probability, edge - start
            )
        same_language = self._decoded_language in (None, result.language)
        self._decoded_language = result.language
        self._no_speech_prob = result.no_speech_prob
        self._heard_to = wanted.last
        self._whole = wanted.purpose is Purpose.WHOLE
        guess = self._guess(result, start)
        # What cannot be believed changes nothing: the guess before waits for the next decoding.
        if guess is not None:
            if not same_language:
                self.text = replace(self.text, heard=())
            if self._language.settled is None:
                self.text = stability.observe(self.text, guess, edge=edge)
            else:
                self.text = stability.advance(
                    self.text,
                    guess,
                    edge=edge,
                    spaced=result.language not in WRITTEN_WITHOUT_SPACES,
                    sure_until=edge - OVERLAP_S if large else None,
                )
        self._trim(start, edge, large=large)

    def pass_over(self, wanted: Wanted) -> None:
        """A window breaks the engine: go on, and decode it again with what comes after it."""
        self._heard_to = wanted.last
        self._whole = False
        start, edge = wanted.first / SAMPLE_RATE_HZ, wanted.last / SAMPLE_RATE_HZ
        self._trim(start, edge, large=self._is_large(wanted))

    def partial(self) -> Partial | None:
        """What to tell of it now; None where nothing changed."""
        if not self.options.partials:
            return None
        language = self._language.settled
        text = self.text.committed, self._tail
        if text == self._told and (language == self._told_language or not any(text)):
            return None
        delta = self._delta
        self._told, self._told_language = text, language
        return Partial(
            utterance=self.number,
            start=self.start / SAMPLE_RATE_HZ,
            end=self._heard_to / SAMPLE_RATE_HZ,
            committed=text[0],
            delta=delta,
            tail=text[1],
            words=self.text.words,
            language=language,
        )

    def final(self) -> FinalEvent:
        """All that was said; for an utterance that is complete."""
        language = self._language.settled or self._decoded_language or self._hint or UNKNOWN
        words = self.text.words
        return FinalEvent(
            utterance=self.number,
            start=self.start / SAMPLE_RATE_HZ,
            end=(self.start if self.end is None else self.end) / SAMPLE_RATE_HZ,
            text=self.text.committed,
            delta=self._delta,
            words=words,
            segments=sentences(words, language=language, no_speech_prob=self._no_speech_prob),
            language=language,
            language_probability=self._language.probability,
            reason=self.reason or EndReason.FINISH,
        )

    def split(self, number: int) -> Utterance | None:
        """End it after its last committed word where it is too long, and give what follows.

        Between two sentences, if one ends soon enough.

        Args:
            number: of the utterance that follows.

        Returns:
            None where it is not too long, or nothing is committed with which it could end.
        """
        over_s = (self._heard_to - self.start) / SAMPLE_RATE_HZ - self.options.max_utterance_s
        if over_s < 0 or not (self.open and self.text.words and self._stretches):
            return None
        ended = stability.close_sentence(self.text)
        if over_s < SENTENCE_GRACE_S and not ends_sentence(ended.words[-1]):
            return None
        at = min(max(round(ended.words[-1].end * SAMPLE_RATE_HZ), self.start), self._heard_to)
        rest = Utterance(number, self.options, at, self._language.settled)
        rest._language, rest._decoded_language = self._language, self._decoded_language
        rest._stretches = self._stretches
        rest._first, rest._heard_to = self._first, self._heard_to
        rest._run_up = self._in_audio
        rest.text = stability.without_words(ended)
        self._stretches = deque()
        self.text = StableText(ended.words)
        self.close(at, EndReason.LENGTH)
        return rest

    @property
    def _tail(self) -> str:
        """The guess at what follows the committed text, as far as it is worth showing."""
        spaced = self._decoded_language not in WRITTEN_WITHOUT_SPACES
        return stability.shown_tail(self.text, spaced=spaced)

    @property
    def _delta(self) -> str:
        """What is committed and was not told yet."""
        return self.text.committed[len(self._told[0]) :]

    @property
    def _in_audio(self) -> tuple[Word, ...]:
        """The words with which the audio begins."""
        own = self.text.words[self._prefix_from :]
        return own if self._prefix_from else (*self._run_up, *own)

    @property
    def _prefix(self) -> str:
        before = "".join(word.text for word in self._run_up)
        own = "".join(word.text for word in self.text.words[self._prefix_from :])
        if not self._prefix_from and before and own:
            # The first word of an utterance has lost the space before it.
            spaced = self._decoded_language not in WRITTEN_WITHOUT_SPACES
            return f"{before}{' ' * spaced}{own}".strip()
        return (before or own).strip()

    def _enter(self, start: int) -> None:
        """The audio that is decoded begins anew."""
        self._first = self._heard_to = start
        self._drop_words(len(self._in_audio))
        self._whole = False

    def _drop_words(self, count: int) -> None:
        """The first of the words in the audio are there no more."""
        self._prefix_from += max(count - (0 if self._prefix_from else len(self._run_up)), 0)
        self._run_up = self._run_up[count:]

    def _settle_language(self) -> None:
        if self._language.settled is None and self._decoded_language is not None:
            probability = (
                self._language.probability if self._language.last == self._decoded_language else 0.0
            )
            self._language = HeardLanguage(
                self._decoded_language, self._decoded_language, probability
            )

    def _trailing(self, stretch: Stretch) -> int:
        """Where a stretch that is over ends for the decoder."""
        with_silence = stretch.speech_end + _samples(TRAILING_S)
        return with_silence if stretch.end is None else min(stretch.end, with_silence)

    def _is_decoded(self, stretch: Stretch) -> bool:
        if stretch.end is None:
            return False
        enough = min(stretch.end, stretch.speech_end + _samples(PAUSE_S))
        if enough - self._first < HOP_SAMPLES:
            return True  # Too short for a single frame of the model.
        return self._whole and self._heard_to >= enough

    def _window(self, last: int, purpose: Purpose) -> Wanted:
        longest = self._first + _samples(MAX_WINDOW_S)
        if last > longest:
            return Wanted(self._first, longest, Purpose.STEP)
        return Wanted(self._first, last, purpose)

    def _is_large(self, wanted: Wanted) -> bool:
        long = wanted.last - wanted.first >= _samples(LARGE_WINDOW_S)
        return wanted.purpose is Purpose.STEP and long

    def _guess(self, result: WindowResult, start: float) -> Guess | None:
        """What the window said beyond its forced beginning, in the session's time."""
        segments = (*result.segments, *((result.tail,) if result.tail else ()))
        words = [
            replace(word, start=word.start + start, end=word.end + start)
            for segment in segments
            for word in segment.words or ()
        ]
        guess = stability.guess_after(self._prefix, words)
        if guess is None or result.compression_ratio > MAX_COMPRESSION_RATIO:
            return None
        known = [word_key(word.text) for word in self._in_audio[-LOOP_MEMORY_WORDS:]]
        stay = without_loops([*known, *(unit.key for unit in guess.units)])
        kept = tuple(guess.units[place - len(known)] for place in stay if place >= len(known))
        return replace(guess, units=kept)

    def _trim(self, start: float, edge: float, *, large: bool) -> None:
        """Let audio go whose words are committed."""
        cut = find_cut(self._in_audio, start, edge)
        if cut is not None:
            self._drop_words(cut.words)
            self._first = max(self._first, min(round(cut.time * SAMPLE_RATE_HZ), self._heard_to))
        left = self._heard_to - _samples(LONGEST_LEFT_S)
        if large and self._first < left:
            # Next to nothing was understood in it, so nothing is lost with it.
            self._first = left
            gone = (word.start < left / SAMPLE_RATE_HZ for word in self._in_audio)
            self._drop_words(sum(takewhile(bool, gone)))


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
