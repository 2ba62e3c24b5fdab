"""Which encoder length a window gets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.units import ENCODER_STRIDE, FRAMES_PER_SECOND, WINDOW_S
from verbatim.engine.lengths import FULL_LENGTH_S, MARGIN_S, SHORT_LENGTHS_S, length_for

DURATIONS = st.floats(0, WINDOW_S)


@given(DURATIONS)
def test_a_length_holds_the_window_and_its_margin(duration_s: float) -> None:
    length_s = length_for(duration_s, SHORT_LENGTHS_S)
    assert length_s in SHORT_LENGTHS_S
    assert length_s >= duration_s + MARGIN_S or length_s == WINDOW_S
    shorter = [each for each in SHORT_LENGTHS_S if each < length_s]
    assert all(each < duration_s + MARGIN_S for each in shorter)


@given(DURATIONS, DURATIONS)
def test_a_longer_window_never_gets_a_shorter_length(one_s: float, other_s: float) -> None:
    shorter, longer = sorted((one_s, other_s))
    assert length_for(shorter, SHORT_LENGTHS_S) <= length_for(longer, SHORT_LENGTHS_S)


@given(DURATIONS)
def test_without_short_lengths_all_are_whole(duration_s: float) -> None:
    assert length_for(duration_s, FULL_LENGTH_S) == WINDOW_S


def test_the_lengths_are_few_and_suit_the_encoder() -> None:
    assert len(SHORT_LENGTHS_S) <= 8
    assert all(a < b for a, b in pairwise(SHORT_LENGTHS_S))
    assert SHORT_LENGTHS_S[-1] == WINDOW_S
    for length_s in SHORT_LENGTHS_S:
        frames = length_s * FRAMES_PER_SECOND
        assert frames % ENCODER_STRIDE == 0


def test_where_the_lengths_change() -> None:
    expected = {0.1: 7, 5.0: 7, 5.01: 9, 7.0: 9, 10.0: 12, 14.0: 16, 18.0: 20, 23.0: 25, 23.1: 30}
    assert {each: length_for(each, SHORT_LENGTHS_S) for each in expected} == expected
