"""`verbatim transcribe`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verbatim.cli.common_flags import (
    ComputeType,
    Device,
    Hotwords,
    Language,
    Model,
    Offline,
    Prompt,
    SpokenTask,
    Threads,
    engine_settings,
    language_flag,
)
from verbatim.cli.console import new_app
from verbatim.cli.inputs import Input, expand_inputs
from verbatim.cli.progress import download_progress
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import (
    DEFAULT_TEMPERATURES,
    DecodeOptions,
    Script,
    Strategy,
    Task,
    TranscriptionRequest,
)
from verbatim.engine.catalog import Catalog
from verbatim.render.formats import FORMATS, Granularity, RenderOptions, ResponseFormat
from verbatim.settings import Settings
from verbatim.stages.captions import CaptionLimits

if TYPE_CHECKING:
    from verbatim.cli.transcription import Plan

app = new_app()

EXIT_SOME_FAILED: Final = 1
MOST_HYPOTHESES: Final = 20
_SEGMENTS: Final = frozenset({Granularity.SEGMENT})
_WITH_WORDS: Final = frozenset({Granularity.SEGMENT, Granularity.WORD})


@app.command(no_args_is_help=True)
def transcribe(  # noqa: PLR0913  one for each flag
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Recordings, folders (with all below), patterns, or - for standard input.",
        ),
    ],
    *,
    formats: Annotated[
        list[ResponseFormat] | None,
        typer.Option(
            "--format", "-f", help="What to write; more than one needs -o.", show_default="text"
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Write files here instead of printing."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each recording.")
    ] = False,
    word_timestamps: Annotated[
        bool, typer.Option("--word-timestamps", "-w", help="Find each word's time.")
    ] = False,
    max_line_chars: Annotated[int | None, typer.Option(help="Longest line of a subtitle.")] = None,
    max_lines: Annotated[int | None, typer.Option(help="Lines of a subtitle.")] = None,
    max_cue_s: Annotated[
        float | None, typer.Option(help="Longest time of a subtitle, seconds.")
    ] = None,
    max_chars_per_s: Annotated[
        float | None, typer.Option(help="Reading speed of subtitles.")
    ] = None,
    language: Language = None,
    task: SpokenTask = Task.TRANSCRIBE,
    script: Annotated[Script, typer.Option(help="Chinese script of the text.")] = Script.AS_SPOKEN,
    multilingual: Annotated[
        bool, typer.Option("--multilingual", help="The recording has several languages.")
    ] = False,
    prompt: Prompt = None,
    hotwords: Hotwords = None,
    vad: Annotated[
        bool, typer.Option("--vad/--no-vad", help="Leave out what is not speech.")
    ] = True,
    strategy: Annotated[
        Strategy | None,
        typer.Option(help="Decode windows at once, or one after another.", show_default="parallel"),
    ] = None,
    condition_on_previous_text: Annotated[
        bool,
        typer.Option(
            "--condition-on-previous-text",
            help="Give each window the text before it; implies --strategy sequential.",
        ),
    ] = False,
    beam_size: Annotated[
        int, typer.Option(min=1, max=MOST_HYPOTHESES, help="Hypotheses in beam search.")
    ] = 5,
    temperature: Annotated[
        float,
        typer.Option(min=0, max=1, help="0 goes higher where the result is poor; others stay."),
    ] = 0,
    model: Model = None,
    device: Device = None,
    compute_type: ComputeType = None,
    threads: Threads = None,
    offline: Offline = False,
) -> None:
    """Write down what is said in audio and video files.

    One recording is printed as it is; several are printed one after another, each under its name.
    With an output folder each becomes a file there. The exit status is 1 if any of them failed.
    """
    settings = engine_settings(model, device, compute_type, threads, offline=offline)
    # Imported late: it takes longer than all the rest, and mistakes are better told before.
    from verbatim.cli.transcription import Plan  # noqa: PLC0415

    chosen = tuple(dict.fromkeys(formats or [ResponseFormat.TEXT]))
    plan = Plan(
        inputs=expand_inputs(files),
        request=TranscriptionRequest(
            decode=DecodeOptions(
                language=language_flag(language),
                task=task,
                word_timestamps=word_timestamps or any(FORMATS[f].from_words for f in chosen),
                beam_size=beam_size,
                temperatures=(temperature,) if temperature else DEFAULT_TEMPERATURES,
                initial_prompt=prompt,
                hotwords=hotwords,
            ),
            strategy=_strategy(strategy, after_text=condition_on_previous_text),
            condition_on_previous_text=condition_on_previous_text,
            detect_language_per_window=multilingual,
            vad=vad,
            script=script,
        ),
        formats=chosen,
        options=RenderOptions(
            granularities=_WITH_WORDS if word_timestamps else _SEGMENTS,
            captions=CaptionLimits(
                max_lines=max_lines,
                max_line_chars=max_line_chars,
                max_cue_s=max_cue_s,
                max_chars_per_s=max_chars_per_s,
            ),
        ),
        output_dir=output_dir,
        as_json=as_json,
        spool_dir=settings.spool_dir,
    )
    _check_destination(plan)
    if asyncio.run(_run(plan, settings)):
        raise typer.Exit(EXIT_SOME_FAILED)


async def _run(plan: Plan, settings: Settings) -> int:
    catalog = Catalog(settings)
    if any(isinstance(item, Input) for item in plan.inputs):
        with download_progress() as progress:
            catalog.default(progress)
    from verbatim.cli.logs import configure_quiet_logging  # noqa: PLC0415  slow
    from verbatim.cli.transcription import Service, Transcriber  # noqa: PLC0415  slow
    from verbatim.pipeline.local_service import open_service  # noqa: PLC0415  slow

    configure_quiet_logging(settings)
    # A command has nothing to protect from a crash but itself.
    own_process = settings.model_copy(update={"engine": "local"})
    async with open_service(own_process, catalog) as opened:
        service: Service = opened
        return await Transcriber(service, plan).run()


def _check_destination(plan: Plan) -> None:
    """Refuse what could not be told apart on standard output.

    Raises:
        BadRequestError: an output folder is needed, or --json.
    """
    if plan.output_dir is not None or plan.as_json:
        return
    if len(plan.formats) > 1:
        raise BadRequestError("Several formats need an output folder: add --output-dir FOLDER.")
    if len(plan.inputs) > 1 and plan.formats[0] is not ResponseFormat.TEXT:
        raise BadRequestError(
            f"Several recordings cannot be printed as {plan.formats[0].value}: add "
            "--output-dir FOLDER, or --json."
        )


def _strategy(asked: Strategy | None, *, after_text: bool) -> Strategy:
    if after_text and asked is Strategy.PARALLEL:
        raise BadRequestError(
            "--condition-on-previous-text needs --strategy sequential: windows decoded at once "
            "cannot know the text before them."
        )
    return Strategy.SEQUENTIAL if after_text else asked or Strategy.PARALLEL
