"""What `verbatim live` shows: the messages of `/v1/live`, whether they come from there or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from verbatim.cli.console import print_json, say, say_error, say_warning

REFRESH_HZ: Final = 12

Message = dict[str, Any]


class Screen(Protocol):
    """Something that messages are shown on."""

    def show(self, message: Message) -> None:
        """Show the next message."""
        ...


class JsonLines:
    """Every message as a line."""

    def show(self, message: Message) -> None:
        """Print it."""
        print_json(message)
        sys.stdout.flush()


class Lines:
    """A line for each utterance, for files and pipes."""

    def show(self, message: Message) -> None:
        """Print the text of a final message."""
        if message["type"] == "text" and message["is_final"] and message["committed"]:
            typer.echo(message["committed"])
            sys.stdout.flush()
        else:
            tell_problem(message)


class Terminal:
    """Text as it grows: what is committed plain, the guess at what follows dim.

    Args:
        console: standard output.
        region: where the open utterance is shown.
        listening_to: what is said when everything is ready.
    """

    def __init__(self, console: Console, region: Live, listening_to: str) -> None:
        self._console = console
        self._region = region
        self._listening_to = listening_to
        self._last_final = -1, ""

    def show(self, message: Message) -> None:
        """Show the text so far; a final one stays."""
        kind = message["type"]
        if kind == "text" and not message["is_final"]:
            line = Text(message["committed"])
            line.append(message["tail"], style="dim")
            self._region.update(line)
        elif kind == "text":
            # At once, or what is printed above would have the old guess below it for a moment.
            self._region.update(Text(""), refresh=True)
            if message["committed"]:
                self._console.print(Text(message["committed"]))
            self._last_final = message["utterance"], message["committed"]
        elif kind == "second_pass":
            self._show_again(message)
        else:
            tell_problem(message)
            if kind == "ready":
                say(f"Listening to {self._listening_to}; Ctrl-C ends it.")

    def _show_again(self, message: Message) -> None:
        if (message["utterance"], message["text"]) != self._last_final:
            self._console.print(Text(f"  → {message['text']}", style="italic"))


def tell_problem(message: Message) -> None:
    """Say on standard error what went wrong, if that is what the message is about."""
    if message["type"] == "failed":
        say_error(str(message["error"]["message"]))
    elif message["type"] == "ready":
        for warning in message["warnings"]:
            say_warning(str(warning["message"]))


@contextmanager
def open_screen(listening_to: str, *, as_json: bool) -> Iterator[Screen]:
    """What fits standard output: a terminal is kept up to date, a file gets lines."""
    if as_json:
        yield JsonLines()
    elif not sys.stdout.isatty():
        yield Lines()
    else:
        console = Console()
        with Live(
            console=console,
            refresh_per_second=REFRESH_HZ,
            transient=True,
            # Into a file they go as they are.
            redirect_stderr=sys.stderr.isatty(),
        ) as region:
            yield Terminal(console, region, listening_to)
