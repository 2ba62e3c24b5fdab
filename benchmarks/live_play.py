"""Starts a program's server and plays speech to it in real time, as so many microphones would."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from benchmarks import resources
from benchmarks.live_figures import percentile
from benchmarks.live_record import Played
from benchmarks.live_servers.contract import LiveConnection, LiveProgram
from benchmarks.live_speech import LiveSpeech
from benchmarks.processes import ROOT, ContenderError
from verbatim.domain.units import SAMPLE_RATE_HZ

PIECE_S: Final = 0.1
"""Audio that a microphone hands over at once."""
APART_S: Final = 0.37
"""Between the beginnings of streams that are played together."""
LEAD_S: Final = 0.2
"""From when all streams are open until the first sample is spoken."""
COMMIT_AFTER_S: Final = 0.5
"""After a sentence's end: the moment at which somebody lets a key go."""
LONGEST_START_S: Final = 300.0
LONGEST_REST_S: Final = 120.0
"""For what is told after the last sample."""
LATE_S: Final = 0.05
"""Where more than one piece of audio in a hundred is sent later than this, the player had no
processor and the run is void."""
IN_TIME_PERCENT: Final = 99.0
SERVER_NICE: Final = -15


class LatePlayerError(ContenderError):
    """Audio was not sent in time, so nothing was measured."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """Streams that were played together.

    Attributes:
        processor_s: of the server, while they were played.
        memory_bytes: that the server held before and after.
        late_s: by how much the last of `IN_TIME_PERCENT` of the pieces was late.
    """

    streams: tuple[Played, ...]
    processor_s: float
    memory_bytes: tuple[int, int]
    late_s: float


def obstacle(program: LiveProgram) -> str | None:
    """Why a program cannot take part here; None where it can."""
    missing = [name for name in program.modules if importlib.util.find_spec(name) is None]
    return f"the Python module {missing[0]} is not installed" if missing else None


@contextmanager
def serving(program: LiveProgram, model: Path, language: str, log: Path) -> Iterator[Serving]:
    """A program's server, ready.

    Raises:
        ContenderError: it does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    command = program.command(model, port, language)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        process = subprocess.Popen(
            command.arguments,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(os.environ) | {"PYTHONPATH": str(ROOT)} | dict(command.variables),
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, port, command.ready_path, log)
        yield Serving(program, port, process.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that is ready."""

    program: LiveProgram
    port: int
    pid: int

    def play(self, speeches: Sequence[LiveSpeech], *, manual: bool = False) -> LiveRun:
        """Play all of them together, in real time, and hear everything that comes back.

        Args:
            speeches: one for each stream.
            manual: utterances end by commits, `COMMIT_AFTER_S` after each sentence that has a pause
                after it.

        Raises:
            LatePlayerError: the machine had no processor for the player.
            ContenderError: the program failed.
        """
        before_s = resources.processor_s(self.pid)
        before_bytes = resources.held_bytes(self.pid)
        try:
            found = asyncio.run(self._play(speeches, manual=manual))
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ContenderError(str(error) or type(error).__name__) from error
        late_s = max(late for _, late in found)
        if late_s > LATE_S:
            raise LatePlayerError(
                f"audio was sent {late_s * 1000:.0f} ms late, so nothing is known of it: the "
                "machine has no processor time for the player"
            )
        processor_s = resources.processor_s(self.pid) - before_s
        memory_bytes = before_bytes, resources.held_bytes(self.pid)
        return LiveRun(tuple(played for played, _ in found), processor_s, memory_bytes, late_s)

    async def _play(
        self, speeches: Sequence[LiveSpeech], *, manual: bool
    ) -> list[tuple[Played, float]]:
        streams = [
            await self.program.connect(self.port, speech.language, manual=manual)
            for speech in speeches
        ]
        begins_s = time.perf_counter() + LEAD_S
        return await asyncio.gather(
            *(
                _stream(stream, speech, begins_s + number * APART_S, manual=manual)
                for number, (stream, speech) in enumerate(zip(streams, speeches, strict=True))
            )
        )


async def _stream(
    stream: LiveConnection, speech: LiveSpeech, began_s: float, *, manual: bool
) -> tuple[Played, float]:
    """What came back, and by how much audio was late."""
    listening = asyncio.create_task(stream.listen(began_s))
    late_s = await _speak(stream, speech, began_s, manual=manual)
    async with asyncio.timeout(LONGEST_REST_S):
        return await listening, late_s


def play_first() -> None:
    """Have this process run before all others: what it sends must not be late.

    Raises:
        PermissionError: it may not.
    """
    least = os.sched_param(os.sched_get_priority_min(os.SCHED_RR))
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, least)


def serve_first(pid: int) -> None:
    """Have a server and its children run before others.

    Linux weighs sessions against each other first (sched(7), autogroups).

    Raises:
        PermissionError: this process may not say so.
    """
    for one in resources.tree(pid):
        Path(f"/proc/{one}/autogroup").write_text(str(SERVER_NICE), encoding="ascii")


async def _speak(
    stream: LiveConnection, speech: LiveSpeech, began_s: float, *, manual: bool
) -> float:
    """Send each piece when it has been spoken; see `LiveRun.late_s`."""
    data = speech.samples.tobytes()
    size = round(PIECE_S * SAMPLE_RATE_HZ) * speech.samples.itemsize
    commits_s = [
        sentence.end_s + COMMIT_AFTER_S
        for sentence in speech.sentences
        if manual and sentence.after_s > COMMIT_AFTER_S + PIECE_S
    ]
    late_s: list[float] = []
    for number, first in enumerate(range(0, len(data), size), 1):
        due_s = began_s + number * PIECE_S
        await asyncio.sleep(max(due_s - time.perf_counter(), 0.0))
        late_s.append(time.perf_counter() - due_s)
        await stream.send(data[first : first + size])
        if commits_s and number * PIECE_S >= commits_s[0]:
            del commits_s[0]
            await stream.commit()
    await stream.finish()
    return percentile(late_s, IN_TIME_PERCENT) or 0.0


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    deadline_s = time.monotonic() + LONGEST_START_S
    while not _answers(port, path):
        if process.poll() is not None:
            raise ContenderError(f"its server ended with status {process.returncode}; see {log}")
        if time.monotonic() > deadline_s:
            raise ContenderError(f"its server was not ready within {LONGEST_START_S:.0f} s")
        time.sleep(0.1)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
