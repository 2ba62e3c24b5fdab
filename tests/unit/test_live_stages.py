"""The small pure parts of live sessions: the tape, cuts, sentences, languages."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.transcript import Word
from verbatim.stages.live_language import (
    LONGEST_DOUBT_S,
    HeardLanguage,
    hear,
    to_decode_in,
)
from verbatim.stages.live_language import (
    given as given_language,
)
from verbatim.stages.live_segments import sentences
from verbatim.stages.tape import BLOCK_SAMPLES, Tape
from verbatim.stages.trimming import (
    KEPT_S,
    MAX_PREFIX_TOKENS,
    SHORT_ENOUGH_S,
    TRIM_AFTER_S,
    ends_sentence,
    find_cut,
    prefix_tokens,
)


def said(text: str, word_s: float = 0.5, start: float = 0.0) -> list[Word]:
    return [
        Word(f" {part}", start + place * word_s, start + (place + 1) * word_s, 0.5)
        for place, part in enumerate(text.split())
    ]


# The tape


@given(
    st.lists(st.integers(0, 3 * BLOCK_SAMPLES), max_size=8),
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 100_000)), max_size=5),
    st.integers(0, 100_000),
)
def test_the_tape_is_what_was_put_on_it(
    sizes: list[int], cuts: list[tuple[int, int]], forgotten: int
) -> None:
    whole = (np.arange(sum(sizes)) % 30_011).astype(np.int16)
    tape = Tape()
    at = 0
    for size in sizes:
        tape.append(whole[at : at + size])
        at += size
    tape.forget(forgotten)
    assert (tape.start, tape.end) == (min(forgotten, len(whole)), len(whole))
    for first, last in cuts:
        expected = whole[max(first, tape.start) : max(last, tape.start)]
        np.testing.assert_array_equal(tape.cut(first, last), expected)


def test_forgetting_frees_the_blocks() -> None:
    tape = Tape()
    for _ in range(100):
        tape.append(np.ones(BLOCK_SAMPLES, np.int16))
        tape.forget(tape.end - 10)
    assert len(tape._blocks) <= 2
    tape.append(np.full(5, 7, np.int16))
    np.testing.assert_array_equal(tape.cut(tape.end - 7, tape.end), [1, 1, 7, 7, 7, 7, 7])


def test_what_is_cut_is_a_copy() -> None:
    tape = Tape()
    tape.append(np.zeros(100, np.int16))
    tape.cut(0, 100)[:] = 5
    assert not tape.cut(0, 100).any()


# Cuts


def test_short_audio_is_not_cut() -> None:
    assert find_cut(said("one two three. four five"), 0.0, TRIM_AFTER_S) is None


def test_a_cut_at_a_sentence_is_preferred() -> None:
    words = said("aa " * 15 + "end. " + "bb " * 10)
    cut = find_cut(words, 0.0, 16.0)
    assert cut is not None
    assert (cut.words, cut.time) == (16, 8.0)


def test_without_a_sentence_that_is_near_it_is_between_words() -> None:
    words = said("end. " + "aa " * 30)
    cut = find_cut(words, 0.0, 16.0)
    assert cut is not None
    assert words[-1].end - cut.time >= KEPT_S
    assert words[-1].end - cut.time < KEPT_S + 0.5
    assert words[cut.words - 1].end <= cut.time <= words[cut.words].start


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "bb.", "ccc", "五。"]), st.floats(0.05, 2)), max_size=60
    ),
    st.floats(0, 30),
)
def test_what_stays_after_a_cut_is_enough_and_not_too_much(
    parts: list[tuple[str, float]], extra: float
) -> None:
    words: list[Word] = []
    at = 0.0
    for text, length in parts:
        words.append(Word(f" {text}", at, at + length, 0.5))
        at += length
    edge = at + extra
    cut = find_cut(words, 0.0, edge)
    if cut is None:
        full = prefix_tokens(words) > MAX_PREFIX_TOKENS
        room = len(words) > 1 and words[-1].end - words[0].end >= KEPT_S
        assert (edge <= TRIM_AFTER_S and not full) or not room
        return
    assert 0 < cut.words < len(words)
    assert words[cut.words - 1].end <= cut.time <= words[cut.words].start
    kept = words[cut.words :]
    assert prefix_tokens(kept) <= MAX_PREFIX_TOKENS or len(kept) == 1
    few_tokens = prefix_tokens(words[cut.words - 1 :]) <= MAX_PREFIX_TOKENS
    at_sentence = ends_sentence(words[cut.words - 1]) and edge - cut.time <= SHORT_ENOUGH_S
    if few_tokens and not at_sentence:
        assert words[-1].end - cut.time >= KEPT_S


def test_a_prefix_that_is_too_long_is_cut_however_short_the_audio() -> None:
    words = said("abcdefghijklmnopqrstuvwxyz " * 30, word_s=0.1)
    cut = find_cut(words, 0.0, 3.5)
    assert cut is not None
    assert prefix_tokens(words[cut.words :]) <= MAX_PREFIX_TOKENS


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("no", False),
        ("yes.", True),
        ('stop!"', True),
        ("是。", True),
        ("a,", False),
        ("3.5", False),
    ],
)
def test_ends_of_sentences(text: str, ends: bool) -> None:
    assert ends_sentence(Word(text, 0, 1, 1)) == ends


# Sentences


def test_sentences_are_segments() -> None:
    words = said("How are you? I am well. And")
    segments = sentences(words, language="en", no_speech_prob=0.1)
    assert [s.text for s in segments] == [" How are you?", " I am well.", " And"]
    assert [s.id for s in segments] == [0, 1, 2]
    assert [word for s in segments for word in s.words or ()] == words
    for segment in segments:
        assert segment.words is not None
        assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
        assert segment.avg_logprob == pytest.approx(math.log(0.5))
        assert (segment.language, segment.no_speech_prob) == ("en", 0.1)
    assert all(a.end <= b.start for a, b in pairwise(segments))


def test_no_words_are_no_sentences() -> None:
    assert sentences([], language="en", no_speech_prob=1.0) == ()


# Languages


def test_a_given_language_stays() -> None:
    state = hear(given_language("ko"), "en", 1.0, 10.0)
    assert (state.settled, state.probability) == ("ko", 1.0)


@pytest.mark.parametrize(
    ("heard", "settled"),
    [
        ([("en", 1.0, 1.0)], None),  # too little audio
        ([("en", 0.99, 1.5)], "en"),
        ([("en", 0.95, 1.5)], None),
        ([("en", 0.95, 1.0), ("en", 0.95, 1.5)], "en"),  # confirmed
        ([("en", 0.6, 1.0), ("en", 0.95, 1.5)], None),
        ([("en", 0.95, 1.0), ("ko", 0.95, 1.5)], None),
        ([("en", 0.95, 1.0), ("ko", 0.95, 1.5), ("ko", 0.95, 2.0)], "ko"),
        ([("en", 0.4, 1.5), ("ko", 0.4, LONGEST_DOUBT_S)], "ko"),
        ([("en", 0.99, 1.5), ("ko", 1.0, 3.0)], "en"),
    ],
)
def test_when_a_language_is_settled(
    heard: list[tuple[str, float, float]], settled: str | None
) -> None:
    state = HeardLanguage()
    for language, probability, heard_s in heard:
        state = hear(state, language, probability, heard_s)
    assert state.settled == settled


def test_the_utterance_before_is_a_hint_where_nothing_is_heard_for_sure() -> None:
    assert to_decode_in(HeardLanguage(), "ko") is None
    assert to_decode_in(HeardLanguage(None, "en", 0.3), "ko") == "ko"
    assert to_decode_in(HeardLanguage(None, "en", 0.3), None) is None
    assert to_decode_in(HeardLanguage(None, "en", 0.7), "ko") is None
    assert to_decode_in(HeardLanguage("en", "en", 0.7), "ko") == "en"
