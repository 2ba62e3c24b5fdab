"""Render the speech that the project's tests transcribe: held-out voices, mono 16 kHz Ogg Opus.

    python render_test_speech.py ../../tests/data/speech --recordings fsdd/recordings

Short files hold one sentence, long ones many with pauses, mixed ones all three languages in turn.
`index.json` tells what is said in each and when; times are seconds in the stored audio.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import corpus
import digits
import numpy as np
from speech import RATE_HZ, Samples, Utterance
from voices import (
    Espeak,
    EspeakVoice,
    FliteVoice,
    draw_voice,
    is_held_out_voice,
    say_espeak,
    say_flite,
)

SHORT_FILES: Final = {"en": 60, "zh": 45, "ko": 45}
DIGIT_FILES: Final = 8
LONG_FILES_S: Final = (60.0, 75.0, 90.0, 120.0)
MIXED_FILES: Final = 3
MIXED_SENTENCES: Final = 9
_SHORT_BITS, _LONG_BITS = "32k", "15k"
_PAUSE_S, _MIXED_PAUSE_S = (0.3, 2.5), (2.1, 3.0)
_NOISE_LEVEL: Final = 3e-4


@dataclass(frozen=True)
class Part:
    """One sentence of a file."""

    utterance: Utterance
    pause_before_s: float


class Renderer:
    """Renders files into a folder and collects their index."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.espeak = Espeak()
        self.index: list[dict[str, Any]] = []

    def say(
        self, rng: random.Random, language: str, voice: EspeakVoice | FliteVoice | None = None
    ) -> Utterance:
        """A random held-out sentence by a held-out voice, with its word times known."""
        while True:
            sentence = corpus.draw_for(rng, held_out=True)
            chosen = voice or draw_voice(rng, language, held_out=True)
            if isinstance(chosen, FliteVoice):
                u = say_flite(sentence, chosen)
            else:
                u = say_espeak(self.espeak, sentence, language, chosen)
            if u.words or language == "ko":
                return u

    def write(self, name: str, kind: str, parts: Sequence[Part], bits: str) -> None:
        """Store sentences one after the other as NAME.ogg and note them in the index."""
        rng = np.random.default_rng([self.seed, len(self.index)])
        pieces: list[Samples] = []
        sentences: list[dict[str, Any]] = []
        at = 0
        for part in parts:
            silence = np.zeros(int(part.pause_before_s * RATE_HZ), np.float32)
            pieces += [silence, part.utterance.pcm.astype(np.float32) / 32768.0]
            at += silence.size
            sentences.append(_sentence(part.utterance, at / RATE_HZ))
            at += part.utterance.pcm.size
        pieces.append(np.zeros(int(0.4 * RATE_HZ), np.float32))
        audio = np.concatenate(pieces) * np.float32(rng.uniform(0.5, 1.4))
        audio += np.float32(_NOISE_LEVEL) * rng.standard_normal(audio.size, dtype=np.float32)
        _encode(audio, self.folder / f"{name}.ogg", bits)
        languages = sorted({s["language"] for s in sentences}, key=corpus.LANGUAGES.index)
        self.index.append(
            {
                "file": f"{name}.ogg",
                "kind": kind,
                "language": languages[0] if len(languages) == 1 else "mixed",
                "duration": round(audio.size / RATE_HZ, 3),
                "sentences": sentences,
            }
        )


def _sentence(u: Utterance, start: float) -> dict[str, Any]:
    words = [replace(w, start=w.start + start, end=w.end + start) for w in u.words]
    return {
        "start": round(start, 3),
        "end": round(start + u.duration_s, 3),
        "language": u.language,
        "text": u.text,
        "english": u.english,
        "voice": u.voice,
        "held_out_voice": is_held_out_voice(u.voice),
        "held_out_sentence": corpus.is_held_out(u.english),
        "words": [
            {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(w).items()}
            for w in words
        ],
    }


def _encode(audio: Samples, path: Path, bits: str) -> None:
    """Mono float samples at 16 kHz into an Ogg Opus file."""
    pcm = (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()
    source = ["-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1", "-i", "-"]
    exact = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
    target = ["-c:a", "libopus", "-b:a", bits, "-application", "voip", str(path)]
    command = ["ffmpeg", "-loglevel", "error", "-y", *source, *exact, *target]
    subprocess.run(command, input=pcm, check=True)


def render_short(renderer: Renderer, recordings: Path | None) -> None:
    """One sentence a file, and digits by human voices."""
    for language, count in SHORT_FILES.items():
        for i in range(count):
            rng = random.Random(f"short {renderer.seed} {language} {i}")
            part = Part(renderer.say(rng, language), rng.uniform(0.1, 0.5))
            renderer.write(f"{language}-{i + 1:02}", "short", [part], _SHORT_BITS)
    if recordings:
        spoken = digits.load_recordings(recordings, "test")
        rng = random.Random(f"digits {renderer.seed}")
        for i in range(DIGIT_FILES):
            part = Part(digits.sequence(spoken, rng, held_out=True), rng.uniform(0.1, 0.5))
            renderer.write(f"digits-{i + 1:02}", "digits", [part], _SHORT_BITS)


def render_long(renderer: Renderer) -> None:
    """Many sentences a file: half of the files by one voice, half by a new voice each sentence."""
    for language in corpus.LANGUAGES:
        for i, seconds in enumerate(LONG_FILES_S):
            rng = random.Random(f"long {renderer.seed} {language} {i}")
            voice = draw_voice(rng, language, held_out=True) if i % 2 == 0 else None
            parts: list[Part] = []
            total = 0.0
            while total < seconds:
                part = Part(renderer.say(rng, language, voice), rng.uniform(*_PAUSE_S))
                parts.append(part)
                total += part.utterance.duration_s + part.pause_before_s
            renderer.write(f"long-{language}-{i + 1}", "long", parts, _LONG_BITS)


def render_mixed(renderer: Renderer) -> None:
    """The languages in turn, with pauses of more than two seconds."""
    for i in range(MIXED_FILES):
        rng = random.Random(f"mixed {renderer.seed} {i}")
        parts = []
        for k in range(MIXED_SENTENCES):
            language = corpus.LANGUAGES[(i + k) % len(corpus.LANGUAGES)]
            parts.append(Part(renderer.say(rng, language), rng.uniform(*_MIXED_PAUSE_S)))
        renderer.write(f"mixed-{i + 1}", "mixed", parts, _LONG_BITS)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recordings", type=Path, help="Free Spoken Digit Dataset, recordings/")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(args.folder, args.seed)
    render_short(renderer, args.recordings)
    render_long(renderer)
    render_mixed(renderer)
    text = json.dumps({"rate_hz": RATE_HZ, "files": renderer.index}, ensure_ascii=False)
    (args.folder / "index.json").write_text(text.replace('{"file"', '\n{"file"') + "\n")
    size = sum(path.stat().st_size for path in args.folder.iterdir())
    print(f"{len(renderer.index)} files, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
