"""`verbatim loadtest`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from verbatim.cli.console import new_app, print_json, say
from verbatim.cli.inputs import BadInput, expand_inputs
from verbatim.cli.loadtest_run import WIRES, Answer, Load, Outcome, Recording, apply_load
from verbatim.domain.errors import BadRequestError, NotFoundError
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.decode_audio import open_audio

app = new_app()

EXIT_SOME_FAILED: Final = 1
DEFAULT_URL: Final = "http://127.0.0.1:8000"
SHOWN_ERRORS: Final = 10
MAX_TOTAL_BYTES: Final = 1024**3
"""All recordings are held in memory, so that no disk slows the load down."""


@app.command()
def loadtest(  # noqa: PLR0913  one for each flag
    files: Annotated[
        list[str],
        typer.Option("--file", "-f", metavar="FILE", help="A recording; several take turns."),
    ],
    *,
    url: Annotated[str, typer.Option(help="The server, without a path.")] = DEFAULT_URL,
    requests: Annotated[int, typer.Option("--requests", "-n", min=1, help="How many.")] = 200,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, help="How many at the same time.")
    ] = 20,
    dialect: Annotated[
        str, typer.Option(help=f"What to speak: {', '.join(WIRES)}.", metavar="NAME")
    ] = "openai",
    model: Annotated[str | None, typer.Option(help="The model to ask for.")] = None,
    language: Annotated[str | None, typer.Option("--language", "-l", help="A code.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="VERBATIM_LOADTEST_KEY", help="A key, where the server wants one."),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds after which an answer is missing.")
    ] = 300.0,
    cached: Annotated[
        bool, typer.Option("--cached", help="Let the server answer from its cache.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a server for many transcriptions at once, and show how it bears it.

    Ctrl-C ends it early, with the figures of what was answered. The exit status is 1 if any
    request failed.
    """
    if dialect not in WIRES:
        raise BadRequestError(f"There is no dialect {dialect!r}; there are: {', '.join(WIRES)}.")
    if not url.startswith(("http://", "https://")):
        raise BadRequestError(f"{url!r} is no address of a server; one is {DEFAULT_URL}.")
    wire = WIRES[dialect]
    fields = {"language": language} if language else {}
    if wire.model_field and (model or dialect == "openai"):
        fields[wire.model_field] = model or "whisper-1"
    load = Load(
        url=url.rstrip("/"),
        wire=wire,
        recordings=_recordings(files),
        requests=requests,
        concurrency=min(concurrency, requests),
        timeout_s=timeout_s,
        api_key=api_key,
        fields=fields,
        cached=cached,
    )
    outcome = asyncio.run(_with_progress(load))
    if as_json:
        print_json(
            {"url": url, "dialect": dialect, "concurrency": concurrency, **outcome.figures()}
        )
    else:
        _show(load, outcome)
    if outcome.errors or len(outcome.answers) < requests:
        raise typer.Exit(EXIT_SOME_FAILED)


def _recordings(files: Sequence[str]) -> tuple[Recording, ...]:
    """The recordings in memory, with their lengths.

    Raises:
        NotFoundError: one is not there, or cannot be read.
        BadRequestError: they are too large together.
    """
    found = []
    total_bytes = 0
    for item in expand_inputs(files):
        if isinstance(item, BadInput):
            raise NotFoundError(f"{item.label}: {item.error.message}") from item.error
        path = item.path
        if path is None:
            raise BadRequestError("The load needs a file; standard input can be read only once.")
        try:
            total_bytes += path.stat().st_size
            if total_bytes > MAX_TOTAL_BYTES:
                raise BadRequestError("The recordings are larger than 1 GiB together; take fewer.")
            found.append(Recording(path.name, path.read_bytes(), _duration_s(path)))
        except OSError as error:
            raise NotFoundError(f"{path} cannot be read: {error.strerror}.") from error
    return tuple(found)


def _duration_s(path: Path) -> float:
    with open_audio(path) as reader:
        return sum(len(block) for block in reader) / SAMPLE_RATE_HZ


async def _with_progress(load: Load) -> Outcome:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        row = progress.add_task(load.url, total=load.requests)

        def advance(_: Answer) -> None:
            progress.advance(row)

        running = asyncio.ensure_future(apply_load(load, advance))
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, running.cancel)
        return await running


def _show(load: Load, outcome: Outcome) -> None:
    figures = outcome.figures()
    table = Table(title=f"{load.url}{load.wire.path}, {load.concurrency} at the same time")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in (
        ("answered", f"{figures['good']} of {load.requests}"),
        ("time", f"{outcome.wall_s:.2f} s"),
        ("requests a second", f"{figures['requests_per_s']:.2f}"),
        ("x real time", f"{figures['audio_s_per_s']:.1f}"),
        ("p50", f"{figures['p50_s']:.3f} s"),
        ("p95", f"{figures['p95_s']:.3f} s"),
        ("p99", f"{figures['p99_s']:.3f} s"),
        ("fastest, slowest", f"{figures['min_s']:.3f} s, {figures['max_s']:.3f} s"),
        ("errors", str(figures["failed"])),
    ):
        table.add_row(name, value)
    Console().print(table)
    for error, times in list(outcome.errors.items())[:SHOWN_ERRORS]:
        say(f"{times} x {error}")
