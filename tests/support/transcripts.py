"""Transcripts for tests: as a recogniser gives them, and as nobody would wish them."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from verbatim.domain.request import Task
from verbatim.domain.transcript import Segment, Transcript, Word

Strategy = st.SearchStrategy


def segment(
    text: str,
    start: float = 0.0,
    end: float = 1.0,
    *,
    words: tuple[Word, ...] | None = None,
    language: str | None = None,
) -> Segment:
    """A segment with plausible numbers."""
    return Segment(
        id=0,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=(50364, 2425, 50414),
        temperature=0.0,
        avg_logprob=-0.21,
        compression_ratio=1.1,
        no_speech_prob=0.01,
        words=words,
        language=language,
    )


def transcript(
    *segments: Segment, language: str = "en", task: Task = Task.TRANSCRIBE
) -> Transcript:
    """A transcript that ends with its last segment."""
    duration_s = max((part.end for part in segments), default=0.0)
    return Transcript(
        segments=tuple(replace(part, id=index) for index, part in enumerate(segments)),
        language=language,
        language_probability=0.98,
        duration_s=duration_s,
        speech_duration_s=duration_s,
        model="fake",
        task=task,
    )


def spoken(
    sentences: Sequence[str],
    language: str,
    *,
    chars_per_s: float = 14.0,
    pause_s: float = 0.4,
    words: bool = True,
) -> tuple[Segment, ...]:
    """A segment for each sentence, read aloud: words (characters in Chinese and Japanese) in time.

    The pace varies by 30 %, the pauses from a fifth to twice `pause_s`; always the same way.
    """
    pace = random.Random(1)
    clock = 0.5
    segments: list[Segment] = []
    for sentence in sentences:
        said: list[Word] = []
        pieces = list(sentence) if language in {"zh", "ja"} else _with_spaces(sentence)
        start = clock
        for piece in pieces:
            seconds = len(piece) / chars_per_s * pace.uniform(0.7, 1.3)
            said.append(Word(piece, round(clock, 2), round(clock + seconds, 2), 0.9))
            clock += seconds
        text = "".join(word.text for word in said)
        known = tuple(said) if words else None
        segments.append(segment(text, start, clock, words=known, language=language))
        clock += pause_s * pace.uniform(0.2, 2.0)
    return tuple(segments)


def _with_spaces(sentence: str) -> list[str]:
    return [f" {word}" for word in sentence.split()]


def seen(text: str) -> str:
    """What may not get lost: all but space, marks, control and format characters, surrogates."""
    gone = ("Z", "M", "Cc", "Cf", "Cs")
    return "".join(char for char in text if not unicodedata.category(char).startswith(gone))


HOSTILE = (
    "-->",
    "\n\n1\n00:00:00,000 --> 00:00:09,000\nno",
    "00:00:01.000 --> 00:00:02.000",
    "\r",
    "\x00",
    "\x1b[31m",
    "\x85",
    "\u2028",
    "\u2029",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u202e",
    "<i>",
    "</v>",
    "&",
    "&lt;",
    "WEBVTT",
    "NOTE x",
    "STYLE",
    "[00:05.00]",
    "<00:05.00>",
    "[offset:-5000]",
    "\t",
    '"',
    "12",
    "。",
    "（「",
    "」）。",
    "👨‍👩‍👧",
    "e\u0301",
    "ᄒ\u1161\u11ab",
    "สวัสดีครับวันนี้",
    "人工智能",
    "音声認識は",
    "인공지능",
    "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen",
)

SENTENCES = (
    "It was late, and she had gone home.",
    "Dr. Smith paid $3.50 for it in the U.S. on May 3rd.",
    "Well… yes!",
    "我们今天去北京，因为天气很好。",
    "他说：「你好（吗）？」",
    "今日は、とても暑いですね。",
    "네, 그렇게 할 수 있습니다.",
    "Das heißt, es geht am 3. Oktober los.",
    "Vous venez ?",
)

texts = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.sampled_from(SENTENCES), st.text(max_size=12)),
    max_size=8,
).flatmap(lambda parts: st.sampled_from((" ", "")).map(lambda joint: joint.join(parts)))


@st.composite
def segments(
    draw: st.DrawFn, text: Strategy[str] = texts, max_size: int = 6
) -> tuple[Segment, ...]:
    """Segments in order of time with any text; words present, absent, empty or of another text."""
    clock = 0.0
    made: list[Segment] = []
    for content in draw(st.lists(text, max_size=max_size)):
        start = clock + draw(st.sampled_from((0.0, 0.02, 0.3, 1.0, 5.0)))
        clock = start + draw(st.sampled_from((0.0, 0.1, 0.9, 3.0, 9.0, 29.0)))
        kind = draw(st.sampled_from(("none", "empty", "right", "wrong")))
        said = _words(content if kind == "right" else "other text", start, clock)
        words = None if kind == "none" else () if kind == "empty" else said
        language = draw(st.sampled_from((None, "en", "zh", "ja", "ko", "de")))
        made.append(segment(content, start, clock, words=words, language=language))
    return tuple(made)


def _words(text: str, start: float, end: float) -> tuple[Word, ...]:
    """Words of three characters, evenly in time, that join to the text."""
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    step = (end - start) / max(1, len(pieces))
    return tuple(
        Word(piece, start + index * step, start + (index + 1) * step, 0.9)
        for index, piece in enumerate(pieces)
    )


ANY_TIME = st.one_of(
    st.floats(min_value=-10, max_value=100), st.sampled_from((float("nan"), float("inf"), -1e300))
)


@st.composite
def broken_segments(draw: st.DrawFn) -> tuple[Segment, ...]:
    """Segments and words whose times are anything at all."""
    made: list[Segment] = []
    for part in draw(segments(max_size=4)):
        words = part.words and tuple(
            replace(word, start=draw(ANY_TIME), end=draw(ANY_TIME)) for word in part.words[:10]
        )
        made.append(replace(part, start=draw(ANY_TIME), end=draw(ANY_TIME), words=words))
    return tuple(made)
