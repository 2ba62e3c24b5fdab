from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from verbatim.domain.audio import Pcm
from verbatim.domain.transcript import Segment, Word
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_S, WINDOW_SAMPLES
from verbatim.stages.speech import SpeechChunk
from verbatim.stages.windows import (
    MIN_FILL,
    SEAM_SLACK_S,
    Piece,
    PlannedWindow,
    SpeechBuffer,
    TimeMap,
    pack,
    restore,
)

Places: TypeAlias = NDArray[np.int64]
"""Numbers of samples in the recording (n,)."""

MAP = TimeMap(
    (
        Piece(0, 16_000, 32_000),  # 0 to 2 s in the window: 1 to 3 s in the recording
        Piece(32_000, 160_000, 16_000),  # 2 to 3 s: 10 to 11 s
        Piece(48_000, 320_000, 64_000),  # 3 to 7 s: 20 to 24 s
    )
)


def ramp(start: int, length: int) -> Pcm:
    """Samples that tell where in the recording they lay (modulo 2**15)."""
    return (np.arange(start, start + length) % 32_768).astype(np.int16)


def chunk(start_s: float, length_s: float, gap_before_s: float = 1.0) -> SpeechChunk:
    start, length = round(start_s * SAMPLE_RATE_HZ), round(length_s * SAMPLE_RATE_HZ)
    return SpeechChunk(ramp(start, length), start, gap_before_s)


def in_a_row(*parts: tuple[float, float]) -> list[SpeechChunk]:
    """Chunks of (gap before, length) seconds."""
    chunks: list[SpeechChunk] = []
    at = 0.0
    for gap, length in parts:
        at += gap
        chunks.append(chunk(at, length, gap))
        at += length
    return chunks


def segment(start: float, end: float, *words: tuple[float, float]) -> Segment:
    return Segment(
        id=0, seek=0, start=start, end=end, text=" x", tokens=(), temperature=0.0,
        avg_logprob=-0.1, compression_ratio=1.0, no_speech_prob=0.0,
        words=tuple(Word(" x", *span, 1.0) for span in words) if words else None,
    )  # fmt: skip


@st.composite
def some_chunks(draw: st.DrawFn) -> list[SpeechChunk]:
    chunks: list[SpeechChunk] = []
    at = 0
    for _ in range(draw(st.integers(0, 14))):
        gap = draw(st.sampled_from([0, 1, 5_000, 20_000, 90_000]))
        length = draw(st.one_of(st.integers(1, WINDOW_SAMPLES), st.integers(1, 60_000)))
        chunks.append(SpeechChunk(ramp(at + gap, length), at + gap, gap / SAMPLE_RATE_HZ))
        at += gap + length
    return chunks


@st.composite
def some_maps(draw: st.DrawFn) -> TimeMap:
    lengths = draw(st.lists(st.integers(1, 60_000), min_size=1, max_size=6))
    gaps = draw(st.lists(st.integers(1, 100_000), min_size=6, max_size=6))
    lead = draw(st.sampled_from([0, 4_800]))
    offsets = [0, *accumulate(lengths)]
    pieces = [
        Piece(offset, offset + sum(gaps[: number + 1]), length, min(lead, length))
        for number, (offset, length) in enumerate(zip(offsets, lengths, strict=False))
    ]
    return TimeMap(tuple(pieces))


def in_recording(spans: Iterable[tuple[int, int]]) -> Places:
    """The numbers of the recording's samples in (start, length) spans."""
    return np.concatenate(
        [np.zeros(0, np.int64), *(np.arange(start, start + n) for start, n in spans)]
    )


def track_of(chunks: Iterable[SpeechChunk]) -> Places:
    return in_recording((each.start_sample, len(each.samples)) for each in chunks)


def places(window: PlannedWindow) -> Places:
    """Which samples of the recording the map says a window holds; checks it against the audio."""
    pieces = window.time_map.pieces
    offsets = accumulate((piece.length for piece in pieces), initial=0)
    assert [piece.window_offset for piece in pieces] == list(offsets)[:-1]
    for before, after in pairwise(pieces):
        assert before.recording_start + before.length < after.recording_start
    found = in_recording((piece.recording_start, piece.length) for piece in pieces)
    np.testing.assert_array_equal(window.samples, (found % 32_768).astype(np.int16))
    return found


