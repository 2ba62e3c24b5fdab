"""`verbatim bench`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from verbatim.cli.console import new_app, say_error
from verbatim.cli.inputs import BadInput, Input, expand_inputs
from verbatim.cli.progress import download_progress
from verbatim.domain.errors import BadRequestError, VerbatimError
from verbatim.domain.request import DecodeOptions, TranscriptionRequest
from verbatim.engine.catalog import Catalog
from verbatim.settings import Settings, load_settings
from verbatim.stages.language_names import language_code

if TYPE_CHECKING:
    from verbatim.cli.bench_runs import TimedRun

app = new_app()

EXIT_SOME_FAILED: Final = 1


@app.command(no_args_is_help=True)
def bench(  # noqa: PLR0913  one for each flag
    model: Annotated[str, typer.Argument(help="A name, a hub name or a folder; auto.")],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Recordings, folders (with all below), patterns."),
    ],
    *,
    short_context: Annotated[
        bool,
        typer.Option(
            "--short-context",
            help="Compare short audio encoded at its own length with all of it at 30 s.",
        ),
    ] = False,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="A code or name; detected if not given.")
    ] = None,
    beam_size: Annotated[int, typer.Option(min=1, help="Hypotheses in beam search.")] = 5,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where the model runs.")
    ] = None,
    compute_type: Annotated[
        str | None, typer.Option(help="Number format of the weights: int8, float16 …")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Threads on the CPU; 0: all.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the texts.")] = False,
) -> None:
    """Measure a model on recordings of your own, one after another.

    With --short-context each is transcribed twice, and how far both texts are apart is shown: what
    encoding short audio at its own length saves, and what it changes.
    """
    settings = load_settings(
        {
            "model": model,
            "device": device,
            "compute_type": compute_type,
            "cpu_threads": threads,
            "offline": offline or None,
            "engine": "local",
        }
    )
    inputs = _recordings(files)
    code = language_code(language) if language else None
    request = TranscriptionRequest(decode=DecodeOptions(language=code, beam_size=beam_size))
    # Imported late: they take longer than all the rest, and mistakes are better told before.
    from verbatim.cli.bench_report import print_comparison, print_speed  # noqa: PLC0415
    from verbatim.cli.logs import configure_quiet_logging  # noqa: PLC0415

    configure_quiet_logging(settings)
    catalog = Catalog(settings)
    with download_progress() as progress:
        catalog.default(progress)
    if short_context:
        full = _with_context(settings, short=False)
        first = asyncio.run(_time_all(full, catalog, request, inputs))
        heard = [item for item in inputs if item.label in first]
        fitted = _with_context(settings, short=True)
        runs = asyncio.run(_time_all(fitted, catalog, request, heard))
        print_comparison(first, runs, as_json=as_json)
    else:
        runs = asyncio.run(_time_all(settings, catalog, request, inputs))
        print_speed(runs, as_json=as_json)
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


async def _time_all(
    settings: Settings, catalog: Catalog, request: TranscriptionRequest, inputs: Sequence[Input]
) -> dict[str, TimedRun]:
    """Transcribe recordings one after another; those that fail are told of and left out."""
    from verbatim.cli.bench_runs import Stopwatch  # noqa: PLC0415  slow
    from verbatim.pipeline import local_service  # noqa: PLC0415  slow

    runs: dict[str, TimedRun] = {}
    engine = await local_service.load_engine(settings, catalog, settings.model)
    frontend = local_service.new_frontend(settings)
    async with aclosing(Stopwatch(engine, frontend, request, time.perf_counter)) as stopwatch:
        for item in inputs:
            if item.path is None:
                continue
            try:
                runs[item.label] = await stopwatch.time(item.path)
            except VerbatimError as error:
                say_error(f"{item.label}: {error.message}")
    return runs
