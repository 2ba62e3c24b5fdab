"""What the model is trained on: windows of several utterances, and the tokens that describe them.

A window holds up to a dozen utterances of one language with pauses between them, noise, and often
padding at its end. Speech may be cut off at either end of the window or before the padding: then
the text is the words that are wholly inside. All times are seconds from the window's start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import corpus
import numpy as np
from augment import change_speed, colour, noise
from speech import PUNCTUATION, RATE_HZ, Samples, Utterance, Word, split_words
from tokens import (
    EOT,
    LANGUAGE,
    NO_SPEECH,
    NO_TIMESTAMPS,
    PREV,
    SOT,
    TIME0,
    TOKENIZER,
    encode,
    time_token,
)

FULL_S: Final = 30.0
_WORD_TOLERANCE_S: Final = 0.03
"""A word that lacks no more than this at a cut still counts as wholly inside."""
_SHORTEST_CUT_S: Final = 0.3
_AFTER_SPEECH_S: Final = 0.4
"""How far behind the last word the tokens that close a text look."""


@dataclass(frozen=True)
class Recipe:
    """How often what occurs in a window."""

    languages: tuple[float, float, float] = (0.4, 0.34, 0.26)
    timestamps: float = 0.5
    translate: float = 0.3
    silent: float = 0.05
    single: float = 0.15
    full: float = 0.5
    cut_start: float = 0.1
    cut_end: float = 0.42
    padded: float = 0.5
    mel_padding: float = 0.4
    prompt: float = 0.15
    speed: float = 0.5


@dataclass(frozen=True)
class Placed:
    """A spoken text in a window; whole: neither its start nor its end is cut off."""

    start: float
    end: float
    text: str
    english: str
    words: tuple[Word, ...]
    whole: bool


@dataclass(frozen=True)
class Span:
    """The token at `position` belongs to the sound between two times."""

    position: int
    start: float
    end: float


@dataclass(frozen=True)
class Description:
    """Tokens that describe a window; the first prompt_length of them are given, not learned."""

    tokens: list[int]
    prompt_length: int
    spans: list[Span]


@dataclass(frozen=True)
class Window:
    """One training example: sound, and one or two descriptions, with timestamps and without.

    audio: float32 (n,) at 16 kHz, of which the first `filled` are sound.
    """

    audio: Samples
    filled: int
    mel_padding: bool
    descriptions: list[Description]


def clip(u: Utterance, start_s: float, end_s: float) -> tuple[Utterance, bool]:
    """The part of an utterance between two times, and whether all words are wholly inside.

    A cut behind the last word leaves the text whole.
    """
    inside = [
        i
        for i, w in enumerate(u.words)
        if w.start >= start_s - _WORD_TOLERANCE_S and w.end <= end_s + _WORD_TOLERANCE_S
    ]
    pcm = u.pcm[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)]
    if len(inside) == len(u.words):
        words = tuple(Word(w.word, w.start - start_s, w.end - start_s) for w in u.words)
        return replace(u, pcm=pcm, words=words), True
    text = ""
    if inside:
        positions = split_words(u.text, u.language)
        last_at, last = positions[inside[-1]]
        stop = len(u.text) if inside[-1] == len(u.words) - 1 else last_at + len(last)
        text = u.text[positions[inside[0]][0] : stop]
    words = tuple(
        Word(w.word, max(w.start - start_s, 0.0), w.end - start_s)
        for w in (u.words[i] for i in inside)
    )
    return replace(u, pcm=pcm, text=text, words=words), False


def _faster(u: Utterance, factor: float) -> Utterance:
    samples = change_speed(u.pcm.astype(np.float32), factor)
    words = tuple(Word(w.word, w.start / factor, w.end / factor) for w in u.words)
    return replace(u, pcm=samples.astype(np.int16), words=words)


def token_spans(
    text: str, words: Sequence[Word], language: str
) -> list[tuple[float, float] | None]:
    """For each of the text's tokens its time; None for tokens of punctuation alone."""
    starts, ends, times = [], [], []
    for (at, bare), word in zip(split_words(text, language), words, strict=True):
        starts.append(len(text[:at].encode()) + 1)  # + 1 for the space before the text
        ends.append(starts[-1] + len(bare.encode()))
        times.append(word)
    spans: list[tuple[float, float] | None] = []
    at = 0
    for token in encode(text):
        data = TOKENIZER.encoding.decode_single_token_bytes(token)
        first, last = at + len(data) - len(data.lstrip(b" ")), at + len(data)
        at = last
        touched = [i for i in range(len(starts)) if first < ends[i] and last > starts[i]]
        if not touched:
            before = at <= starts[0]  # a space of its own before the first word
            spans.append((times[0].start - 0.06, times[0].start + 0.06) if before else None)
            continue
        i, j = touched[0], touched[-1]
        left = max(first - starts[i], 0) / (ends[i] - starts[i])
        right = min(last - starts[j], ends[j] - starts[j]) / (ends[j] - starts[j])
        a, b = times[i], times[j]
        spans.append((a.start + left * (a.end - a.start), b.start + right * (b.end - b.start)))
    return spans


