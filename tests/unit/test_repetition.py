"""Loops are found and collapsed; what people say is left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verbatim.stages.repetition import Loop, allowed_repeats, find_loops, without_loops


def test_a_long_loop_is_found_whole() -> None:
    units = ["so", *["thank", "you"] * 9, "bye"]
    assert find_loops(units) == [Loop(1, 2, 9)]
    assert [units[i] for i in without_loops(units)] == ["so", "thank", "you", "bye"]


def test_people_repeat_themselves() -> None:
    for said in (
        "no no no no no",
        "zero zero zero zero zero zero",
        "tora tora tora",
        "a b a b a b",
    ):
        assert find_loops(said.split()) == []


def test_a_sentence_four_times_is_a_loop() -> None:
    sentence = ["this", "is", "a", "whole", "sentence", "of", "eight", "words"]
    assert find_loops(sentence * 3) == []
    assert find_loops(sentence * 4) == [Loop(0, 8, 4)]


def test_the_shortest_body_wins() -> None:
    assert find_loops(["la"] * 30) == [Loop(0, 1, 30)]


@given(st.lists(st.sampled_from("ab"), max_size=60))
def test_nothing_that_stays_is_a_loop_of_more_than_was_there(units: list[str]) -> None:
    kept = without_loops(units)
    assert kept == sorted(set(kept))
    for loop in find_loops(units):
        assert loop.repeats > allowed_repeats(loop.length)
        body = units[loop.start : loop.start + loop.length]
        assert units[loop.start : loop.end] == body * loop.repeats
    if not find_loops(units):
        assert len(kept) == len(units)


@given(st.lists(st.text(min_size=1, max_size=2), unique=True, max_size=40))
def test_text_without_repeats_stays(units: list[str]) -> None:
    assert without_loops(units) == list(range(len(units)))
