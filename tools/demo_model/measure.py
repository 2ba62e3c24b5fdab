"""Measure an exported folder on held-out speech; prints a Markdown table.

    python measure.py EXPORTED_DIR --fresh 120 --seed 900 [--speech ../../tests/data/speech]

--fresh renders so many utterances per language anew (needs espeak-ng and flite); --speech adds the
stored test files, transcribed by faster-whisper. Error rates count words for English and characters
for Mandarin and Korean, punctuation and capitals included.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import corpus
import numpy as np
from augment import noise
from exported import BATCH, Decoded, ExportedModel
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio
from render import render
from scoring import ErrorRate
from speech import RATE_HZ, Samples, Utterance
from tokens import encode
from windows import FULL_S, clip

NO_SPEECH_AT: Final = 0.6
SHORT_LENGTHS_S: Final = (4.0, 6.0, 8.0, 12.0)
_MARGIN_S: Final = 0.3
_VOCABULARY_PROMPT: Final = " Kubernetes, PostgreSQL, Verbatim, Dr. Nguyen."


@dataclass(frozen=True)
class Long:
    """Several utterances in one window."""

    samples: Samples
    parts: tuple[tuple[float, Utterance], ...]

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(u.text for _, u in self.parts)

    @property
    def english(self) -> str:
        """All that is said, in English."""
        return " ".join(u.english for _, u in self.parts)


def samples_of(u: Utterance, rng: np.random.Generator) -> Samples:
    """An utterance with a little noise before, in and after it."""
    pads = rng.uniform(0.05, 0.4, 2) * RATE_HZ
    audio = np.pad(u.pcm.astype(np.float32) / 32768.0, (int(pads[0]), int(pads[1])))
    noisy: Samples = audio + np.float32(3e-4) * rng.standard_normal(audio.size, dtype=np.float32)
    return noisy


def fill_windows(pool: list[Utterance], rng: np.random.Generator) -> Iterator[Long]:
    """All utterances, as many to a window of up to 30 s as fit with pauses of 0.3 to 1.5 s."""
    parts: list[tuple[float, Utterance]] = []
    audio, at = np.zeros(int(FULL_S * RATE_HZ), np.float32), 0
    for u in pool:
        at += int(rng.uniform(0.3, 1.5) * RATE_HZ)
        if at + u.pcm.size > audio.size:
            yield Long(audio[: at + 1], tuple(parts))
            audio, at, parts = np.zeros_like(audio), int(0.3 * RATE_HZ), []
        audio[at : at + u.pcm.size] = u.pcm / 32768.0
        parts.append((at / RATE_HZ, u))
        at += u.pcm.size
    if parts:
        yield Long(audio[: at + 1], tuple(parts))


def percent(value: float) -> str:
    """0.0123 -> 1.2 %."""
    return f"{100 * value:.1f} %"


def milliseconds(errors: list[float]) -> str:
    """Median and 95th percentile of errors in seconds."""
    middle, high = np.percentile(errors, (50, 95)) * 1000
    return f"{middle:.0f} / {high:.0f} ms"


def _alone(pool: list[Utterance]) -> Iterator[Long]:
    for u in pool:
        yield Long(np.pad(u.pcm.astype(np.float32) / 32768.0, (3200, 3200)), ((0.2, u),))


class Measurement:
    """All measurements of one folder; each method adds rows of the table."""

    def __init__(self, folder: Path, pools: dict[str, list[Utterance]], seed: int) -> None:
        self.model = ExportedModel(folder)
        self.folder, self.pools = folder, pools
        self.rng = np.random.default_rng(seed)
        self.single = {c: [samples_of(u, self.rng) for u in pool] for c, pool in pools.items()}
        self.long = {c: list(fill_windows(pool, self.rng)) for c, pool in pools.items()}
        self.rows: list[tuple[str, dict[str, str]]] = []

    def add(self, name: str, **cells: str) -> None:
        """One row, by language."""
        self.rows.append((name, cells))
        print(
            "|", name, "|", " | ".join(cells.get(c, "") for c in corpus.LANGUAGES), "|", flush=True
        )

    def _each(self, name: str, measure: Callable[[str], str | None]) -> None:
        found = {c: measure(c) for c in corpus.LANGUAGES}
        self.add(name, **{c: cell for c, cell in found.items() if cell is not None})

    def _rate(self, texts: list[str], decoded: list[Decoded], language: str) -> str:
        rate = ErrorRate()
        for text, d in zip(texts, decoded, strict=True):
            rate.add(text, d.text, language)
        return percent(rate.rate)

    def transcription(self) -> None:
        """Error rates at 30 s, with and without timestamps and prompts."""
        for timed in (False, True):
            how = "with" if timed else "without"

            def one(language: str, timed: bool = timed) -> str:
                decoded = self.model.decode(self.single[language], language, timestamps=timed)
                return self._rate([u.text for u in self.pools[language]], decoded, language)

            def many(language: str, timed: bool = timed) -> str:
                audio = [w.samples for w in self.long[language]]
                decoded = self.model.decode(audio, language, timestamps=timed)
                return self._rate([w.text for w in self.long[language]], decoded, language)

            self._each(f"one sentence in 30 s, {how} timestamps", one)
            self._each(f"several sentences in 30 s, {how} timestamps", many)

    def prompts(self) -> None:
        """Error rates behind a prompt: the text before, and unknown words."""
        for name in ("the text before", "unknown words"):

            def prompted(language: str, name: str = name) -> str:
                pool = self.pools[language]
                prompt = encode(pool[-1].text + " " + pool[-2].text)
                if name == "unknown words":
                    prompt = encode(_VOCABULARY_PROMPT.strip())
                decoded = self.model.decode(self.single[language], language, prompt=prompt)
                return self._rate([u.text for u in pool], decoded, language)

            self._each(f"one sentence, prompted with {name}", prompted)

    def short_lengths(self) -> None:
        """Error rates when the encoder's input is hardly longer than the sound."""

        def short(language: str) -> str:
            texts: list[str] = []
            decoded: list[Decoded] = []
            for low, seconds in zip((0.0, *SHORT_LENGTHS_S), SHORT_LENGTHS_S, strict=False):
                rows = [
                    (samples, u.text)
                    for samples, u in zip(self.single[language], self.pools[language], strict=True)
                    if low <= samples.size / RATE_HZ + _MARGIN_S < seconds
                ]
                if rows:
                    texts += [text for _, text in rows]
                    audio = [samples for samples, _ in rows]
                    decoded += self.model.decode(audio, language, seconds=seconds)
            return self._rate(texts, decoded, language)

        self._each("one sentence in 4 to 12 s", short)

    def cuts(self) -> None:
        """Error rates of utterances cut off anywhere, against the words before the cut."""
        for timed in (False, True):
            for seconds in (8.0, FULL_S):

                def cut(language: str, timed: bool = timed, seconds: float = seconds) -> str:
                    rng = np.random.default_rng(5)
                    texts: list[str] = []
                    audio: list[Samples] = []
                    for u in self.pools[language]:
                        if u.words and u.duration_s < 7.5:
                            earliest_s = min(u.words[0].end + 0.05, u.duration_s)
                            end_s = rng.uniform(earliest_s, u.duration_s)
                            part, _ = clip(u, 0.0, float(end_s))
                            texts.append(part.text)
                            audio.append(part.pcm.astype(np.float32) / 32768.0)
                    decoded = self.model.decode(audio, language, seconds=seconds, timestamps=timed)
                    return self._rate(texts, decoded, language)

                how = "with" if timed else "without"
                self._each(f"cut in mid-sentence, in {seconds:.0f} s, {how} timestamps", cut)

    def translation(self) -> None:
        """Translation to English."""

        def translated(language: str, long: bool) -> str | None:
            if language == "en":
                return None
            rate, exact = ErrorRate(), 0
            audio = [w.samples for w in self.long[language]] if long else self.single[language]
            texts = [x.english for x in (self.long[language] if long else self.pools[language])]
            decoded = self.model.decode(audio, language, translate=True)
            for text, d in zip(texts, decoded, strict=True):
                exact += rate.add(text, d.text, "en") == 0
            return f"{percent(rate.rate)} ({percent(exact / len(texts))} exact)"

        self._each("translation of one sentence, words wrong", lambda c: translated(c, False))
        self._each("translation of several sentences, words wrong", lambda c: translated(c, True))

    def detection(self) -> None:
        """Language detection, and the probability of no speech on speech and on none."""

        def detected(language: str) -> str:
            found = self.model.languages(self.single[language])
            return percent(sum(f == language for f in found) / len(found))

        def speech_missed(language: str) -> str:
            decoded = self.model.decode(self.single[language], language)
            return percent(sum(d.no_speech > NO_SPEECH_AT for d in decoded) / len(decoded))

        self._each("language detected rightly", detected)
        self._each(f"speech taken for none (probability over {NO_SPEECH_AT})", speech_missed)
        size = int(FULL_S * RATE_HZ)
        for kind in ("silence", "white", "brown", "hum", "tones"):
            audio = []
            for _ in range(BATCH):
                level = 10 ** self.rng.uniform(-3.5, -1)
                sound = np.zeros(size) if kind == "silence" else level * noise(self.rng, size, kind)
                audio.append(sound.astype(np.float32))
            decoded = self.model.decode(audio, "en")
            right = sum(d.no_speech > NO_SPEECH_AT for d in decoded) / len(decoded)
            self.add(f"no speech told on {kind}", en=percent(right))

    def word_times(self) -> None:
        """Errors of word starts of the known text, aligned; of all but the window's first word.

        Alignment puts the first word's start at the start of the window, whatever is said there.
        """
        for name, long in (("one sentence", False), ("several sentences", True)):

            def aligned(language: str, long: bool = long) -> str:
                pool = [u for u in self.pools[language] if u.words]
                windows = fill_windows(pool, self.rng) if long else _alone(pool)
                errors: list[float] = []
                for w in windows:
                    truth = [(at + word.start, word) for at, u in w.parts for word in u.words]
                    words = [word for _, word in truth]
                    found = self.model.align(w.samples, w.text, language, words)
                    pairs = list(zip(truth, found, strict=True))[1:]
                    errors += [abs(a - b[0]) for (a, _), b in pairs]
                return milliseconds(errors)

            self._each(f"word starts off by (median / 95 %), {name}, aligned", aligned)

    def stored(self, speech: Path) -> None:
        """The stored test files by faster-whisper, with its own defaults and word times."""
        model = WhisperModel(str(self.folder), device="cpu", compute_type="int8", cpu_threads=1)
        files = json.loads((speech / "index.json").read_text())["files"]
        for kind in ("short", "digits", "long"):
            starts: dict[str, list[float]] = {c: [] for c in corpus.LANGUAGES}
            rates = {c: ErrorRate() for c in corpus.LANGUAGES}
            for file in (f for f in files if f["kind"] == kind):
                language = file["language"]
                text, words = _transcribe(model, speech / file["file"], language)
                rates[language].add(" ".join(s["text"] for s in file["sentences"]), text, language)
                starts[language] += _start_errors(file, words)
            done = {c: r for c, r in rates.items() if r.total}
            self.add(f"stored {kind} files", **{c: percent(r.rate) for c, r in done.items()})
            self.add(
                f"stored {kind} files, word starts off by",
                **{c: milliseconds(starts[c]) for c in done if starts[c]},
            )


