"""What `verbatim live` listens to: a microphone, or a file at the speed at which it was spoken."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from verbatim.domain.audio import Samples
from verbatim.domain.errors import BadRequestError, OverloadedError, UnavailableError
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.pipeline.threads import ReadAhead
from verbatim.stages.decode_audio import AudioReader, DecodeLimits, open_audio
from verbatim.stages.raw_stream import Resampler, sanitised

BLOCK_S: Final = 0.1
BLOCKS_AHEAD: Final = 20
"""Of a file, decoded before they are due."""
MAX_UNHEARD_BLOCKS: Final = 3000
"""Of the microphone, five minutes: who is so far behind will not catch up."""
INSTALL: Final = (
    "Listening to a microphone needs the package sounddevice. Install it with: "
    "pip install 'verbatim-stt[mic]'"
)
INSTALL_PORTAUDIO: Final = (
    "The library PortAudio is missing, which microphones need. On Debian and Ubuntu: "
    "apt install libportaudio2"
)


class Source(Protocol):
    """Something to listen to."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    def listen(self) -> AsyncGenerator[Samples]:
        """Begin: blocks (n,) float32 within ±1 at 16 kHz, as they are heard. Once only."""
        ...

    def close(self) -> None:
        """Free what is held where nobody ever listened."""
        ...


@dataclass(frozen=True, slots=True)
class Microphone:
    """A device that audio comes from."""

    number: int
    name: str
    rate_hz: float
    is_default: bool


def open_source(file: Path | None, microphone: str | None, speed: float) -> Source:
    """What to listen to: the file if there is one, else the microphone.

    Args:
        file: a recording of any format.
        microphone: number, name, or a part of the name; None for the system's own choice.
        speed: how many times faster than it was spoken a file is played.

    Raises:
        NotFoundError, UnsupportedMediaError: the file cannot be read.
        UnavailableError: there is no microphone, or nothing to listen to one with.
        BadRequestError: no microphone has that name.
    """
    if file is not None:
        # Here, so that a file that is none is told before a model is loaded.
        reader = open_audio(file, limits=DecodeLimits(block_s=BLOCK_S))
        return PlayedFile(file.name, reader, speed)
    return LiveMicrophone(choose(microphones(), microphone))


def microphones() -> list[Microphone]:
    """The microphones of this machine.

    Raises:
        UnavailableError: they cannot be listened to, and what to do about it.
    """
    sound = _sounddevice()
    default = sound.default.device[0]
    return [
        Microphone(
            number, str(device["name"]), float(device["default_samplerate"]), number == default
        )
        for number, device in enumerate(sound.query_devices())
        if device["max_input_channels"] > 0
    ]


def choose(found: list[Microphone], wanted: str | None) -> Microphone:
    """The microphone that is meant.

    Raises:
        UnavailableError: there is none at all.
        BadRequestError: none fits, or several do.
    """
    if not found:
        raise UnavailableError("This machine has no microphone. Plug one in, or use --file.")
    if wanted is None:
        return next((each for each in found if each.is_default), found[0])
    fitting = [each for each in found if str(each.number) == wanted] or [
        each for each in found if wanted.casefold() in each.name.casefold()
    ]
    if len(fitting) != 1:
        known = ", ".join(f"{each.number} ({each.name})" for each in found)
        problem = "Several microphones fit" if fitting else "No microphone is called"
        raise BadRequestError(f"{problem} {wanted!r}. There are: {known}.", param="microphone")
    return fitting[0]


def _sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise UnavailableError(INSTALL) from error
    except OSError as error:
        raise UnavailableError(INSTALL_PORTAUDIO) from error


class LiveMicrophone:
    """A microphone, from now on until nobody listens any more."""

    def __init__(self, chosen: Microphone) -> None:
        self.name: Final = chosen.name
        self._chosen = chosen
        self._lost = False

    def close(self) -> None:
        """Nothing is held before somebody listens."""

    async def listen(self) -> AsyncGenerator[Samples]:
        """What is said, as `Source.listen`.

        Raises:
            UnavailableError: the device cannot be used.
            OverloadedError: what was heard waited for minutes.
        """
        sound = _sounddevice()
        heard: asyncio.Queue[Samples] = asyncio.Queue(MAX_UNHEARD_BLOCKS)
        # At the device's own rate: not all of them can do another.
        resampler = Resampler(round(self._chosen.rate_hz))
        try:
            with self._stream(sound, heard):
                while True:
                    block = resampler.feed(await heard.get())
                    if self._lost:
                        raise OverloadedError(
                            "This computer is too slow for the model: what is said waits for "
                            "minutes. Choose a smaller one with --model."
                        )
                    if len(block):
                        yield sanitised(block)
        except sound.PortAudioError as error:
            raise UnavailableError(f"The microphone {self.name} cannot be used: {error}") from error

    def _stream(self, sound: Any, heard: asyncio.Queue[Samples]) -> AbstractContextManager[Any]:
        loop = asyncio.get_running_loop()

        def take(block: Samples) -> None:
            # Told where it is read.
            self._lost = self._lost or heard.full()
            if not self._lost:
                heard.put_nowait(block)

        def on_audio(data: Any, frames: int, time: object, status: object) -> None:
            del frames, time, status
            loop.call_soon_threadsafe(take, np.array(data[:, 0], np.float32))

        stream: AbstractContextManager[Any] = sound.InputStream(
            device=self._chosen.number,
            samplerate=self._chosen.rate_hz,
            blocksize=round(self._chosen.rate_hz * BLOCK_S),
            channels=1,
            dtype="float32",
            callback=on_audio,
        )
        return stream


class PlayedFile:
    """A recording, given out no faster than it would be heard."""

    def __init__(self, name: str, reader: AudioReader, speed: float) -> None:
        self.name: Final = name
        self._reader = reader
        self._speed = speed

    def close(self) -> None:
        """Close the file; twice is fine."""
        self._reader.close()

    async def listen(self) -> AsyncGenerator[Samples]:
        """What is on it, as `Source.listen`. Raises as `AudioReader` does."""
        loop = asyncio.get_running_loop()
        async with ReadAhead(lambda: self._reader, BLOCKS_AHEAD, "played-file") as blocks:
            began_s = loop.time()
            played = 0
            async for block in blocks:
                played += len(block)
                due_s = began_s + played / SAMPLE_RATE_HZ / self._speed
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                yield block
