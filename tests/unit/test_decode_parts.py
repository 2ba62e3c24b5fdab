"""The parts of decoding that are pure: time, cost, outlines, claims, guarded reading."""

from __future__ import annotations

import io
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.audio_files import BY_NAME, FORMATS, AudioFormat, encode, tone

from verbatim.domain.errors import (
    AudioTooLongError,
    DecodingTooSlowError,
    InternalError,
    UndecodableAudioError,
)
from verbatim.domain.transcript import WarningCode
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.audio_source import GuardedFile, skip_id3
from verbatim.stages.damage import Damage, truncated_warning
from verbatim.stages.decode_limits import Budget, DecodeLimits
from verbatim.stages.index_claims import ALLOWED_ENTRIES, MAX_EDITS, MAX_INDEX_ENTRIES, IndexClaims
from verbatim.stages.outlines import Outline, read_outline
from verbatim.stages.timeline import DAMAGE_TOLERANCE_S, GAP_TOLERANCE_S, Timeline


def id3(size: int, flags: int = 0) -> bytes:
    sizes = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    footer = b"3DI\4\0\0" + sizes if flags & 0x10 else b""
    return b"ID3\4\0" + bytes([flags]) + sizes + bytes(size) + footer


class TestTimeline:
    def test_steady_timestamps_leave_no_gap(self) -> None:
        timeline = Timeline(0.0, 600.0)
        assert all(timeline.gap_s(k * 0.02, k * 0.02) == 0 for k in range(100))

    def test_a_late_start_is_counted_from_the_presentations_start(self) -> None:
        assert Timeline(10.0, 600.0).gap_s(11.5, 0.0) == pytest.approx(1.5)
        assert Timeline(None, 600.0).gap_s(11.5, 0.0) == 0

    def test_rounded_timestamps_and_small_drift_are_forgiven(self) -> None:
        timeline = Timeline(0.0, 600.0)
        timeline.gap_s(0.0, 0.0)
        assert timeline.gap_s(1.0 + GAP_TOLERANCE_S * 0.9, 1.0) == 0
        assert timeline.gap_s(2.0 + GAP_TOLERANCE_S * 1.1, 2.0) == pytest.approx(0.11)

    def test_after_damage_timestamps_are_taken_at_their_word(self) -> None:
        timeline = Timeline(0.0, 600.0)
        timeline.gap_s(0.0, 0.0)
        late_s = DAMAGE_TOLERANCE_S * 2
        assert timeline.gap_s(1.0 + late_s, 1.0, damaged=True) == pytest.approx(late_s)

    @pytest.mark.parametrize("jump_s", [-5.0, -0.2, 601.0, 1e9])
    def test_a_jump_is_a_new_beginning(self, jump_s: float) -> None:
        timeline = Timeline(0.0, 600.0)
        timeline.gap_s(0.0, 0.0)
        assert timeline.gap_s(1.0 + jump_s, 1.0) == 0
        assert timeline.gap_s(2.0 + jump_s, 2.0) == 0
        assert timeline.gap_s(4.0 + jump_s, 3.0) == pytest.approx(1.0)

    @given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=50), st.floats(0.0, 600.0))
    def test_gaps_are_never_negative_nor_too_long(
        self, stamps: list[float | None], max_gap_s: float
    ) -> None:
        timeline, position_s = Timeline(None, max_gap_s), 0.0
        for stamp_s in stamps:
            gap_s = timeline.gap_s(stamp_s, position_s)
            assert 0 <= gap_s <= max_gap_s
            position_s += gap_s + 0.02


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class TestBudget:
    LIMITS = DecodeLimits(
        max_duration_s=100.0,
        max_work_s_per_s=0.5,
        work_grace_s=10.0,
        max_audio_s_per_byte=0.1,
        unpack_grace_s=20.0,
    )

    def test_work_may_grow_with_the_sound(self) -> None:
        clock = Clock()
        budget = Budget(self.LIMITS, clock, 1_000)
        with budget.running():
            clock.now_s += 9.9
            budget.check_time()
            budget.count(40 * SAMPLE_RATE_HZ)
            clock.now_s += 20.0
            budget.check_time()
            clock.now_s += 0.2
            with pytest.raises(DecodingTooSlowError, match=r"30 s of work for 40 s of sound"):
                budget.check_time()

    def test_only_time_while_running_counts(self) -> None:
        clock = Clock()
        budget = Budget(self.LIMITS, clock, 1_000)
        for _ in range(5):
            with budget.running():
                clock.now_s += 1.9
            clock.now_s += 1e6
        budget.check_time()
        with budget.running(), pytest.raises(DecodingTooSlowError):
            clock.now_s += 1.0
            budget.check_time()

    def test_all_sound_is_bounded(self) -> None:
        budget = Budget(self.LIMITS, Clock(), 1_000)
        budget.count(100 * SAMPLE_RATE_HZ)
        with pytest.raises(AudioTooLongError, match=r"longer than 1 min 40 s"):
            budget.count(1)

    def test_sound_is_bounded_by_the_files_size(self) -> None:
        budget = Budget(self.LIMITS, Clock(), 100)
        budget.count(30 * SAMPLE_RATE_HZ)
        with pytest.raises(AudioTooLongError, match=r"only 100 bytes"):
            budget.count(1)


