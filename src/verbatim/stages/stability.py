"""Which words of a growing utterance will not change any more, and what is still a guess.

Each time more audio is there, the utterance is decoded again with its committed words as a forced
beginning. Of the words that follow, those are committed that end well before the edge of the audio
and either say the same as a step before (LocalAgreement-2: Liu et al. 2020; Macháček et al. 2023,
arXiv 2307.14743) or are almost certain (the idea of AlignAtt, Papi et al. 2023 and 2024,
arXiv 2305.11408 and 2406.10052: what does not lean on the edge of the audio is safe).

Two decodings of nearly the same audio make the same mistakes, so a step for this purpose has about
a second, and what was decoded in between has to say the same too.

What follows the committed words is shown as a guess, as far as it is likely to stay: words that are
almost certain, or were decoded before as well. Again nearly the same audio counts for less: after a
short step a word must be probable too. What was shown stays as long as the same is said, however
probable it is then.

A mark that closes a word (full stop, comma, quotation mark) depends on what comes after it, so it
waits for the next word and is committed with it. So does a word whose capital is not settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile
from typing import Final

from verbatim.domain.transcript import Word
from verbatim.stages.word_timing import CLOSING_PUNCTUATION

EDGE_S: Final = 0.5
"""A word that ends closer to the edge of the audio may still become another one."""
SURE_PROBABILITY: Final = 0.95
"""A word more probable than this needs no second opinion."""
AGREEMENT_S: Final = 0.9
"""New audio between two decodings that bear each other out."""
SHOWN_FIRST_PROBABILITY: Final = 0.75
"""A guess at the first word of an utterance, for which somebody waits, is shown from here on. With
0.8, the demo model changes 4.2 % of the Chinese characters it has shown instead of 4.7 %, and shows
the first one 40 ms later."""
SHOWN_AGREEMENT_S: Final = 0.6
"""New audio after which a word that was said all the time is shown, however probable it is."""
SHOWN_AGAIN_PROBABILITY: Final = 0.8
"""A word that the decoding before said too is shown from here on, also after less new audio. With
0.7, and half of `SHOWN_AGREEMENT_S`, words would stand 15 ms sooner, but the demo model would
change twice as many of the Chinese characters and Korean syllables that it has shown."""
CLOSING_MARKS: Final = CLOSING_PUNCTUATION + "…;；」』】）》〉"


@dataclass(frozen=True, slots=True)
class Unit:
    """A word without the marks that close it.

    Attributes:
        before: what closes the word before it, such as ",".
        text: the word with the space before it, where there is one.
    """

    before: str
    text: str
    start: float
    end: float
    probability: float

    @property
    def key(self) -> str:
        """What is compared."""
        return word_key(self.text)


@dataclass(frozen=True, slots=True)
class Guess:
    """What was decoded after the committed words.

    Attributes:
        units: the words in order.
        after: what closes the last of them; or all there is, where there are no words.
    """

    units: tuple[Unit, ...] = ()
    after: str = ""

    @property
    def text(self) -> str:
        """As it is shown."""
        return "".join(unit.before + unit.text for unit in self.units) + self.after


@dataclass(frozen=True, slots=True)
class Heard:
    """What a decoding said of the whole utterance, up to where it heard it.

    Attributes:
        edge: where the audio ended.
        texts: the words.
        shown: how many of them, from the first, were worth showing.
    """

    edge: float
    texts: tuple[str, ...]
    shown: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """What is compared of the words."""
        return tuple(word_key(text) for text in self.texts)


@dataclass(frozen=True, slots=True)
class StableText:
    """An utterance's text as far as it is known; the default is its beginning.

    Attributes:
        words: committed; the marks that close the last one may be missing.
        guess: what follows, as decoded last.
        heard: the decodings of about the last second, and the one before, oldest first.
    """

    words: tuple[Word, ...] = ()
    guess: Guess = Guess()
    heard: tuple[Heard, ...] = ()

    @property
    def committed(self) -> str:
        """What will not change."""
        return "".join(word.text for word in self.words).strip()

    @property
    def tail(self) -> str:
        """What may change, with the space before it where something is committed."""
        return self.guess.text if self.words else self.guess.text.lstrip()


def word_key(text: str) -> str:
    """A word's letters and digits, whatever their case; a symbol without the marks after it."""
    return "".join(c for c in text.casefold() if c.isalnum()) or _bare(text).strip()


