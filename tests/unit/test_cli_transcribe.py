"""`verbatim transcribe`: what it asks of the service, and what becomes of the answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.terminal import run_on_terminal
from typer.testing import CliRunner, Result

from verbatim.cli.doctor_checks import SELF_CHECK_SOUND
from verbatim.cli.main import app
from verbatim.domain.errors import ModelUnavailableError, NotAudioError, VerbatimError
from verbatim.domain.events import Finished, Progress, SegmentReady, TranscriptionEvent
from verbatim.domain.request import (
    DEFAULT_TEMPERATURES,
    DecodeOptions,
    Script,
    Strategy,
    Task,
    TranscriptionRequest,
)
from verbatim.domain.transcript import Segment, Transcript, TranscriptWarning, WarningCode
from verbatim.engine.catalog import Catalog
from verbatim.engine.known_models import DEMO_NAME
from verbatim.pipeline import local_service
from verbatim.pipeline.service import Recording
from verbatim.settings import Settings


@dataclass
class FakeService:
    """Says what a file's bytes say; what begins with ERROR fails."""

    heard: list[bytes] = field(default_factory=list)
    requests: list[TranscriptionRequest] = field(default_factory=list)
    settings: Settings | None = None
    warnings: tuple[TranscriptWarning, ...] = ()
    error: VerbatimError | None = None
    closed: bool = False

    async def start(self, recording: Recording, request: TranscriptionRequest) -> FakeRun:
        assert isinstance(recording.source, Path)
        content = recording.source.read_bytes()
        self.heard.append(content)
        self.requests.append(request)
        return FakeRun(self, content)


@dataclass
class FakeRun:
    service: FakeService
    content: bytes

    async def events(self) -> AsyncIterator[TranscriptionEvent]:
        yield Progress(0.0, 2.0)
        if self.service.error is not None:
            raise self.service.error
        if self.content.startswith(b"ERROR"):
            raise NotAudioError("This is no audio.")
        text = f" {self.content.decode()}"
        segment = Segment(0, 0, 0.0, 2.0, text, (1,), 0.0, -0.1, 1.0, 0.0)
        yield SegmentReady(segment)
        yield Progress(2.0, 2.0)
        transcript = Transcript((segment,), "en", 0.9, 2.0, 2.0, "fake")
        yield Finished(
            Transcript(
                (segment,), "en", 0.9, 2.0, 2.0, transcript.model, warnings=self.service.warnings
            )
        )


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeService:
    fake = FakeService()

    @asynccontextmanager
    async def open_service(settings: Settings, catalog: Catalog) -> AsyncIterator[FakeService]:
        fake.settings = settings
        try:
            yield fake
        finally:
            fake.closed = True

    monkeypatch.setattr(local_service, "open_service", open_service)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERBATIM_MODEL", DEMO_NAME)
    for name, content in (("a.wav", "one"), ("b.wav", "two"), ("bad.wav", "ERROR")):
        (tmp_path / name).write_text(content)
    return fake


def transcribe(*arguments: str, status: int = 0, given: bytes | None = None) -> Result:
    result = CliRunner().invoke(app, ["transcribe", *arguments], input=given)
    assert result.exit_code == status, result.output
    return result


def test_one_recording_is_printed_as_it_is(service: FakeService) -> None:
    assert transcribe("a.wav").output == "one\n"
    assert service.closed


@pytest.mark.usefixtures("service")
def test_several_are_printed_under_their_names() -> None:
    assert transcribe("a.wav", "b.wav").stdout == "==> a.wav <==\none\n\n==> b.wav <==\ntwo\n"


@pytest.mark.usefixtures("service")
def test_a_bad_one_does_not_stop_the_others() -> None:
    result = transcribe("missing.wav", "bad.wav", "a.wav", status=1)
    assert result.stdout == "==> a.wav <==\none\n"
    assert result.stderr == (
        "error: missing.wav: There is no such file.\nerror: bad.wav: This is no audio.\n"
    )


def test_without_a_model_nothing_goes_on(service: FakeService) -> None:
    service.error = ModelUnavailableError("It cannot be loaded.")
    result = transcribe("a.wav", "b.wav", status=1)
    assert result.stderr == "error: It cannot be loaded.\n"
    assert len(service.heard) == 1
    assert service.closed


@pytest.mark.usefixtures("service")
def test_each_format_can_be_printed() -> None:
    assert transcribe("a.wav", "-f", "srt").stdout.startswith("1\n00:00:00,000 --> ")
    assert transcribe("a.wav", "-f", "vtt").stdout.startswith("WEBVTT\n")
    assert json.loads(transcribe("a.wav", "-f", "json").stdout)["text"] == "one"
    assert json.loads(transcribe("a.wav", "-f", "verbose_json").stdout)["duration"] == 2.0


@pytest.mark.usefixtures("service")
def test_files_go_to_the_output_folder(tmp_path: Path) -> None:
    result = transcribe("a.wav", "b.wav", "-o", "out/texts", "-f", "text", "-f", "srt")
    assert result.stdout == ""
    written = sorted(path.name for path in (tmp_path / "out" / "texts").iterdir())
    assert written == ["a.srt", "a.txt", "b.srt", "b.txt"]
    assert (tmp_path / "out" / "texts" / "a.txt").read_text() == "one\n"


@pytest.mark.usefixtures("service")
def test_an_output_folder_that_is_none_fails_each(tmp_path: Path) -> None:
    result = transcribe("a.wav", "-o", "b.wav", status=1)
    assert "b.wav/a.txt cannot be written" in result.stderr.replace("\n", " ")