SAY_NO_LENGTH = {"flac", "mp3", "adts", "amr", "flv"}
"""Muxers whose outermost layer does not tell how long it is."""


class TestOutline:
    @pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
    def test_a_whole_file_is_not_cut(self, kind: AudioFormat) -> None:
        data = encode(kind, tone(1.0, kind.rate_hz))
        file = io.BytesIO(data)
        outline = read_outline(file, len(data), skip_id3(file))
        assert outline == Outline(counts_frames=kind.muxer == "mp3", is_wave=kind.muxer == "wav")

    @pytest.mark.parametrize(
        "kind",
        [kind for kind in FORMATS if kind.muxer not in SAY_NO_LENGTH],
        ids=lambda kind: kind.name,
    )
    @pytest.mark.parametrize("share", [0.5, 0.83])
    def test_a_cut_one_is(self, kind: AudioFormat, share: float) -> None:
        data = encode(kind, tone(2.0, kind.rate_hz))
        data = data[: int(len(data) * share)]
        assert read_outline(io.BytesIO(data), len(data)).cut

    @given(st.binary(max_size=300), st.sampled_from([kind.name for kind in FORMATS]))
    def test_any_bytes_have_an_outline(self, junk: bytes, name: str) -> None:
        magic = encode(BY_NAME[name], tone(0.1, BY_NAME[name].rate_hz))[:16]
        for data in (junk, magic + junk):
            file = io.BytesIO(data)
            read_outline(file, len(data))
            assert file.tell() == 0

    def test_a_file_of_many_small_boxes_is_given_up(self) -> None:
        data = struct.pack(">I4s", 8, b"free") * 300_000
        assert not read_outline(io.BytesIO(data), len(data)).cut


