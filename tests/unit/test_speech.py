from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import faster_whisper.vad
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import VadOptions
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.speech import (
    FRAME_SAMPLES,
    MAX_DOUBT_S,
    Probabilities,
    Region,
    SpeechState,
    advance,
    check,
    finish,
    oldest_needed,
    settled,
)

FRAMES_PER_S = SAMPLE_RATE_HZ / FRAME_SAMPLES
LOUD, DOUBTFUL, QUIET = 0.9, 0.4, 0.1
PLAIN = VadOptions(min_speech_s=0.1, min_silence_s=0.5, pad_s=0.3)


def frames(seconds: float) -> int:
    return round(seconds * FRAMES_PER_S)


def runs(*parts: tuple[float, float]) -> Probabilities:
    """Probabilities of (value, seconds) runs."""
    return np.concatenate([np.full(frames(seconds), value, np.float32) for value, seconds in parts])


def regions_of(
    probabilities: Probabilities, options: VadOptions, total_samples: int | None = None
) -> tuple[Region, ...]:
    total = len(probabilities) * FRAME_SAMPLES if total_samples is None else total_samples
    state, regions = advance(SpeechState(), probabilities, options)
    return regions + finish(state, total, options)


def spans(regions: Sequence[Region]) -> list[tuple[int, int]]:
    return [(region.start_sample, region.end_sample) for region in regions]


def their_spans(probabilities: Probabilities, options: VadOptions) -> list[tuple[int, int]]:
    """faster-whisper's regions; the probabilities stand in for its model's."""
    theirs = cast("Any", faster_whisper.vad)
    original = theirs.get_vad_model
    theirs.get_vad_model = lambda: lambda _audio: probabilities.astype(np.float64)
    try:
        found = theirs.get_speech_timestamps(
            np.zeros(len(probabilities) * FRAME_SAMPLES, np.float32),
            threshold=options.threshold,
            neg_threshold=max(options.threshold - options.hysteresis, 0.01),
            min_speech_duration_ms=options.min_speech_s * 1000,
            min_silence_duration_ms=options.min_silence_s * 1000,
            speech_pad_ms=options.pad_s * 1000,
        )
    finally:
        theirs.get_vad_model = original
    return [(span["start"], span["end"]) for span in found]


@st.composite
def some_options(draw: st.DrawFn) -> VadOptions:
    return VadOptions(
        threshold=draw(st.sampled_from([0.3, 0.5, 0.7])),
        hysteresis=draw(st.sampled_from([0.0, 0.15, 0.25])),
        min_speech_s=draw(st.sampled_from([0.0, 0.032, 0.1, 0.25, 0.5])),
        min_silence_s=draw(st.sampled_from([0.0, 0.1, 0.5, 2.0])),
        pad_s=draw(st.sampled_from([0.0, 0.03, 0.3, 0.4, 1.0])),
    )


@st.composite
def some_probabilities(draw: st.DrawFn) -> Probabilities:
    """Runs of any value, never more than 20 doubtful frames at a time."""
    parts: list[list[float]] = []
    for _ in range(draw(st.integers(0, 25))):
        doubtful = draw(st.integers(0, 20))
        parts.append([draw(st.floats(0.3125, 0.6875, width=32)) for _ in range(min(doubtful, 2))])
        parts[-1] *= doubtful // 2
        value = draw(st.sampled_from([0.0, 0.02, 0.2, 0.28, 0.72, 0.97, 1.0]))
        parts.append([value] * draw(st.integers(1, 60)))
    return np.array([value for part in parts for value in part], np.float32)


@given(some_probabilities(), some_options())
def test_equals_faster_whisper_where_the_recording_ends_in_silence(
    probabilities: Probabilities, options: VadOptions
) -> None:
    ended = np.concatenate((probabilities, np.zeros(frames(options.min_silence_s) + 2, np.float32)))
    assert spans(regions_of(ended, options)) == their_spans(ended, options)


def test_differs_from_faster_whisper_at_the_end_of_a_recording() -> None:
    """Theirs lasts until the end, whatever was heard there; so a click there becomes speech."""
    click = runs((QUIET, 2.0), (LOUD, 0.032), (QUIET, 0.4))
    assert len(their_spans(click, PLAIN)) == 1
    assert regions_of(click, PLAIN) == ()
    spoken = runs((QUIET, 2.0), (LOUD, 1.0), (QUIET, 0.4))
    (region,) = regions_of(spoken, PLAIN)
    speech_end = (frames(2.0) + frames(1.0)) * FRAME_SAMPLES
    assert region.end_sample == speech_end + round(PLAIN.pad_s * SAMPLE_RATE_HZ)


def test_differs_from_faster_whisper_in_long_doubt() -> None:
    """Theirs goes on between the thresholds without end; then no part of it would ever be final."""
    doubt = runs(
        (LOUD, 1.0), (QUIET, 0.1), (DOUBTFUL, MAX_DOUBT_S + 2.0), (LOUD, 1.0), (QUIET, 1.0)
    )
    assert len(their_spans(doubt, PLAIN)) == 1
    assert len(regions_of(doubt, PLAIN)) == 2


