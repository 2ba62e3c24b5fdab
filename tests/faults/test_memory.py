"""Memory is bounded by what is being transcribed, not by the recording."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

HOURS = 10
RATE_HZ = 8_000
BOUND_MB = 300

PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from verbatim.domain.events import Finished
from verbatim.domain.request import TranscriptionRequest
from verbatim.engine.fake import FakeEngine
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.transcribe import Frontend, transcribe

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

class Forgetful(FakeEngine):
    async def run(self, windows):
        results = await super().run(windows)
        self.windows.clear()
        return results

async def main(path, vad):
    before = None
    async for event in transcribe(
        path, TranscriptionRequest(vad=vad), Forgetful(lambda window: ""), Frontend(SileroVad())
    ):
        before = before or peak_mb()
        if isinstance(event, Finished):
            print(round(event.transcript.duration_s), round(peak_mb() - before))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "vad"))
"""


def long_wav(path: Path, hours: float) -> None:
    """Hours of silence, 16 bits at 8 kHz, in a file that takes no room on disk."""
    size = int(hours * 3_600) * RATE_HZ * 2
    with path.open("wb") as file:
        file.write(struct.pack("<4sI4s4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16))
        file.write(struct.pack("<HHIIHH", 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16))
        file.write(struct.pack("<4sI", b"data", size))
        file.truncate(44 + size)


def transcribe_in_another_process(path: Path, vad: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), vad], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    duration_s, grown_mb = done.stdout.split()
    return int(duration_s), int(grown_mb)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("vad", ["everything", "vad"])
def test_ten_hours_within_300_mb(vad: str, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    long_wav(path, HOURS)
    duration_s, grown_mb = transcribe_in_another_process(path, vad)
    assert duration_s == HOURS * 3_600
    assert grown_mb < BOUND_MB
