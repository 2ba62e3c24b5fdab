"""What is played: rendered speech whose words and times are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import numpy as np

from benchmarks.recordings import SPEECH
from verbatim.domain.audio import Pcm, to_pcm
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.decode_audio import decode_all
from verbatim.stages.error_rate import error_units

SILENCE_AFTER_S: Final = 1.5
"""Follows the last sentence, so that it ends as the others do."""


@dataclass(frozen=True, slots=True)
class TrueWord:
    """A word (or character) as it was spoken.

    Attributes:
        unit: as errors are counted in, see `error_units`.
        sentence: its sentence's place.
        end_s: when it has been spoken.
    """

    unit: str
    sentence: int
    end_s: float


@dataclass(frozen=True, slots=True)
class TrueSentence:
    """A sentence, and how long it is silent before and after it."""

    start_s: float
    end_s: float
    text: str
    before_s: float
    after_s: float


@dataclass(frozen=True, slots=True, eq=False)
class LiveSpeech:
    """A stretch of speech.

    Attributes:
        samples: (n,) int16 at 16 kHz.
        words: with times, in order; those of a sentence whose words have no times are missing.
    """

    language: str
    samples: Pcm
    sentences: tuple[TrueSentence, ...]
    words: tuple[TrueWord, ...]

    @property
    def duration_s(self) -> float:
        """Of all of it."""
        return len(self.samples) / SAMPLE_RATE_HZ

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(sentence.text for sentence in self.sentences)


def live_speech(language: str, seconds: float, first: int = 0) -> LiveSpeech:
    """Whole sentences with the pauses of the long test recordings, for at most so many seconds.

    Args:
        language: en, zh or ko.
        seconds: at least one sentence long.
        first: which of the language's recordings it begins with; others follow.
    """
    index = json.loads((SPEECH / "index.json").read_text(encoding="utf-8"))
    files = [f for f in index["files"] if (f["kind"], f["language"]) == ("long", language)]
    files = files[first % len(files) :] + files[: first % len(files)]
    pieces: list[Pcm] = []
    spoken: list[tuple[float, float, str, list[tuple[str, float]]]] = []
    at_s = 0.0
    for file in cycle(files):
        samples = to_pcm(decode_all(SPEECH / file["file"])[0])
        fitting = [each for each in file["sentences"] if at_s + each["end"] <= seconds]
        for sentence in fitting:
            words = [(word["word"], at_s + word["end"]) for word in sentence["words"] or ()]
            spoken.append(
                (at_s + sentence["start"], at_s + sentence["end"], sentence["text"], words)
            )
        if len(fitting) < len(file["sentences"]):
            rest = round((spoken[-1][1] - at_s) * SAMPLE_RATE_HZ)
            pieces.append(samples[: max(rest, 0)])
            break
        pieces.append(samples)
        at_s += len(samples) / SAMPLE_RATE_HZ
    pieces.append(np.zeros(round(SILENCE_AFTER_S * SAMPLE_RATE_HZ), np.int16))
    starts = [start for start, *_ in spoken] + [spoken[-1][1] + SILENCE_AFTER_S]
    ends = [-np.inf, *(end for _, end, *_ in spoken)]
    return LiveSpeech(
        language,
        np.concatenate(pieces),
        tuple(
            TrueSentence(start, end, text, start - ends[place], starts[place + 1] - end)
            for place, (start, end, text, _) in enumerate(spoken)
        ),
        tuple(
            TrueWord(unit, place, end)
            for place, (*_, words) in enumerate(spoken)
            for word, end in words
            for unit in error_units(word, language)
        ),
    )