@given(some_probabilities(), some_options(), st.data())
def test_streaming_equals_one_call(
    probabilities: Probabilities, options: VadOptions, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(probabilities)), max_size=10))
    missing = data.draw(st.integers(0, FRAME_SAMPLES - 1))
    total = max(0, len(probabilities) * FRAME_SAMPLES - missing)
    state = SpeechState()
    found: tuple[Region, ...] = ()
    for part in np.split(probabilities, sorted(cuts)):
        state, regions = advance(state, part, options)
        found += regions
    assert found + finish(state, total, options) == regions_of(probabilities, options, total)


@given(some_probabilities(), some_options(), st.integers(0, FRAME_SAMPLES - 1))
def test_regions_are_in_order_apart_and_inside_the_recording(
    probabilities: Probabilities, options: VadOptions, missing: int
) -> None:
    total = max(0, len(probabilities) * FRAME_SAMPLES - missing)
    at = 0
    for region in regions_of(probabilities, options, total):
        assert at <= region.start_sample < region.end_sample <= total
        assert 0 <= region.lead_samples <= region.silence_samples
        at = region.end_sample


@given(some_probabilities(), some_options())
def test_what_is_settled_stays_and_what_is_old_is_not_needed(
    probabilities: Probabilities, options: VadOptions
) -> None:
    final = regions_of(probabilities, options)
    state = SpeechState()
    handed: list[Region] = []
    for at in range(0, len(probabilities), 7):
        state, regions = advance(state, probabilities[at : at + 7], options)
        handed += regions
        coming = final[len(handed) :]
        assert all(region.start_sample >= oldest_needed(state, options) for region in coming)
        sure = settled(state)
        if sure is not None:
            assert coming[0].start_sample == sure.start_sample
            assert coming[0].end_sample >= sure.end_sample
            assert coming[0].silence_samples == sure.silence_samples


def test_padding_is_shared_where_two_do_not_fit() -> None:
    options = replace(PLAIN, pad_s=0.4)
    probabilities = runs((QUIET, 1.0), (LOUD, 1.0), (QUIET, 0.6), (LOUD, 1.0), (QUIET, 3.0))
    first, second = regions_of(probabilities, options)
    assert first.end_sample == second.start_sample
    silence = frames(0.6) * FRAME_SAMPLES
    assert second.silence_samples == silence
    assert first.end_sample == frames(2.0) * FRAME_SAMPLES + silence // 2
    assert first.silence_samples == frames(1.0) * FRAME_SAMPLES
    assert first.lead_samples == round(0.4 * SAMPLE_RATE_HZ)
    assert second.lead_samples == silence // 2


def test_speech_at_the_start_of_a_recording_has_what_padding_there_is() -> None:
    (region,) = regions_of(runs((QUIET, 0.1), (LOUD, 1.0), (QUIET, 1.0)), PLAIN)
    assert (region.start_sample, region.lead_samples) == (0, frames(0.1) * FRAME_SAMPLES)


def test_short_silence_stays_and_short_speech_goes() -> None:
    short_silence = runs((LOUD, 1.0), (QUIET, 0.3), (LOUD, 1.0), (QUIET, 1.0))
    assert len(regions_of(short_silence, PLAIN)) == 1
    short_speech = runs((QUIET, 1.0), (LOUD, 0.07), (QUIET, 1.0))
    assert regions_of(short_speech, PLAIN) == ()


def test_a_stretch_that_does_not_count_takes_no_padding_from_the_one_before() -> None:
    click = runs((LOUD, 1.0), (QUIET, 0.6), (LOUD, 0.032), (QUIET, 2.0))
    (region,) = regions_of(click, replace(PLAIN, pad_s=0.5))
    assert region.end_sample == frames(1.0) * FRAME_SAMPLES + round(0.5 * SAMPLE_RATE_HZ)


def test_a_region_is_final_soon_after_its_padding() -> None:
    state, regions = advance(SpeechState(), runs((LOUD, 1.0), (QUIET, 0.5)), PLAIN)
    assert regions == ()
    _, regions = advance(state, runs((QUIET, 0.2)), PLAIN)
    assert len(regions) == 1


def test_nothing_heard() -> None:
    assert finish(SpeechState(), 0, PLAIN) == ()
    assert regions_of(runs((QUIET, 5.0)), PLAIN) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.1),
        ("threshold", -0.1),
        ("threshold", float("nan")),
        ("hysteresis", 2.0),
        ("min_speech_s", -1.0),
        ("min_silence_s", 21.0),
        ("pad_s", float("inf")),
    ],
)
def test_options_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(BadRequestError, match=name) as caught:
        check(replace(VadOptions(), **{name: value}))
    assert caught.value.param == name


def test_the_defaults_make_sense() -> None:
    check(VadOptions())
