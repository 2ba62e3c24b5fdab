"""Times of words whose text was edited."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.transcript import Word
from verbatim.stages.retiming import retimed

HEARD = (
    Word(" the", 1.0, 1.2, 0.9),
    Word(" quick", 1.3, 1.6, 0.8),
    Word(" fox", 2.0, 2.4, 0.7),
    Word(" jumps", 2.5, 3.0, 0.6),
)
TEXT = " the quick fox jumps"
CHINESE = (Word("今天", 0.0, 1.0, 0.9), Word("天氣", 1.0, 2.0, 0.8), Word("好", 2.0, 2.5, 0.7))


def times(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.text.strip(), round(word.start, 3), round(word.end, 3)) for word in words]


def test_a_text_that_was_not_edited_keeps_its_words() -> None:
    assert retimed(TEXT, HEARD, 1, 3) == HEARD
    assert retimed(TEXT.strip(), HEARD, 1, 3) == HEARD


def test_a_corrected_word_takes_the_place_of_the_wrong_one() -> None:
    written = retimed(" The quick dog jumps.", HEARD, 1, 3)
    assert times(written) == [
        ("The", 1.0, 1.2),
        ("quick", 1.3, 1.6),
        ("dog", 2.0, 2.4),
        ("jumps.", 2.5, 3.0),
    ]
    assert [word.probability for word in written] == [0.9, 0.8, 1.0, 1.0]


def test_words_put_in_share_the_time_between() -> None:
    written = retimed(" the quick red old fox jumps", HEARD, 1, 3)
    assert times(written)[2:4] == [("red", 1.6, 1.8), ("old", 1.8, 2.0)]
    assert times(written)[4] == ("fox", 2.0, 2.4)


def test_words_taken_out_leave_the_others_as_they_were() -> None:
    assert times(retimed(" the jumps", HEARD, 1, 3)) == [("the", 1.0, 1.2), ("jumps", 2.5, 3.0)]


def test_words_at_the_end_reach_to_the_segments_end() -> None:
    assert times(retimed(TEXT + " away", HEARD, 1, 4))[-1] == ("away", 3.0, 4.0)


def test_scripts_without_spaces_are_timed_by_the_character() -> None:
    written = retimed("今天天氣真好", CHINESE, 0, 2.5)
    assert times(written) == [
        ("今", 0.0, 0.5),
        ("天", 0.5, 1.0),
        ("天", 1.0, 1.5),
        ("氣", 1.5, 2.0),
        ("真", 2.0, 2.0),
        ("好", 2.0, 2.5),
    ]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_text_that_was_deleted_has_no_words(text: str) -> None:
    assert retimed(text, HEARD, 1, 3) == ()


@given(
    st.lists(st.sampled_from(["the", "quick", "fox", "Jumps", "새", "好", "x" * 40]), max_size=12),
    st.sampled_from([" ", ""]),
    st.sampled_from([HEARD, CHINESE, HEARD[:1], ()]),
)
def test_the_words_make_the_text_and_never_go_back(
    pieces: list[str], joint: str, heard: tuple[Word, ...]
) -> None:
    text = joint.join(pieces)
    start, end = (heard[0].start, heard[-1].end) if heard else (0.0, 1.0)
    words = retimed(text, heard, start, end)
    assert "".join(word.text for word in words).strip() == text.strip()
    assert all(word.start <= word.end for word in words)
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(words))
    assert all(start <= word.start and word.end <= end + 1e-9 for word in words)
