"""What a model's process and its parent say to each other, and how it goes over their socket.

The socket is one of a pair that only this parent and this child hold, so pickles are as safe as the
code that makes them. A frame is a count of parts (u32), the length of each (u64), and the parts: a
pickle of protocol 5 and the arrays that it left out, which are never copied into it.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from verbatim.domain.audio import Window
from verbatim.domain.errors import VerbatimError
from verbatim.domain.transcript import TranscriptWarning, WindowResult
from verbatim.engine.protocol import EngineDescription, LoadOptions

MAX_FRAME_BYTES: Final = 1 << 30
"""About a thousand windows; more is a mistake."""
MAX_PARTS: Final = 2048

_COUNT: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Which model a process loads, and how; see `LocalEngine.load`."""

    folder: Path
    name: str
    options: LoadOptions = field(default_factory=LoadOptions)
    warnings: tuple[TranscriptWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepare:
    """A model that may be asked for, to the child, before it is.

    Attributes:
        encoder: that it was loaded with, see `EngineDescription.encoder`.
    """

    spec: WorkerSpec
    encoder: str


@dataclass(frozen=True, slots=True)
class Load:
    """The model that is asked for, to the child; once.

    Attributes:
        tried: a process that did the same worked, so that nobody needs to wait for a trial.
    """

    spec: WorkerSpec
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """Windows to decode, to the child."""

    id: int
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Nobody waits for a job any more, to the child."""

    id: int


Demand: TypeAlias = Job | Withdraw
"""What a parent says after `Load`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    description: EngineDescription


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model cannot be loaded; `traceback` is for the log."""

    error: VerbatimError
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A job's results."""

    id: int
    results: tuple[WindowResult, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A job's error; `traceback`, where it was none of ours, is for the log."""

    id: int
    error: VerbatimError
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A job was given up as the parent said, and the device is not busy with it."""

    id: int


Answer: TypeAlias = Ready | LoadFailed | Done | Failed | Withdrawn
"""What a child says."""


class FrameError(Exception):
    """Not a frame, or one that is too large."""


def encode(message: object) -> list[bytes | memoryview]:
    """A message as a frame's bytes, in pieces; arrays in it are not copied.

    Raises:
        FrameError: it is too large.
    """
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(body), *(buffer.raw() for buffer in buffers)]
    lengths = [part.nbytes for part in parts]
    _check(lengths)
    head = _COUNT.pack(len(parts)) + b"".join(_LENGTH.pack(length) for length in lengths)
    return [head, *parts]


async def receive(reader: asyncio.StreamReader) -> object:
    """The next message.

    Raises:
        EOFError, ConnectionError: the other side has ended.
        FrameError: these bytes are no message.
    """
    (count,) = _COUNT.unpack(await reader.readexactly(_COUNT.size))
    if not 0 < count <= MAX_PARTS:
        raise FrameError(f"a frame of {count} parts")
    head = await reader.readexactly(count * _LENGTH.size)
    lengths = [length for (length,) in _LENGTH.iter_unpack(head)]
    _check(lengths)
    body, *buffers = [await reader.readexactly(length) for length in lengths]
    try:
        return pickle.loads(body, buffers=buffers)  # noqa: S301 - from our own child or parent
    except Exception as error:
        raise FrameError(f"a message that cannot be read: {error}") from error


def _check(lengths: list[int]) -> None:
    if len(lengths) > MAX_PARTS or sum(lengths) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(lengths)} parts and {sum(lengths)} bytes is too large")