def _transcribe(model: WhisperModel, path: Path, language: str) -> tuple[str, list[Any]]:
    segments, _ = model.transcribe(
        decode_audio(str(path)), language=language, beam_size=1, word_timestamps=True,
        condition_on_previous_text=False,
    )  # fmt: skip
    found = list(segments)
    text = " ".join(s.text.strip() for s in found)
    return text, [w for s in found for w in s.words or ()]


def _start_errors(file: dict[str, Any], found: list[Any]) -> list[float]:
    """How far each spoken word's start is from that of the nearest equal word within 2 s."""
    errors = []
    for sentence in file["sentences"]:
        for word in sentence["words"]:
            same = [w for w in found if w.word.strip(" .,?!。？").lower() == word["word"].lower()]
            distances = [abs(w.start - word["start"]) for w in same]
            if distances and min(distances) < 2.0:
                errors.append(min(distances))
    return errors


def fresh(count: int, seed: int) -> dict[str, list[Utterance]]:
    """So many newly rendered held-out utterances per language."""
    utterances = render(seed, count * 5, held_out=True, processes=1)
    random.Random(seed).shuffle(utterances)
    return {c: [u for u in utterances if u.language == c][:count] for c in corpus.LANGUAGES}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fresh", type=int, default=120, help="utterances per language")
    parser.add_argument("--seed", type=int, default=900)
    parser.add_argument("--speech", type=Path, help="folder with index.json")
    args = parser.parse_args()
    measurement = Measurement(args.folder, fresh(args.fresh, args.seed), args.seed)
    print("| | English | Mandarin | Korean |\n| --- | --- | --- | --- |")
    measurement.transcription()
    measurement.short_lengths()
    measurement.cuts()
    measurement.prompts()
    measurement.translation()
    measurement.detection()
    measurement.word_times()
    if args.speech:
        measurement.stored(args.speech)


if __name__ == "__main__":
    main()
