"""`verbatim loadtest`: what it sends, what it counts, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.live_server import SPEECH, live_server
from typer.testing import CliRunner

from verbatim.cli.loadtest_run import (
    WIRES,
    Answer,
    Load,
    Outcome,
    Recording,
    apply_load,
    percentile,
)
from verbatim.cli.main import app
from verbatim.domain.audio import Window
from verbatim.engine.fake import FakeEngine

RUNNER = CliRunner()
RECORDINGS = (Recording("a.wav", b"A", 2.0), Recording("b.wav", b"B", 4.0))
Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def _load(**changes: object) -> Load:
    options: dict[str, object] = {
        "url": "http://server",
        "wire": WIRES["openai"],
        "recordings": RECORDINGS,
        "requests": 6,
        "concurrency": 2,
        "timeout_s": 5.0,
        **changes,
    }
    return Load(**options)  # type: ignore[arg-type]  # of mixed types


async def _apply(load: Load, handler: Handler) -> Outcome:
    return await apply_load(load, transport=httpx.MockTransport(handler))


async def test_never_more_at_once_than_asked_and_all_recordings_in_turn() -> None:
    running, most = 0, 0
    bodies: list[bytes] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        bodies.append(await request.aread())
        await asyncio.sleep(0.002)
        running -= 1
        return httpx.Response(200, json={"text": "yes"})

    outcome = await _apply(_load(requests=9, concurrency=3), answer)
    assert most == 3
    assert len(outcome.good) == 9
    assert sum(b'filename="a.wav"' in body for body in bodies) == 5
    assert outcome.figures()["audio_s_per_s"] == pytest.approx(26 / outcome.wall_s, rel=0.01)


@pytest.mark.parametrize("dialect", sorted(WIRES))
async def test_each_dialect_is_asked_in_its_way(dialect: str) -> None:
    wire = WIRES[dialect]

    async def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == wire.path
        assert request.headers[wire.key_header] == f"{wire.key_prefix}secret"
        assert "no-cache" in request.headers["cache-control"]
        body = await request.aread()
        assert (body in {b"A", b"B"}) == wire.raw
        return httpx.Response(200, json={"results": {}} if wire.raw else {"text": ""})

    outcome = await _apply(_load(wire=wire, api_key="secret"), answer)
    assert outcome.errors == {}


async def test_each_kind_of_failure_is_counted_with_its_reason() -> None:
    answers: Iterator[httpx.Response | httpx.ConnectError] = iter(
        [
            httpx.Response(429, json={"error": {"message": "Come back."}}),
            httpx.Response(503, json={"detail": "Stopping."}),
            httpx.Response(401, json={"success": False, "error": "No key."}),
            httpx.Response(200, text="<html>"),
            httpx.Response(500, text="oops"),
            httpx.ConnectError("refused"),
        ]
    )

    async def answer(request: httpx.Request) -> httpx.Response:
        given = next(answers)
        if isinstance(given, httpx.Response):
            return given
        raise given

    outcome = await _apply(_load(concurrency=1), answer)
    assert outcome.errors == {
        "HTTP 429 (busy): Come back.": 1,
        "HTTP 503 (busy): Stopping.": 1,
        "HTTP 401: No key.": 1,
        "an answer without a text": 1,
        "HTTP 500: Internal Server Error": 1,
        "ConnectError: refused": 1,
    }
    assert outcome.figures()["p50_s"] == 0.0, "only good answers have times"


async def test_an_answer_that_does_not_come_ends_in_time() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    outcome = await _apply(_load(requests=2, timeout_s=0.05), hang)
    assert outcome.errors == {"no answer within 0.05 s": 2}


async def test_cancelled_it_tells_what_was_answered() -> None:
    requests = 0
    second = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        if requests == 2:
            second.set()
            await asyncio.Event().wait()
        return httpx.Response(200, json={"text": ""})

    running = asyncio.ensure_future(_apply(_load(concurrency=1), answer))
    await second.wait()
    running.cancel()
    assert len((await running).good) == 1


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 100))
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    not_above = sum(value <= found for value in values)
    assert not_above >= percent / 100 * len(values) - 1e-9


def test_percentiles_by_hand() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([3.0], 1) == 3.0
    assert percentile([], 50) == 0.0


def test_the_figures_of_an_outcome() -> None:
    outcome = Outcome(2.0, (Answer(1.0, 10.0), Answer(0.5, 10.0), Answer(9.0, 10.0, "lost")))
    figures = outcome.figures()
    assert (figures["good"], figures["failed"]) == (2, 1)
    assert (figures["requests_per_s"], figures["audio_s_per_s"]) == (1.0, 10.0)
    assert (figures["p50_s"], figures["max_s"]) == (0.5, 1.0)


def test_a_real_server_answers_all_within_its_bounds(tmp_path: Path) -> None:
    with live_server(tmp_path, max_running=2, max_waiting=32) as server:
        arguments = ["loadtest", "--url", server.url, "-f", str(SPEECH), "-n", "24", "-c", "12"]
        result = RUNNER.invoke(app, [*arguments, "--json"])
        shown = RUNNER.invoke(app, [*arguments[:-4], "-n", "2", "-c", "1"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert (figures["good"], figures["errors"]) == (24, {})
    assert 0 < figures["min_s"] <= figures["p50_s"] <= figures["p99_s"] <= figures["max_s"]
    assert shown.exit_code == 0
    assert "2 of 2" in shown.output


def test_equal_requests_are_each_worked_on(tmp_path: Path) -> None:
    async def take_a_while(windows: Sequence[Window]) -> None:
        await asyncio.sleep(0.5)

    engine = FakeEngine(interruption=take_a_while)
    arguments = ["-f", str(SPEECH), "-n", "8", "-c", "8"]
    with live_server(tmp_path, engine, max_running=1, max_waiting=0) as server:
        result = RUNNER.invoke(app, ["loadtest", "--url", server.url, *arguments])
        joined = RUNNER.invoke(app, ["loadtest", "--url", server.url, *arguments, "--cached"])
    assert result.exit_code == 1
    assert "HTTP 429 (busy)" in result.output
    assert joined.exit_code == 0, joined.output


def test_what_a_server_refuses_is_shown_and_fails(tmp_path: Path) -> None:
    with live_server(tmp_path, max_upload_bytes=1000) as server:
        arguments = ["loadtest", "--url", server.url, "-f", str(SPEECH), "-n", "8", "-c", "8"]
        result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 1
    assert "8 x HTTP 413" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dialect", "esperanto"], "There is no dialect 'esperanto'"),
        (["--url", "localhost:8000"], "no address of a server"),
        (["--file", "missing.wav"], "missing.wav"),
    ],
)
def test_mistakes_are_told(arguments: list[str], said: str) -> None:
    result = RUNNER.invoke(app, ["loadtest", "-f", str(SPEECH), *arguments])
    assert result.exit_code in {1, 2}
    assert said in result.output
