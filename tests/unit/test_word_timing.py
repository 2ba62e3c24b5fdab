"""From alignments to words."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.transcribe import merge_punctuations
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.transcript import Word
from verbatim.stages.word_timing import (
    CLOSING_PUNCTUATION,
    OPENING_PUNCTUATION,
    Spelling,
    merge_punctuation,
    time_words,
    token_starts,
    trim_pauses,
)


def words_of(*texts: str) -> list[Word]:
    return [Word(text, i * 0.5, i * 0.5 + 0.5, 0.9) for i, text in enumerate(texts)]


def test_token_starts_are_the_jumps_of_the_path() -> None:
    path = np.array([(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 10), (3, 11)])
    assert token_starts(path).tolist() == [0.0, 0.04, 0.08, 0.2]


def test_words_take_the_time_of_their_tokens() -> None:
    starts = np.array([0.0, 0.1, 0.4, 1.0])
    words = time_words([Spelling(" one", 2), Spelling(" two", 1)], starts, [0.5, 1.0, 0.8])
    assert [(w.text, w.start, w.end) for w in words] == [(" one", 0.0, 0.4), (" two", 0.4, 1.0)]
    assert [w.probability for w in words] == pytest.approx([0.75, 0.8])


def test_a_short_alignment_gives_the_rest_no_time() -> None:
    words = time_words([Spelling(" a", 1), Spelling(" b", 3)], np.array([0.0, 0.2]), [0.9])
    assert (words[1].start, words[1].end, words[1].probability) == (0.2, 0.2, 0.0)


@given(
    st.lists(st.sampled_from([" a", "b", ' "', " (", ".", ",", "?", ")", " -", "。", "”", " ["]))
)
def test_punctuation_merges_as_in_faster_whisper(texts: list[str]) -> None:
    reference = [{"word": text, "tokens": [0]} for text in texts]
    merge_punctuations(reference, OPENING_PUNCTUATION, CLOSING_PUNCTUATION)
    expected = [word["word"] for word in reference if word["word"]]
    assert [word.text for word in merge_punctuation(words_of(*texts))] == expected


def test_punctuation_takes_no_time() -> None:
    (word,) = merge_punctuation(words_of(" Hello", "."))
    assert (word.text, word.start, word.end) == (" Hello.", 0.0, 0.5)


def test_words_next_to_pauses_are_cut_back() -> None:
    normal = [Word(f" w{i}", 3 + i * 0.3, 3.3 + i * 0.3, 1.0) for i in range(5)]
    first = Word(" The", 0.0, 3.0, 1.0)
    last = Word(" end.", 4.5, 7.5, 1.0)
    after = Word(" Next", 7.5, 11.0, 1.0)
    trimmed = trim_pauses([first, *normal, last, after])
    assert (trimmed[0].start, trimmed[0].end) == pytest.approx((2.4, 3.0))
    assert trimmed[1:6] == normal
    assert (trimmed[6].start, trimmed[6].end) == pytest.approx((4.5, 5.1))
    assert (trimmed[7].start, trimmed[7].end) == pytest.approx((10.4, 11.0))


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from([" a", " b."])), max_size=12))
def test_trimming_only_shortens(parts: list[tuple[float, str]]) -> None:
    words, at = [], 0.0
    for length, text in parts:
        words.append(Word(text, at, at + length, 0.5))
        at += length
    for before, after in zip(words, trim_pauses(words), strict=True):
        assert before.start <= after.start <= after.end <= before.end
