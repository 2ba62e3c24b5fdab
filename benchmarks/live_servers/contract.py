"""What every program's adapter does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from benchmarks.live_record import Played

SILENCE_S: Final = 0.5
"""Silence that ends an utterance, where a program lets one say so: Verbatim's default."""


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """How a program's server is started.

    Attributes:
        arguments: the command.
        variables: of its environment.
        ready_path: an HTTP path that answers 200 when it can be used.
    """

    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = "/"


class LiveConnection(Protocol):
    """One stream to a server."""

    async def send(self, pcm: bytes) -> None:
        """The next audio: 16 kHz mono, 16-bit little endian."""
        ...

    async def commit(self) -> None:
        """End the utterance here; only of programs that can."""
        ...

    async def finish(self) -> None:
        """No more audio comes."""
        ...

    async def listen(self, began_s: float) -> Played:
        """Read until everything was told.

        Args:
            began_s: moment on `time.perf_counter` at which the stream's first sample is spoken.
        """
        ...


class LiveProgram(Protocol):
    """A program in one configuration."""

    @property
    def name(self) -> str:
        """In the tables."""
        ...

    @property
    def commits(self) -> bool:
        """Whether it can be told that an utterance ends."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """Python modules that must be there."""
        ...

    def command(self, model: Path, port: int, language: str) -> ServerCommand:
        """How its server is started with a CTranslate2 folder."""
        ...

    async def connect(self, port: int, language: str, *, manual: bool) -> LiveConnection:
        """Open a stream.

        Args:
            port: of the server.
            language: that will be spoken.
            manual: only `commit` ends utterances.
        """
        ...
