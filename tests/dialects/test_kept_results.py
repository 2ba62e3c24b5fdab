"""Kept results as clients meet them: in every dialect, with a header that says what came of it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import text
from tests.support.full_disk import full_disk
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until
from tests.support.speech import wav_of_pcm

from verbatim.domain.audio import Window
from verbatim.domain.errors import InternalError
from verbatim.engine.fake import FakeEngine, count_seconds

OPENAI = "/v1/audio/transcriptions"
TRANSCRIPTS = "/v1/transcripts"
HEADER = "x-verbatim-cache"
MINUTES = 10


def post(
    server: LiveServer, path: str = OPENAI, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    with server.client(headers=headers or {}) as client:
        return client.post(path, files={"file": SPEECH.read_bytes()}, data=fields)


def outcome(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers[HEADER]


def multipart(path: str) -> Callable[[LiveServer], httpx.Response]:
    return lambda server: post(server, path)


def binary(path: str) -> Callable[[LiveServer], httpx.Response]:
    def send(server: LiveServer) -> httpx.Response:
        with server.client() as client:
            return client.post(
                path,
                content=SPEECH.read_bytes(),
                headers={"content-type": "application/octet-stream"},
            )

    return send


ROUTES = {
    OPENAI: multipart,
    "/v1/audio/translations": multipart,
    "/v1/listen": binary,
    "/v1/transcripts": multipart,
    "/transcribe": multipart,
    "/stt/transcribe/": multipart,
    "/transcribe/file": multipart,
    "/transcribe/binary": binary,
}


def test_no_route_for_recordings_is_forgotten_here(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    types = {
        path: " ".join(operations.get("post", {}).get("requestBody", {}).get("content", {}))
        for path, operations in paths.items()
    }
    taking = {path for path, told in types.items() if "form-data" in told or "octet" in told}
    assert taking == set(ROUTES)


@pytest.mark.parametrize("path", ROUTES)
def test_the_second_time_every_dialect_knows_the_answer(tmp_path: Path, path: str) -> None:
    engine = FakeEngine()
    send = ROUTES[path](path)
    with live_server(tmp_path, engine, cache=True) as server:
        first = send(server)
        assert outcome(first) == "miss"
        decoded = len(engine.windows)
        second = send(server)
        assert outcome(second) == "hit"
        assert len(engine.windows) == decoded > 0
        assert without_times(second) == without_times(first)


def without_times(answer: httpx.Response) -> object:
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.text
    changing = ("process", "request_id", "metadata", "timestamp")
    return {
        name: value
        for name, value in answer.json().items()
        if not any(part in name for part in changing)
    }


def test_a_hit_streams_at_once_what_was_streamed(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=True) as server:
        first, second = (post(server, "/v1/transcripts", stream="true") for _ in range(2))
    assert (outcome(first), outcome(second)) == ("miss", "hit")
    told = [
        [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
        for answer in (first, second)
    ]
    assert [event["type"] for event in told[1]] == ["started", "segment", "progress", "done"]
    assert [e for e in told[0] if e["type"] == "segment"] == [
        e for e in told[1] if e["type"] == "segment"
    ]


def test_what_a_request_says_of_the_cache_is_heeded(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=True) as server:
        assert outcome(post(server, headers={"cache-control": "no-store"})) == "miss"
        assert outcome(post(server)) == "miss"
        assert outcome(post(server, headers={"cache-control": "No-Cache, max-age=0"})) == "miss"
        assert outcome(post(server, headers={"cache-control": "no-store"})) == "hit"


def test_other_options_are_another_result(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=True) as server:
        asked: list[dict[str, Any]] = [
            {},
            {"language": "en"},
            {"prompt": "Names"},
            {"beam_size": "1"},
            {"vad": "false"},
            {"timestamp_granularities[]": "word", "response_format": "verbose_json"},
        ]
        assert {outcome(post(server, **fields)) for fields in asked} == {"miss"}
        assert {outcome(post(server, **fields)) for fields in asked} == {"hit"}
        # The format is no part of it, and a name of the default model is the default model.
        assert outcome(post(server, response_format="text", model="whisper-1")) == "hit"
        assert outcome(post(server, model="verbatim-demo")) == "hit"


def test_who_wants_chance_gets_it(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=True) as server:
        assert {outcome(post(server, temperature="0.5")) for _ in range(2)} == {"miss"}


def test_off_is_off(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=False) as server:
        assert {outcome(post(server)) for _ in range(2)} == {"miss"}


def test_results_survive_a_restart(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=True) as server:
        first = post(server)
    engine = FakeEngine(lambda window: "other")
    with live_server(tmp_path, engine, cache=True) as server:
        second = post(server)
        assert outcome(second) == "hit"
        assert not engine.windows
    assert second.json() == first.json()


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    fails = [True]

    async def fail_once(windows: Any) -> None:
        if fails:
            fails.clear()
            raise InternalError("no")

    with live_server(tmp_path, FakeEngine(interruption=fail_once), cache=True) as server:
        assert post(server).status_code == 500
        assert outcome(post(server)) == "miss"
        assert outcome(post(server)) == "hit"


def test_a_joined_request_outlives_the_first(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(interruption=hold), cache=True) as server:
        answers: list[httpx.Response] = []
        second = threading.Thread(target=lambda: answers.append(post(server, TRANSCRIPTS)))
        files = {"file": SPEECH.read_bytes()}
        with (
            server.client() as client,
            client.stream("POST", TRANSCRIPTS, files=files, data={"stream": "true"}) as first,
        ):
            lines = first.iter_lines()  # kept: httpx hangs up when nobody has it
            assert "started" in next(lines)
            second.start()
            wait_until(lambda: followers(server) == 2)
        wait_until(lambda: followers(server) == 1)
        hold.release()
        second.join()
        assert hold.cancelled == 0
        assert outcome(answers[0]) == "joined"
        assert outcome(post(server, TRANSCRIPTS)) == "hit"


def test_what_nobody_follows_is_cancelled_and_not_kept(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(interruption=hold), cache=True) as server:
        files = {"file": SPEECH.read_bytes()}
        with (
            server.client() as client,
            client.stream("POST", TRANSCRIPTS, files=files, data={"stream": "true"}) as only,
        ):
            lines = only.iter_lines()
            assert "started" in next(lines)
            wait_until(lambda: hold.held == 1)
        wait_until(lambda: hold.cancelled == 1)
        hold.release()
        assert outcome(post(server, TRANSCRIPTS)) == "miss"


def followers(server: LiveServer) -> int:
    """Of the one transcription in flight."""
    return sum(work.followers for work in server.context.service._in_flight.values())


def test_nobody_gets_what_another_key_had_transcribed(tmp_path: Path) -> None:
    """A quick answer would tell that somebody has sent the same recording."""
    admin = {"x-admin-key": "secret"}
    with live_server(tmp_path, auth="on", admin_key="secret", cache=True) as server:
        with server.client(headers=admin) as client:
            keys = [
                client.post("/v1/keys", json={"name": name}).json()["key"] for name in ("a", "b")
            ]
        bearers = [{"authorization": f"Bearer {key}"} for key in keys]
        told = [outcome(post(server, headers=bearer)) for bearer in (*bearers, *bearers)]
        assert told == ["miss", "miss", "hit", "hit"]


def test_a_cache_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    with live_server(tmp_path, FakeEngine(many_digits), cache=True) as server:
        with full_disk(server.database), server.client() as client:
            for _ in range(2):
                answer = client.post(OPENAI, files={"file": wav(60)}, data={"vad": "false"})
                assert outcome(answer) == "miss"
                wait_until(
                    lambda: any(log["event"] == "results cannot be kept" for log in server.logs)
                )
        assert kept(server) == 0


def test_an_administrator_can_have_everything_forgotten(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=True) as server, server.client() as client:
        post(server)
        post(server, prompt="other")
        wait_until(lambda: kept(server) == 2)
        assert client.delete("/v1/server/results").json() == {"deleted": 2}
        assert outcome(post(server)) == "miss"


def test_a_broken_table_is_a_miss(tmp_path: Path) -> None:
    with live_server(tmp_path, cache=True) as server:
        assert outcome(post(server)) == "miss"

        async def damage() -> None:
            async with server.database.writing() as session:
                await session.execute(text("UPDATE results SET content = x'00ff'"))

        wait_until(lambda: kept(server) == 1)
        asyncio.run_coroutine_threadsafe(damage(), server.loop).result(5)
        assert outcome(post(server)) == "miss"
        wait_until(lambda: outcome(post(server)) == "hit")


def kept(server: LiveServer) -> int:
    async def count() -> int:
        async with server.database.reading() as session:
            return int(await session.scalar(text("SELECT count(*) FROM results")) or 0)

    return asyncio.run_coroutine_threadsafe(count(), server.loop).result(5)


def wav(seconds: float) -> bytes:
    noise = np.random.default_rng(2).integers(-3000, 3000, int(16_000 * seconds), dtype=np.int16)
    return wav_of_pcm(noise)


def many_digits(window: Window) -> str:
    """What cannot be packed into what is left of a page."""
    random = np.random.default_rng(int(window.start_s))
    return " ".join(random.bytes(4).hex() for _ in range(1000))


def many_words(window: Window) -> str:
    return " ".join([count_seconds(window)] * 3)


def test_ten_minutes_are_answered_at_once(tmp_path: Path) -> None:
    """The bound is loose, for busy machines; docs/cache.md has the measured time."""
    long = wav(60 * MINUTES)
    with live_server(tmp_path, FakeEngine(many_words), cache=True) as server:
        with server.client() as client:

            def ask() -> tuple[str, float, int]:
                began = time.perf_counter()
                answer = client.post(
                    OPENAI,
                    files={"file": long},
                    data={
                        "vad": "false",
                        "response_format": "verbose_json",
                        "timestamp_granularities[]": ["word", "segment"],
                    },
                )
                took = time.perf_counter() - began
                return outcome(answer), took, len(answer.json()["words"])

            assert ask()[0] == "miss"
            (told, _, words) = ask()
        assert told == "hit"
        assert words > 2 * 60 * MINUTES
        wait_until(lambda: any(log.get("cache") == "hit" for log in server.logs))
        (line,) = [log for log in server.logs if log.get("cache") == "hit"]
        assert line["real_time_factor"] < 0.5 / 60
        metrics = httpx.get(f"{server.url}/metrics").text
        assert 'verbatim_cache_total{outcome="hit"} 1.0' in metrics
        status = httpx.get(f"{server.url}/v1/server/status").json()
        assert status["totals"]["cache_hits"] == 1
