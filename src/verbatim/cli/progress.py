"""Progress on standard error: bars where somebody watches, a line now and then where not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from verbatim.cli.console import on_terminal, say, size
from verbatim.domain.events import Progress as Heard
from verbatim.engine.downloads import DownloadProgress, ProgressListener


@contextmanager
def download_progress() -> Iterator[ProgressListener]:
    """Something to hand to the catalog; it shows nothing until a download begins."""
    if not on_terminal():
        yield _lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", visible=False, total=None)

        def show(heard: DownloadProgress) -> None:
            verb = "Downloading" if heard.phase == "download" else "Verifying"
            bars.update(
                bar,
                description=f"{verb} {heard.model}",
                completed=heard.done_bytes,
                total=heard.total_bytes,
                visible=True,
            )

        yield show


def _lines() -> ProgressListener:
    """Ten lines for a download, whatever its size."""
    told = -1

    def show(heard: DownloadProgress) -> None:
        nonlocal told
        tenths = 10 * heard.done_bytes // max(1, heard.total_bytes)
        if heard.phase == "download" and tenths != told:
            told = tenths
            say(f"Downloading {heard.model}: {10 * tenths} % of {size(heard.total_bytes)}")

    return show


class _SpeedColumn(ProgressColumn):
    """How many times faster than real time."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}x", style="progress.data.speed")


class TranscriptionBar:
    """A bar for one recording; without a terminal it is silent.

    Args:
        name: what is shown before the bar.
        visible: None shows it where standard error is a terminal.
    """

    def __init__(self, name: str, *, visible: bool | None = None) -> None:
        shown = on_terminal() if visible is None else visible
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            _SpeedColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not shown,
        )
        self._task = self._bars.add_task(name, total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def show(self, heard: Heard) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=heard.done_s, total=heard.duration_s)
