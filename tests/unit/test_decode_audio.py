"""Decoding: every format, rate and layout comes out as the same mono 16 kHz audio."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate, resample_poly
from tests.support.audio_files import (
    BY_NAME,
    FORMATS,
    AudioFormat,
    Waveform,
    encode,
    encode_video,
    moov_first,
    tone,
)

from verbatim.domain.errors import (
    BadRequestError,
    EmptyAudioError,
    IncompleteAudioError,
    NoAudioTrackError,
    NotFoundError,
    UnsupportedMediaError,
)
from verbatim.domain.transcript import TranscriptWarning, WarningCode
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.decode_audio import (
    DecodeLimits,
    RawEncoding,
    RawFormat,
    decode_all,
    open_audio,
)
from verbatim.stages.mono import MonoConverter

JFK = Path(__file__).parent.parent / "data" / "jfk.wav"
SPEECH_S = 3
MAX_DELAY = {"wma": 0.050, "adts": 0.026, "mp4-fragmented": 0.026, "flv": 0.026, "mpegts": 0.026}
"""Seconds: containers that do not tell the encoder's delay, which therefore stays in."""
MAX_DELAY |= {"avi": 0.030, "amr": 0.010}
RATES_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000, 384_000)


def read_wav(path: Path) -> NDArray[np.float32]:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return (samples / 32768).astype(np.float32)


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Real speech, (n,) at 16 kHz."""
    return read_wav(JFK)[: SPEECH_S * SAMPLE_RATE_HZ]


@pytest.fixture(scope="module")
def files(speech: NDArray[np.float32]) -> dict[str, bytes]:
    """The speech in every format."""
    return {kind.name: encode(kind, at_rate(speech, kind.rate_hz)) for kind in FORMATS}


@pytest.mark.parametrize(("name", "packets"), [("wav-s16", "1"), ("rf64", "1"), ("mpegts", None)])
def test_dts_is_not_searched_for_throughout_a_wav(
    name: str, packets: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That search takes longer than decoding; other containers need it."""
    given: list[dict[str, str]] = []
    real_open = av.open

    def spy(*args: Any, **options: Any) -> Any:
        given.append(options["container_options"])
        return real_open(*args, **options)

    data = encode(BY_NAME[name], tone(1.0, SAMPLE_RATE_HZ))
    monkeypatch.setattr(av, "open", spy)
    with open_audio(data):
        assert [options.get("max_probe_packets") for options in given] == [packets]


def at_rate(samples: NDArray[np.float32], rate_hz: int) -> Waveform:
    resampled: Waveform = resample_poly(samples, rate_hz, SAMPLE_RATE_HZ).astype(np.float32)
    return resampled


