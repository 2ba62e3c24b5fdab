"""Error rates: against a table filled cell by cell, and on texts whose errors can be counted."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.speech import edits

from verbatim.stages.error_rate import ErrorRate, edit_distance, error_rate, error_units

WORDS = st.lists(st.sampled_from("abcd"), max_size=70)


@given(WORDS, WORDS)
def test_the_distance_is_that_of_the_table(expected: list[str], found: list[str]) -> None:
    assert edit_distance(expected, found) == edits(expected, found)


@given(WORDS, WORDS, WORDS)
def test_it_is_a_metric(a: list[str], b: list[str], c: list[str]) -> None:
    assert edit_distance(a, a) == 0
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@pytest.mark.parametrize(
    ("expected", "found", "language", "wrong"),
    [
        ("It's sunny today.", "it’s sunny, today", "en", ErrorRate(0, 3)),
        ("It is sunny today.", "It is a funny day", "en", ErrorRate(3, 4)),
        ("one two", "", "en", ErrorRate(2, 2)),
        ("今天天气很好。", "今天 天汽 很好", "zh", ErrorRate(1, 6)),
        ("오늘은 날씨가 좋아요.", "오늘은날씨가 좋아", "ko", ErrorRate(1, 9)),
        ("नमस्ते दुनिया", "नमस्ते दुनिया", "hi", ErrorRate(0, 2)),
        ("ＡＢＣ カフェ", "abc カフェ", "ja", ErrorRate(0, 6)),
        ("rock 'n' roll", "rock n roll", "en", ErrorRate(0, 3)),
    ],
)
def test_what_counts(expected: str, found: str, language: str, wrong: ErrorRate) -> None:
    assert error_rate(expected, found, language) == wrong


def test_vowel_signs_belong_to_their_word() -> None:
    assert error_units("नमस्ते, दुनिया!", "hi") == ["नमस्ते", "दुनिया"]


def test_rates_add_up_and_know_no_text() -> None:
    assert (ErrorRate(1, 4) + ErrorRate(2, 2)).rate == 0.5
    assert ErrorRate(0, 0).rate == 0.0
    assert math.isinf(error_rate("", "a word", "en").rate)


def test_hours_of_speech_take_a_moment() -> None:
    expected = [str(n % 997) for n in range(10_000)]
    found = [unit for n, unit in enumerate(expected) if n % 50]
    began = time.process_time()
    assert edit_distance(expected, found) == 200
    assert time.process_time() - began < 5
