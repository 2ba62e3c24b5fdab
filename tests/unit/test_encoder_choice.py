"""The encoder that serves is the fastest of those that are true to the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from verbatim.engine.encoder_choice import (
    CTRANSLATE2,
    Candidate,
    Encode,
    EncoderMeasurement,
    RememberedMeasurements,
    fingerprint,
    measure_encoders,
)
from verbatim.engine.model import Array

MEL = np.ones((1, 4, 8), np.float32)


def measured(window_ms: dict[str, float], errors: dict[str, float]) -> EncoderMeasurement:
    return EncoderMeasurement("model", window_ms, errors, {})


def test_the_fastest_that_is_exact_enough_is_taken() -> None:
    times = {CTRANSLATE2: 30.0, "exact": 20.0, "rough": 10.0}
    close = {CTRANSLATE2: 0.004, "exact": 0.0, "rough": 0.0099}
    assert measured(times, close).fastest() == "rough"
    assert measured(times, {**close, "rough": 0.011}).fastest() == "exact"


def test_what_is_no_worse_than_what_serves_otherwise_may_be_taken() -> None:
    errors = {CTRANSLATE2: 0.014, "exact": 0.0, "rough": 0.012}
    assert measured({CTRANSLATE2: 3.0, "exact": 2.0, "rough": 1.0}, errors).fastest() == "rough"


def test_nothing_faster_leaves_ctranslate2_and_some_can_be_left_out() -> None:
    choice = measured({CTRANSLATE2: 1.0, "exact": 2.0}, {CTRANSLATE2: 0.0, "exact": 0.0})
    assert choice.fastest() == CTRANSLATE2
    assert choice.fastest(without=(CTRANSLATE2,)) == "exact"
    assert choice.fastest(without=(CTRANSLATE2, "exact")) is None


def encoder(error: float) -> Encode:
    def encode(mel: Array, *, alone: bool = True) -> Array:
        assert alone
        return mel * np.float32(1 + error)

    return encode


def broken() -> Encode:
    raise RuntimeError("no such instruction\nand more")


def test_measuring_tells_times_errors_and_failures() -> None:
    candidates = [
        Candidate("exact", lambda: encoder(0.0)),
        Candidate("rough", lambda: encoder(0.5)),
        Candidate("broken", broken),
    ]
    found = measure_encoders("model", MEL, encoder(0.25), "exact", candidates)
    assert found.errors == pytest.approx({CTRANSLATE2: 0.25, "exact": 0.0, "rough": 0.5})
    assert set(found.window_ms) == {CTRANSLATE2, "exact", "rough"}
    assert found.failures == {"broken": "RuntimeError: no such instruction"}


def test_without_an_exact_one_to_compare_with_none_is_taken() -> None:
    candidates = [Candidate("exact", broken), Candidate("rough", lambda: encoder(0.0))]
    found = measure_encoders("model", MEL, encoder(0.0), "exact", candidates)
    assert found.fastest() is None


def test_what_was_measured_is_remembered(tmp_path: Path) -> None:
    first = measured({CTRANSLATE2: 1.0}, {CTRANSLATE2: 0.0})
    second = EncoderMeasurement("other", {CTRANSLATE2: 2.0}, {}, {"x": "why"})
    remembered = RememberedMeasurements(tmp_path / "data")
    assert remembered.all() == {}
    remembered.keep("a", first)
    remembered.keep("b", second)
    assert RememberedMeasurements(tmp_path / "data").all() == {"a": first, "b": second}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["encoders.json"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', '{"a": {"name": 1}}'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, damage: str) -> None:
    (tmp_path / "encoders.json").write_text(damage)
    remembered = RememberedMeasurements(tmp_path)
    assert remembered.all() == {}
    remembered.keep("a", measured({}, {}))
    assert set(remembered.all()) == {"a"}


def test_a_folder_that_cannot_be_written_to_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remembered = RememberedMeasurements(tmp_path / "file" / "data")
    remembered.keep("a", measured({}, {}))
    assert remembered.all() == {}


def test_a_fingerprint_tells_models_and_circumstances_apart(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(bytes(300_000))
    first = fingerprint(weights, "int8", "2")
    assert fingerprint(weights, "int8", "2") == first
    assert fingerprint(weights, "int8", "4") != first
    weights.write_bytes(bytes(150_000) + b"x" + bytes(149_999))
    assert fingerprint(weights, "int8", "2") != first
