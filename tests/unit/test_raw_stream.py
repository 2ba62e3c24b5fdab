from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly
from tests.support.audio_files import tone

from verbatim.domain.audio import Samples
from verbatim.domain.errors import BadRequestError
from verbatim.stages.raw_stream import (
    BLOCK_S,
    RawStream,
    StreamEncoding,
    StreamFormat,
    tell_encoding,
)

RATE = 16_000
FILTER_TOLERANCE = 2e-3
"""Two different low-pass filters on a signal that both pass, of full scale 1."""


def decode(data: bytes, form: StreamFormat, cuts: list[int] | None = None) -> Samples:
    stream = RawStream(form)
    blocks: list[Samples] = []
    bounds = [0, *sorted(cuts or []), len(data)]
    for first, last in pairwise(bounds):
        blocks += stream.feed(data[first:last])
    blocks += stream.flush()
    assert all(len(block) <= BLOCK_S * RATE + 1_000 for block in blocks)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def pcm16(samples: Samples) -> bytes:
    return np.rint(samples * 32768).astype("<i2").tobytes()


def test_16_khz_integers_come_through_exactly() -> None:
    samples = tone(2.3, RATE)
    np.testing.assert_array_equal(
        decode(pcm16(samples), StreamFormat()), np.rint(samples * 32768) / 32768
    )


def test_floats_come_through_and_are_made_sane() -> None:
    samples = np.array([0.5, -0.25, np.nan, np.inf, -np.inf, 3.0, -2.0], np.float32)
    found = decode(samples.tobytes(), StreamFormat(StreamEncoding.FLOAT32))
    np.testing.assert_array_equal(found, [0.5, -0.25, 0, 1, -1, 1, -1])


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz(rate: int) -> None:
    """Against SciPy's polyphase filter, away from the ends."""
    samples = tone(1.5, rate)
    found = decode(pcm16(samples), StreamFormat(rate_hz=rate))
    assert len(found) == round(len(samples) * RATE / rate)
    common = np.gcd(RATE, rate)
    expected = resample_poly(samples, RATE // common, rate // common)
    middle = slice(RATE // 10, len(found) - RATE // 10)
    np.testing.assert_allclose(found[middle], expected[: len(found)][middle], atol=FILTER_TOLERANCE)


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    """Without a low-pass filter a tone of 15 kHz would come back as one of 1 kHz."""
    found = decode(pcm16(tone(1.0, 48_000, frequency_hz=15_000)), StreamFormat(rate_hz=48_000))
    assert np.abs(found[1_000:-1_000]).max() < 1e-3


@settings(max_examples=40)
@given(
    st.sampled_from(list(StreamEncoding)),
    st.sampled_from([8_000, 16_000, 44_100]),
    st.integers(1, 2),
    st.lists(st.integers(0, 5_000), max_size=10),
)
def test_the_cut_into_messages_changes_nothing(
    encoding: StreamEncoding, rate: int, channels: int, cuts: list[int]
) -> None:
    """Also in the middle of a sample."""
    if encoding is StreamEncoding.FLOAT32:
        data = (np.random.default_rng(1).standard_normal(2_000) / 4).astype("<f4").tobytes()
    else:
        data = np.random.default_rng(1).integers(0, 256, 5_000, np.uint8).tobytes()
    form = StreamFormat(encoding, rate, channels)
    cuts = [min(cut, len(data)) for cut in cuts]
    np.testing.assert_allclose(decode(data, form, cuts), decode(data, form), atol=1e-6)


@pytest.mark.parametrize(
    ("encoding", "codec"), [(StreamEncoding.MULAW, "pcm_mulaw"), (StreamEncoding.ALAW, "pcm_alaw")]
)
def test_telephone_codes_are_those_of_libav(encoding: StreamEncoding, codec: str) -> None:
    codes = bytes(range(256))
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = RATE, "mono"
    expected = decoder.decode(av.Packet(codes))[0].to_ndarray().ravel() / 32768
    np.testing.assert_array_equal(decode(codes, StreamFormat(encoding)), expected)


def test_channels_are_averaged() -> None:
    left, right = tone(0.5, RATE), tone(0.5, RATE, frequency_hz=880)
    data = pcm16(np.stack([left, right], axis=1).ravel())
    found = decode(data, StreamFormat(channels=2))
    np.testing.assert_allclose(found, (left + right) / 2, atol=1e-4)


def test_after_a_flush_a_new_run_begins() -> None:
    stream = RawStream(StreamFormat(rate_hz=48_000))
    data = pcm16(tone(0.7, 48_000))
    for _ in range(3):
        run = np.concatenate([*stream.feed(data), *stream.flush()])
        assert len(run) == round(0.7 * RATE)
    assert not list(stream.flush())


class TestTellingEncodingsApart:
    def test_floats(self) -> None:
        assert tell_encoding(tone(0.1, RATE).tobytes()) is StreamEncoding.FLOAT32

    def test_floats_some_of_which_clip(self) -> None:
        samples = tone(0.1, RATE)
        samples[:50] = 4.0
        assert tell_encoding(samples.tobytes()) is StreamEncoding.FLOAT32

    @pytest.mark.parametrize("loudness", [1e-4, 1e-3, 0.03, 1.0])
    def test_integers_however_quiet(self, loudness: float) -> None:
        noise = np.random.default_rng(1).standard_normal(1_600) / 4 * loudness
        assert tell_encoding(pcm16(noise.astype(np.float32))) is StreamEncoding.PCM16

    def test_integers_that_are_never_negative(self) -> None:
        """Read as floats these are tiny, and that no sound is."""
        assert tell_encoding(np.arange(1, 101, dtype="<i2").tobytes()) is StreamEncoding.PCM16

    def test_an_odd_length(self) -> None:
        assert tell_encoding(tone(0.1, RATE).tobytes() + b"12") is StreamEncoding.PCM16

    def test_silence_is_decided_later_and_counted_then(self) -> None:
        assert tell_encoding(bytes(640)) is None
        floats = np.concatenate([np.zeros(1_600, np.float32), tone(0.1, RATE)])
        found = decode(floats.tobytes(), StreamFormat(None), cuts=[1_600 * 4])
        np.testing.assert_array_equal(found, floats)
        integers = pcm16(floats)
        assert len(decode(integers, StreamFormat(None), cuts=[1_600 * 2])) == len(floats)

    def test_nothing_but_silence_is_silence(self) -> None:
        found = decode(bytes(3_200), StreamFormat(None), cuts=[640, 1_280])
        np.testing.assert_array_equal(found, np.zeros(1_600))


@pytest.mark.parametrize(
    ("form", "param"),
    [
        (StreamFormat(rate_hz=0), "sample_rate"),
        (StreamFormat(rate_hz=10**9), "sample_rate"),
        (StreamFormat(channels=0), "channels"),
        (StreamFormat(channels=9), "channels"),
    ],
)
def test_formats_that_cannot_be_read(form: StreamFormat, param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        RawStream(form)
    assert refused.value.param == param
