"""`verbatim serve` in the place of the older real-time server, with the demo model, as its users
start it and its clients talk to it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.support.fake_process import READY_S, VERBATIM, ServerProcess, server_process, serving
from tests.support.speech import Speech, error_rate, samples_of, speech
from websockets.asyncio.client import ClientConnection, connect

from verbatim.domain.audio import to_pcm

MOST_ERRORS = 0.15
PIECE_S = 0.1
SPEED = 1.25
"""How much faster than real time the microphone is played."""
SILENCE_S = 1.0


@dataclass
class Both:
    """A server's two addresses, and what its clients trust."""

    server: ServerProcess
    ws: str
    wss: str
    trust: ssl.SSLContext
    heard: Path
    """Where the server keeps what it hears."""


@pytest.fixture(name="both", scope="module")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("older")
    made = subprocess.run(
        [VERBATIM, "cert", "-o", str(folder), "--json"], capture_output=True, check=True, text=True
    )
    pair = json.loads(made.stdout)
    flags = ["--like", "fastwhisper", "--mode", "both", "--ws-port", "0", "--wss-port", "0"]
    flags += ["--ssl-cert", pair["certificate"], "--ssl-key", pair["key"]]
    flags += ["--debug-dir", str(folder / "heard")]
    with serving(*flags) as server:
        urls = [str(line["url"]) for line in server.lines if line["message"] == "listening"]
        ws, wss = (f"{url.replace('http', 'ws', 1)}/ws/transcribe" for url in urls)
        assert (ws[:5], wss[:6]) == ("ws://", "wss://")
        trust = ssl.create_default_context(cafile=pair["certificate"])
        yield Both(server, ws, wss, trust, folder / "heard")


def longest(language: str) -> Speech:
    return max(speech("short", language), key=lambda file: file.duration)


async def hear(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), READY_S))
    return message


async def record(socket: ClientConnection, file: Speech) -> list[dict[str, Any]]:
    """Speak as a client's microphone does; gives all messages, up to that of the stop."""
    assert (await hear(socket))["type"] == "connected"
    start = {"command": "start", "language": file.language, "audio_format": "pcm16"}
    await socket.send(json.dumps({**start, "silence_threshold": SILENCE_S}))
    assert (await hear(socket))["message"].startswith("녹음 시작됨")
    data = to_pcm(np.concatenate([samples_of(file.name), np.zeros(8_000, np.float32)])).tobytes()
    size = round(PIECE_S * 16_000) * 2

    async def play() -> None:
        for first in range(0, len(data), size):
            await socket.send(data[first : first + size])
            await asyncio.sleep(PIECE_S / SPEED)
        await socket.send(json.dumps({"command": "stop"}))

    told: list[dict[str, Any]] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(play())
        while not told or told[-1]["type"] != "status":
            told.append(await hear(socket))
    return told


async def test_speech_over_ws_and_wss_at_the_same_time(both: Both) -> None:
    english, korean = (longest(language) for language in ("en", "ko"))
    async with connect(both.ws) as plain, connect(both.wss, ssl=both.trust) as secure:
        told = await asyncio.gather(record(plain, english), record(secure, korean))
    for file, messages in zip((english, korean), told, strict=True):
        finals = [message for message in messages if message["type"] == "final"]
        text = " ".join(message["text"] for message in finals)
        assert error_rate([(file.text, text, file.language)]) <= MOST_ERRORS, (file.text, text)
        assert {message["language"] for message in finals} == {file.language}
        # How many there are hangs on how busy the machine is.
        assert any(message["type"] == "partial" and message["text"] for message in messages)
        assert messages[-1] == {"type": "status", "message": "녹음 중지됨"}
    heard = [path.stat().st_size for path in both.heard.iterdir() if path.suffix == ".wav"]
    assert len(heard) == 2
    assert min(heard) > 2 * 16_000 * min(english.duration, korean.duration)


async def test_a_file(both: Both) -> None:
    (file,) = speech("short", "en", 1)
    async with connect(both.wss, ssl=both.trust, max_size=None) as socket:
        await socket.send(json.dumps({"command": "transcribe_file", "language": ""}))
        await socket.send(file.path.read_bytes())
        await socket.send(json.dumps({"command": "transcribe_file_end"}))
        messages = [await hear(socket) for _ in range(4)]
    assert [message["type"] for message in messages] == [
        "connected",
        "status",
        "status",
        "file_result",
    ]
    assert error_rate([(file.text, messages[-1]["text"], "en")]) <= MOST_ERRORS
    assert messages[-1]["language"] == "en"
    assert messages[-1]["duration"] == pytest.approx(file.duration, abs=0.1)


def test_the_rest(both: Both) -> None:
    (file,) = speech("short", "ko", 1)
    with both.server.client() as client:
        answer = client.post("/transcribe", files={"file": file.path.read_bytes()}).json()
        root, stats = client.get("/").json(), client.get("/stats").json()
    assert error_rate([(file.text, answer["text"], "ko")]) <= MOST_ERRORS
    assert answer["segments"][0]["confidence"] < 0
    assert answer["warnings"][0]["code"] == "demo_model"
    assert (root["status"], root["model"]) == ("running", "verbatim-demo")
    assert root["connections"].endswith("/200")
    assert stats["total_transcriptions"] >= 1
    assert stats["max_concurrent_transcriptions"] == 15


def test_the_first_start_shows_keys_that_its_clients_can_use(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    with (
        shown.open("w") as stdout,
        server_process(
            [VERBATIM, "serve", "--like", "fastwhisper"],
            stdout,
            VERBATIM_AUTH="on",
            VERBATIM_DATA_DIR=str(tmp_path / "data"),
            VERBATIM_PRELOAD="false",
        ) as server,
    ):
        server.told("listening")
        keys = [line.strip() for line in shown.read_text().splitlines() if "sk-" in line]
        admin, first = keys
        url = f"{server.url}/admin/keys/generate?name=kiosk"
        made = httpx.post(url, headers={"X-Admin-Key": admin}).json()["api_key"]
        for key, status in ((first, 200), (made, 200), ("sk-0", 403)):
            assert (
                httpx.get(f"{server.url}/stats", headers={"X-API-Key": key}).status_code == status
            )
