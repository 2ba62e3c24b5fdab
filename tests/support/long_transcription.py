"""A process that transcribes a file with an engine that says nothing, and tells what it took."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from verbatim.domain.audio import Samples, Window
from verbatim.domain.events import Finished
from verbatim.domain.request import TranscriptionRequest
from verbatim.domain.transcript import WindowResult
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.fake import FakeEngine
from verbatim.engine.vad import SileroVad, VadState
from verbatim.pipeline.transcribe import Frontend, transcribe
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities


class HearsTalkers(SileroVad):
    """Hears somebody speak for 50 s of every minute, and takes no time for it."""

    _frames = 0

    def advance(self, samples: Samples, state: VadState) -> tuple[Probabilities, VadState]:
        count = len(samples) // FRAME_SAMPLES
        times = (self._frames + np.arange(count)) * FRAME_SAMPLES / SAMPLE_RATE_HZ
        self._frames += count
        return (times % 60 < 50).astype(np.float32), state

    def finish(self, state: VadState) -> Probabilities:
        return np.zeros(0, np.float32)


class Forgetful(FakeEngine):
    """Keeps no account of its windows."""

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        results = await super().run(windows)
        self.windows.clear()
        return results


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(path: Path, kind: str) -> str:
    """Seconds of audio and of speech, and by how many MB the process grew."""
    vad = HearsTalkers() if kind == "speech" else SileroVad()
    request = TranscriptionRequest(vad=kind != "everything")
    before_mb = peak_mb()
    async for event in transcribe(path, request, Forgetful(lambda _: ""), Frontend(vad)):
        if isinstance(event, Finished):
            found = event.transcript
            grown_mb = peak_mb() - before_mb
            return f"{found.duration_s:.0f} {found.speech_duration_s:.0f} {grown_mb:.0f}"
    raise AssertionError("no end")


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(main(Path(sys.argv[1]), sys.argv[2])))
