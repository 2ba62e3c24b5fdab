"""`verbatim serve` as Home Assistant uses it, with the demo model."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest
from tests.support.fake_process import ServerProcess, serving
from tests.support.speech import error_rate, samples_of, speech
from tests.support.wyoming_client import CHUNK_S, wyoming_client
from wyoming.info import Describe, Info

MOST_ERRORS = 0.2
"""That it is this sentence, and not how well the model hears it."""


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[ServerProcess]:
    with serving(VERBATIM_WYOMING_PORT="0") as server:
        yield server


def port_of(server: ServerProcess) -> int:
    (url,) = (line["url"] for line in server.lines if line.get("dialect") == "wyoming")
    return int(url.rpartition(":")[2])


async def test_what_home_assistant_shows(server: ServerProcess) -> None:
    async with wyoming_client(port_of(server)) as client:
        await client.say(Describe().event())
        info = Info.from_event(await client.hear_until("info"))
    assert [model.languages for model in info.asr[0].models] == [["en", "zh", "ko"]]


@pytest.mark.parametrize("language", ["en", "zh", "ko"])
async def test_commands(server: ServerProcess, language: str) -> None:
    pairs = []
    for file in speech("short", language, 3):
        async with wyoming_client(port_of(server)) as client:
            told = await client.transcribe(samples_of(file.name), language=language)
        assert told.language == language
        pairs.append((file.text, told.text, language))
    assert error_rate(pairs) <= MOST_ERRORS


async def test_stopping_the_server_in_the_middle_of_speech(server: ServerProcess) -> None:
    """Last in this file: the server is gone then."""
    (file,) = speech("long", "en", 1)
    first = file.sentences[0]
    samples = samples_of(file.name)[: round((first.end + 0.3) * 16_000)]
    async with wyoming_client(port_of(server)) as client:
        await client.start()
        await client.play(samples, pause_s=CHUNK_S / 2)
        server.signal(signal.SIGTERM)
        told = await client.transcript()
        assert await client.hear() is None
    assert error_rate([(first.text, told.text, "en")]) <= MOST_ERRORS
    assert await asyncio.to_thread(server.exit_status) == 0
