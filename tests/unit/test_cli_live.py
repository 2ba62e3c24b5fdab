"""`verbatim live`: what it listens to, what it shows, how it ends."""

from __future__ import annotations

import _thread
import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import pytest
from rich.console import Console
from rich.live import Live
from tests.support.live_server import LiveServer, live_server
from tests.support.speech import wav
from tests.support.spoken import SpokenEngine, spoken
from tests.support.terminal import screen_lines
from typer.testing import CliRunner, Result

from verbatim.cli.live_screen import Terminal
from verbatim.cli.live_session import live_url
from verbatim.cli.live_sources import LiveMicrophone, Microphone, choose
from verbatim.cli.main import app
from verbatim.domain.errors import BadRequestError, OverloadedError, UnavailableError
from verbatim.engine.catalog import Catalog
from verbatim.engine.known_models import DEMO_NAME
from verbatim.engine.protocol import Engine
from verbatim.pipeline import local_service
from verbatim.settings import Settings

SPEECH = spoken(0.5, "Hello there, my good friends.", 1.0, "Where are you going?", 0.8)
SENTENCES = ["Hello there, my good friends.", "Where are you going?"]
SPEED = "8"


@pytest.fixture(name="recording")
def _recording(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(SPEECH.samples))
    return path


@pytest.fixture(name="engine")
def _engine(monkeypatch: pytest.MonkeyPatch) -> SpokenEngine:
    """What the command loads in this process."""
    engine = SpokenEngine(SPEECH)

    async def load(settings: Settings, catalog: Catalog, name: str, clock: Any) -> Engine:
        assert (name, settings.engine) == (DEMO_NAME, "local")
        return engine

    monkeypatch.setattr(local_service, "load_engine", load)
    return engine


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), SpokenEngine(SPEECH)) as server:
        yield server


def live(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, ["live", *arguments])
    assert result.exit_code == status, result.output
    return result


def here(*arguments: str, status: int = 0) -> Result:
    return live("-m", DEMO_NAME, "--offline", "-l", "en", *arguments, status=status)


class TestInThisProcess:
    def test_a_line_for_each_utterance(self, engine: SpokenEngine, recording: Path) -> None:
        result = here("--file", str(recording), "--speed", SPEED)
        assert result.stdout.splitlines() == SENTENCES
        assert engine.closed

    def test_every_message_as_json(self, engine: SpokenEngine, recording: Path) -> None:
        result = here("--file", str(recording), "--speed", SPEED, "--json")
        told = [json.loads(line) for line in result.stdout.splitlines()]
        assert told[0]["type"] == "ready"
        assert told[0]["model"] == "fake"
        finals = [m["committed"] for m in told if m["type"] == "text" and m["is_final"]]
        assert finals == SENTENCES
        assert told[-1] == {"type": "ended", "reason": "finished", "audio_s": SPEECH.duration_s}

    def test_no_faster_than_it_was_spoken(self, engine: SpokenEngine, recording: Path) -> None:
        began_s = time.monotonic()
        here("--file", str(recording), "--speed", "4")
        assert time.monotonic() - began_s > SPEECH.duration_s / 4

    @pytest.mark.parametrize("ending", ["srt", "vtt", "txt", "json", "tsv", "lrc"])
    def test_a_file_at_the_end(self, engine: SpokenEngine, recording: Path, ending: str) -> None:
        output = recording.with_name(f"out.{ending}")
        here("--file", str(recording), "--speed", SPEED, "-o", str(output))
        text = output.read_text()
        assert all(sentence.split(maxsplit=1)[0] in text for sentence in SENTENCES)
        if ending == "txt":
            assert text == " ".join(SENTENCES) + "\n"
        if ending == "json":
            body = json.loads(text)
            assert [segment["text"].strip() for segment in body["segments"]] == SENTENCES
            assert (body["language"], body["duration"]) == ("english", SPEECH.duration_s)
            words = [(word["word"], word["start"]) for word in body["words"]]
            said = [(word.text.strip(), pytest.approx(word.start)) for word in SPEECH.words]
            assert words == said
        if ending == "srt":
            assert text.count(" --> ") == 2

    def test_a_name_that_says_no_format_is_refused_at_once(self, recording: Path) -> None:
        result = here("--file", str(recording), "-o", "talk.doc", status=2)
        assert ".srt" in result.stderr

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        assert "no.wav" in here("--file", str(tmp_path / "no.wav"), status=1).stderr
        text = tmp_path / "text.txt"
        text.write_text("no audio in here " * 100)
        assert "not audio" in here("--file", str(text), status=1).stderr

    def test_a_language_that_the_model_does_not_know(
        self, engine: SpokenEngine, recording: Path
    ) -> None:
        result = here("-l", "ja", "--file", str(recording), status=2)
        assert "ja" in result.stderr

    def test_two_sources(self, recording: Path) -> None:
        assert "not both" in here("--file", str(recording), "--microphone", "1", status=2).stderr


