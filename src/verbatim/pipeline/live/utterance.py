"""One utterance of a live session: how it is decoded, and what came of it.

Nothing here waits or decodes; the session does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from verbatim.domain.audio import Pcm
from verbatim.domain.live import EndReason, LiveOptions, Partial
from verbatim.domain.live import Final as FinalEvent
from verbatim.domain.request import DecodeOptions, Gates
from verbatim.domain.transcript import WindowResult, Word
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.pipeline.live.steps import Heard, Purpose, Steps, Wanted, samples
from verbatim.stages import live_language, stability
from verbatim.stages.language_names import WRITTEN_WITHOUT_SPACES
from verbatim.stages.live_language import HeardLanguage
from verbatim.stages.live_segments import sentences
from verbatim.stages.repetition import without_loops
from verbatim.stages.stability import Guess, StableText, word_key
from verbatim.stages.trimming import MAX_NEW_TOKENS, ends_sentence, find_cut

OVERLAP_S: Final = 5.0
"""How near the end of a large window words may be that are committed for its length."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Samples (n,) int16 at 16 kHz of an utterance, and where they begin in the session."""

    start: int
    samples: Pcm


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
        self._steps = Steps(options, start)
        self._hint = hint
        self._language = live_language.given(options.language)
        self._decoded_language: str | None = None
        self._no_speech_prob = 0.0
        self._prefix_from = 0
        """Committed words before this one have no audio any more."""
        self._run_up: tuple[Word, ...] = ()
        """Words of the utterance before, whose audio this one's decoding begins with."""
        self._told = ("", "")
        """Committed text and tail."""
        self._told_language: str | None = None
        self._left_out = False
        """The last step was too doubtful to say anything."""

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
        if not self._steps:
            return None
        return self._steps.oldest if self.options.second_pass else self._steps.first

    @property
    def undecoded_from(self) -> int:
        """The first sample that was not decoded yet."""
        return self._steps.heard_to

    def begin_stretch(self, start: int) -> None:
        """Speech goes on after a silence."""
        if self._steps.begin_stretch(start):
            self._drop_words(len(self._in_audio))

    def end_stretch(self, end: int, speech_end: int) -> None:
        """Silence: the stretch that goes on is over."""
        self._steps.end_stretch(end, speech_end)

    def close(self, end: int, reason: EndReason) -> None:
        """No more audio belongs to it."""
        self.end, self.reason = max(end, self.start), reason

    @property
    def complete(self) -> bool:
        """Whether everything that was said is known."""
        return not self.open and not self._steps

    def settle(self) -> list[tuple[int, int]]:
        """Commit the words of stretches that were decoded to their end.

        Returns:
            Where these lie: first and last sample, exclusive.
        """
        settled: list[tuple[int, int]] = []
        while (stretch := self._steps.settle()) is not None:
            settled.append((stretch.start, stretch.trailing))
            self.text = stability.complete(self.text)
            self._settle_language()
            self._drop_words(len(self._in_audio))
        return settled

    def wanted(self, heard: Heard, busy_s: float) -> Wanted | None:
        """What should be decoded now; None where there is nothing worth it.

        Args:
            heard: how far the audio is known.
            busy_s: how much new audio the engine wants for a decoding, so that it keeps up.
        """
        in_doubt = not any(self._told) or self._tail != self.text.tail
        return self._steps.wanted(heard, busy_s, in_doubt=in_doubt)

    def decode_options(self, wanted: Wanted) -> DecodeOptions:
        """How a window of this utterance is decoded."""
        whole = wanted.purpose is Purpose.WHOLE or wanted.large
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
            provisional=self._provisional(wanted),
        )

    def take(self, wanted: Wanted, result: WindowResult) -> None:
        """Take in what a decoding said."""
        start, edge = wanted.first / SAMPLE_RATE_HZ, wanted.last / SAMPLE_RATE_HZ
        if result.language_probabilities:
            self._language = live_language.hear(
                self._language, result.language, result.language_probability, edge - start
            )
        same_language = self._decoded_language in (None, result.language)
        self._decoded_language = result.language
        self._no_speech_prob = result.no_speech_prob
        self._steps.take(wanted, whole=wanted.purpose is Purpose.WHOLE)
        self._left_out = self._provisional(wanted) and not _says_anything(result)
        guess = None if self._left_out else self._guess(result, start)
        # What cannot be believed changes nothing: the guess before waits for the next decoding.
        if guess is not None:
            if not same_language:
                self.text = replace(self.text, heard=())
            spaced = result.language not in WRITTEN_WITHOUT_SPACES
            if self._language.settled is None:
                self.text = stability.observe(self.text, guess, edge=edge, spaced=spaced)
            else:
                self.text = stability.advance(
                    self.text,
                    guess,
                    edge=edge,
                    spaced=spaced,
                    sure_until=edge - OVERLAP_S if wanted.large else None,
                )
        self._trim(start, edge, large=wanted.large)

    def pass_over(self, wanted: Wanted) -> None:
        """A window breaks the engine: go on, and decode it again with what comes after it."""
        self._steps.take(wanted, whole=False)
        start, edge = wanted.first / SAMPLE_RATE_HZ, wanted.last / SAMPLE_RATE_HZ
        self._trim(start, edge, large=wanted.large)

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
            end=self._steps.heard_to / SAMPLE_RATE_HZ,
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
        over_s = (self._steps.heard_to - self.start) / SAMPLE_RATE_HZ - self.options.max_utterance_s
        if over_s < 0 or not (self.open and self.text.words and self._steps):
            return None
        ended = stability.close_sentence(self.text)
        if over_s < SENTENCE_GRACE_S and not ends_sentence(ended.words[-1]):
            return None
        at = min(max(round(ended.words[-1].end * SAMPLE_RATE_HZ), self.start), self._steps.heard_to)
        rest = Utterance(number, self.options, at, self._language.settled)
        rest._language, rest._decoded_language = self._language, self._decoded_language
        rest._steps, self._steps = self._steps, Steps(self.options, at)
        rest._run_up = self._in_audio
        rest.text = stability.without_words(ended)
        self.text = StableText(ended.words)
        self.close(at, EndReason.LENGTH)
        return rest

    @property
    def _tail(self) -> str:
        """The guess at what follows the committed text, as far as it is worth showing."""
        return stability.shown_tail(self.text)

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

    def _drop_words(self, count: int) -> None:
        """The first of the words in the audio are there no more."""
        self._prefix_from += max(count - (0 if self._prefix_from else len(self._run_up)), 0)
        self._run_up = self._run_up[count:]

    def _provisional(self, wanted: Wanted) -> bool:
        """Whether a doubt may wait for the next step, at which more was heard; but only once."""
        return wanted.purpose is Purpose.STEP and not (wanted.large or self._left_out)

    def _settle_language(self) -> None:
        if self._language.settled is None and self._decoded_language is not None:
            probability = (
                self._language.probability if self._language.last == self._decoded_language else 0.0
            )
            self._language = HeardLanguage(
                self._decoded_language, self._decoded_language, probability
            )

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
            self._steps.drop_until(round(cut.time * SAMPLE_RATE_HZ))
        left = self._steps.heard_to - samples(LONGEST_LEFT_S)
        if large and self._steps.first < left:
            # Next to nothing was understood in it, so nothing is lost with it.
            self._steps.drop_until(left)
            gone = (word.start < left / SAMPLE_RATE_HZ for word in self._in_audio)
            self._drop_words(sum(takewhile(bool, gone)))


def _says_anything(result: WindowResult) -> bool:
    return bool(result.segments) or result.tail is not None