def advance(
    state: StableText, guess: Guess, *, edge: float, spaced: bool, sure_until: float | None = None
) -> StableText:
    """Compare what was decoded now with the time before, and commit what is stable.

    Args:
        state: the text so far.
        guess: what was decoded now after the committed words.
        edge: where the audio ends, in the time of the words.
        spaced: whether the language separates words by spaces.
        sure_until: words that end before this are committed anyhow; None where none are.

    Returns:
        The new text; its committed text begins with the one before.
    """
    witnesses = _witnesses(state.heard, edge, AGREEMENT_S)
    noted = observe(state, guess, edge=edge, spaced=spaced)
    now = noted.heard[-1]
    agreed = _agreed(now, witnesses, spaced=spaced) - len(state.words)
    stable = 0
    for place, unit in enumerate(guess.units):
        forced = sure_until is not None and unit.end <= sure_until
        settled = unit.end < edge - EDGE_S and (
            unit.probability > SURE_PROBABILITY or place < agreed
        )
        if not (forced or settled):
            break
        stable = place + 1
    if stable and sure_until is None and not _capital_settled(guess, stable - 1, witnesses, now):
        stable -= 1
    return _commit(noted, guess, stable)


def shown_tail(state: StableText) -> str:
    """The part of the tail that is likely to stay, from its beginning."""
    units = state.guess.units
    count = max(state.heard[-1].shown - len(state.words), 0) if state.heard else 0
    if count == len(units):
        return state.tail
    shown = Guess(units[:count])
    return shown.text if state.words else shown.text.lstrip()


def close_sentence(state: StableText) -> StableText:
    """Give the last committed word the marks that are guessed to close it."""
    if not state.guess.units:
        return replace(state, words=_close(state.words, state.guess.after), guess=Guess())
    first, *others = state.guess.units
    guess = replace(state.guess, units=(replace(first, before=""), *others))
    return replace(state, words=_close(state.words, first.before), guess=guess)


def complete(state: StableText) -> StableText:
    """Nothing more is said: all of the guess is committed, closing marks included."""
    ended = _commit(state, state.guess, len(state.guess.units))
    return StableText(_close(ended.words, ended.guess.after))


def observe(state: StableText, guess: Guess, *, edge: float, spaced: bool) -> StableText:
    """Take note of what was decoded, and commit nothing; see `advance`."""
    texts = (*(word.text for word in state.words), *(unit.text for unit in guess.units))
    old = [heard for heard in state.heard if heard.edge <= edge - 2 * AGREEMENT_S]
    # Where the steps are long, the last one is all there is to compare with.
    kept = (*old[-1:], *state.heard[len(old) :])
    now = Heard(edge, texts)
    now = replace(now, shown=_shown(guess, now, kept, spaced=spaced))
    return StableText(state.words, guess, (*kept, now))


def without_words(state: StableText) -> StableText:
    """What follows the committed words, as a text of its own."""
    count = len(state.words)
    heard = tuple(
        Heard(each.edge, each.texts[count:], max(each.shown - count, 0)) for each in state.heard
    )
    return StableText((), state.guess, heard)


def delta(before: StableText, after: StableText) -> str:
    """By what the committed text has grown."""
    return after.committed[len(before.committed) :]