class TestOnAServer:
    def test_the_same_lines(self, server: LiveServer, recording: Path) -> None:
        result = live("--url", server.url, "-l", "en", "--file", str(recording), "--speed", SPEED)
        assert result.stdout.splitlines() == SENTENCES

    def test_what_the_server_says_is_wrong(self, server: LiveServer, recording: Path) -> None:
        source = "--file", str(recording)
        result = live("--url", server.url, "-m", "no/such", *source, status=1)
        assert result.stderr.count("error:") == 1
        assert "no/such" in result.stderr

    def test_a_key(self, tmp_path: Path, recording: Path) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH), api_key="a-key-of-my-own") as server:
            source = "--url", server.url, "--file", str(recording), "--speed", SPEED
            assert "refuses: This needs a key" in live(*source, status=1).stderr
            told = live(*source, "--key", "a-key-of-my-own", "-l", "en")
        assert told.stdout.splitlines() == SENTENCES

    def test_a_server_that_stops(self, tmp_path: Path, recording: Path) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH)) as server:
            threading.Timer(1.0, server.drain.begin).start()
            result = live(
                *("--url", server.url, "-l", "en", "--file", str(recording), "--speed", "2"),
                status=1,
            )
        assert "stopping" in result.stderr
        assert len(result.stdout.splitlines()) == 1

    def test_nobody_there(self, recording: Path) -> None:
        result = live("--url", "localhost:1", "--file", str(recording), status=1)
        assert "cannot be reached" in result.stderr

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("localhost:8000", "ws://localhost:8000/v1/live"),
            ("http://server/", "ws://server/v1/live"),
            ("https://server:1/speech/v1/live", "wss://server:1/speech/v1/live"),
            ("ws://[::1]:8000/v1/live", "ws://[::1]:8000/v1/live"),
        ],
    )
    def test_addresses(self, url: str, address: str) -> None:
        assert live_url(url) == address

    @pytest.mark.parametrize("url", ["ftp://server", "http://", ""])
    def test_no_addresses(self, url: str) -> None:
        with pytest.raises(BadRequestError, match="http://localhost:8000"):
            live_url(url)


class PortAudioError(Exception):
    """As sounddevice's own."""


class FakeSound(ModuleType):
    """In the place of sounddevice: a microphone that hears the speech, then `at_end` happens."""

    PortAudioError = PortAudioError
    rate_hz = 48_000

    def __init__(self, at_end: Callable[[], None], *, broken: bool = False) -> None:
        super().__init__("sounddevice")
        self.at_end, self.broken = at_end, broken
        self.default = type("Default", (), {"device": [1, 0]})
        self.streams = 0
        self._speaker = threading.Thread(target=self._speak, daemon=True)

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 48_000.0},
            {"name": "Desk", "max_input_channels": 2, "default_samplerate": 48_000.0},
        ]

    def InputStream(self, **options: Any) -> FakeSound:  # noqa: N802 - sounddevice's name
        if self.broken:
            raise PortAudioError("Device unavailable")
        assert (options["device"], options["samplerate"], options["channels"]) == (1, 48_000, 1)
        self._options = options
        return self

    def __enter__(self) -> Self:
        self.streams += 1
        self._speaker.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.streams -= 1
        self._speaker.join()

    def _speak(self) -> None:
        samples = np.repeat(SPEECH.samples, 3).astype(np.float32)[:, None]
        size = self._options["blocksize"]
        for first in range(0, len(samples), size):
            if not self.streams:
                return
            self._options["callback"](samples[first : first + size], size, None, None)
            time.sleep(0.01)
        self.at_end()