@dataclass
class _Layout:
    """Audio and texts of a window while it is filled."""

    audio: Samples
    placed: list[Placed] = field(default_factory=list)
    cut_at_edge: Placed | None = None
    end: int = 0

    def add(self, u: Utterance, at: int, whole: bool, sound: Samples) -> Placed:
        """Put an utterance's sound into the window at sample `at`."""
        self.end = min(at + sound.size, self.audio.size)
        self.audio[at : self.end] += sound[: self.end - at]
        start, end = at / RATE_HZ, self.end / RATE_HZ
        words = tuple(Word(w.word, w.start + start, w.end + start) for w in u.words)
        return Placed(start, end, u.text, u.english, words, whole)


class WindowMaker:
    """Draws windows from utterances by language."""

    def __init__(
        self, pools: dict[str, list[Utterance]], rng: np.random.Generator, recipe: Recipe
    ) -> None:
        self.pools, self.rng, self.recipe = pools, rng, recipe

    def window(self, seconds: float) -> Window:
        """One window of the given length."""
        rng, recipe = self.rng, self.recipe
        layout = _Layout(np.zeros(int(seconds * RATE_HZ), np.float32))
        language = str(rng.choice(corpus.LANGUAGES, p=recipe.languages))
        translate = language != "en" and rng.random() < recipe.translate
        timed = bool(rng.random() < recipe.timestamps)
        if rng.random() >= recipe.silent:
            self._fill(layout, language, may_cut=not translate)
        filled = self._finish(layout)
        mel_padding = bool(rng.random() < recipe.mel_padding)
        descriptions = []
        for marked in (timed, not timed):
            if layout.placed or (marked and layout.cut_at_edge):
                tokens, spans = _describe(layout, seconds, language, translate, marked)
                descriptions.append(Description(tokens, 0, spans))
        if not descriptions:
            descriptions = [Description([SOT, NO_SPEECH, EOT], 0, [])]
        elif rng.random() < recipe.prompt:
            prompt = self._prompt(language, translate)
            descriptions[0] = _prompted(descriptions[0], prompt)
        return Window(layout.audio, filled, mel_padding, descriptions)

    def _draw(self, language: str) -> Utterance:
        pool = self.pools[language]
        u = pool[int(self.rng.integers(len(pool)))]
        if self.rng.random() < self.recipe.speed:
            u = _faster(u, float(self.rng.uniform(0.9, 1.12)))
        return u

    def _sound(self, u: Utterance) -> Samples:
        loudness = self.rng.uniform(0.6, 1.0) / 32768.0
        return colour(self.rng, u.pcm.astype(np.float32)) * np.float32(loudness)

    def _pause(self) -> int:
        longest = 4.0 if self.rng.random() < 0.1 else 1.3
        return int(self.rng.uniform(0.12, longest) * RATE_HZ)

    def _fill(self, layout: _Layout, language: str, may_cut: bool) -> None:
        """Speak into the window until it is full, or a random number of sentences is reached."""
        rng, recipe, size = self.rng, self.recipe, layout.audio.size
        seconds = size / RATE_HZ
        limit = int(rng.integers(2, int(3 + seconds / 2)))
        if (kind := rng.random()) < recipe.single + recipe.full:
            limit = 1 if kind < recipe.single else int(seconds * 2)
        at = int(rng.uniform(0, 1.0) * RATE_HZ) if rng.random() < 0.7 else 0
        cut_end = may_cut and rng.random() < recipe.cut_end
        for index in range(limit):
            u, whole = self._draw(language), True
            if index == 0 and may_cut and u.words and rng.random() < recipe.cut_start:
                u, whole = clip(u, float(rng.uniform(0.05, 0.8) * u.duration_s), u.duration_s)
            last = index == limit - 1
            if cut_end and last and u.words:
                cut_s = float(rng.uniform(min(_SHORTEST_CUT_S, u.duration_s), u.duration_s))
                u, same = clip(u, 0.0, cut_s)
                whole = whole and same
            if at + u.pcm.size > size:
                if rng.random() < 0.7 and (may_cut or seconds == FULL_S):
                    self._cut_at_edge(layout, u, at, whole)
                return
            placed = layout.add(u, at, whole, self._sound(u))
            if placed.text:
                layout.placed.append(placed)
            at = layout.end + self._pause()

    def _cut_at_edge(self, layout: _Layout, u: Utterance, at: int, whole: bool) -> None:
        room_s = (layout.audio.size - at) / RATE_HZ
        if room_s < _SHORTEST_CUT_S or not u.words:
            return
        sound = self._sound(u)
        u, same = clip(u, 0.0, room_s)
        placed = layout.add(u, at, whole and same, sound)
        layout.cut_at_edge = placed
        if placed.text:
            layout.placed.append(placed)

    def _finish(self, layout: _Layout) -> int:
        """Gain and noise; returns how many samples are sound, the rest being padding."""
        rng, audio = self.rng, layout.audio
        filled = audio.size
        if layout.cut_at_edge is None and rng.random() < self.recipe.padded:
            after = 0.0 if rng.random() < 0.5 else rng.uniform(0, 1.5)
            filled = min(layout.end + int(after * RATE_HZ), audio.size)
            filled = max(filled, min(RATE_HZ // 2, audio.size))
        spoken = bool(layout.placed)
        audio *= np.float32(10 ** rng.uniform(-1.0, 0.25))
        if not spoken and layout.end == 0 and rng.random() < 0.2:
            return filled  # digital silence
        if spoken and rng.random() < 0.1:
            return filled
        loudness = float(np.sqrt(np.mean(audio[audio != 0] ** 2))) if layout.end else 0.1
        level = loudness * 10 ** (-rng.uniform(12, 50) / 20)
        if layout.end == 0:
            level = 10 ** rng.uniform(-4, -0.7)
        audio[:filled] += np.float32(level) * noise(rng, filled)
        np.clip(audio, -1.0, 1.0, out=audio)
        return filled

    def _prompt(self, language: str, translate: bool) -> list[int]:
        """What stood before, or words to expect, or anything: <|startofprev|> and text tokens."""
        rng = self.rng
        if rng.random() < 0.2:
            return [PREV, *(int(t) for t in rng.integers(0, EOT, int(rng.integers(1, 40))))]
        tokens = [PREV]
        marked = rng.random() < 0.3
        at = 0.0
        for _ in range(int(rng.integers(1, 9))):
            u = self._draw(language)
            text = encode(u.english if translate else u.text)
            end = at + u.duration_s
            if marked and end < FULL_S:
                text = [time_token(at), *text, time_token(end)]
            at = end + 0.5
            tokens += text
        return tokens[:1] + tokens[1:][-180:]


def _prompted(description: Description, prompt: list[int]) -> Description:
    """The same behind a prompt."""
    spans = [replace(s, position=s.position + len(prompt)) for s in description.spans]
    return Description([*prompt, *description.tokens], len(prompt), spans)


def _describe(
    layout: _Layout, seconds: float, language: str, translate: bool, timed: bool
) -> tuple[list[int], list[Span]]:
    """The tokens of a window from <|startoftranscript|> on, and which sound each belongs to."""
    task = TOKENIZER.translate if translate else TOKENIZER.transcribe
    tokens = [SOT, LANGUAGE[language], task, *([] if timed else [NO_TIMESTAMPS])]
    spans: list[Span] = []
    placed = layout.placed
    edge = layout.cut_at_edge
    at_full_edge = timed and edge is not None and seconds == FULL_S
    if at_full_edge or translate:  # Whisper's way at the end of 30 s: only the start of the rest
        placed = [p for p in placed if p is not edge]
    for i, p in enumerate(placed):
        following = placed[i + 1].start if i + 1 < len(placed) else p.end + _AFTER_SPEECH_S
        if timed:
            spans.append(Span(len(tokens), p.start - 0.1, p.start + 0.06))
            tokens.append(time_token(p.start))
        if p.words and not translate:
            close = min(following, p.words[-1].end + (_AFTER_SPEECH_S if timed else 1.5))
            for j, span in enumerate(token_spans(p.text, p.words, language)):
                start, end = span or (p.words[-1].end, max(close, p.words[-1].end + 0.06))
                spans.append(Span(len(tokens) + j, start, end))
        tokens += encode(p.english if translate else p.text)
        if timed:
            spans.append(Span(len(tokens), p.end - 0.1, p.end + 0.2))
            tokens.append(time_token(p.end))
    if timed and edge is not None and seconds == FULL_S:
        spans.append(Span(len(tokens), edge.start - 0.1, edge.start + 0.06))
        tokens.append(time_token(edge.start))
    elif placed:
        closed = not timed and placed[-1].text[-1] in PUNCTUATION
        start = placed[-1].end + (0.3 if closed else 0.0)
        spans.append(Span(len(tokens), start, start + _AFTER_SPEECH_S))
    return [*tokens, EOT], spans


def without_times(tokens: Sequence[int]) -> list[int]:
    """Only the text tokens."""
    return [t for t in tokens if t < min(EOT, TIME0)]