class TestTimeMap:
    @pytest.mark.parametrize(
        ("time_s", "start", "end"),
        [
            (0.0, 1.0, 1.0),
            (1.5, 2.5, 2.5),
            (2.0, 10.0, 3.0),
            (2.5, 10.5, 10.5),
            (3.0, 20.0, 11.0),
            (7.0, 24.0, 24.0),
            (9.0, 24.0, 24.0),
            (-1.0, 1.0, 1.0),
        ],
    )
    def test_to_recording(self, time_s: float, start: float, end: float) -> None:
        assert MAP.to_recording(time_s) == start
        assert MAP.to_recording(time_s, is_end=True) == end

    def test_a_seam_is_found_in_spite_of_rounding(self) -> None:
        seam = 115 * 0.02  # 2.3000000000000003
        time_map = TimeMap((Piece(0, 0, 36_800), Piece(36_800, 80_000, 16_000)))
        assert time_map.to_recording(seam, is_end=True) == 2.3
        assert time_map.to_recording(2.3) == 5.0

    @given(some_maps(), st.lists(st.floats(-1.0, 30.0), max_size=30))
    def test_never_decreases(self, time_map: TimeMap, times: list[float]) -> None:
        seams = [piece.window_offset / SAMPLE_RATE_HZ for piece in time_map.pieces]
        moments = sorted(times + seams)
        starts = [time_map.to_recording(moment) for moment in moments]
        ends = [time_map.to_recording(moment, is_end=True) for moment in moments]
        assert starts == sorted(starts)
        assert ends == sorted(ends)
        assert all(end <= start for start, end in zip(starts, ends, strict=True))

    @given(some_maps(), st.data())
    def test_a_sample_keeps_its_place(self, time_map: TimeMap, data: st.DataObject) -> None:
        piece = data.draw(st.sampled_from(time_map.pieces))
        within = data.draw(st.integers(0, piece.length - 1))
        found = time_map.to_recording((piece.window_offset + within) / SAMPLE_RATE_HZ)
        assert found == (piece.recording_start + within) / SAMPLE_RATE_HZ


