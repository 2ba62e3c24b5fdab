"""`verbatim bench`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verbatim.cli.common_flags import (
    ComputeType,
    Device,
    Language,
    Offline,
    Threads,
    engine_settings,
    language_flag,
)
from verbatim.cli.console import new_app
from verbatim.cli.inputs import BadInput, Input, expand_inputs
from verbatim.cli.progress import download_progress
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import DecodeOptions, TranscriptionRequest
from verbatim.engine.catalog import Catalog
from verbatim.settings import Settings

if TYPE_CHECKING:
    from verbatim.cli.bench_runs import Stopwatch, TimedRun
    from verbatim.cli.bench_speed import Measured
    from verbatim.engine.protocol import EngineDescription

app = new_app()

EXIT_SOME_FAILED: Final = 1
AT_ONCE: Final = 8


@app.command()
def bench(  # noqa: PLR0913  one for each flag
    model: Annotated[str, typer.Argument(help="A name, a hub name or a folder; auto.")] = "auto",
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Recordings, folders (with all below), patterns; five minutes of bundled speech "
            "if none is given.",
        ),
    ] = None,
    *,
    short_context: Annotated[
        bool,
        typer.Option(
            "--short-context",
            help="Compare short audio encoded at its own length with all of it at 30 s.",
        ),
    ] = False,
    language: Language = None,
    at_once: Annotated[
        int,
        typer.Option(min=0, help="How often the shortest recording is asked for at once; 0: not."),
    ] = AT_ONCE,
    beam_size: Annotated[int, typer.Option(min=1, help="Hypotheses in beam search.")] = 5,
    device: Device = None,
    compute_type: ComputeType = None,
    threads: Threads = None,
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the texts.")] = False,
) -> None:
    """Measure a model on this machine: recordings one after another, then several at once.

    With --short-context each is transcribed twice, and how far both texts are apart is shown: what
    encoding short audio at its own length saves, and what it changes.
    """
    flags = engine_settings(model, device, compute_type, threads, offline=offline)
    settings = flags.model_copy(update={"engine": "local"})
    if short_context and not files:
        raise BadRequestError("Name recordings of your own for --short-context.")
    inputs = _recordings(files or [])
    decode = DecodeOptions(language=language_flag(language), beam_size=beam_size)
    request = TranscriptionRequest(decode=decode)
    # Imported late: they take longer than all the rest, and mistakes are better told before.
    from verbatim.cli.bench_report import print_comparison  # noqa: PLC0415
    from verbatim.cli.bench_speed import print_measured  # noqa: PLC0415
    from verbatim.cli.logs import configure_quiet_logging  # noqa: PLC0415

    configure_quiet_logging(settings)
    catalog = Catalog(settings)
    with download_progress() as progress:
        catalog.default(progress)
    runs: Mapping[str, TimedRun]
    if short_context:
        full = _with_context(settings, short=False)
        first = asyncio.run(_time_all(full, catalog, request, inputs))
        heard = [item for item in inputs if item.label in first]
        fitted = _with_context(settings, short=True)
        runs = asyncio.run(_time_all(fitted, catalog, request, heard))
        print_comparison(first, runs, as_json=as_json)
    else:
        measured = asyncio.run(_measure(settings, catalog, request, inputs, at_once))
        print_measured(measured, as_json=as_json)
        runs = measured.runs
    if len(runs) < len(inputs):
        raise typer.Exit(EXIT_SOME_FAILED)


def _recordings(files: Sequence[str]) -> list[Input]:
    """The recordings that are meant; all of them must be there.

    Raises:
        NotFoundError: an argument leads to none.
        BadRequestError: standard input, which cannot be read twice.
    """
    inputs: list[Input] = []
    for item in expand_inputs(files):
        if isinstance(item, BadInput):
            raise type(item.error)(f"{item.label}: {item.error.message}")
        if item.path is None:
            raise BadRequestError("Standard input cannot be measured; name files or folders.")
        inputs.append(item)
    return inputs


def _with_context(settings: Settings, *, short: bool) -> Settings:
    return settings.model_copy(update={"short_context": short})


@asynccontextmanager
async def _stopwatch(
    settings: Settings, catalog: Catalog, request: TranscriptionRequest
) -> AsyncIterator[tuple[Stopwatch, EngineDescription]]:
    """The model, loaded as the settings say, and what it is."""
    from verbatim.cli.bench_runs import Stopwatch  # noqa: PLC0415  slow
    from verbatim.pipeline import local_service  # noqa: PLC0415  slow

    engine = await local_service.load_engine(settings, catalog, settings.model)
    frontend = local_service.new_frontend(settings)
    async with aclosing(Stopwatch(engine, frontend, request, time.perf_counter)) as stopwatch:
        yield stopwatch, engine.describe()


async def _time_all(
    settings: Settings, catalog: Catalog, request: TranscriptionRequest, inputs: Sequence[Input]
) -> Mapping[str, TimedRun]:
    """Transcribe recordings one after another; those that fail are told of and left out."""
    measured = await _measure(settings, catalog, request, inputs, 0)
    return measured.runs


async def _measure(
    settings: Settings,
    catalog: Catalog,
    request: TranscriptionRequest,
    inputs: Sequence[Input],
    at_once: int,
) -> Measured:
    """Transcribe recordings, or the bundled one, one after another and several at once."""
    from verbatim.cli.bench_speed import measure  # noqa: PLC0415  slow

    paths = {item.label: item.path for item in inputs if item.path is not None}
    async with _stopwatch(settings, catalog, request) as (stopwatch, description):
        return await measure(stopwatch, description, paths, at_once)
