from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import TurnDetection
from verbatim.stages.endpointing import (
    EndpointState,
    Phase,
    SpeechBegan,
    SpeechEnded,
    Turn,
    advance,
    check,
    restart,
)
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities

FRAME_S = FRAME_SAMPLES / 16_000
OPTIONS = TurnDetection(silence_s=4 * FRAME_S, min_speech_s=2 * FRAME_S)


def frames(text: str) -> Probabilities:
    """S speech, - between the thresholds, . silence; one character a frame."""
    return np.array([{"S": 0.9, "-": 0.4, ".": 0.1}[c] for c in text], np.float32)


def hear(text: str, options: TurnDetection = OPTIONS) -> tuple[Phase, list[str]]:
    """The phase at the end, and what happened: b2@4 is speech from frame 2 on, known after 4."""
    state, turns = advance(EndpointState(), frames(text), options)
    assert state.position == len(text) * FRAME_SAMPLES
    return state.phase, [_spell(turn) for turn in turns]


def _spell(turn: Turn) -> str:
    kind, place = ("b", turn.start) if isinstance(turn, SpeechBegan) else ("e", turn.end)
    return f"{kind}{place // FRAME_SAMPLES}@{turn.heard // FRAME_SAMPLES}"


@pytest.mark.parametrize(
    ("text", "phase", "turns"),
    [
        ("....", Phase.QUIET, []),
        ("..S", Phase.STARTING, []),
        ("..S.", Phase.QUIET, []),
        ("..SS", Phase.SPEAKING, ["b2@4"]),
        ("..S-", Phase.SPEAKING, ["b2@4"]),
        ("SSSS.", Phase.STOPPING, ["b0@2"]),
        ("SSSS...S", Phase.SPEAKING, ["b0@2"]),
        ("SSSS....", Phase.QUIET, ["b0@2", "e4@8"]),
        # What is between the thresholds ends nothing, and is silence once there was some.
        ("SSSS------", Phase.SPEAKING, ["b0@2"]),
        ("SSSS.---", Phase.QUIET, ["b0@2", "e4@8"]),
        ("SS....SS....", Phase.QUIET, ["b0@2", "e2@6", "b6@8", "e8@12"]),
    ],
)
def test_phases(text: str, phase: Phase, turns: list[str]) -> None:
    assert hear(text) == (phase, turns)


def test_no_shortest_speech_begins_at_once() -> None:
    assert hear("..S", replace(OPTIONS, min_speech_s=0.0)) == (Phase.SPEAKING, ["b2@3"])


def test_silence_counts_while_stopping_only() -> None:
    state, _ = advance(EndpointState(), frames("SSSS.."), OPTIONS)
    assert state.silence_samples == 2 * FRAME_SAMPLES
    state, _ = advance(state, frames("S"), OPTIONS)
    assert state.silence_samples == 0


probabilities = st.lists(st.sampled_from("SS-..S"), max_size=60).map("".join)


@given(probabilities, st.lists(st.integers(0, 60)))
def test_the_cut_into_calls_changes_nothing(text: str, cuts: list[int]) -> None:
    whole = advance(EndpointState(), frames(text), OPTIONS)
    state = EndpointState()
    found: list[Turn] = []
    for part in np.split(frames(text), sorted(min(cut, len(text)) for cut in cuts)):
        state, turns = advance(state, part, OPTIONS)
        found += turns
    assert (state, tuple(found)) == whole


@given(probabilities)
def test_beginnings_and_ends_take_turns_in_order(text: str) -> None:
    _, turns = advance(EndpointState(), frames(text), OPTIONS)
    places = [turn.start if isinstance(turn, SpeechBegan) else turn.end for turn in turns]
    assert [type(turn) for turn in turns] == ([SpeechBegan, SpeechEnded] * len(turns))[: len(turns)]
    assert places == sorted(places)
    for place, turn in zip(places, turns, strict=True):
        assert place < turn.heard <= len(text) * FRAME_SAMPLES


@given(probabilities)
def test_speech_counts_exactly_when_it_lasts(text: str) -> None:
    """Against a plain search for the first run that is long enough."""
    _, turns = advance(EndpointState(), frames(text), OPTIONS)
    run = 0
    first = None
    for place, frame in enumerate(text):
        if frame == "S" or (frame == "-" and run):
            run += 1
        elif frame == ".":
            run = 0
        if run == 2:
            first = place - 1
            break
    began = [turn.start // FRAME_SAMPLES for turn in turns if isinstance(turn, SpeechBegan)]
    assert began[:1] == ([] if first is None else [first])


def test_restart_keeps_the_place_and_forgets_the_rest() -> None:
    state, _ = advance(EndpointState(), frames("SSSS."), OPTIONS)
    assert restart(state) == EndpointState(position=5 * FRAME_SAMPLES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.1),
        ("threshold", float("nan")),
        ("silence_s", 0.0),
        ("silence_s", 31.0),
        ("padding_s", -0.1),
        ("min_speech_s", 6.0),
    ],
)
def test_options_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(BadRequestError) as refused:
        check(replace(TurnDetection(), **{name: value}))
    assert refused.value.param == name


def test_the_defaults_make_sense() -> None:
    check(TurnDetection())
