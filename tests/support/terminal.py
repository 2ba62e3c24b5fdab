"""Running the command with somebody watching its standard error."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAM = (sys.executable, "-c", "from verbatim.cli.main import run; run()")
DEADLINE_S = 60.0
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


def screen_lines(output: str) -> list[str]:
    """What stands on a screen after all this was written to it, without colours or empty lines.

    Knows what rich writes to keep a region up to date; lines must fit the screen's width.
    """
    lines, row, column = [""], 0, 0
    for values, order, back, down, text in _CONTROL.findall(output):
        if text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        elif back:
            column = 0
        elif down:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif order == "A":
            row = max(0, row - int(values or 1))
        elif order == "K":
            lines[row] = ""
        else:
            assert order in "mhl", f"an order that this screen does not know: {values}{order}"
    return [line.rstrip() for line in lines if line.strip()]


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


class Screen:
    """What a program wrote to its terminal so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.written = b""

    @property
    def lines(self) -> list[str]:
        """As somebody would see it now."""
        return screen_lines(self.written.decode(errors="ignore"))

    def wait_for(self, condition: Callable[[list[str]], bool]) -> None:
        """Watch until the lines are so."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition(self.lines):
            assert time.monotonic() < deadline_s, self.lines
            time.sleep(0.02)


@contextmanager
def on_terminal(arguments: Sequence[str], cwd: Path) -> Iterator[Screen]:
    """Run `verbatim` with everything on a terminal; it is killed at the end if it still runs."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "300", "LINES": "50"},
    )
    os.close(slave)
    screen = Screen(process)

    def watch() -> None:
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:  # the other end is closed
                return
            screen.written += chunk

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        watcher.join()
        os.close(master)
