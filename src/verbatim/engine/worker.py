"""A model in a process of its own: the child's side. Run by `engine.child`, by nobody else.

It ends when its socket does, so it can outlive its parent by no more than a moment.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from verbatim.domain.errors import InternalError, ModelUnavailableError, VerbatimError
from verbatim.domain.transcript import WindowResult
from verbatim.engine.frames import (
    Answer,
    Done,
    Failed,
    Job,
    Load,
    LoadFailed,
    Prepare,
    Ready,
    Withdraw,
    Withdrawn,
    encode,
    receive,
)
from verbatim.engine.heap import give_back_memory
from verbatim.engine.protocol import Engine

if TYPE_CHECKING:
    from verbatim.engine.prepared import Prepared

PR_SET_PDEATHSIG: Final = 1
"""Of Linux's prctl(2): the signal that a process gets when its parent ends."""
REST_S: Final = 5.0
"""Without work for so long, a process gives back the memory that the work took."""


class Loader(Protocol):
    """Loads one model in up to three steps, of which only the last is needed. All of them block."""

    def begin(self) -> None:
        """Do what takes time and hangs on no model."""
        ...

    def prepare(self, demand: Prepare) -> None:
        """Do what takes time and little memory: the model may be asked for, or never."""
        ...

    def load(self, demand: Load) -> Engine:
        """Load the model."""
        ...


class LocalLoader:
    """Loads with CTranslate2, in this process."""

    def __init__(self) -> None:
        self._prepared: Prepared | None = None

    def begin(self) -> None:
        """Import what loading will need: the parent may not say what to load for a long time."""
        # What is missing is told when a model is to be loaded.
        with suppress(ImportError, OSError):
            import_module("verbatim.engine.local")

    def prepare(self, demand: Prepare) -> None:
        """See `engine.prepared`."""
        from verbatim.engine.prepared import prepare  # noqa: PLC0415

        self._prepared = prepare(demand.spec.folder, demand.encoder)

    def load(self, demand: Load) -> Engine:
        """Load it, with what was prepared."""
        # Here: a library that is missing is told like any other failure to load.
        from verbatim.engine.local import LocalEngine  # noqa: PLC0415
        from verbatim.engine.prepared import NOTHING_PREPARED  # noqa: PLC0415

        spec = demand.spec
        prepared = replace(self._prepared or NOTHING_PREPARED, tried=demand.tried)
        return LocalEngine.load(spec.folder, spec.name, spec.options, spec.warnings, prepared)


def serve(descriptor: int, loader: Loader, rest_s: float = REST_S) -> NoReturn:
    """Load the model that the parent names, then answer its jobs until it hangs up.

    Args:
        descriptor: of the socket that the parent left open.
        loader: of the model.
        rest_s: see `REST_S`.
    """
    # A Ctrl-C or a service manager's stop goes to the parent too, which lets what runs finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable(all_threads=False)
    _die_with_parent()
    loader.begin()
    connection = socket.socket(fileno=descriptor)
    try:
        asyncio.run(_converse(connection, loader, rest_s))
    except (EOFError, ConnectionError):
        _end()
    raise AssertionError("a conversation ends by its connection's end only")


async def _converse(connection: socket.socket, loader: Loader, rest_s: float) -> NoReturn:
    reader, writer = await asyncio.open_connection(sock=connection)
    message = await receive(reader)
    if isinstance(message, Prepare):
        loader.prepare(message)
        message = await receive(reader)
    if not isinstance(message, Load):
        raise TypeError(f"the first message must be a Load, not {message!r}")
    conversation = _Conversation(writer, rest_s)
    conversation.do(conversation.load(message, loader))
    try:
        while True:
            match await receive(reader):
                case Job() as job:
                    conversation.begin(job)
                case Withdraw(number):
                    conversation.give_up(number)
                case other:
                    raise TypeError(f"a message must be a Job or a Withdraw, not {other!r}")
    except (EOFError, ConnectionError):
        # At once: closing the loop would wait for what is being decoded for nobody.
        _end()


class _Conversation:
    """What was begun for the parent and is not answered yet."""

    def __init__(self, writer: asyncio.StreamWriter, rest_s: float) -> None:
        self._writer = writer
        self._rest_s = rest_s
        self._rest: asyncio.TimerHandle | None = None
        self._engine: Engine | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: dict[int, asyncio.Task[list[WindowResult]]] = {}

    def begin(self, job: Job) -> None:
        """Decode, and tell; the engine queues what it cannot do at once."""
        self._wake()
        # A task of its own, which can be given up before it has begun.
        self._jobs[job.id] = asyncio.create_task(self._decode(job))
        self.do(self._answer(job.id))

    def give_up(self, number: int) -> None:
        """Decode a job no further; what the device is at it brings to its end."""
        if (decoding := self._jobs.get(number)) is not None:
            decoding.cancel()

    def do(self, work: Coroutine[None, None, None]) -> None:
        """Begin something beside what is being done."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def load(self, demand: Load, loader: Loader) -> None:
        """Load the model, and tell."""
        try:
            self._engine = await asyncio.to_thread(loader.load, demand)
        except VerbatimError as error:
            await self._say(LoadFailed(error))
        except Exception:  # noqa: BLE001 - the parent logs it
            failure = ModelUnavailableError(
                f"The model {demand.spec.name!r} cannot be loaded; the server's log says why."
            )
            await self._say(LoadFailed(failure, traceback.format_exc()))
        else:
            await self._say(Ready(self._engine.describe()))

    async def _decode(self, job: Job) -> list[WindowResult]:
        if self._engine is None:
            raise ValueError("a job came before the model was loaded")
        return await self._engine.run(job.windows)

    async def _answer(self, number: int) -> None:
        """Tell what became of a job."""
        try:
            results = await self._jobs[number]
        except asyncio.CancelledError:
            answer: Answer = Withdrawn(number)
        except VerbatimError as error:
            answer = Failed(number, error)
        except Exception:  # noqa: BLE001 - the parent logs it
            failure = InternalError(
                "The recording could not be decoded; the server's log says why."
            )
            answer = Failed(number, failure, traceback.format_exc())
        else:
            answer = Done(number, tuple(results))
        del self._jobs[number]
        await self._say(answer)
        if not self._jobs:
            self._rest_soon()

    def _wake(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _rest_soon(self) -> None:
        self._wake()
        self._rest = asyncio.get_running_loop().call_later(self._rest_s, give_back_memory)

    async def _say(self, answer: Answer) -> None:
        try:
            self._writer.writelines(encode(answer))
            await self._writer.drain()
        except ConnectionError:
            _end()


def _die_with_parent() -> None:
    """Ask Linux to end this process with its parent, also where native code keeps it busy.

    More exactly with the thread that began it, which is that of the parent's event loop.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end() -> NoReturn:
    """End without waiting for threads; the system takes the memory back faster than we could."""
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), LocalLoader())