def guess_after(prefix: str, words: Sequence[Word]) -> Guess | None:
    """The part of a decoded text that follows the forced beginning.

    Args:
        prefix: the text that the decoding had to begin with, without spaces around it.
        words: all that was decoded, the beginning included.

    Returns:
        None where the text does not begin with the prefix, as where nothing was understood.
    """
    if not prefix:
        return _guess(words)
    whole = "".join(word.text for word in words)
    lead = len(whole) - len(whole.lstrip())
    if not whole[lead:].startswith(prefix):
        return None
    end = lead + len(prefix)
    at = 0
    rest: list[Word] = []
    for word in words:
        cut = min(max(end - at, 0), len(word.text))
        at += len(word.text)
        if cut < len(word.text):
            rest.append(replace(word, text=word.text[cut:]))
    return _guess(rest)


def _guess(words: Sequence[Word]) -> Guess:
    units: list[Unit] = []
    before = ""
    for word in words:
        bare = _bare(word.text)
        marks = word.text[len(bare) :].rstrip()
        if bare.strip():
            units.append(Unit(before, bare, word.start, word.end, word.probability))
            before = marks
        else:
            before += marks
    return Guess(tuple(units), before)


def _bare(text: str) -> str:
    """A word without the marks that close it."""
    return text.rstrip(CLOSING_MARKS + " ")


def _witnesses(heard: Sequence[Heard], edge: float, least_s: float) -> tuple[Heard, ...]:
    """Decodings that can bear out one up to `edge`: the last that is old enough, and those since.

    None where none had at least so many seconds less.
    """
    old = [place for place, each in enumerate(heard) if each.edge <= edge - least_s]
    return tuple(heard[old[-1] :]) if old else ()


def _agreed(now: Heard, witnesses: Sequence[Heard], *, spaced: bool) -> int:
    """How many words, from the first, all of them say as well.

    Without spaces, where one word ends and the next begins is no difference.
    """
    if not witnesses:
        return 0
    agreed = len(now.texts)
    for witness in witnesses:
        if spaced:
            pairs = zip(now.keys, witness.keys, strict=False)
            same = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        else:
            said = "".join(witness.keys)
            spoken = accumulate(now.keys)
            same = len(list(takewhile(said.startswith, spoken)))
        agreed = min(agreed, same)
    return agreed


def _shown(guess: Guess, now: Heard, before: Sequence[Heard], *, spaced: bool) -> int:
    """How many words, from the first, are likely to stay."""
    borne_out = _agreed(now, _witnesses(before, now.edge, SHOWN_AGREEMENT_S), spaced=spaced)
    said_again = _agreed(now, before[-1:], spaced=spaced)
    shown_before = [Heard(each.edge, each.texts[: each.shown]) for each in before[-1:]]
    stays = max(borne_out, _agreed(now, shown_before, spaced=spaced))
    count = len(now.texts) - len(guess.units)
    for place, unit in enumerate(guess.units, count):
        least = SHOWN_AGAIN_PROBABILITY if place < said_again else SURE_PROBABILITY
        if not place:
            least = SHOWN_FIRST_PROBABILITY
        if unit.probability < least and place >= stays:
            break
        count += 1
    return count


def _capital_settled(guess: Guess, place: int, witnesses: Sequence[Heard], now: Heard) -> bool:
    """Whether a word has no capital, had it before, or is followed by a word that bears it out."""
    text = guess.units[place].text
    if text == text.lower() or place + 1 < len(guess.units):
        return True
    at = len(now.texts) - len(guess.units) + place
    before = [heard.texts[at] for heard in witnesses if at < len(heard.texts)]
    return bool(before) and all(other == text for other in before)


def _commit(state: StableText, guess: Guess, count: int) -> StableText:
    words = list(state.words)
    for unit in guess.units[:count]:
        words = list(_close(words, unit.before))
        text = unit.text if words else unit.text.lstrip()
        words.append(Word(text, unit.start, unit.end, unit.probability))
    left = guess.units[count:]
    return replace(state, words=tuple(words), guess=Guess(left, guess.after))


def _close(words: Sequence[Word], marks: str) -> tuple[Word, ...]:
    """The words with marks after the last one; without words there is nothing to close."""
    if not marks or not words:
        return tuple(words)
    return (*words[:-1], replace(words[-1], text=words[-1].text + marks))