@pytest.mark.usefixtures("service")
def test_json_is_a_line_for_each() -> None:
    lines = transcribe("a.wav", "bad.wav", "b.wav", "--json", status=1).stdout.splitlines()
    first, second, third = map(json.loads, lines)
    assert (first["file"], first["text"], first["model"]) == ("a.wav", "one", "fake")
    assert len(first["segments"]) == 1
    assert second == {
        "file": "bad.wav",
        "error": {"message": "This is no audio.", "code": "not_audio"},
    }
    assert third["text"] == "two"


@pytest.mark.usefixtures("service")
def test_json_names_what_was_written() -> None:
    (line,) = transcribe("a.wav", "--json", "-o", "out").stdout.splitlines()
    assert json.loads(line)["outputs"] == ["out/a.txt"]


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav", "b.wav", "-f", "srt"], "Several recordings cannot be printed as srt"),
        (["a.wav", "-f", "srt", "-f", "vtt"], "Several formats need an output folder"),
        (["a.wav", "-f", "docx"], "docx"),
        (["a.wav", "-l", "klingon"], "klingon"),
        (["a.wav", "--beam-size", "0"], "beam-size"),
        (["a.wav", "--temperature", "2"], "temperature"),
        (["a.wav", "--max-lines", "99"], "max_lines must be from 1 to"),
        (["a.wav", "--device", "tpu"], "device"),
        (["a.wav", "--compute-type", "int7"], "compute_type"),
        (
            ["a.wav", "--condition-on-previous-text", "--strategy", "parallel"],
            "needs --strategy sequential",
        ),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str], words: str) -> None:
    assert words in transcribe(*arguments, status=2).stderr


def test_the_plain_request(service: FakeService) -> None:
    transcribe("a.wav")
    assert service.requests == [TranscriptionRequest()]


def test_every_option_arrives(service: FakeService) -> None:
    transcribe(
        *("a.wav", "-l", "Korean", "--task", "translate", "--script", "s2tw", "--multilingual"),
        *("--prompt", "Names: Kim.", "--hotwords", "Seoul", "--no-vad", "--beam-size", "3"),
        *("--temperature", "0.4", "--condition-on-previous-text", "-w"),
        *("--device", "cpu", "--compute-type", "float32", "--threads", "1", "--offline"),
    )
    assert service.requests == [
        TranscriptionRequest(
            decode=DecodeOptions(
                language="ko",
                task=Task.TRANSLATE,
                word_timestamps=True,
                beam_size=3,
                temperatures=(0.4,),
                initial_prompt="Names: Kim.",
                hotwords="Seoul",
            ),
            strategy=Strategy.SEQUENTIAL,
            condition_on_previous_text=True,
            detect_language_per_window=True,
            vad=False,
            script=Script.S2TW,
        )
    ]
    settings = service.settings
    assert settings is not None
    assert (settings.device, settings.compute_type) == ("cpu", "float32")
    assert (settings.cpu_threads, settings.offline) == (1, True)


def test_subtitles_ask_for_words_and_take_limits(service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_text("this line is too long for twenty characters")
    printed = transcribe("long.wav", "-f", "srt", "--max-line-chars", "20", "--max-lines", "1")
    assert service.requests[0].decode.word_timestamps
    assert service.requests[0].decode.temperatures == DEFAULT_TEMPERATURES
    lines = [line for line in printed.stdout.splitlines() if line and "-->" not in line]
    assert max(map(len, lines)) <= 20


def test_the_model_is_one_of_the_settings(service: FakeService, tmp_path: Path) -> None:
    result = transcribe("a.wav", "-m", "./nothing", status=1)
    assert "There is no folder nothing" in result.stderr
    assert not service.heard
    transcribe("a.wav", "-m", "demo", "--offline", status=1)
    transcribe("a.wav", "-m", DEMO_NAME)
    assert service.settings is not None
    assert service.settings.model == DEMO_NAME


def test_standard_input(service: FakeService) -> None:
    assert transcribe("-", given=b"from a pipe").stdout == "from a pipe\n"
    assert service.heard == [b"from a pipe"]
    written = transcribe("-", "-o", "out", "--json", given=b"again")
    assert json.loads(written.stdout)["outputs"] == ["out/stdin.txt"]


@pytest.mark.usefixtures("service")
def test_standard_input_without_a_place_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_SPOOL_DIR", "missing")
    assert "VERBATIM_SPOOL_DIR" in transcribe("-", given=b"x", status=1).stderr


def test_warnings_are_said_and_those_of_the_model_once(service: FakeService) -> None:
    service.warnings = (
        TranscriptWarning(WarningCode.DEMO_MODEL, "Only a demo."),
        TranscriptWarning(WarningCode.REPETITION, "It repeats itself.", 1.0, 2.0),
        TranscriptWarning(WarningCode.TRUNCATED_AUDIO, "It is cut off."),
    )
    result = transcribe("a.wav", "b.wav")
    assert result.stderr.splitlines() == [
        "warning: Only a demo.",
        "warning: a.wav [1.0-2.0 s]: It repeats itself.",
        "warning: a.wav: It is cut off.",
        "warning: b.wav [1.0-2.0 s]: It repeats itself.",
        "warning: b.wav: It is cut off.",
    ]


def test_a_terminal_gets_a_bar_and_standard_output_the_text(tmp_path: Path) -> None:
    arguments = ["transcribe", str(SELF_CHECK_SOUND), "--model", DEMO_NAME, "--offline"]
    printed, shown = run_on_terminal(arguments, tmp_path)
    assert "London" in printed
    assert len(printed.splitlines()) == 1
    assert "sentence.ogg" in shown
    assert "demo model" in shown
