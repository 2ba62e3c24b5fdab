"""The benchmark's own arithmetic: medians, ratios, turns, and the check of equal work."""

from __future__ import annotations

from statistics import median

import pytest
from benchmarks.figures import (
    Expected,
    Spread,
    UnequalWorkError,
    check_equal_work,
    interleaved,
    ratios,
    speeds,
    spread,
)
from hypothesis import given
from hypothesis import strategies as st

WALLS_S = st.lists(st.floats(0.001, 1_000.0), min_size=1, max_size=9)


@given(WALLS_S)
def test_the_spread_holds_the_median(walls_s: list[float]) -> None:
    found = spread(walls_s)
    assert found == Spread(median(walls_s), min(walls_s), max(walls_s))
    assert found.least <= found.median <= found.most


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="nothing"):
        spread([])


def test_speeds_are_multiples_of_real_time() -> None:
    assert speeds([2.0, 4.0], audio_s=60.0) == [30.0, 15.0]


def test_a_slower_second_round_does_not_change_the_ratio() -> None:
    """Both were twice as slow then; the medians of the times would say something else."""
    ours_s, theirs_s = [1.0, 2.0, 2.0], [3.0, 6.0, 6.0]
    assert ratios(ours_s, theirs_s) == [3.0, 3.0, 3.0]


def test_only_rounds_that_both_have_are_compared() -> None:
    assert ratios([1.0, 2.0], [3.0, 6.0, 9.0]) == [3.0, 3.0]


@given(WALLS_S)
def test_the_reference_is_as_fast_as_itself(walls_s: list[float]) -> None:
    assert set(ratios(walls_s, walls_s)) == {1.0}


def test_contenders_take_turns() -> None:
    turns = list(interleaved({"ours": 3, "theirs": 3, "slow": 1}))
    assert turns == ["ours", "theirs", "slow", "ours", "theirs", "ours", "theirs"]


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 5), max_size=5))
def test_everybody_has_all_rounds_and_never_two_more_than_another(rounds: dict[str, int]) -> None:
    done = dict.fromkeys(rounds, 0)
    for contender in interleaved(rounds):
        done[contender] += 1
        behind = [done[one] for one in rounds if done[one] < rounds[one]]
        assert all(done[contender] - others <= 1 for others in behind)
    assert done == rounds


def test_equal_work_passes() -> None:
    check_equal_work([48, 48, 48], Expected(48, 3))
    check_equal_work([48, 48], Expected(48, None))


@pytest.mark.parametrize(
    ("tokens", "windows", "told"),
    [
        ([48, 26, 48, 26], 4, "not 48 tokens in each window, but 2 of 26"),
        ([48, 47, 49], 3, "1 of 47, 1 of 49"),
        ([48, 48], 3, "2 windows instead of 3"),
        ([48] * 4, 3, "4 windows instead of 3"),
        ([], None, "no window"),
    ],
)
def test_other_work_is_refused(tokens: list[int], windows: int | None, told: str) -> None:
    with pytest.raises(UnequalWorkError, match=told):
        check_equal_work(tokens, Expected(48, windows))
