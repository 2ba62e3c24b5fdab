from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.synthetic_voice import noise

from verbatim.stages.cuts import QUIET_FRAMES, Cut, best_pause, frame_energies, quietest
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities

THRESHOLD = 0.5


def probabilities(*runs: tuple[float, int]) -> Probabilities:
    return np.concatenate([np.full(count, value, np.float32) for value, count in runs])


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(0.9, 10), (0.2, 4), (0.9, 10), (0.2, 8), (0.9, 10)], Cut(28, 8)),
        ([(0.9, 10), (0.0, 4), (0.9, 10), (0.45, 8), (0.9, 10)], Cut(12, 4)),
        ([(0.9, 10), (0.2, 4), (0.9, 10), (0.2, 4), (0.9, 10)], Cut(26, 4)),
        ([(0.1, 6), (0.9, 10)], Cut(3, 6)),
        ([(0.9, 10), (0.1, 6)], Cut(13, 6)),
        ([(0.1, 6)], Cut(3, 6)),
    ],
    ids=["the longest", "the deepest", "the last of equals", "at the start", "at the end", "all"],
)
def test_best_pause(runs: list[tuple[float, int]], expected: Cut) -> None:
    assert best_pause(probabilities(*runs), THRESHOLD) == expected


def test_no_pause() -> None:
    assert best_pause(probabilities((0.5, 20)), THRESHOLD) is None
    assert best_pause(np.zeros(0, np.float32), THRESHOLD) is None


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60))
def test_a_pause_lies_in_a_whole_run_below_the_threshold(values: list[float]) -> None:
    found = best_pause(np.array(values, np.float32), THRESHOLD)
    assert (found is None) == all(value >= THRESHOLD for value in values)
    if found is not None:
        begin = found.frame - found.silence_frames // 2
        run = values[begin : begin + found.silence_frames]
        assert len(run) == found.silence_frames
        assert all(value < THRESHOLD for value in run)
        assert begin == 0 or values[begin - 1] >= THRESHOLD


@given(st.lists(st.integers(0, 1000), min_size=QUIET_FRAMES, max_size=60))
def test_quietest_against_every_place_tried(values: list[int]) -> None:
    half = QUIET_FRAMES // 2
    sums = {
        place: sum(values[place - half : place + half])
        for place in range(half, len(values) - half + 1)
    }
    least = min(sums.values())
    expected = max(place for place, total in sums.items() if total == least)
    assert quietest(np.array(values, np.float32)) == Cut(expected)


def test_frame_energies() -> None:
    samples = noise(0.1)
    energies = frame_energies(samples)
    count = -(-len(samples) // FRAME_SAMPLES)
    assert energies.shape == (count,)
    assert energies.dtype == np.float32
    expected = [
        np.sum(samples[at : at + FRAME_SAMPLES].astype(np.float64) ** 2) / FRAME_SAMPLES
        for at in range(0, len(samples), FRAME_SAMPLES)
    ]
    np.testing.assert_allclose(energies, expected, rtol=1e-5)


def test_a_cut_is_counted_from_elsewhere() -> None:
    assert Cut(3, 2).shifted(10) == Cut(13, 2)
