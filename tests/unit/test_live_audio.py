from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import av
import numpy as np
import pytest
from tests.support.audio_files import FORMATS, encode, tone
from tests.support.live_server import PATIENCE_S

from verbatim.domain.audio import Samples
from verbatim.domain.errors import (
    BadRequestError,
    EmptyAudioError,
    NotAudioError,
    UnsupportedMediaError,
    VerbatimError,
)
from verbatim.wire.live_audio import LiveAudio, LiveEncoding, LiveFormat, open_live_audio

RATE = 16_000
BY_NAME = {audio_format.name: audio_format for audio_format in FORMATS}


async def gather(blocks: AsyncIterator[Samples]) -> list[Samples]:
    return [block async for block in blocks]


async def decode(audio: LiveAudio, messages: list[bytes]) -> Samples:
    blocks: list[Samples] = []
    async with audio:
        for message in messages:
            blocks += await gather(audio.feed(message))
        blocks += await gather(audio.finish())
    assert all(len(block) for block in blocks)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[first : first + size] for first in range(0, len(data), size)]


def file_of(name: str, samples: Samples) -> bytes:
    """Samples at the format's own rate as a file."""
    return encode(BY_NAME[name], samples)


@pytest.mark.parametrize("name", ["webm", "ogg-opus", "wav-s24", "flac", "mp3", "adts", "mkv"])
async def test_containers_in_small_pieces(name: str) -> None:
    data = file_of(name, tone(3.0, BY_NAME[name].rate_hz))
    found = await decode(open_live_audio(LiveFormat(LiveEncoding.CONTAINER)), pieces(data, 700))
    assert len(found) / RATE == pytest.approx(3.0, abs=0.1)
    middle = found[RATE : 2 * RATE]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) == pytest.approx(440, abs=1)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)


async def test_a_container_is_decoded_while_it_comes() -> None:
    data = file_of("webm", tone(6.0, 48_000))
    found = 0
    async with open_live_audio(LiveFormat(LiveEncoding.CONTAINER)) as audio:
        for piece in pieces(data[: len(data) // 2], 700):
            found += sum(len(block) for block in await gather(audio.feed(piece)))
            await asyncio.sleep(0.005)
        async with asyncio.timeout(PATIENCE_S):
            while found <= 2 * RATE:
                found += sum(len(block) for block in await gather(audio.flush()))
                await asyncio.sleep(0.01)


async def test_bare_opus_packets() -> None:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(
        np.rint(tone(1.0, 48_000) * 32767).astype(np.int16)[None], format="s16", layout="mono"
    )
    frame.sample_rate = 48_000
    shape = av.AudioResampler("s16", "mono", 48_000, 960)
    packets = [
        bytes(packet)
        for part in (*shape.resample(frame), None)
        if part is None or part.samples
        for packet in encoder.encode(part)
    ]
    found = await decode(open_live_audio(LiveFormat(LiveEncoding.OPUS)), packets)
    assert len(found) / RATE == pytest.approx(1.0, abs=0.05)
    assert np.abs(found[4_000:12_000]).max() == pytest.approx(0.5, abs=0.05)


async def test_opus_in_ogg_is_told_from_packets() -> None:
    data = file_of("ogg-opus", tone(2.0, 48_000))
    found = await decode(open_live_audio(LiveFormat(LiveEncoding.OPUS)), pieces(data, 1_000))
    assert len(found) / RATE == pytest.approx(2.0, abs=0.1)


async def test_raw_audio_is_brought_out_by_a_flush() -> None:
    form = LiveFormat(LiveEncoding.PCM16, 24_000)
    data = np.rint(tone(1.0, 24_000) * 32767).astype("<i2").tobytes()
    async with open_live_audio(form) as audio:
        found = sum(len(block) for block in await gather(audio.feed(data)))
        assert found < RATE
        found += sum(len(block) for block in await gather(audio.flush()))
        assert found == RATE
        found = sum(len(block) for block in await gather(audio.feed(data)))
        found += sum(len(block) for block in await gather(audio.finish()))
        assert found == RATE


async def test_a_huge_message_comes_out_in_blocks() -> None:
    async with open_live_audio(LiveFormat()) as audio:
        blocks = await gather(audio.feed(bytes(2 * RATE * 60)))
    assert len(blocks) == 60


@pytest.mark.parametrize(
    ("encoding", "messages", "error"),
    [
        (LiveEncoding.CONTAINER, [b"no audio at all" * 1_000], NotAudioError),
        (LiveEncoding.CONTAINER, [b"OggS" + bytes(40)], VerbatimError),
        (LiveEncoding.OPUS, [b"\xff" * 2_000], UnsupportedMediaError),
    ],
)
async def test_what_is_no_audio(
    encoding: LiveEncoding, messages: list[bytes], error: type[VerbatimError]
) -> None:
    with pytest.raises(error) as refused:
        await decode(open_live_audio(LiveFormat(encoding)), messages)
    assert refused.value.message


async def test_a_container_without_any_audio_in_it() -> None:
    whole = file_of("webm", tone(1.0, 48_000))
    with pytest.raises((EmptyAudioError, UnsupportedMediaError)):
        await decode(open_live_audio(LiveFormat(LiveEncoding.CONTAINER)), [whole[:300]])


async def test_after_its_end_a_container_takes_no_more() -> None:
    data = file_of("wav-s16", tone(0.5, 44_100))
    async with open_live_audio(LiveFormat(LiveEncoding.CONTAINER)) as audio:
        await gather(audio.feed(data))
        await gather(audio.finish())
        with pytest.raises(UnsupportedMediaError):
            await gather(audio.feed(data))


async def test_nothing_at_all_is_nothing() -> None:
    for encoding in LiveEncoding:
        assert not len(await decode(open_live_audio(LiveFormat(encoding)), [b""]))


async def test_leaving_ends_the_thread() -> None:
    data = file_of("flac", tone(60.0, 44_100))
    before = set(threading.enumerate())
    audio = open_live_audio(LiveFormat(LiveEncoding.CONTAINER))
    await gather(audio.feed(data[:20_000]))
    started = {t for t in threading.enumerate() if t.name == "container-stream"} - before
    assert started
    await audio.aclose()
    await audio.aclose()
    assert not any(thread.is_alive() for thread in started)


async def test_a_decoder_that_nobody_reads_waits() -> None:
    """A small file that unpacks to minutes of silence takes no more than the bound of memory."""
    data = file_of("flac", np.zeros(44_100 * 120, np.float32))
    audio = open_live_audio(LiveFormat(LiveEncoding.CONTAINER))
    async with audio:
        stream = audio.feed(data)
        first = await anext(stream, None)
        await asyncio.sleep(0.2)
        held = _held_samples(audio)
        assert held() <= 40 * RATE
        total = (0 if first is None else len(first)) + sum([len(b) async for b in stream])
        total += sum(len(block) for block in await gather(audio.finish()))
        assert total == 120 * RATE


def _held_samples(audio: LiveAudio) -> Callable[[], int]:
    container = audio._decoder._stream  # type: ignore[attr-defined]  # looks behind the protocol
    return lambda: int(container._ready_samples)


def test_formats_that_cannot_be_read() -> None:
    with pytest.raises(BadRequestError):
        open_live_audio(LiveFormat(LiveEncoding.PCM16, rate_hz=1))
