"""A process that starts a model's process, says its number, and has it do something."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import numpy as np
from tests.support.odd_worker import __file__ as odd_worker

from verbatim.domain.audio import Window
from verbatim.domain.request import DecodeOptions
from verbatim.engine.frames import WorkerSpec
from verbatim.engine.process import ProcessEngine, Supervision


async def main() -> None:
    engine = await ProcessEngine.start(
        WorkerSpec(Path(), "odd"), Supervision(command=(sys.executable, odd_worker)), time.monotonic
    )
    # Standard output has the log.
    sys.stderr.write(f"{engine.pid}\n")
    sys.stderr.flush()
    options = DecodeOptions(initial_prompt=sys.argv[1])
    await engine.run([Window(np.ones(16, np.int16), options=options)])


if __name__ == "__main__":
    asyncio.run(main())
