"""A model's process whose engine is a fake that does what a window's prompt tells it.

The prompt's first word is the deed, the rest its argument; the model's name says how it loads.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from verbatim.domain.audio import Window
from verbatim.domain.errors import BadRequestError, ModelUnavailableError
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.engine.frames import Load, Prepare, WorkerSpec
from verbatim.engine.protocol import Engine
from verbatim.engine.worker import serve

BLOCK_BYTES = 64 * 1024
CRUMB_BYTES = 1024
REST_S = 1.0
HOARD: list[bytearray] = []


def first_time(path: str) -> bool:
    """Whether this was not asked before, by any process."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def do(deed: str, argument: str) -> None:
    match deed:
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash-once" if first_time(argument):
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang" | "hang-once" if deed == "hang" or first_time(argument):
            time.sleep(3_600)
        case "take":
            time.sleep(float(argument))
        case "until":
            while not Path(argument).exists():
                time.sleep(0.005)
        case "touch":
            Path(argument).touch()
        case "hoard":
            HOARD.append(bytearray(b"x") * int(argument))
        case "litter":
            litter(int(argument))
        case "refuse":
            raise BadRequestError("This is refused.", param="prompt", code="refused")
        case "fail":
            raise KeyError("a secret of the code")
        case "talk":
            os.write(1, b"a" * 100_000 + b"\nlast words without an end")


def litter(size: int) -> None:
    """Use memory and free it, so that the C library cannot return it: a crumb lies above it."""
    blocks = [b"x" * BLOCK_BYTES for _ in range(size // BLOCK_BYTES)]
    HOARD.append(bytearray(CRUMB_BYTES))
    blocks.clear()


ONE_AT_A_TIME = asyncio.Lock()


async def deeds(windows: Sequence[Window]) -> None:
    """In a thread, as real engines; but to freeze is to keep the whole process from its work."""
    for window in windows:
        deed, _, argument = (window.options.initial_prompt or "").partition(" ")
        if deed == "freeze":
            time.sleep(3_600)  # noqa: ASYNC251 - that is the point
        if deed == "arrive":
            Path(argument).touch()  # noqa: ASYNC240 - takes no time
        async with ONE_AT_A_TIME:
            await asyncio.to_thread(do, deed, argument)


class OddLoader:
    def begin(self) -> None:
        pass

    def prepare(self, demand: Prepare) -> None:
        note(demand.spec, f"prepares {demand.encoder}")

    def load(self, demand: Load) -> Engine:
        note(demand.spec, "loads again" if demand.tried else "loads")
        return load(demand.spec)


def note(spec: WorkerSpec, what: str) -> None:
    """Write down what the process does, for a model that wants it."""
    deed, _, argument = spec.name.partition(" ")
    if deed == "note":
        with Path(argument).open("a") as file:
            file.write(f"{os.getpid()} {what}\n")


def load(spec: WorkerSpec) -> Engine:
    deed, _, argument = spec.name.partition(" ")
    if deed == "unavailable":
        raise ModelUnavailableError("This model is broken.")
    if deed == "bug":
        raise KeyError("a secret of the code")
    if deed == "dies" or (deed == "dies-once" and first_time(argument)):
        sys.stderr.write("libodd.so.1: cannot open shared object file\n")
        sys.stderr.flush()
        os._exit(3)
    if deed == "hangs":
        time.sleep(3_600)
    return FakeEngine(interruption=deeds, description=replace(FAKE_DESCRIPTION, model=spec.name))


if __name__ == "__main__":
    serve(int(sys.argv[1]), OddLoader(), REST_S)
