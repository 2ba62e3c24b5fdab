"""A model in a process of its own: the parent's side of one such process."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from asyncio import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from verbatim.domain.audio import Window
from verbatim.domain.transcript import WindowResult
from verbatim.engine.frames import (
    Done,
    Failed,
    FrameError,
    Job,
    Load,
    LoadFailed,
    Prepare,
    Ready,
    Withdraw,
    Withdrawn,
    WorkerSpec,
    encode,
    receive,
)
from verbatim.engine.protocol import EngineDescription

log = structlog.stdlib.get_logger(__name__)

# -P: a file in the working directory must not pass for a module.
WORKER_COMMAND: Final = (sys.executable, "-P", "-m", "verbatim.engine.worker")

OUTPUT_CHUNK_BYTES: Final = 65_536
MAX_LINE_CHARS: Final = 2_000
LAST_WORDS_S: Final = 1.0
"""How long the output of a process that has ended is waited for."""
CRASH_REPORT: Final = "Fatal Python error"
"""With this begins what Python's fault handler writes about the crash of native code."""


class ChildDiedError(Exception):
    """The process is no more; says how it ended."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """How long a process may take.

    Attributes:
        start_s: for loading the model.
        window_s: for each window in its hands; beyond that it counts as hung, and is killed.
        stop_s: for ending when it is told to.
    """

    start_s: float = 600.0
    window_s: float = 300.0
    stop_s: float = 5.0


class Child:
    """A process that has a model, from its start to its end.

    Made by `begin`. Its jobs are answered by their number, in any order.

    Args:
        process: just begun.
        reader: of our end of the socket pair.
        writer: likewise.
        limits: how long things may take.
    """

    def __init__(
        self,
        process: subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: ChildLimits,
    ) -> None:
        self._process = process
        self._reader, self._writer = reader, writer
        self._limits = limits
        self._loaded: asyncio.Future[EngineDescription] = asyncio.Future()
        self._pending: dict[int, asyncio.Future[list[WindowResult]]] = {}
        self._windows = 0
        self._numbers = itertools.count()
        self._output = _Output(process.pid)
        self._life: asyncio.Task[None] = asyncio.create_task(self._live())
        self.death: ChildDiedError | None = None
        """How it ended; None while it lives."""
        self.on_death: Callable[[], None] = lambda: None
        """Called when it has ended, before its jobs learn of it."""

    @classmethod
    async def begin(cls, command: Sequence[str], limits: ChildLimits) -> Child:
        """Begin a process, which makes itself ready to be told what to load.

        Raises:
            ChildDiedError: it cannot be begun.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                process = await _spawn(command, theirs)
            except BaseException:
                writer.close()
                raise
        return cls(process, reader, writer, limits)

    async def prepare(self, spec: WorkerSpec, encoder: str) -> None:
        """Tell which model may be asked for; once, before `load`. Does not wait for what it does.

        Args:
            spec: the model.
            encoder: that it was loaded with, see `EngineDescription.encoder`.
        """
        await self._send(Prepare(spec, encoder))

    async def load(self, spec: WorkerSpec, *, tried: bool = False) -> EngineDescription:
        """Have the model loaded; once. The process is ended where that fails.

        Args:
            spec: the model.
            tried: see `Load`.

        Raises:
            VerbatimError: the model cannot be loaded; another try would fail as well.
            ChildDiedError: the process ended, or took too long.
        """
        try:
            async with asyncio.timeout(self._limits.start_s):
                await self._send(Load(spec, tried))
                return await self._loaded
        except BaseException as error:
            await self.kill()
            if isinstance(error, TimeoutError):
                raise ChildDiedError(
                    f"did not load the model within {self._limits.start_s:.0f} s"
                ) from error
            raise

    @property
    def pid(self) -> int:
        """The process' number."""
        return self._process.pid

    def memory_bytes(self) -> int:
        """Main memory that it holds now; 0 where the system does not tell."""
        return resident_bytes(self.pid)

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Have windows decoded.

        Cancelling it takes them back, and lasts until the process is not busy with them any more;
        cancelling that ends the wait.

        Raises:
            VerbatimError: what the engine in the process raised.
            ChildDiedError: the process ended meanwhile.
        """
        if self.death is not None:
            raise self.death
        number = next(self._numbers)
        answer: asyncio.Future[list[WindowResult]] = asyncio.Future()
        self._pending[number] = answer
        with self._patience(len(windows)):
            try:
                await self._send(Job(number, tuple(windows)))
                # Unlike `await answer`, this does not cancel the answer with the caller.
                await asyncio.wait({answer})
                return answer.result()
            except asyncio.CancelledError:
                await self._take_back(number, answer)
                raise
            finally:
                del self._pending[number]

    async def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        if not self._life.done():
            with suppress(OSError):
                self._writer.write_eof()
            await asyncio.wait({self._life}, timeout=self._limits.stop_s)
        await self.kill()

    async def finish(self) -> None:
        """End it when its jobs are done; it must be given no more."""
        try:
            if self._pending:
                await asyncio.wait(set(self._pending.values()))
            await self.stop()
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it at once."""
        self._kill()
        await asyncio.shield(self._life)

    async def _send(self, message: object) -> None:
        frame = encode(message)
        # Where the process is gone, `_live` tells it to whoever waits for an answer.
        with suppress(ConnectionError):
            self._writer.writelines(frame)
            await self._writer.drain()

    async def _take_back(self, number: int, answer: asyncio.Future[list[WindowResult]]) -> None:
        """Have a job given up, and wait until it is."""
        if not answer.done():
            await self._send(Withdraw(number))
            await asyncio.wait({answer})
        if not answer.cancelled():
            answer.exception()

    @contextmanager
    def _patience(self, windows: int) -> Iterator[None]:
        """Kill the process if it keeps windows for too long; those before them take time too."""
        self._windows += windows
        patience_s = self._windows * self._limits.window_s
        timer = asyncio.get_running_loop().call_later(patience_s, self._give_up, patience_s)
        try:
            yield
        finally:
            timer.cancel()
            self._windows -= windows

    def _give_up(self, patience_s: float) -> None:
        log.error("a model's process hangs and is killed", pid=self.pid, after_s=patience_s)
        self._kill()

    def _kill(self) -> None:
        # Not by `Process.kill`: it polls, which takes the exit status away from the event loop.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def _live(self) -> None:
        """Take the answers until the process has ended, and tell how it did."""
        output = asyncio.create_task(self._output.follow(self._process.stdout))
        misspoken = ""
        try:
            while True:
                self._take(await receive(self._reader))
        except (EOFError, ConnectionError):
            pass
        except FrameError as error:
            misspoken = f"; it sent {error}"
        # Without its socket it is of no use, whatever it still does.
        self._kill()
        status = await self._process.wait()
        await asyncio.wait({output}, timeout=LAST_WORDS_S)
        output.cancel()
        self._writer.close()
        self.death = ChildDiedError(_how(status, self._output.last_line) + misspoken)
        self.on_death()
        if not self._loaded.done():
            self._loaded.set_exception(self.death)
            # One that was never told what to load has nobody who waits for this.
            self._loaded.exception()
        for number in tuple(self._pending):
            if (waiting := self._waiting(number)) is not None:
                waiting.set_exception(self.death)

    def _take(self, answer: object) -> None:
        match answer:
            case Ready(description):
                if not self._loaded.done():
                    self._loaded.set_result(description)
            case LoadFailed(error, traceback):
                self._log_failure(traceback)
                if not self._loaded.done():
                    self._loaded.set_exception(error)
            case Done(number, results):
                if (waiting := self._waiting(number)) is not None:
                    waiting.set_result(list(results))
            case Withdrawn(number):
                if (waiting := self._waiting(number)) is not None:
                    waiting.cancel()
            case Failed(number, error, traceback):
                self._log_failure(traceback)
                if (waiting := self._waiting(number)) is not None:
                    waiting.set_exception(error)
            case _:
                raise FrameError(f"a message of the wrong type, {type(answer).__name__}")

    def _waiting(self, number: int) -> asyncio.Future[list[WindowResult]] | None:
        """Who waits for a job; None where nobody does any more."""
        waiting = self._pending.get(number)
        return None if waiting is None or waiting.done() else waiting

    def _log_failure(self, traceback: str) -> None:
        if traceback:
            log.error("a model's process failed", pid=self.pid, exception=traceback)