def interrupt() -> None:
    """Ctrl-C, for the main thread alone: other tests' native threads stay out of it."""
    _thread.interrupt_main()


class TestMicrophone:
    def test_until_ctrl_c(self, engine: SpokenEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        sound = FakeSound(interrupt)
        monkeypatch.setitem(sys.modules, "sounddevice", sound)
        result = here()
        assert result.stdout.splitlines() == SENTENCES
        assert sound.streams == 0

    def test_the_list(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(interrupt))
        assert live("--list-microphones").stdout.split() == ["1", "Desk"]

    def test_one_that_cannot_be_used(
        self, engine: SpokenEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(interrupt, broken=True))
        result = here(status=1)
        assert "microphone Desk cannot be used: Device unavailable" in result.stderr

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sounddevice", None)
        assert "verbatim-stt[mic]" in here(status=1).stderr
        assert "verbatim-stt[mic]" in live("--list-microphones", status=1).stderr

    def test_without_its_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
        monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        assert "libportaudio2" in here(status=1).stderr

    def test_which_one(self) -> None:
        desk, other = Microphone(1, "Desk", 48_000, False), Microphone(4, "Headset", 16_000, True)
        assert choose([desk, other], None) is other
        assert choose([desk], None) is desk
        assert choose([desk, other], "1") is desk
        assert choose([desk, other], "head") is other
        for wrong in ("e", "none", "2"):
            with pytest.raises(BadRequestError, match=r"1 \(Desk\), 4 \(Headset\)"):
                choose([desk, other], wrong)
        with pytest.raises(UnavailableError, match="--file"):
            choose([], None)

    async def test_who_does_not_keep_up_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("verbatim.cli.live_sources.MAX_UNHEARD_BLOCKS", 3)
        monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(lambda: None))
        microphone = LiveMicrophone(Microphone(1, "Desk", 48_000, True))
        with pytest.raises(OverloadedError, match="too slow"):
            async with aclosing(microphone.listen()) as heard:
                async for _ in heard:
                    await asyncio.sleep(0.2)


class TestScreen:
    def shown(self, *messages: dict[str, Any]) -> str:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=80, color_system="standard")
        with Live(console=console, auto_refresh=False, transient=True) as region:
            terminal = Terminal(console, region, "Desk")
            for message in messages:
                terminal.show(message)
                region.refresh()
        return out.getvalue()

    def text(self, committed: str, tail: str = "", *, final: bool = False) -> dict[str, Any]:
        return {
            "type": "text",
            "utterance": 0,
            "is_final": final,
            "committed": committed,
            "tail": tail,
        }

    def test_the_tail_is_dim(self) -> None:
        shown = self.shown(self.text("Hello there,", " my god"))
        assert "Hello there,\x1b[2m my god\x1b[0m" in shown

    def test_what_is_final_stays(self) -> None:
        shown = self.shown(self.text("Hello", " their"), self.text("Hello there.", final=True))
        assert screen_lines(shown) == ["Hello there."]
        # And the guess never stands below it.
        assert "their" not in shown[shown.index("Hello there.") :]

    def test_nothing_said_leaves_nothing(self) -> None:
        shown = self.shown(self.text("", " Hm"), self.text("", final=True))
        assert "Hm" in shown
        assert screen_lines(shown) == []

    def test_the_next_utterance_begins_below(self) -> None:
        shown = self.shown(self.text("One.", final=True), self.text("", "Two"), self.text("Two"))
        assert screen_lines(shown)[0] == "One."

    def test_a_second_pass_that_differs(self) -> None:
        final = self.text("Hello there.", final=True)
        again = {"type": "second_pass", "utterance": 0, "text": "Hello there."}
        assert "→" not in self.shown(final, again)
        assert "→ Hello, dear." in self.shown(final, again | {"text": "Hello, dear."})
