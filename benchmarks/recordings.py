"""What is transcribed: the test speech of this repository, joined to recordings of any length."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Final

import av
import numpy as np

from benchmarks.messages import Clip
from verbatim.domain.audio import Pcm, to_pcm
from verbatim.domain.request import VadOptions
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.pipeline.front_end import FrontEnd
from verbatim.stages.decode_audio import decode_all, open_audio
from verbatim.stages.windows import pack

SPEECH: Final = Path(__file__).parents[1] / "tests" / "data" / "speech"
MP3_RATE_HZ: Final = 44_100
MP3_BITS_PER_SECOND: Final = 64_000


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of a known length."""

    path: Path
    duration_s: float


class RecordingStore:
    """Makes and keeps recordings.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def long(self, minutes: float) -> Recording:
        """Sentences with pauses, several languages and voices, as an MP3 such as people have."""
        samples = round(minutes * 60 * SAMPLE_RATE_HZ)
        path = self._folder / f"long-{minutes:g}-min.mp3"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".unfinished")
            _write_mp3(_speech("long", samples), unfinished)
            unfinished.rename(path)
        return Recording(path, samples / SAMPLE_RATE_HZ)

    def short(self, count: int, seconds: float) -> tuple[Recording, ...]:
        """So many different recordings without long pauses, as 16 kHz WAV files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        length = round(seconds * SAMPLE_RATE_HZ)
        speech = np.concatenate(list(_speech("short", count * length)))
        found = []
        for number, samples in enumerate(speech.reshape(count, length)):
            path = self._folder / f"short-{seconds:g}-s-{number:02}.wav"
            if not path.exists():
                path.write_bytes(wav_bytes(samples))
            found.append(Recording(path, seconds))
        return tuple(found)


def windows_as_cut(recording: Recording) -> tuple[Clip, ...]:
    """Where Verbatim cuts a recording when nothing is taken out of it."""
    with open_audio(recording.path) as reader:
        planned = list(pack(FrontEnd(reader, None, VadOptions())))
    starts = [window.start_s for window in planned]
    lengths_s = [len(window.samples) / SAMPLE_RATE_HZ for window in planned]
    return tuple((start, start + length) for start, length in zip(starts, lengths_s, strict=True))


@cache
def _names(kind: str) -> tuple[str, ...]:
    """The files of a kind of test speech, in the set's order."""
    index = json.loads((SPEECH / "index.json").read_text(encoding="utf-8"))
    return tuple(entry["file"] for entry in index["files"] if entry["kind"] == kind)


@cache
def _samples(name: str) -> Pcm:
    return to_pcm(decode_all(SPEECH / name)[0])


def _speech(kind: str, samples: int) -> Iterator[Pcm]:
    """Test speech of a kind, over and over, until there are so many samples."""
    for name in cycle(_names(kind)):
        if samples <= 0:
            return
        part = _samples(name)[:samples]
        samples -= len(part)
        yield part


def wav_bytes(pcm: Pcm) -> bytes:
    """A 16 kHz mono WAV file of samples (n,)."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(pcm.itemsize)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.tobytes())
    return out.getvalue()


def _write_mp3(blocks: Iterator[Pcm], path: Path) -> None:
    with av.open(str(path), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=MP3_RATE_HZ, layout="mono")
        stream.bit_rate = MP3_BITS_PER_SECOND
        resampler = av.AudioResampler(format="s16p", layout="mono", rate=MP3_RATE_HZ)
        position = 0
        for block in blocks:
            frame = av.AudioFrame.from_ndarray(block[None], format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE_HZ
            frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
            frame.pts = position
            position += len(block)
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
