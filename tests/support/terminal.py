"""Running the command with somebody watching its standard error."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

PROGRAM = (sys.executable, "-c", "from verbatim.cli.main import run; run()")
DEADLINE_S = 60.0


def run_on_terminal(arguments: Sequence[str], cwd: Path) -> tuple[str, str]:
    """Run `verbatim` until it ends well.

    Returns:
        What it wrote to standard output, which is a pipe, and to standard error, a terminal.
    """
    master, slave = pty.openpty()
    shown: list[bytes] = []

    def watch() -> None:
        # The terminal holds little: a program that nobody watches would wait.
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:  # the other end is closed
                return
            shown.append(chunk)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            timeout=DEADLINE_S,
            check=True,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
    finally:
        os.close(slave)
        watcher.join()
        os.close(master)
    return done.stdout, b"".join(shown).decode()
