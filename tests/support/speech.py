"""The rendered test speech: files with what is said in them, and when."""

from __future__ import annotations

import json
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from verbatim.domain.audio import Pcm, Samples, to_pcm
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.decode_audio import decode_all

FOLDER = Path(__file__).parents[1] / "data" / "speech"
PIECE_S = 0.1
"""Of audio that is played."""


@dataclass(frozen=True)
class SpokenWord:
    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Sentence:
    start: float
    end: float
    language: str
    text: str
    english: str
    words: tuple[SpokenWord, ...]


@dataclass(frozen=True)
class Speech:
    """One file of the set."""

    path: Path
    kind: str
    language: str
    duration: float
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def name(self) -> str:
        return self.path.stem


@cache
def all_speech() -> tuple[Speech, ...]:
    index = json.loads((FOLDER / "index.json").read_text())
    return tuple(
        Speech(
            path=FOLDER / entry["file"],
            kind=entry["kind"],
            language=entry["language"],
            duration=entry["duration"],
            sentences=tuple(
                Sentence(
                    start=sentence["start"],
                    end=sentence["end"],
                    language=sentence["language"],
                    text=sentence["text"],
                    english=sentence["english"],
                    words=tuple(SpokenWord(**word) for word in sentence.get("words") or ()),
                )
                for sentence in entry["sentences"]
            ),
        )
        for entry in index["files"]
    )


def speech(kind: str, language: str | None = None, most: int | None = None) -> list[Speech]:
    """Files of a kind ("short", "long", "mixed", "digits"), in the set's order."""
    found = [s for s in all_speech() if s.kind == kind and language in (None, s.language)]
    return found[:most]


@cache
def samples_of(name: str) -> Samples:
    """A file's waveform, (n,) float32."""
    samples, _, _ = decode_all(FOLDER / f"{name}.ogg")
    return samples


def wav(samples: Samples) -> bytes:
    """A 16 kHz mono WAV file of 16-bit samples."""
    return wav_of_pcm(to_pcm(samples))


def wav_of_pcm(pcm: Pcm) -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm.tobytes())
    return out.getvalue()


def edits(reference: list[str], hypothesis: list[str]) -> int:
    """Edit distance between two sequences (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, found in enumerate(hypothesis, 1):
            best = min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != found))
            diagonal, row[j] = row[j], best
    return row[-1]


def units(text: str, language: str) -> list[str]:
    """What errors are counted in: words for English, characters otherwise; marks do not count."""
    plain = "".join(c if c.isalnum() or c in " '" else " " for c in text.casefold())
    return plain.split() if language == "en" else list(plain.replace(" ", ""))


def error_rate(pairs: list[tuple[str, str, str]]) -> float:
    """Word or character error rate of (reference, hypothesis, language) triples together."""
    wrong = total = 0
    for reference, hypothesis, language in pairs:
        expected = units(reference, language)
        wrong += edits(expected, units(hypothesis, language))
        total += len(expected)
    return wrong / total


@contextmanager
def in_real_time(
    play: Callable[[Samples], None], samples: Samples, then: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Play audio at 16 kHz as it would be spoken, from a thread of its own."""

    def speak() -> None:
        began_s = time.monotonic()
        size = round(PIECE_S * SAMPLE_RATE_HZ)
        for number, first in enumerate(range(0, len(samples), size)):
            time.sleep(max(0.0, began_s + number * PIECE_S - time.monotonic()))
            play(samples[first : first + size])
        then()

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        thread.join()
