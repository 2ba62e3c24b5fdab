"""Live sessions whose audio is written down."""

from __future__ import annotations

import stat
import wave
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.support.live_server import live_server
from tests.support.older_client import OlderClient
from tests.support.spoken import SpokenEngine, live_service, spoken

from verbatim.domain.audio import Pcm, to_pcm
from verbatim.domain.errors import UnavailableError
from verbatim.domain.live import LiveOptions, SessionEnd, SessionEnded
from verbatim.pipeline.live.service import LiveLimits
from verbatim.pipeline.live.tap import AudioTap, open_folder

SPEECH = spoken(0.3, "Hello there.", 0.8)


def read(path: Path) -> Pcm:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


async def test_what_a_session_hears(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    limits = LiveLimits(debug_audio=folder)
    async with live_service(SpokenEngine(SPEECH), limits) as service:
        for _ in range(2):
            session = await service.open(LiveOptions(language="en"))
            await session.feed(SPEECH.samples[:5_000])
            await session.feed(to_pcm(SPEECH.samples[5_000:]))
            await session.finish()
            last = [event async for event in session.events()][-1]
            assert last == SessionEnded(SessionEnd.FINISHED, SPEECH.duration_s)
            await session.aclose()
            assert all(session.id not in path.name for path in folder.iterdir())
        # One that hears nothing leaves nothing.
        await (await service.open(LiveOptions())).aclose()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert len(files) == 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        np.testing.assert_array_equal(read(path), to_pcm(SPEECH.samples))


async def test_the_file_is_whole_at_any_time(tmp_path: Path) -> None:
    tap = AudioTap(tmp_path, "0123456789abcdef")
    for count in (1, 2, 3):
        await tap.write(np.full(1_000, count, np.int16))
        assert len(read(only_file(tmp_path))) == count * 1_000
    await tap.aclose()
    await tap.write(np.zeros(10, np.int16))
    await tap.aclose()
    assert len(read(only_file(tmp_path))) == 3_000


async def test_a_disk_that_fails_ends_the_file_only(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with capture_logs() as logs:
        tap = AudioTap(folder, "0123456789abcdef")
        for _ in range(3):
            await tap.write(np.zeros(10, np.int16))
        await tap.aclose()
    assert [line["event"] for line in logs] == ["the audio of a session is not written any more"]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(UnavailableError, match="debug_audio"):
            open_folder(path)


def test_over_the_wire(tmp_path: Path) -> None:
    folder = tmp_path / "heard"
    with live_server(tmp_path, SpokenEngine(SPEECH), debug_audio=folder) as server:
        with OlderClient(server.url) as client:
            client.order("start", language="en", audio_format="float32")
            client.socket.send(SPEECH.samples.astype("<f4").tobytes())
            client.order("stop")
            client.hear_until("final")
        (path,) = folder.iterdir()
        np.testing.assert_array_equal(read(path), to_pcm(SPEECH.samples))
