"""Memory is bounded by what is being transcribed, not by the recording."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

RATE_HZ = 8_000
BOUND_MB = 300
ROOT = Path(__file__).parents[2]


def long_wav(path: Path, hours: float) -> None:
    """Hours of silence, 16 bits at 8 kHz, in a file that takes no room on disk."""
    size = int(hours * 3_600) * RATE_HZ * 2
    with path.open("wb") as file:
        file.write(struct.pack("<4sI4s4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16))
        file.write(struct.pack("<HHIIHH", 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16))
        file.write(struct.pack("<4sI", b"data", size))
        file.truncate(44 + size)


def transcribe_in_another_process(path: Path, kind: str) -> list[int]:
    """Seconds of audio and of speech, and by how many MB the process grew."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.long_transcription", str(path), kind],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "hours", "speech_s"),
    [
        ("everything", 10, 10 * 3_600),
        # With speech to cut, by a stand-in for the model, which hears an hour in 5 s only.
        ("speech", 10, 10 * 60 * 50),
        ("silence", 2, 0),
    ],
)
def test_hours_within_300_mb(kind: str, hours: int, speech_s: int, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    long_wav(path, hours)
    duration_s, found_s, grown_mb = transcribe_in_another_process(path, kind)
    assert duration_s == hours * 3_600
    assert found_s == pytest.approx(speech_s, rel=0.02)
    assert grown_mb < BOUND_MB