def delay_s(samples: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    lags = correlate(samples, reference, mode="full", method="fft")
    return float(np.argmax(lags) - (len(reference) - 1)) / SAMPLE_RATE_HZ


def level(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def frequency_hz(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE_HZ / len(samples)


def wav(channels: NDArray[np.float32], rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """A 16 bit WAV of (channels, n) that does not say where its speakers are."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes((channels.T * 32767).astype("<i2").tobytes())
    return file.getvalue()


def codes(warnings: Sequence[TranscriptWarning]) -> list[WarningCode]:
    return [warning.code for warning in warnings]


class TestFormats:
    @pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
    def test_speech_comes_out_of_every_format(
        self, kind: AudioFormat, files: dict[str, bytes], speech: NDArray[np.float32]
    ) -> None:
        samples, info, warnings = decode_all(files[kind.name])

        late_s = delay_s(samples, speech)
        late = round(late_s * SAMPLE_RATE_HZ)
        heard = samples[late : late + len(speech)]
        likeness = np.corrcoef(heard, speech[: len(heard)])[0, 1]
        assert 0 <= late_s <= MAX_DELAY.get(kind.name, 0.0)
        assert SPEECH_S <= len(samples) / SAMPLE_RATE_HZ <= SPEECH_S + 0.1
        assert likeness > (0.94 if kind.lossy else 0.9999)
        assert level(heard) == pytest.approx(level(speech), rel=0.1 if kind.lossy else 0.003)
        assert samples.dtype == np.float32
        assert warnings == ()
        assert info.sample_rate_hz == kind.rate_hz
        assert info.channels == kind.min_channels

    @pytest.mark.parametrize("name", [kind.name for kind in FORMATS if not kind.lossy])
    def test_lossless_formats_have_their_exact_length(
        self, name: str, files: dict[str, bytes], speech: NDArray[np.float32]
    ) -> None:
        samples, info, _ = decode_all(files[name])
        assert abs(len(samples) - len(speech)) <= 1
        assert info.duration_s == pytest.approx(SPEECH_S, abs=0.001)

    @pytest.mark.parametrize("name", ["mp3", "ogg-opus", "ogg-vorbis", "webm"])
    def test_an_encoders_padding_is_taken_off(
        self, name: str, files: dict[str, bytes], speech: NDArray[np.float32]
    ) -> None:
        samples, _, _ = decode_all(files[name])
        assert abs(len(samples) - len(speech)) <= 32

    def test_sixteen_bit_samples_at_16_khz_come_out_as_they_are(self) -> None:
        samples, info, _ = decode_all(JFK)
        np.testing.assert_array_equal(samples, read_wav(JFK))
        assert (info.container, info.codec) == ("wav", "pcm_s16le")
        assert (info.sample_rate_hz, info.channels, info.duration_s) == (16_000, 1, 11.0)

    def test_wideband_telephone_files_are_read(self) -> None:
        # No encoder at hand: 50 frames of 20 ms that say "nothing was sent" (3GPP TS 26.201).
        samples, info, warnings = decode_all(b"#!AMR-WB\n" + b"\x7c" * 50)
        assert info.sample_rate_hz == SAMPLE_RATE_HZ
        assert len(samples) == SAMPLE_RATE_HZ
        assert warnings == ()

    @pytest.mark.parametrize("cover_bytes", [20_000, 3_000_000])
    def test_an_mp3_with_a_cover_picture_is_no_video(
        self, cover_bytes: int, files: dict[str, bytes]
    ) -> None:
        picture = b"\0image/png\0\3\0" + b"\x89PNG\r\n\x1a\n" + bytes(cover_bytes)
        frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
        sizes = [(len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0)]
        tagged = b"ID3\3\0\0" + bytes(sizes) + frame + files["mp3"]
        np.testing.assert_array_equal(decode_all(tagged)[0], decode_all(files["mp3"])[0])

    def test_an_mp3_with_a_tag_at_its_end_is_whole(self, files: dict[str, bytes]) -> None:
        tagged = files["mp3"] + b"TAG" + b"A name that is long enough".ljust(125, b" ")
        assert decode_all(tagged)[2] == ()

    def test_joined_mp3s_are_read_to_the_end(self, files: dict[str, bytes]) -> None:
        samples, _, warnings = decode_all(files["mp3"] * 2)
        assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(2 * SPEECH_S, abs=0.1)
        assert warnings == ()


class TestSources:
    def test_a_path_bytes_and_an_open_file_are_the_same(self, speech: NDArray[np.float32]) -> None:
        data = JFK.read_bytes()

        with JFK.open("rb") as file, tempfile.SpooledTemporaryFile() as spooled:
            spooled.write(data)
            file.seek(100)
            upload = cast(BinaryIO, spooled)  # It has all that is needed, and is declared apart.
            decoded = [decode_all(source)[0] for source in (JFK, data, file, upload)]
        for samples in decoded:
            np.testing.assert_array_equal(samples, decoded[0])

    def test_a_given_file_stays_open_and_an_own_one_does_not(self) -> None:
        with JFK.open("rb") as file:
            with open_audio(file) as reader:
                next(reader)
            assert not file.closed

    def test_a_file_can_be_closed_before_its_end_and_twice(self) -> None:
        reader = open_audio(JFK)
        next(reader)
        reader.close()
        reader.close()
        assert list(reader) == []

    def test_paths_that_are_no_file_are_told_apart(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no file"):
            open_audio(tmp_path / "missing.wav")
        with pytest.raises(BadRequestError, match="not a file"):
            open_audio(tmp_path)
        with pytest.raises(BadRequestError, match="not a file"):
            open_audio(Path("/dev/zero"))

    def test_a_source_that_cannot_seek_is_refused(self) -> None:
        with (
            subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process,
            pytest.raises(BadRequestError, match="only be read once"),
        ):
            assert process.stdout is not None
            open_audio(process.stdout)  # type: ignore[arg-type] # a pipe is an IO[bytes], no more

    @pytest.mark.parametrize("size", [0, 1])
    def test_nothing_is_told_from_something(self, size: int) -> None:
        with pytest.raises(EmptyAudioError if size == 0 else Exception, match=r"bytes|not audio"):
            open_audio(b"\0" * size)


class TestRaw:
    ENCODINGS = (
        (RawEncoding.S16LE, "<i2", 32767, 2e-4),
        (RawEncoding.S16BE, ">i2", 32767, 2e-4),
        (RawEncoding.S32LE, "<i4", 2147483000, 1e-6),
        (RawEncoding.F32LE, "<f4", 1, 1e-6),
    )

    @pytest.mark.parametrize(("encoding", "dtype", "scale", "tolerance"), ENCODINGS)
    def test_samples_are_read_as_the_caller_says(
        self, encoding: RawEncoding, dtype: str, scale: float, tolerance: float
    ) -> None:
        wanted = tone(1.0, SAMPLE_RATE_HZ)
        data = (wanted * scale).astype(dtype).tobytes()
        samples, info, _ = decode_all(data, raw=RawFormat(encoding, SAMPLE_RATE_HZ))
        np.testing.assert_allclose(samples, wanted, atol=tolerance)
        assert info.container == encoding.value

    def test_three_bytes_a_sample(self) -> None:
        wanted = tone(1.0, SAMPLE_RATE_HZ)
        wide = (wanted * 8388607).astype("<i4").tobytes()
        data = bytes(byte for index, byte in enumerate(wide) if index % 4 < 3)
        samples, _, _ = decode_all(data, raw=RawFormat("s24le", SAMPLE_RATE_HZ))
        np.testing.assert_allclose(samples, wanted, atol=1e-6)

    def test_eight_bits(self) -> None:
        wanted = tone(1.0, SAMPLE_RATE_HZ)
        data = np.round(wanted * 127 + 128).astype(np.uint8).tobytes()
        samples, _, _ = decode_all(data, raw=RawFormat("u8", SAMPLE_RATE_HZ))
        np.testing.assert_allclose(samples, wanted, atol=0.01)

    @pytest.mark.parametrize(("encoding", "silence"), [("mulaw", b"\xff"), ("alaw", b"\xd5")])
    def test_telephone_codings(self, encoding: str, silence: bytes) -> None:
        samples, _, _ = decode_all(silence * 8_000, raw=RawFormat(encoding, 8_000))
        assert len(samples) == SAMPLE_RATE_HZ
        assert np.abs(samples).max() < 0.001

    def test_channels_are_taken_apart(self) -> None:
        both = np.stack([tone(1.0, 48_000), np.zeros(48_000, np.float32)], axis=1)
        samples, _, _ = decode_all(both.tobytes(), raw=RawFormat("f32le", 48_000, channels=2))
        assert len(samples) == SAMPLE_RATE_HZ
        assert level(samples) == pytest.approx(0.25 / np.sqrt(2), rel=0.01)

    @pytest.mark.parametrize(
        ("raw", "param"),
        [
            (RawFormat("mp3", 16_000), "encoding"),
            (RawFormat("s16le", 100), "sample_rate"),
            (RawFormat("s16le", 16_000, channels=0), "channels"),
            (RawFormat("s16le", 16_000, channels=1000), "channels"),
        ],
    )
    def test_nonsense_is_refused(self, raw: RawFormat, param: str) -> None:
        with pytest.raises(BadRequestError) as error:
            open_audio(b"\0\0", raw=raw)
        assert error.value.param == param


class TestResampling:
    @pytest.mark.parametrize("rate_hz", RATES_HZ)
    def test_every_rate_keeps_length_pitch_and_level(self, rate_hz: int) -> None:
        samples, _, _ = decode_all(encode(BY_NAME["wav-f32"], tone(2.0, rate_hz), rate_hz))
        assert len(samples) == 2 * SAMPLE_RATE_HZ
        assert frequency_hz(samples) == pytest.approx(440, abs=1)
        assert level(samples[1000:-1000]) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)

    @pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
    def test_it_agrees_with_scipy_below_the_filters_edge(self, rate_hz: int) -> None:
        edge_hz = min(rate_hz, SAMPLE_RATE_HZ) * 0.3
        noise = np.random.default_rng(0).standard_normal(rate_hz * 2)
        spectrum = np.fft.rfft(noise)
        spectrum[np.fft.rfftfreq(len(noise), 1 / rate_hz) > edge_hz] = 0
        source = (0.1 * np.fft.irfft(spectrum)).astype(np.float32)
        samples, _, _ = decode_all(encode(BY_NAME["wav-f32"], source, rate_hz))

        wanted = resample_poly(source.astype(np.float64), SAMPLE_RATE_HZ, rate_hz)
        middle = slice(500, -500)
        # 60 dB below the signal: the two filters' own ripple.
        assert level(samples[middle] - wanted[middle]) < 1e-3 * level(wanted[middle])

    def test_what_16_khz_cannot_hold_does_not_fold_back(self) -> None:
        samples, _, _ = decode_all(encode(BY_NAME["wav-f32"], tone(2.0, 48_000, 9_000), 48_000))
        # 9 kHz would be heard at 7 kHz; libswresample's default filter is 61 dB down there.
        assert level(samples[1000:-1000]) < 10 ** (-55 / 20) * 0.5 / np.sqrt(2)

    def test_a_rate_that_changes_in_the_file_is_followed(self) -> None:
        low = encode(BY_NAME["adts"], tone(2.0, 22_050, 880.0), 22_050)
        high = encode(BY_NAME["adts"], tone(2.0, 44_100), 44_100)
        samples, _, warnings = decode_all(high + low)
        assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(4.1, abs=0.1)
        assert frequency_hz(samples[8_000:24_000]) == pytest.approx(440, abs=2)
        assert frequency_hz(samples[40_000:56_000]) == pytest.approx(880, abs=2)
        assert warnings == ()

    @pytest.mark.parametrize(("first_hz", "second_hz"), [(44_100, 22_050), (48_000, 48_000)])
    def test_chained_ogg_streams_follow_one_another(self, first_hz: int, second_hz: int) -> None:
        kind = BY_NAME["ogg-flac"]
        chained = encode(kind, tone(2.0, first_hz), first_hz) + encode(
            kind, tone(3.0, second_hz, 880.0), second_hz
        )
        samples, _, warnings = decode_all(chained)
        assert abs(len(samples) - 5 * SAMPLE_RATE_HZ) <= 2
        assert frequency_hz(samples[8_000:24_000]) == pytest.approx(440, abs=2)
        assert frequency_hz(samples[40_000:72_000]) == pytest.approx(880, abs=2)
        assert warnings == ()


class TestDownmix:
    def test_stereo_is_the_mean(self) -> None:
        both = np.stack([tone(1.0, SAMPLE_RATE_HZ), 0.5 * tone(1.0, SAMPLE_RATE_HZ, 1_000.0)])
        samples, _, _ = decode_all(encode(BY_NAME["wav-f32"], both, SAMPLE_RATE_HZ))
        np.testing.assert_allclose(samples, both.mean(axis=0), atol=1e-6)

    @pytest.mark.parametrize("channels", [2, 3, 4, 6, 8])
    def test_full_scale_in_all_channels_does_not_clip(self, channels: int) -> None:
        loud = np.tile(tone(1.0, SAMPLE_RATE_HZ, gain=1.0), (channels, 1))
        samples, _, _ = decode_all(encode(BY_NAME["wav-f32"], loud, SAMPLE_RATE_HZ))
        # A subwoofer's channel is left out, the others' weights add up to one.
        np.testing.assert_allclose(samples, loud[0], atol=1e-5)

    @pytest.mark.parametrize("channels", [2, 3, 5, 6, 9, 12, 17, 32, 64])
    def test_channels_without_a_place_are_averaged(self, channels: int) -> None:
        waves = np.stack([tone(0.5, SAMPLE_RATE_HZ, 200.0 + 50 * k) for k in range(channels)])
        samples, info, _ = decode_all(wav(waves))
        assert info.channels == channels
        np.testing.assert_allclose(samples, waves.mean(axis=0), atol=3e-4)

    @pytest.mark.parametrize(
        "layout",
        ["7.1.4", "22.2", "cube", "hexadecagonal", "ambisonic 1", "BL+BR", "LFE", "binaural"],
    )
    def test_every_layout_has_a_mix_that_keeps_the_level(self, layout: str) -> None:
        channels = av.AudioLayout(layout).nb_channels
        ones = np.full((1, channels * 4_800), 0.5, np.float32)
        frame = av.AudioFrame.from_ndarray(ones, format="flt", layout=layout)
        frame.sample_rate = 48_000
        converter = MonoConverter(frame)
        samples = np.concatenate([*converter.feed(frame), *converter.finish()])
        assert len(samples) == 1_600
        np.testing.assert_allclose(samples[100:-100], 0.5, atol=1e-3)

    def test_speech_in_the_centre_of_a_film_stays_in_front(self) -> None:
        silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
        centre = tone(1.0, SAMPLE_RATE_HZ)
        channels = np.stack([silence, silence, centre, silence, silence, silence])
        samples, _, _ = decode_all(encode(BY_NAME["wav-f32"], channels, SAMPLE_RATE_HZ))
        # ITU-R BS.775: centre 1, front 0.7071 each, rear 0.5 each, all over their sum.
        weight = 1 / (1 + 2 * np.sqrt(0.5) + 2 * 0.5)
        np.testing.assert_allclose(samples, weight * centre, atol=1e-4)


class TestBlocks:
    @pytest.mark.parametrize("block_s", [0.5, 1.0, 7.0, 10.0, 100.0])
    def test_all_blocks_but_the_last_have_one_length(self, block_s: float) -> None:
        with open_audio(JFK, limits=DecodeLimits(block_s=block_s)) as reader:
            blocks = list(reader)
            assert reader.samples_read == 11 * SAMPLE_RATE_HZ
        size = round(block_s * SAMPLE_RATE_HZ)
        assert all(len(block) == size for block in blocks[:-1])
        assert 0 < len(blocks[-1]) <= size
        np.testing.assert_array_equal(np.concatenate(blocks), read_wav(JFK))

    def test_warnings_come_with_the_end(self) -> None:
        with open_audio(JFK.read_bytes()[:-1000], limits=DecodeLimits(block_s=1)) as reader:
            next(reader)
            assert reader.warnings == ()
            rest = list(reader)
            assert codes(reader.warnings) == [WarningCode.TRUNCATED_AUDIO]
        assert reader.samples_read == SAMPLE_RATE_HZ * (1 + len(rest[:-1])) + len(rest[-1])


class TestVideo:
    @pytest.mark.parametrize(
        ("muxer", "codec"),
        [
            ("mp4", "aac"),
            ("mov", "pcm_s16le"),
            ("matroska", "libopus"),
            ("matroska", "ac3"),
            ("mpegts", "aac"),
            ("avi", "libmp3lame"),
        ],
    )
    def test_the_sound_of_a_film_is_read(self, muxer: str, codec: str) -> None:
        film = encode_video(tone(2.0, 48_000), muxer=muxer, audio_codec=codec)
        samples, _, warnings = decode_all(film)
        assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.05)
        assert frequency_hz(samples) == pytest.approx(440, abs=2)
        assert warnings == ()

    @pytest.mark.parametrize("muxer", ["mp4", "matroska", "avi", "mpegts"])
    def test_a_silent_film_has_no_audio_track(self, muxer: str) -> None:
        with pytest.raises(NoAudioTrackError, match="no audio track"):
            open_audio(encode_video(None, muxer=muxer))

    @pytest.mark.parametrize(
        ("muxer", "codec"), [("mp4", "aac"), ("mov", "pcm_s16le"), ("matroska", "libopus")]
    )
    def test_sound_that_starts_late_has_silence_before_it(self, muxer: str, codec: str) -> None:
        film = encode_video(
            tone(2.0, 48_000), muxer=muxer, audio_codec=codec, audio_start_s=1.5, seconds=4.0
        )
        samples, info, warnings = decode_all(film)
        heard = np.flatnonzero(np.abs(samples) > 0.1) / SAMPLE_RATE_HZ
        assert heard[0] == pytest.approx(1.5, abs=0.005)
        assert heard[-1] == pytest.approx(3.5, abs=0.005)
        assert info.duration_s == pytest.approx(3.5, abs=0.6)
        assert warnings == ()


class TestCutFiles:
    TELL_THEIR_LENGTH = frozenset(
        {"wav", "w64", "aiff", "caf", "flac", "ogg", "mp4", "mov", "3gp", "matroska", "webm", "asf"}
    )
    ENDS_WITH_ITS_INDEX = frozenset({"m4a", "m4a-alac", "mp4", "mov", "3gp"})

    @pytest.mark.parametrize("share", [0.6, 0.9])
    @pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
    def test_a_cut_file_gives_what_is_there(
        self, kind: AudioFormat, share: float, files: dict[str, bytes]
    ) -> None:
        whole = files[kind.name]
        cut = whole[: int(len(whole) * share)]
        if kind.name in self.ENDS_WITH_ITS_INDEX:
            with pytest.raises(IncompleteAudioError, match="incomplete"):
                decode_all(cut)
            return
        samples, _, warnings = decode_all(cut)
        heard_s = len(samples) / SAMPLE_RATE_HZ
        assert codes(warnings) == [WarningCode.TRUNCATED_AUDIO]
        assert warnings[0].start == pytest.approx(heard_s)
        # Ogg and fragmented MP4 lose the page or fragment that was cut: up to a second.
        assert SPEECH_S * share - 1.1 <= heard_s <= SPEECH_S * share + 0.4

    def test_an_mp4_with_its_index_in_front_can_be_cut(self) -> None:
        whole = moov_first(encode(BY_NAME["m4a"], tone(4.0, 44_100)))
        assert decode_all(whole)[2] == ()
        samples, _, warnings = decode_all(whole[: len(whole) // 2])
        assert 1 < len(samples) / SAMPLE_RATE_HZ < 3
        assert codes(warnings) == [WarningCode.TRUNCATED_AUDIO]

    def test_a_header_that_claims_more_is_not_believed(self) -> None:
        data = bytearray(JFK.read_bytes())
        at = data.index(b"data") + 4
        data[at : at + 4] = struct.pack("<I", 500_000_000)
        samples, _, warnings = decode_all(bytes(data))
        assert len(samples) == 11 * SAMPLE_RATE_HZ
        assert codes(warnings) == [WarningCode.TRUNCATED_AUDIO]

    @pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF])
    def test_a_size_that_means_unknown_is_no_claim(self, size: int) -> None:
        data = bytearray(JFK.read_bytes())
        at = data.index(b"data") + 4
        data[at : at + 4] = struct.pack("<I", size)
        samples, _, warnings = decode_all(bytes(data))
        assert len(samples) == 11 * SAMPLE_RATE_HZ
        assert warnings == ()

    @pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
    def test_a_file_cut_in_its_header_is_an_error(
        self, kind: AudioFormat, files: dict[str, bytes]
    ) -> None:
        with pytest.raises(UnsupportedMediaError) as error:
            decode_all(files[kind.name][:20])
        if kind.muxer in self.TELL_THEIR_LENGTH:
            assert isinstance(error.value, IncompleteAudioError)

    @pytest.mark.parametrize("share", [0.1, 0.4])
    def test_an_mp4_cut_in_its_index_is_incomplete(
        self, share: float, files: dict[str, bytes]
    ) -> None:
        whole = files["m4a"]
        index = whole.index(b"moov")
        with pytest.raises(IncompleteAudioError):
            decode_all(whole[: index + int((len(whole) - index) * share)])


class TestDamage:
    KEEP_TIME = ("flac", "ogg-flac", "ogg-opus", "mkv", "webm", "m4a", "m4a-alac", "mpegts", "wma")

    @pytest.mark.parametrize("name", KEEP_TIME)
    def test_what_follows_a_damaged_piece_stays_in_its_place(self, name: str) -> None:
        kind, speech = BY_NAME[name], read_wav(JFK)
        data = bytearray(encode(kind, at_rate(speech, kind.rate_hz)))
        whole = decode_all(bytes(data))[0]
        start, end = int(len(data) * 0.4), int(len(data) * 0.45)
        data[start:end] = np.random.default_rng(1).bytes(end - start)
        samples, _, warnings = decode_all(bytes(data))

        tail = speech[-3 * SAMPLE_RATE_HZ :]
        assert delay_s(samples, tail) == pytest.approx(delay_s(whole, tail), abs=0.005)
        assert codes(warnings) == [WarningCode.DAMAGED_AUDIO]
        assert warnings[0].start is not None
        assert 3.5 < warnings[0].start < 5.5

    def test_a_pause_in_the_timestamps_is_silence(self) -> None:
        first, second = tone(1.0, 48_000), tone(1.0, 48_000, 880.0)
        joined = encode(BY_NAME["webm"], first, pieces=[(2.5, second)])
        samples, _, warnings = decode_all(joined)
        assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(3.5, abs=0.05)
        assert level(samples[int(1.1 * SAMPLE_RATE_HZ) : int(2.4 * SAMPLE_RATE_HZ)]) < 0.001
        assert frequency_hz(samples[int(2.6 * SAMPLE_RATE_HZ) :]) == pytest.approx(880, abs=3)
        assert codes(warnings) == [WarningCode.DAMAGED_AUDIO]

    def test_a_jump_of_the_timestamps_by_hours_is_no_pause(self) -> None:
        joined = encode(BY_NAME["webm"], tone(1.0, 48_000), pieces=[(7_200.0, tone(1.0, 48_000))])
        samples, _, _ = decode_all(joined)
        assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.05)


PROGRAM = """
import resource, sys
from tests.support.audio_files import BY_NAME, LongWav, encode, tone
from verbatim.stages.decode_audio import open_audio

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

list(open_audio(encode(BY_NAME["wav-u8"], tone(30.0, 8_000), 8_000)))
before = peak_mb()
with open_audio(LongWav(int(sys.argv[1]))) as reader:
    for block in reader:
        pass
    print(reader.samples_read, round(peak_mb() - before))
"""


def test_ten_hours_take_no_more_memory_than_thirty_seconds() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(10 * 3_600)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    samples, grown_mb = map(int, done.stdout.split())
    assert samples == 10 * 3_600 * SAMPLE_RATE_HZ
    assert grown_mb < 100