class TestRestore:
    def test_a_word_is_where_its_middle_is(self) -> None:
        mostly_before, mostly_after = (1.5, 2.1), (2.2, 3.9)
        (restored,) = restore((segment(1.5, 3.9, mostly_before, mostly_after),), MAP)
        assert restored.words is not None
        assert [(word.start, word.end) for word in restored.words] == [(2.5, 3.0), (20.0, 20.9)]
        assert (restored.start, restored.end) == (2.5, 20.9)

    def test_a_segment_without_words(self) -> None:
        assert restore((segment(0.5, 2.0),), MAP)[0].end == 3.0
        assert restore((segment(2.0, 2.5),), MAP)[0].start == 10.0
        (across,) = restore((segment(0.5, 6.0),), MAP)
        assert (across.start, across.end) == (1.5, 23.0)

    def test_a_segment_that_just_misses_a_seam(self) -> None:
        near = SEAM_SLACK_S / 2
        (early,) = restore((segment(3.0 - near, 5.0),), MAP)
        assert early.start == 20.0
        (late,) = restore((segment(0.5, 2.0 + near),), MAP)
        assert late.end == 3.0
        far = SEAM_SLACK_S * 2
        assert restore((segment(3.0 - far, 6.0),), MAP)[0].start == pytest.approx(11.0 - far)

    @pytest.mark.parametrize(
        ("start", "end", "begin"),
        [
            (0.0, 0.6, 1.3),
            (0.2, 0.31, 1.3),
            (0.3, 0.6, 1.3),
            (0.5, 0.6, 1.5),
            (0.1, 0.3, 1.1),
            (2.1, 2.6, 10.25),
            (1.9, 2.6, 10.25),
            (3.0, 3.4, 20.0),
        ],
    )
    def test_nothing_begins_in_the_padding_before_speech(
        self, start: float, end: float, begin: float
    ) -> None:
        leads = (4_800, 4_000, 0)
        time_map = TimeMap(
            tuple(replace(piece, lead=n) for piece, n in zip(MAP.pieces, leads, strict=True))
        )
        for words in ((), ((start, end),)):
            (restored,) = restore((segment(start, end, *words),), time_map)
            assert restored.start == pytest.approx(begin)
            assert restored.end == MAP.to_recording(end, is_end=True)

    def test_nothing_lasts_no_time_on_a_seam(self) -> None:
        (restored,) = restore((segment(2.0, 2.0),), MAP)
        assert (restored.start, restored.end) == (10.0, 10.0)

    def test_everything_else_stays(self) -> None:
        given_ = replace(segment(0.5, 1.0, (0.5, 1.0)), id=7, seek=3, tokens=(1, 2), text=" hi")
        (restored,) = restore((given_,), MAP)
        assert restored.words is not None
        assert restored == replace(given_, start=1.5, end=2.0, words=restored.words)

    @given(some_maps(), st.lists(st.floats(0.0, 12.0), max_size=24), st.booleans())
    def test_order(self, time_map: TimeMap, times: list[float], with_words: bool) -> None:
        moments = sorted(times)[: len(times) // 4 * 4]
        segments = tuple(
            segment(a, d, *([(a, b), (c, d)] if with_words else []))
            for a, b, c, d in zip(*[iter(moments)] * 4, strict=True)
        )
        clock = 0.0
        for restored in restore(segments, time_map):
            assert clock <= restored.start <= restored.end
            clock = restored.start
            for word in restored.words or ():
                assert clock <= word.start <= word.end
                clock = word.end
            assert clock <= restored.end
            clock = restored.end

    @given(some_maps(), st.floats(0.0, 12.0), st.floats(0.0, 3.0))
    def test_no_word_reaches_over_a_seam(
        self, time_map: TimeMap, start: float, length: float
    ) -> None:
        (restored,) = restore((segment(start, start + length, (start, start + length)),), time_map)
        assert any(
            piece.recording_start <= restored.start * SAMPLE_RATE_HZ + 0.5
            and restored.end * SAMPLE_RATE_HZ - 0.5 <= piece.recording_start + piece.length
            for piece in time_map.pieces
        )


class TestPack:
    @given(some_chunks())
    def test_nothing_is_lost_and_every_map_is_true(self, chunks: list[SpeechChunk]) -> None:
        windows = list(pack(chunks))
        held = np.concatenate([np.zeros(0, np.int64), *map(places, windows)])
        np.testing.assert_array_equal(held, track_of(chunks))
        for window in windows:
            assert 0 < len(window.samples) <= WINDOW_SAMPLES
            assert window.start_s == window.time_map.pieces[0].recording_start / SAMPLE_RATE_HZ

    def test_short_speech_is_one_window(self) -> None:
        (window,) = pack(in_a_row((1.0, 3.0), (2.0, 4.0), (5.0, 6.0)))
        assert len(window.samples) == 13 * SAMPLE_RATE_HZ
        assert len(window.time_map.pieces) == 3

    def test_chunks_that_touch_are_one_piece(self) -> None:
        (window,) = pack([chunk(1.0, 2.0), chunk(3.0, 2.0, 0.5), chunk(6.0, 1.0)])
        assert window.time_map.pieces == (Piece(0, 16_000, 64_000), Piece(64_000, 96_000, 16_000))

    def test_a_piece_knows_the_padding_before_its_speech(self) -> None:
        chunks = [replace(each, lead_samples=4_800) for each in in_a_row((1.0, 2.0), (1.0, 0.2))]
        (window,) = pack(chunks)
        assert [piece.lead for piece in window.time_map.pieces] == [4_800, 3_200]

    def test_it_ends_at_the_longest_silence(self) -> None:
        chunks = in_a_row((0.5, 10.0), (0.7, 9.0), (2.0, 5.0), (0.6, 4.0), (0.9, 8.0))
        first, second = pack(chunks)
        assert len(first.samples) == 19 * SAMPLE_RATE_HZ
        assert len(second.samples) == 17 * SAMPLE_RATE_HZ

    def test_not_at_a_silence_that_leaves_it_rather_empty(self) -> None:
        chunks = in_a_row((0.5, 5.0), (9.0, 9.0), (1.0, 14.0), (0.6, 8.0))
        assert MIN_FILL * WINDOW_S > 14.0
        first, _ = pack(chunks)
        assert len(first.samples) == 28 * SAMPLE_RATE_HZ

    def test_the_last_of_equal_silences(self) -> None:
        chunks = in_a_row(*[(1.0, 5.0)] * 7)
        assert [len(window.samples) / SAMPLE_RATE_HZ for window in pack(chunks)] == [30.0, 5.0]

    def test_where_no_silence_leaves_it_full_enough(self) -> None:
        chunks = in_a_row((0.5, 4.0), (9.0, 5.0), (1.0, 25.0))
        assert [len(window.samples) / SAMPLE_RATE_HZ for window in pack(chunks)] == [9.0, 25.0]

    def test_a_window_comes_as_soon_as_it_is_sure(self) -> None:
        asked = 0

        def endless() -> Iterator[SpeechChunk]:
            nonlocal asked
            for number in range(10_000):
                asked += 1
                yield chunk(number * 5.0, 4.0)

        windows = pack(endless())
        next(windows)
        assert asked == 8

    def test_nothing(self) -> None:
        assert list(pack([])) == []


class TestSpeechBuffer:
    @given(some_chunks(), st.data())
    def test_windows_from_anywhere(self, chunks: list[SpeechChunk], data: st.DataObject) -> None:
        """As a sequential decoder does: refill, look, go on by any number of samples."""
        buffer = SpeechBuffer()
        rest = iter(chunks)
        track = track_of(chunks)
        at = 0
        while at < len(track):
            while buffer.available < WINDOW_SAMPLES and (more := next(rest, None)) is not None:
                buffer.push(more)
            assert buffer.available < 2 * WINDOW_SAMPLES
            size = data.draw(st.integers(1, WINDOW_SAMPLES))
            window = buffer.peek(size)
            np.testing.assert_array_equal(places(window), track[at : at + size])
            step = data.draw(st.integers(WINDOW_SAMPLES // 2, WINDOW_SAMPLES))
            step = min(step, buffer.available)
            buffer.drop(step)
            at += step
        assert buffer.available == 0

    def test_looking_takes_nothing_away(self) -> None:
        buffer = SpeechBuffer()
        buffer.push(chunk(1.0, 2.0))
        buffer.push(chunk(5.0, 2.0))
        assert buffer.available == 4 * SAMPLE_RATE_HZ
        first, again = buffer.peek(), buffer.peek()
        np.testing.assert_array_equal(first.samples, again.samples)
        assert buffer.available == 4 * SAMPLE_RATE_HZ

    def test_dropping_into_a_chunk(self) -> None:
        buffer = SpeechBuffer()
        buffer.push(chunk(1.0, 2.0))
        buffer.push(chunk(5.0, 2.0))
        buffer.drop(3 * SAMPLE_RATE_HZ)
        assert buffer.peek().time_map.pieces == (Piece(0, 96_000, 16_000),)

    def test_dropping_into_the_padding_before_speech(self) -> None:
        buffer = SpeechBuffer()
        buffer.push(replace(chunk(1.0, 2.0), lead_samples=4_800))
        leads = []
        for _ in range(3):
            buffer.drop(1_800)
            leads.append(buffer.peek().time_map.pieces[0].lead)
        assert leads == [3_000, 1_200, 0]

    def test_what_is_not_there(self) -> None:
        buffer = SpeechBuffer()
        with pytest.raises(ValueError, match="nothing"):
            buffer.peek()
        buffer.push(chunk(0.0, 1.0))
        with pytest.raises(ValueError, match="cannot drop 16001 samples of 16000"):
            buffer.drop(16_001)


@given(some_chunks())
def test_without_joining_each_chunk_is_a_window(chunks: list[SpeechChunk]) -> None:
    windows = list(pack(chunks, join=False))
    for window, each in zip(windows, chunks, strict=True):
        assert np.array_equal(places(window), track_of([each]))
