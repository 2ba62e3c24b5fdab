"""Cutting tokens at timestamps, against faster-whisper on random sequences."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from faster_whisper import WhisperModel
from hypothesis import example, given
from hypothesis import strategies as st

from verbatim.domain.units import FRAMES_PER_SECOND
from verbatim.stages.segments import split_at_timestamps

FIRST = 50_364
DURATION_FRAMES = 2_345


def reference(tokens: list[int]) -> tuple[list[tuple[float, float, list[int]]], float, bool]:
    """What faster-whisper makes of the same tokens in a window at the start of the audio."""
    model = WhisperModel.__new__(WhisperModel)
    model.time_precision, model.input_stride = 0.02, 2
    segments, seek, _ = model._split_segments_by_timestamps(
        tokenizer=SimpleNamespace(timestamp_begin=FIRST),
        tokens=tokens,
        time_offset=0.0,
        segment_size=DURATION_FRAMES,
        segment_duration=DURATION_FRAMES / FRAMES_PER_SECOND,
        seek=0,
    )
    return [(s["start"], s["end"], list(s["tokens"])) for s in segments], seek, bool(segments)


tokens_strategy = st.lists(
    st.one_of(st.integers(0, 50_000), st.integers(FIRST, FIRST + 1_500)), max_size=24
)


@given(tokens_strategy)
@example([FIRST, 5, FIRST + 50, FIRST + 50, 6, FIRST + 90])
@example([FIRST, 5, FIRST + 50, FIRST + 50, 6])
@example([FIRST, 5, FIRST + 50, FIRST + 60])
@example([FIRST, 5])
@example([])
def test_equals_faster_whisper(tokens: list[int]) -> None:
    expected, seek, _ = reference(tokens)
    split = split_at_timestamps(tokens, FIRST, DURATION_FRAMES / FRAMES_PER_SECOND)
    found = [(part.start, part.end, list(part.tokens)) for part in split.closed]
    assert [part[2] for part in found] == [part[2] for part in expected]
    assert [part[:2] for part in found] == [pytest.approx(part[:2]) for part in expected]
    assert split.advance_s * FRAMES_PER_SECOND == pytest.approx(seek)


@given(tokens_strategy)
def test_no_token_is_lost(tokens: list[int]) -> None:
    split = split_at_timestamps(tokens, FIRST, 23.45)
    parts = [*split.closed, *([split.tail] if split.tail else [])]
    text = [t for part in parts for t in part.tokens if t < FIRST]
    assert text == [t for t in tokens if t < FIRST]
    assert split.heard_out or split.advance_s == pytest.approx(split.closed[-1].end)


def test_a_cut_sentence_is_the_tail() -> None:
    tokens = [FIRST, 5, FIRST + 50, FIRST + 60, 6, 7]
    split = split_at_timestamps(tokens, FIRST, 10.0)
    assert [part.tokens for part in split.closed] == [(FIRST, 5, FIRST + 50)]
    assert split.tail is not None
    assert (split.tail.start, split.tail.end) == pytest.approx((1.2, 10.0))
    assert not split.heard_out


def test_a_start_without_text_leaves_no_tail() -> None:
    split = split_at_timestamps([FIRST, 5, FIRST + 50, FIRST + 50], FIRST, 10.0)
    assert split.tail is None
    assert not split.heard_out
    assert split.advance_s == pytest.approx(1.0)
