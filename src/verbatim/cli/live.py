"""`verbatim live`."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

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
from verbatim.cli.console import new_app, print_columns
from verbatim.cli.progress import download_progress
from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import LiveOptions, TurnDetection
from verbatim.domain.request import Task
from verbatim.engine.catalog import Catalog
from verbatim.settings import Settings

app = new_app()

KEY_VARIABLE: Final = "VERBATIM_API_KEY"
DEFAULTS: Final = LiveOptions()


@app.command()
def live(  # noqa: PLR0913  one for each flag
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Listen to this recording instead of the microphone."),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.1, max=100, help="Play the recording so much faster.")
    ] = 1.0,
    microphone: Annotated[
        str | None, typer.Option(help="Its name, or a part of it, or its number.")
    ] = None,
    list_microphones: Annotated[
        bool, typer.Option("--list-microphones", help="Show what there is, and leave.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="Send the audio to this server instead of decoding it here.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar=KEY_VARIABLE, help="The key for that server.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Also write this file at the end: .srt .vtt .txt .json .tsv .lrc"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every message of the session as a line of JSON.")
    ] = False,
    language: Language = None,
    task: SpokenTask = Task.TRANSCRIBE,
    prompt: Prompt = None,
    hotwords: Hotwords = None,
    silence: Annotated[
        float, typer.Option(min=0.1, max=30, help="Seconds of silence that end an utterance.")
    ] = DEFAULTS.turns.silence_s,
    second_pass: Annotated[
        bool,
        typer.Option(
            "--second-pass", help="Decode each utterance again, and show it if it differs."
        ),
    ] = False,
    model: Model = None,
    device: Device = None,
    compute_type: ComputeType = None,
    threads: Threads = None,
    offline: Offline = False,
) -> None:
    """Write down what is said into the microphone, while it is said.

    What will not change any more is shown plain, the guess at what follows dim. Ctrl-C ends it,
    with what was said last. Where standard output is no terminal, one line is printed for each
    utterance, when it is final.
    """
    from verbatim.cli.live_sources import microphones, open_source  # noqa: PLC0415  slow

    if list_microphones:
        print_columns([[str(found.number), found.name] for found in microphones()])
        return
    if file is not None and microphone is not None:
        raise BadRequestError("Give --file or --microphone, not both.", param="file")
    settings = engine_settings(model, device, compute_type, threads, offline=offline)
    options = LiveOptions(
        model=model or DEFAULTS.model,
        language=language_flag(language),
        task=task,
        prompt=prompt,
        hotwords=hotwords,
        turns=TurnDetection(silence_s=silence),
        second_pass=second_pass,
    )
    from verbatim.cli.live_record import format_for, recorded  # noqa: PLC0415  slow
    from verbatim.cli.live_screen import open_screen  # noqa: PLC0415  slow
    from verbatim.cli.live_session import listen_here, listen_there  # noqa: PLC0415  slow

    if output is not None:
        format_for(output)  # raises at once, and not after an hour of speech
    with closing(open_source(file, microphone, speed)) as source:
        prepared = _prepared(settings) if url is None else settings
        with (
            open_screen(source.name, as_json=as_json) as screen,
            recorded(screen, output, task) as shown,
        ):
            if url is None:
                asyncio.run(listen_here(prepared, options, source, shown))
            else:
                asyncio.run(listen_there(url, key, options, source, shown))


def _prepared(settings: Settings) -> Settings:
    """The settings for a command, once the model is there."""
    from verbatim.cli.logs import configure_quiet_logging  # noqa: PLC0415  slow

    with download_progress() as progress:
        Catalog(settings).default(progress)
    configure_quiet_logging(settings)
    # A command has nothing to protect from a crash but itself; nobody else shares the session.
    return settings.model_copy(update={"engine": "local", "live_idle_s": 0.0, "max_live_s": 0.0})
