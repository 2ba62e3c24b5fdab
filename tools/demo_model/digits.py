"""Turn the Free Spoken Digit Dataset into a shard of spoken digit sequences by human voices.

    python digits.py RECORDINGS_DIR OUT.npz --count 2500 --split train

The dataset (CC BY-SA 4.0, by Zohar Jackson and contributors) names its files
`{digit}_{speaker}_{index}.wav`, 8 kHz; by its convention indexes 0 to 4 are the test split.
"""

from __future__ import annotations

import argparse
import random
import wave
from collections import defaultdict
from pathlib import Path
from typing import Final

import corpus
import numpy as np
import soxr
from speech import PEAK, RATE_HZ, Samples, Utterance, Word, save_shard, to_pcm, trim

TEST_INDEXES: Final = 5
_TRIM_AT: Final = 0.02
Recordings = dict[str, dict[int, list[Samples]]]
"""Recordings by speaker and digit."""


def _read(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        rate_hz = file.getframerate()
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    samples = soxr.resample(pcm.astype(np.float32) / 32768.0, rate_hz, RATE_HZ)
    return trim(samples, _TRIM_AT)[0]


def load_recordings(folder: Path, split: str) -> Recordings:
    """All recordings of a split, trimmed and of equal peak."""
    spoken: Recordings = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        if (int(index) < TEST_INDEXES) == (split == "test"):
            samples = _read(path)
            if samples.size:
                spoken[speaker][int(digit)].append(samples * (PEAK / np.abs(samples).max()))
    return spoken


def sequence(recordings: Recordings, rng: random.Random, held_out: bool) -> Utterance:
    """Three to six digits by one speaker, with short pauses."""
    speaker = rng.choice(sorted(recordings))
    while True:
        digits = [rng.randint(0, 9) for _ in range(rng.randint(3, 6))]
        text = " ".join(corpus.UNITS[d] for d in digits).capitalize() + "."
        if corpus.is_held_out(text) == held_out:
            break
    parts: list[Samples] = []
    words: list[Word] = []
    at = 0.0
    for word, digit in zip(text.strip(".").split(), digits, strict=True):
        spoken = rng.choice(recordings[speaker][digit])
        end = at + spoken.size / RATE_HZ - 0.05  # trim() leaves 50 ms behind
        words.append(Word(word, round(at, 3), round(end, 3)))
        pause = np.zeros(int(rng.uniform(0.0, 0.25) * RATE_HZ), np.float32)
        parts += [spoken, pause]
        at += (spoken.size + pause.size) / RATE_HZ
    pcm = to_pcm(np.concatenate(parts[:-1]))
    return Utterance(pcm, "en", text, text, f"fsdd {speaker}", tuple(words))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=2500)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    args = parser.parse_args()
    rng = random.Random(args.split)
    recordings = load_recordings(args.recordings, args.split)
    rows = [sequence(recordings, rng, args.split == "test") for _ in range(args.count)]
    save_shard(args.out, rows)
    print(f"{len(rows)} sequences, {sum(u.duration_s for u in rows) / 3600:.2f} h")


if __name__ == "__main__":
    main()