class TestIndexClaims:
    @staticmethod
    def sizes(count: int) -> bytes:
        return b"stsz" + struct.pack(">III", 0, 4, count)

    @pytest.mark.parametrize("split", range(1, 16))
    def test_a_claim_across_two_blocks_is_seen_once(self, split: int) -> None:
        claims = IndexClaims(1_000)
        data = bytes(20) + self.sizes(MAX_INDEX_ENTRIES)
        needed = ALLOWED_ENTRIES // MAX_INDEX_ENTRIES
        position = 0
        for _ in range(needed):
            for block in (data[: 20 + split], data[20 + split :]):
                claims.watch(position, block)
                position += len(block)
        with pytest.raises(UndecodableAudioError, match="claims far more"):
            claims.watch(position, data)

    def test_a_large_file_may_hold_more(self) -> None:
        claims = IndexClaims(100_000_000)
        for _ in range(17):
            claims.watch(0, self.sizes(MAX_INDEX_ENTRIES))
        with pytest.raises(UndecodableAudioError):
            claims.watch(0, self.sizes(MAX_INDEX_ENTRIES))

    def test_an_index_that_libav_will_not_make_counts_nothing(self) -> None:
        claims = IndexClaims(1_000)
        for _ in range(100):
            claims.watch(0, self.sizes(MAX_INDEX_ENTRIES + 1))

    def test_edits_are_bounded(self) -> None:
        with pytest.raises(UndecodableAudioError):
            IndexClaims(1_000).watch(0, b"elst" + struct.pack(">II", 0, MAX_EDITS + 1))

    @given(st.binary(max_size=500))
    def test_other_bytes_claim_nothing(self, data: bytes) -> None:
        IndexClaims(1_000).watch(0, data.replace(b"s", b"x").replace(b"t", b"x"))


class TestGuardedFile:
    def test_the_file_begins_after_the_tags(self) -> None:
        file = io.BytesIO(id3(200) + id3(50, flags=0x10) + b"audio")
        start = skip_id3(file)
        guarded = GuardedFile(file, lambda: None, start)
        assert guarded.read(100) == b"audio"
        assert guarded.tell() == 5
        assert guarded.seek(1) == 1
        assert guarded.read(2) == b"ud"
        assert guarded.seek(-1, os.SEEK_END) == 4
        assert guarded.seek(1, os.SEEK_CUR) == 5

    @pytest.mark.parametrize("data", [b"", b"ID3", b"ID3\4\0\0\xff\xff\xff\xff", b"RIFF" * 10])
    def test_what_is_no_tag_is_left(self, data: bytes) -> None:
        assert skip_id3(io.BytesIO(data)) == 0

    def test_a_chain_of_tags_ends(self) -> None:
        file = io.BytesIO(id3(0) * 1_000)
        assert skip_id3(file) == 16 * 10

    @pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (2**70, 0), (0, 9)])
    def test_no_place_in_the_file_is_told_not_raised(self, offset: int, whence: int) -> None:
        assert GuardedFile(io.BytesIO(b"audio"), lambda: None).seek(offset, whence) == -1

    def test_a_guard_ends_the_file_and_is_told_afterwards(self) -> None:
        def enough() -> None:
            raise DecodingTooSlowError("Enough.")

        guarded = GuardedFile(io.BytesIO(b"audio"), enough)
        assert guarded.read(5) == b""
        assert guarded.read(5) == b""
        with pytest.raises(DecodingTooSlowError, match="Enough"):
            guarded.raise_failure()

    def test_a_closed_file_is_a_failure_and_no_crash(self) -> None:
        file = io.BytesIO(b"audio")
        guarded = GuardedFile(file, lambda: None)
        file.close()
        assert guarded.read(5) == b""
        with pytest.raises(InternalError):
            guarded.raise_failure()


class TestWarnings:
    def test_holes_add_up(self) -> None:
        damage = Damage().with_hole(2.0, 0.5).with_hole(8.0, 1.0)
        warning = damage.warning(lost_packets=3)
        assert warning is not None
        assert warning.code is WarningCode.DAMAGED_AUDIO
        assert (warning.start, warning.end) == (2.0, 9.0)
        assert "3 of its packets could not be decoded, and 1.5 s are missing" in warning.message

    def test_no_damage_and_drifting_clocks_say_nothing(self) -> None:
        assert Damage().warning(0) is None
        assert Damage().with_hole(5.0, 0.11).warning(0) is None

    def test_a_counted_length_is_told(self) -> None:
        assert "only 3.0 s of 9.0 s could be read" in truncated_warning(3.0, 9.0).message
        assert truncated_warning(3.0, None).start == 3.0
