"""What commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Final

import typer

BYTES_PER_UNIT: Final = 1000
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def new_app(help_text: str | None = None, *, group: bool = False) -> typer.Typer:
    """A typer application in the manner of ours: plain text, tracebacks only for our own faults."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=group,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def say_error(message: str) -> None:
    """A failure, on standard error."""
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)


def say_warning(message: str) -> None:
    """Something to know, on standard error."""
    typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)


def say(message: str) -> None:
    """What is going on, on standard error."""
    typer.echo(message, err=True)


def print_json(value: object) -> None:
    """One JSON value on a line of its own."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows of cells, each column as wide as its widest cell; spaces at line ends are left out."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def on_terminal() -> bool:
    """Whether somebody watches standard error."""
    return sys.stderr.isatty()


def size(count_bytes: int) -> str:
    """Bytes as people read them: 486 MB, 1.6 GB."""
    value = float(count_bytes)
    unit = 0
    while value >= BYTES_PER_UNIT and unit < len(_UNITS) - 1:
        value /= BYTES_PER_UNIT
        unit += 1
    digits = 1 if value < 10 and unit > 0 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"
