"""Wyoming on a real socket, driven by its own client."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly
from tests.support.live_server import Hold, LiveServer, live_server, wait_until
from tests.support.spoken import SpokenEngine, spoken
from tests.support.wyoming_client import WyomingClient, pcm_of_width, wyoming_client
from wyoming.asr import Transcribe
from wyoming.audio import AudioStart
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping, Pong

from verbatim.access.policy import policy_of
from verbatim.dialects.wyoming.events import MAX_LIKELY_CHARS, likely_words, to_pcm16
from verbatim.domain.errors import BadRequestError, VerbatimError
from verbatim.engine.known_models import DEMO_LANGUAGES
from verbatim.settings import Settings

SPEECH = spoken(0.5, "Turn on the kitchen lights,", 0.9, "please, my dear friend.", 0.5)
RATE = 16_000


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, SpokenEngine(SPEECH), wyoming_port=0) as server:
        yield server


def connected(server: LiveServer) -> AbstractAsyncContextManager[WyomingClient]:
    return wyoming_client(server.port_of("wyoming"))


def sessions(server: LiveServer) -> int:
    return server.context.service.live.load().sessions


async def test_what_there_is(server: LiveServer) -> None:
    async with connected(server) as client:
        await client.say(Describe().event())
        info = Info.from_event(await client.hear_until("info"))
    (program,) = info.asr
    assert (program.name, program.installed) == ("verbatim", True)
    assert program.version == metadata.version("verbatim-stt")
    assert program.supports_transcript_streaming
    (model,) = program.models
    assert (model.name, model.installed) == ("verbatim-demo", True)
    assert tuple(model.languages) == DEMO_LANGUAGES
    assert not any((info.tts, info.handle, info.intent, info.wake, info.mic, info.snd))


async def test_a_command_as_home_assistant_gives_it(server: LiveServer) -> None:
    async with connected(server) as client:
        told = await client.transcribe(SPEECH.samples)
        # A pause does not end it; only the client knows when it is over.
        assert (told.text, told.language) == (SPEECH.text, "en")
        again = await client.transcribe(SPEECH.samples)
        assert again.text == SPEECH.text


async def test_text_comes_while_it_is_spoken(server: LiveServer) -> None:
    async with connected(server) as client:
        await client.start()
        await client.play(SPEECH.samples[: RATE * 3])
        chunk = await client.hear_until("transcript-chunk")
        assert SPEECH.text.startswith(chunk.data["text"])
        await client.play(SPEECH.samples[RATE * 3 :])
        await client.stop()
        whole = await client.hear_until("transcript")
    assert whole.data["text"] == SPEECH.text


async def test_the_language_is_detected_where_none_is_said(server: LiveServer) -> None:
    async with connected(server) as client:
        await client.say(AudioStart(RATE, 2, 1).event())
        await client.play(SPEECH.samples)
        await client.stop()
        told = await client.transcript()
    assert (told.text, told.language) == (SPEECH.text, "en")


async def test_names_and_terms_are_likely_words(server: LiveServer) -> None:
    asked = Transcribe(
        language="ko-KR", transcript_names=["Kim"], transcript_terms=["Seoul", "lamp"]
    )
    async with connected(server) as client:
        await client.say(asked.event())
        await client.play(SPEECH.samples)
        await client.stop()
        assert (await client.transcript()).language == "ko"
        # They were for that one only.
        await client.play(SPEECH.samples)
        await client.stop()
        assert (await client.transcript()).language == "en"
    windows = [w for w in server.engine.windows if w.options.initial_prompt == "lamp, Seoul, Kim"]
    assert {window.options.language for window in windows} == {"ko"}


@pytest.mark.parametrize(("rate_hz", "width", "channels"), [(48_000, 4, 2), (16_000, 3, 1)])
async def test_other_formats(server: LiveServer, rate_hz: int, width: int, channels: int) -> None:
    faster = resample_poly(SPEECH.samples, rate_hz // RATE, 1).astype(np.float32)
    samples = np.repeat(faster, channels)
    data = pcm_of_width(samples, width)
    async with connected(server) as client:
        await client.say(Transcribe(language="en").event())
        await client.say(AudioStart(rate_hz, width, channels).event())
        size = rate_hz // 10 * width * channels
        for first in range(0, len(data), size):
            await client.play_bytes(data[first : first + size], rate_hz, width, channels)
        await client.stop()
        assert (await client.transcript()).text == SPEECH.text


@given(st.lists(st.floats(-1, 1), max_size=50), st.sampled_from([1, 2, 3, 4]))
def test_widths_keep_the_sound(values: list[float], width: int) -> None:
    samples = np.array(values, np.float32)
    pcm = np.frombuffer(to_pcm16(pcm_of_width(samples, width), width), "<i2")
    step = 1 / 127 if width == 1 else 1 / 32_767
    np.testing.assert_allclose(pcm / 32_768, samples, atol=1.5 * step)


async def test_silence_and_nothing_at_all(server: LiveServer) -> None:
    async with connected(server) as client:
        assert (await client.transcribe(np.zeros(RATE, np.float32))).text == ""
        await client.start()
        await client.stop()
        assert (await client.transcript()).text == ""
        # Without a beginning, too, whoever waits gets an answer.
        await client.stop()
        assert (await client.hear_until("transcript")).data["text"] == ""


async def test_other_events(server: LiveServer) -> None:
    async with connected(server) as client:
        await client.say(SelectProgram("verbatim").event())
        await client.say(Event("wake-up", {"anything": [1]}, b"payload"))
        await client.say(Ping("who").event())
        assert Pong.from_event(await client.hear_until("pong")).text == "who"
        await client.start()
        await client.play(SPEECH.samples[:RATE])
        await client.say(Ping("there").event())
        await client.say(Event("wake-up"))
        assert (await client.hear_until("pong")).data["text"] == "there"
        await client.play(SPEECH.samples[RATE:])
        await client.stop()
        assert (await client.hear_until("transcript")).data["text"] == SPEECH.text


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Transcribe(language="Klingon").event(), "Klingon"),
        (Event("transcribe", {"name": 5}), "name"),
        (Event("transcribe", {"transcript_names": "Kim"}), "transcript_names"),
        (Event("audio-start", {"rate": 16_000, "width": 2}), "channels"),
        (Event("audio-start", {"rate": 16_000, "width": 9, "channels": 1}), "width"),
        (Event("audio-start", {"rate": 1, "width": 2, "channels": 1}), "rate"),
        (Event("audio-start", {"rate": True, "width": 2, "channels": 1}), "rate"),
        (Event("audio-chunk", {"rate": 16_000, "width": 2, "channels": 1}, b"abc"), "whole"),
    ],
)
async def test_what_makes_no_sense_is_told_and_is_the_end(
    server: LiveServer, event: Event, words: str
) -> None:
    """A client that waits for a transcript would wait for ever if the connection stayed."""
    async with connected(server) as client:
        await client.say(event)
        error = Error.from_event(await client.hear_until("error"))
        assert words in error.text
        assert error.code
        assert await client.hear() is None
    wait_until(lambda: sessions(server) == 0)


def test_names_go_before_terms_as_far_as_there_is_room() -> None:
    assert likely_words([], []) is None
    assert likely_words(["Kim", "Ana"], ["lamp"]) == "lamp, Ana, Kim"
    many = [f"name{number}" for number in range(1_000)]
    told = likely_words(many, ["lamp"])
    assert told is not None
    assert len(told) <= MAX_LIKELY_CHARS
    assert told.endswith("name1, name0")
    assert "lamp" not in told


async def test_a_model_that_is_not_there(server: LiveServer) -> None:
    async with connected(server) as client:
        await client.start(name="no/such")
        error = await client.hear_until("error")
        assert "no/such" in error.data["text"]
        assert await client.hear() is None


async def test_who_leaves_frees_the_session(server: LiveServer) -> None:
    async with connected(server) as client:
        await client.start()
        await client.play(SPEECH.samples[:RATE])
        wait_until(lambda: sessions(server) == 1)
    wait_until(lambda: sessions(server) == 0)


async def test_there_may_be_so_many(tmp_path: Path) -> None:
    with live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0, max_live_sessions=1) as server:
        async with connected(server) as first, connected(server) as second:
            await first.start()
            await first.play(SPEECH.samples[:RATE])
            await asyncio.to_thread(wait_until, lambda: sessions(server) == 1)
            await second.start()
            assert (await second.hear_until("error")).data["code"] == "overloaded"
            await first.play(SPEECH.samples[RATE:])
            await first.stop()
            assert (await first.transcript()).text == SPEECH.text


async def test_an_idle_session_is_ended(tmp_path: Path) -> None:
    with live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0, live_idle_s=0.5) as server:
        async with connected(server) as client:
            await client.start()
            await client.play(SPEECH.samples)
            # What was said is told nevertheless.
            assert (await client.transcript()).text == SPEECH.text
            assert (await client.hear_until("error")).data["code"] == "idle"
            assert await client.hear() is None


async def test_stopping_the_server_tells_what_was_said(tmp_path: Path) -> None:
    with live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0) as server:
        async with connected(server) as speaking, connected(server) as idle:
            await idle.say(Describe().event())
            await idle.hear_until("info")
            await speaking.start()
            await speaking.play(SPEECH.samples[: RATE * 3])
            await speaking.hear_until("transcript-chunk")
            server.stop_soon()
            assert await idle.hear() is None
            whole = await speaking.hear_until("transcript")
            assert SPEECH.text.startswith(whole.data["text"].rstrip(".,"))
            await speaking.hear_until("transcript-stop")
            assert await speaking.hear() is None
        with pytest.raises(ConnectionRefusedError):
            async with connected(server):
                pass


async def test_a_transcription_in_the_log_and_the_metrics(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, SpokenEngine(SPEECH, hold), wyoming_port=0) as server:
        async with connected(server) as client:
            await client.start()
            await client.play(SPEECH.samples)
            hold.release()
            await client.stop()
            await client.transcript()

        def lines() -> list[Any]:
            return [log for log in server.logs if log["event"] == "wyoming transcription"]

        await asyncio.to_thread(wait_until, lambda: bool(lines()))
        (line,) = lines()
        async with connected(server) as client:
            await client.say(Transcribe(language="Klingon").event())
            await client.hear_until("error")

        def counted() -> bool:
            with server.client() as http:
                told = http.get("/metrics").text
            audio = f"verbatim_audio_seconds_total {SPEECH.duration_s}"
            return audio in told and 'verbatim_errors_total{kind="bad_request"} 1.0' in told

        await asyncio.to_thread(wait_until, counted)
    assert (line["outcome"], line["model"], line["language"]) == ("done", "fake", "en")
    assert math.isclose(line["audio_s"], SPEECH.duration_s, abs_tol=0.01)
    assert "request_id" in line
    assert not any("kitchen" in str(value) for log in server.logs for value in log.values())


async def test_an_engine_that_fails(tmp_path: Path) -> None:
    async def fail(windows: object) -> None:
        raise RuntimeError("a secret of the server")

    with live_server(tmp_path, SpokenEngine(SPEECH, fail), wyoming_port=0) as server:
        async with connected(server) as client:
            await client.start()
            await client.play(SPEECH.samples)
            await client.stop()
            error = await client.hear_until("error")
            assert "secret" not in error.data["text"]
            assert await client.hear() is None


class TestWhoMayUseIt:
    @pytest.mark.parametrize(
        "settings",
        [
            {"api_key": "a-key-of-my-own"},
            {"auth": "on"},
            {"host": "0.0.0.0"},
            {"wyoming_host": "0.0.0.0"},
        ],
    )
    def test_not_everybody_unless_that_is_said(
        self, tmp_path: Path, settings: dict[str, Any]
    ) -> None:
        # The test's server itself listens on loopback only.
        with (
            pytest.raises(VerbatimError, match="--wyoming-open") as refused,
            live_server(tmp_path, wyoming_port=0, **settings),
        ):
            pass
        assert isinstance(refused.value, BadRequestError)

    @pytest.mark.parametrize(
        "settings", [{"wyoming_open": True, "auth": "on"}, {"wyoming_host": "127.0.0.1"}]
    )
    async def test_those_for_whom_it_was(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        with live_server(tmp_path, SpokenEngine(SPEECH), wyoming_port=0, **settings) as server:
            assert policy_of(Settings(**settings)).required == ("auth" in settings)
            async with connected(server) as client:
                assert (await client.transcribe(SPEECH.samples)).text == SPEECH.text

    def test_it_is_off_if_not_asked_for(self, tmp_path: Path) -> None:
        with live_server(tmp_path) as server:
            assert not [log for log in server.logs if log["event"] == "listening"]

    def test_a_port_in_use(self, tmp_path: Path, server: LiveServer) -> None:
        taken = server.port_of("wyoming")
        with (
            pytest.raises(VerbatimError, match="--wyoming-host and --wyoming-port"),
            live_server(tmp_path, wyoming_port=taken),
        ):
            pass