async def _spawn(command: Sequence[str], connection: socket.socket) -> subprocess.Process:
    """Begin a process that inherits one end of a socket pair, and nothing else.

    Raises:
        ChildDiedError: it cannot be begun.
    """
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            str(connection.fileno()),
            pass_fds=(connection.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A terminal's Ctrl-C is for the parent.
            start_new_session=True,
        )
    except OSError as error:
        raise ChildDiedError(f"could not be started: {error.strerror}") from error


class _Output:
    """What a process prints: into the log, and its last line remembered."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._crashed = False
        self.last_line = ""
        """Of what it said itself, not of the report of its crash."""

    async def follow(self, stream: asyncio.StreamReader | None) -> None:
        """Read to the end."""
        if stream is None:
            return
        rest = ""
        while chunk := await stream.read(OUTPUT_CHUNK_BYTES):
            *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
            for line in lines:
                self._tell(line)
            rest = rest[-MAX_LINE_CHARS:]
        self._tell(rest)

    def _tell(self, line: str) -> None:
        line = line.rstrip()[:MAX_LINE_CHARS]
        if not line:
            return
        self._crashed = self._crashed or line.startswith(CRASH_REPORT)
        if not self._crashed:
            self.last_line = line.strip()
        log.warning("a model's process says", pid=self._pid, line=line)


def resident_bytes(pid: int) -> int:
    """Main memory that a process holds, as Linux counts it; 0 where that cannot be asked."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _how(status: int, last_line: str) -> str:
    """How a process ended, to follow the word "it"."""
    said = f" ({last_line})" if last_line else ""
    if status >= 0:
        return f"ended with status {status}{said}"
    name = signal.Signals(-status).name
    why = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"was ended by {name}{why}{said}"
