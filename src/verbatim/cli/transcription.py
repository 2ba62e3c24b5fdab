"""Transcribing one recording after another, and where the results go."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, Protocol

import typer

from verbatim.cli.console import print_json, say_error, say_warning
from verbatim.cli.inputs import BadInput, Input
from verbatim.cli.outputs import OutputNames, write_whole
from verbatim.cli.progress import TranscriptionBar
from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    ModelNotFoundError,
    ModelUnavailableError,
    StorageFullError,
    VerbatimError,
)
from verbatim.domain.events import Finished, Progress, TranscriptionEvent
from verbatim.domain.request import TranscriptionRequest
from verbatim.domain.transcript import Transcript, TranscriptWarning, WarningCode
from verbatim.pipeline.service import Recording
from verbatim.render.formats import Rendered, RenderOptions, ResponseFormat, render
from verbatim.render.verbose_json import render_verbose_json

_OF_THE_MODEL: Final = frozenset({WarningCode.DEMO_MODEL, WarningCode.DEVICE_FALLBACK})


class Run(Protocol):
    """What is followed of a transcription; `pipeline.service.Run` is one."""

    def events(self) -> AsyncIterator[TranscriptionEvent]:
        """Everything until it is finished."""
        ...


class Service(Protocol):
    """What is needed to transcribe; `pipeline.service.TranscriptionService` is one."""

    async def start(self, recording: Recording, request: TranscriptionRequest) -> Run:
        """Start a transcription."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command line asks for.

    Attributes:
        formats: what is written; more than one only with an output folder.
        output_dir: None prints to standard output.
        as_json: print a JSON object for each recording on a line of its own.
        spool_dir: where standard input is kept meanwhile; None is the system's place.
    """

    inputs: tuple[Input | BadInput, ...]
    request: TranscriptionRequest
    formats: tuple[ResponseFormat, ...]
    options: RenderOptions
    output_dir: Path | None
    as_json: bool
    spool_dir: Path | None

    @property
    def recordings(self) -> tuple[Input, ...]:
        """The inputs that there are."""
        return tuple(item for item in self.inputs if isinstance(item, Input))


class Transcriber:
    """Goes through a plan with a service."""

    def __init__(self, service: Service, plan: Plan) -> None:
        self._service = service
        self._plan = plan
        self._names = OutputNames(plan.output_dir, plan.recordings) if plan.output_dir else None
        self._printed = False
        self._said: set[str] = set()

    async def run(self) -> int:
        """Transcribe everything; a recording that fails does not stop the others.

        Returns:
            How many failed.

        Raises:
            ModelNotFoundError, ModelUnavailableError: no recording can be transcribed.
        """
        failures = 0
        for item in self._plan.inputs:
            try:
                if isinstance(item, BadInput):
                    raise item.error
                self._deliver(item, await self._transcript(item))
            except (ModelNotFoundError, ModelUnavailableError):
                raise
            except VerbatimError as error:
                failures += 1
                say_error(f"{item.label}: {error.message}")
                if self._plan.as_json:
                    failure = {"message": error.message, "code": error.code or error.kind.value}
                    print_json({"file": item.label, "error": failure})
        return failures

    async def _transcript(self, item: Input) -> Transcript:
        with (
            _on_disk(item, self._plan.spool_dir) as path,
            TranscriptionBar(item.relative.name) as bar,
        ):
            run = await self._service.start(Recording(path), self._plan.request)
            transcript = None
            async for event in run.events():
                if isinstance(event, Progress):
                    bar.show(event)
                elif isinstance(event, Finished):
                    transcript = event.transcript
        if transcript is None:
            raise InternalError("The transcription ended without a result. Please report this.")
        return transcript

    def _deliver(self, item: Input, transcript: Transcript) -> None:
        plan = self._plan
        self._warn(item, transcript.warnings)
        written = []
        only_json = plan.as_json and self._names is None
        for form in () if only_json else plan.formats:
            rendered = render(transcript, form, plan.options)
            if self._names is None:
                self._print(item, _text(rendered))
                continue
            written.append(self._names.next_for(item, rendered.extension))
            write_whole(written[-1], _text(rendered))
        if plan.as_json:
            body = render_verbose_json(transcript, plan.options)
            outputs = {"outputs": [str(path) for path in written]} if written else {}
            print_json({"file": item.label, "model": transcript.model, **body, **outputs})

    def _print(self, item: Input, text: str) -> None:
        if len(self._plan.inputs) > 1:
            typer.echo(f"\n==> {item.label} <==" if self._printed else f"==> {item.label} <==")
            self._printed = True
        typer.echo(text, nl=False)

    def _warn(self, item: Input, warnings: Sequence[TranscriptWarning]) -> None:
        """Say what a reader should know; what is the same for all recordings is said once."""
        for warning in warnings:
            if warning.code in _OF_THE_MODEL:
                if warning.message not in self._said:
                    say_warning(warning.message)
                self._said.add(warning.message)
                continue
            start, end = warning.start, warning.end
            span = "" if start is None else f" [{start:.1f}-{end or start:.1f} s]"
            say_warning(f"{item.label}{span}: {warning.message}")


def _text(rendered: Rendered) -> str:
    """An answer as a file holds it, with a line end at its end."""
    body = rendered.body
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, indent=2)
    return text if text.endswith("\n") else text + "\n"


@contextmanager
def _on_disk(item: Input, spool_dir: Path | None) -> Iterator[Path]:
    """The recording as a file; standard input is kept in a temporary one."""
    if item.path is not None:
        yield item.path
        return
    if sys.stdin.isatty():
        raise BadRequestError("Nothing is sent to standard input. Use: … | verbatim transcribe -")
    with ExitStack() as stack:
        try:
            kept = stack.enter_context(NamedTemporaryFile(prefix="verbatim-", dir=spool_dir))
            shutil.copyfileobj(sys.stdin.buffer, kept)
            kept.flush()
        except OSError as error:
            raise StorageFullError(
                f"Standard input cannot be kept: {error.strerror or error}. Check the folder "
                "VERBATIM_SPOOL_DIR and its disk."
            ) from error
        yield Path(kept.name)
