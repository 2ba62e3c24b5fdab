"""When an utterance that goes on is decoded again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from verbatim.domain.live import LiveOptions
from verbatim.domain.transcript import Segment, WindowResult, Word
from verbatim.pipeline.live.steps import (
    EAGER_STEP_S,
    FIRST_STEP_S,
    LARGE_WINDOW_S,
    Heard,
    Purpose,
    Wanted,
)
from verbatim.pipeline.live.utterance import Utterance

RATE = 16_000
OPTIONS = LiveOptions(language="en")
START_S = 1.0
EMPTY = WindowResult((), None, (), "en", 1.0, (), 0.0, -0.1, 1.0, 0.0, 1.0)


def samples(seconds: float) -> int:
    return round(seconds * RATE)


def open_utterance(options: LiveOptions = OPTIONS) -> Utterance:
    utterance = Utterance(0, options, samples(START_S), None)
    utterance.begin_stretch(samples(START_S))
    return utterance


def result(text: str, probability: float = 0.99) -> WindowResult:
    words = tuple(
        Word(f" {word}", 0.1 * place, 0.1 * place + 0.1, probability)
        for place, word in enumerate(text.split())
    )
    segment = Segment(0, 0, 0.0, 1.0, text, (), 0.0, -0.1, 1.0, 0.0, words)
    return replace(EMPTY, segments=(segment,))


def due_s(utterance: Utterance, busy_s: float = 0.0) -> float:
    """The audio at which it is decoded next, to 10 ms."""
    return next(
        at / 100
        for at in range(100 * round(START_S), 10_000)
        if utterance.wanted(Heard(samples(at / 100), None), busy_s) is not None
    )


def decode(utterance: Utterance, at_s: float, found: WindowResult) -> None:
    wanted = Wanted(samples(START_S), samples(at_s), Purpose.STEP)
    utterance.take(wanted, found)
    utterance.partial()


def test_the_first_words_are_looked_for_at_once() -> None:
    utterance = open_utterance()
    first_s = due_s(utterance)
    assert first_s == pytest.approx(START_S + OPTIONS.turns.padding_s + FIRST_STEP_S)
    decode(utterance, first_s, EMPTY)
    assert due_s(utterance) == pytest.approx(first_s + EAGER_STEP_S)
    decode(utterance, first_s + EAGER_STEP_S, result("hello"))
    assert due_s(utterance) == pytest.approx(first_s + EAGER_STEP_S + OPTIONS.step_s)


def test_what_is_too_doubtful_to_be_shown_is_looked_at_again_sooner() -> None:
    utterance = open_utterance()
    decode(utterance, 2.0, result("hello"))
    decode(utterance, 3.0, result("hello there", 0.8))
    assert due_s(utterance) == pytest.approx(3.0 + EAGER_STEP_S)
    decode(utterance, 3.2, result("hello there", 0.8))
    assert due_s(utterance) == pytest.approx(3.2 + OPTIONS.step_s)


@pytest.mark.parametrize(("busy_s", "step_s"), [(0.0, 0.3), (0.2, 0.3), (0.75, 0.75), (60.0, 1.0)])
def test_where_the_engine_is_slow_the_steps_are_longer(busy_s: float, step_s: float) -> None:
    utterance = open_utterance()
    decode(utterance, 2.0, result("hello"))
    assert due_s(utterance, busy_s) == pytest.approx(2.0 + step_s)
    # All of the audio is in the next window, however long it took.
    wanted = utterance.wanted(Heard(samples(9.0), None), busy_s)
    assert wanted == Wanted(samples(START_S), samples(9.0), Purpose.STEP)


def test_the_first_words_wait_for_a_slow_engine_too() -> None:
    utterance = open_utterance()
    decode(utterance, 2.0, EMPTY)
    assert due_s(utterance, 0.7) == pytest.approx(2.7)


def test_a_step_that_was_asked_for_is_kept() -> None:
    utterance = open_utterance(replace(OPTIONS, step_s=3.0))
    decode(utterance, 2.0, result("hello"))
    assert due_s(utterance, 0.1) == pytest.approx(5.0)
    short = open_utterance(replace(OPTIONS, step_s=0.1))
    decode(short, 2.0, EMPTY)
    assert due_s(short) == pytest.approx(2.1)


def test_a_step_that_is_in_doubt_waits_for_the_next_one_only() -> None:
    utterance = open_utterance()

    def step(at_s: float, found: WindowResult) -> bool:
        """Decode; tells whether a doubt might wait."""
        wanted = Wanted(samples(START_S), samples(at_s), Purpose.STEP)
        provisional = utterance.decode_options(wanted).provisional
        utterance.take(wanted, found)
        return provisional

    assert step(2.0, result("hello"))
    told = utterance.text.tail
    assert step(2.5, EMPTY)
    # Nothing was said against what was understood before.
    assert utterance.text.tail == told
    assert not step(3.0, EMPTY)
    assert utterance.text.tail == ""
    assert step(3.5, result("hello there"))
    whole = Wanted(samples(START_S), samples(4.0), Purpose.WHOLE)
    assert not utterance.decode_options(whole).provisional


def test_a_long_step_whose_words_are_committed_is_never_provisional() -> None:
    utterance = open_utterance()
    wanted = Wanted(samples(START_S), samples(START_S + LARGE_WINDOW_S), Purpose.STEP)
    assert not utterance.decode_options(wanted).provisional
