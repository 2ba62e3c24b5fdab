from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.transcript import Word
from verbatim.stages.stability import (
    AGREEMENT_S,
    EDGE_S,
    SHOWN_AGAIN_PROBABILITY,
    SHOWN_AGREEMENT_S,
    SHOWN_FIRST_PROBABILITY,
    Guess,
    StableText,
    advance,
    close_sentence,
    complete,
    delta,
    guess_after,
    shown_tail,
    without_words,
    word_key,
)

WORD_S = 0.4


def heard(text: str, probability: float = 0.5, spaced: bool = True) -> list[Word]:
    """Words that were decoded, each 0.4 s long; `hello!` is almost certain."""
    parts = [f" {part}" for part in text.split()] if spaced else list(text.replace(" ", ""))
    return [
        Word(
            part.replace("|", ""),
            place * WORD_S,
            (place + 1) * WORD_S,
            1.0 if "|" in part else probability,
        )
        for place, part in enumerate(parts)
    ]


def guess(text: str, prefix: str = "", **how: object) -> Guess:
    found = guess_after(prefix, heard(text, **how))  # type: ignore[arg-type]  # plain options
    assert found is not None
    return found


def step(state: StableText, text: str, edge: float | None = None) -> StableText:
    """Decode all of a text, a second later; without an edge everything is far from it."""
    found = guess(text, state.committed)
    later = state.heard[-1].edge + 1 if state.heard else 100.0
    return advance(state, found, edge=later if edge is None else edge, spaced=True)


def test_a_word_is_committed_when_it_is_decoded_twice() -> None:
    first = step(StableText(), "hello there")
    assert (first.committed, first.tail) == ("", "hello there")
    second = step(first, "hello their friends")
    assert (second.committed, second.tail) == ("hello", " their friends")
    third = step(second, "hello their friends")
    assert (third.committed, third.tail) == ("hello their friends", "")


def test_a_word_near_the_edge_waits() -> None:
    edge = 2 * WORD_S + EDGE_S
    first = step(StableText(), "one two three", edge - 1)
    second = step(first, "one two three", edge)
    assert second.committed == "one"  # `two` ends exactly at the border, which is too near
    assert step(first, "one two three", edge + 0.01).committed == "one two"


def test_decodings_of_nearly_the_same_audio_are_no_second_opinion() -> None:
    first = step(StableText(), "hello there", 10.0)
    soon = step(first, "hello there", 10.5)
    assert soon.committed == ""
    later = step(soon, "hello their", 10.0 + AGREEMENT_S)
    assert later.committed == "hello"


def test_decodings_far_apart_bear_each_other_out() -> None:
    state = step(StableText(), "hello there", 10.0)
    later = step(state, "hello there my", 15.0)
    assert later.committed == "hello there"
    assert shown_tail(step(step(StableText(), "hello there", 0.2), "hello there", 5.0)) == ""
    for edge in range(20, 100):
        state = step(state, "other words", float(edge))
    assert len(state.heard) < 5


def test_what_was_decoded_in_between_must_say_the_same() -> None:
    first = step(StableText(), "hello there", 10.0)
    between = step(first, "hollow there", 10.5)
    assert step(between, "hello there", 11.0).committed == ""
    assert step(step(between, "hello there", 11.0), "hello there", 12.0).committed == "hello there"


def test_what_is_split_off_goes_on_with_what_was_heard() -> None:
    state = step(step(StableText(), "one two three"), "one two thirty")
    assert state.committed == "one two"
    rest = without_words(state)
    assert (rest.committed, rest.tail) == ("", "thirty")
    found = guess("thirty four")
    later = advance(rest, found, edge=rest.heard[-1].edge + 1, spaced=True)
    assert later.committed == "thirty"


def test_a_word_that_is_almost_certain_needs_no_second_time() -> None:
    assert step(StableText(), "hello| there").committed == "hello"
    # Nothing is committed past a word that is not.
    assert step(StableText(), "hello there|").committed == ""


def test_case_and_marks_are_no_difference() -> None:
    first = step(StableText(), "well, the Dog ran")
    second = step(first, "Well the dog, ran")
    assert second.committed == "Well the dog, ran"


def test_closing_marks_wait_for_the_next_word() -> None:
    first = step(step(StableText(), "I know. You"), "I know.")
    assert (first.committed, first.tail) == ("I know", ".")
    second = step(step(first, "I know, you see"), "I know, you see it")
    assert second.committed == "I know, you see"
    assert [word.text for word in second.words] == ["I", " know,", " you", " see"]


def test_a_capital_that_is_not_settled_waits() -> None:
    first = step(StableText(), "in new")
    # The last word became a name, perhaps of two words: nobody knows what comes after it.
    second = step(first, "in New")
    assert (second.committed, second.tail) == ("in", " New")
    assert step(second, "in New York").committed == "in New"
    assert step(second, "in New").committed == "in New"


def test_the_end_of_an_utterance_commits_everything() -> None:
    state = complete(step(StableText(), 'He said: "Stop it."'))
    assert state.committed == 'He said: "Stop it."'
    assert (state.tail, state.guess) == ("", Guess())


def test_marks_without_any_word_are_nothing() -> None:
    assert complete(step(StableText(), "...")).committed == ""


def test_a_sentence_is_closed_before_the_next_is_committed() -> None:
    state = step(step(StableText(), "Yes. No"), "Yes. No")
    assert state.committed == "Yes. No"
    state = StableText((Word("Yes", 0.0, WORD_S, 0.5),), guess("Yes. Maybe", "Yes"))
    closed = close_sentence(state)
    assert (closed.committed, closed.tail) == ("Yes.", " Maybe")
    assert close_sentence(StableText(state.words, Guess((), "!"))).committed == "Yes!"


def test_sure_until_commits_what_is_neither_agreed_nor_probable() -> None:
    found = guess("one two three four")
    state = advance(StableText(), found, edge=2.0, spaced=True, sure_until=2 * WORD_S)
    assert state.committed == "one two"


@pytest.mark.parametrize(
    ("prefix", "text", "rest"),
    [
        ("", "hello there", " hello there"),
        ("hello", "hello there", " there"),
        ("hello", "hello.", "."),
        ("hello", "hello, there.", ", there."),
        ("play", "playing it", "ing it"),
        ("hello there", "hello there", ""),
        ("hello", "goodbye", None),
        ("hello", "", None),
    ],
)
def test_what_follows_the_prefix(prefix: str, text: str, rest: str | None) -> None:
    found = guess_after(prefix, heard(text))
    assert (None if found is None else found.text) == rest


def test_without_spaces_the_cut_into_words_is_no_difference() -> None:
    first = advance(StableText(), guess("我在酒店", spaced=False), edge=99.0, spaced=False)
    joined = [Word("我在", 0.0, 0.8, 0.5), Word("酒", 0.8, 1.2, 0.5), Word("吧", 1.2, 1.6, 0.5)]
    second = guess_after("", joined)
    assert second is not None
    state = advance(first, second, edge=100.0, spaced=False)
    assert state.committed == "我在酒"


def test_a_longer_word_is_another_word() -> None:
    state = step(step(StableText(), "foot"), "foo")
    assert state.committed == ""


def test_words_keep_their_times_and_join_to_the_text() -> None:
    state = complete(step(StableText(), "one two, three."))
    assert [(w.text, w.start) for w in state.words] == [
        ("one", 0.0),
        (" two,", WORD_S),
        (" three.", 2 * WORD_S),
    ]


def test_a_guess_is_shown_as_far_as_it_is_almost_certain() -> None:
    assert shown_tail(StableText()) == ""
    state = step(StableText(), "hello| there| my good", edge=WORD_S)
    assert (state.tail, shown_tail(state)) == ("hello there my good", "hello there")
    assert shown_tail(step(StableText(), "hello| there|.", edge=WORD_S)) == "hello there."
    # What is sure after what is not would be shown at the wrong place.
    assert shown_tail(step(StableText(), "hello| there my| good|", edge=WORD_S)) == "hello"


def test_a_guess_that_was_there_before_is_shown() -> None:
    first = step(StableText(), "hello| there my", edge=WORD_S)
    same = step(first, "hello there my friend", edge=WORD_S + SHOWN_AGREEMENT_S + 0.01)
    assert shown_tail(same) == "hello there my"
    other = step(same, "hello where my friend", edge=WORD_S + SHOWN_AGREEMENT_S + 0.5)
    assert other.committed + shown_tail(other) == "hello"
    assert (
        shown_tail(step(StableText((Word("so", 0.0, WORD_S, 0.9),)), "so hello|", WORD_S))
        == " hello"
    )


@pytest.mark.parametrize(
    ("later_s", "probability", "text"),
    [
        (SHOWN_AGREEMENT_S + 0.01, 0.1, "hello there my"),
        (SHOWN_AGREEMENT_S - 0.1, SHOWN_AGAIN_PROBABILITY, "hello there my"),
        (SHOWN_AGREEMENT_S - 0.1, SHOWN_AGAIN_PROBABILITY - 0.01, "hello"),
    ],
)
def test_what_nearly_the_same_audio_said_before_must_be_probable_too(
    later_s: float, probability: float, text: str
) -> None:
    state = step(StableText(), "hello| there my", edge=WORD_S)
    again = guess("hello there my friend", probability=probability)
    hello = replace(again.units[0], probability=1.0)
    again = replace(again, units=(hello, *again.units[1:]))
    after = advance(state, again, edge=WORD_S + later_s, spaced=True)
    assert after.committed + shown_tail(after) == text


def test_what_was_something_else_in_between_is_not_borne_out() -> None:
    state = step(StableText(), "hello| there", edge=0.4)
    state = step(state, "hello| where", edge=0.7)
    after = step(state, "hello| there", edge=1.1)
    assert after.committed + shown_tail(after) == "hello"


def test_what_was_shown_stays_while_the_same_is_said() -> None:
    state = step(StableText(), "hello| there| my", edge=WORD_S)
    state = step(state, "hello there my", edge=WORD_S + 0.1)
    assert shown_tail(state) == "hello there"
    state = step(state, "hello there my friend|", edge=WORD_S + 0.2)
    assert shown_tail(state) == "hello there"
    # Something else is a new guess, and what was said before it too.
    state = step(state, "hello where", edge=WORD_S + 0.3)
    assert shown_tail(state) == "hello"
    assert shown_tail(step(state, "hello there", edge=WORD_S + 0.4)) == "hello"


def test_what_was_shown_without_spaces_stays_however_it_is_cut() -> None:
    found = guess_after("", [Word("我", 0.0, 0.4, 0.99), Word("在", 0.4, 0.8, 0.99)])
    assert found is not None
    state = advance(StableText(), found, edge=0.4, spaced=False)
    assert shown_tail(state) == "我在"
    joined = guess_after("", [Word("我在", 0.0, 0.8, 0.1), Word("酒吧", 0.8, 1.6, 0.1)])
    assert joined is not None
    assert shown_tail(advance(state, joined, edge=0.5, spaced=False)) == "我在"


def test_what_was_shown_of_a_sentence_is_shown_of_what_is_left_of_it() -> None:
    state = step(StableText(), "one| two| three", edge=WORD_S + 1.0)
    state = replace(state, words=(Word("one", 0.0, WORD_S, 1.0),), guess=guess("two| three"))
    assert shown_tail(without_words(state)) == "two"


def test_the_first_word_is_shown_sooner() -> None:
    words = [Word(" hello", 0.0, WORD_S, SHOWN_FIRST_PROBABILITY), Word(" there", 0.4, 0.8, 0.9)]
    found = guess_after("", words)
    assert found is not None
    assert shown_tail(advance(StableText(), found, edge=WORD_S, spaced=True)) == "hello"
    doubtful = guess_after("", heard("hello", SHOWN_FIRST_PROBABILITY - 0.01))
    assert doubtful is not None
    assert shown_tail(advance(StableText(), doubtful, edge=WORD_S, spaced=True)) == ""


def test_without_spaces_a_guess_is_the_same_however_it_is_cut() -> None:
    found = guess_after("", heard("我在酒店", SHOWN_FIRST_PROBABILITY, spaced=False))
    assert found is not None
    first = advance(StableText(), found, edge=0.4, spaced=False)
    assert shown_tail(first) == "我"
    joined = guess_after("", [Word("我在", 0.0, 0.8, 0.5), Word("酒吧", 0.8, 1.6, 0.5)])
    assert joined is not None
    later = advance(first, joined, edge=0.4 + SHOWN_AGREEMENT_S, spaced=False)
    assert shown_tail(later) == "我在"


VOCABULARY = ["one", "One", "two", "two.", "three,", "four!", "4", "...", "Ünder", "-", "五", "。"]
hypotheses = st.lists(st.tuples(st.sampled_from(VOCABULARY), st.booleans()), max_size=6)
"""What was decoded: words, and whether each was almost certain."""


@given(
    st.lists(
        st.tuples(
            hypotheses,
            st.integers(0, 6),
            st.one_of(st.none(), st.integers(0, 6)),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_no_word_is_ever_taken_back(
    steps: list[tuple[list[tuple[str, bool]], int, int | None, bool]], spaced: bool
) -> None:
    """Whatever is decoded, in whatever order: committed text only grows at its end."""
    state = StableText()
    for hypothesis, edge, sure, close in steps:
        space = " " if spaced else ""
        words = [
            Word(space + text, place * WORD_S, (place + 1) * WORD_S, 0.99 if sure_word else 0.3)
            for place, (text, sure_word) in enumerate(hypothesis)
        ]
        found = guess_after("", words)
        assert found is not None
        assert found.text.strip() == "".join(word.text for word in words).strip()
        sure_until = None if sure is None else sure * WORD_S
        after = advance(
            state, found, edge=edge * WORD_S + EDGE_S, spaced=spaced, sure_until=sure_until
        )
        if close:
            after = close_sentence(after)
        assert after.committed.startswith(state.committed)
        assert after.committed == state.committed + delta(state, after)
        assert "".join(word.text for word in after.words).strip() == after.committed
        # Words stay, but for the marks that close the last one.
        for old, new in zip(state.words, after.words, strict=False):
            assert new.text.startswith(old.text)
            assert word_key(new.text) == word_key(old.text)
        assert after.tail.startswith(shown_tail(after))
        # Nothing that was decoded is lost: it is either committed now or in the tail.
        if state.words:
            assert after.committed + after.tail == state.committed + found.text
        state = after
    ended = complete(state)
    assert ended.committed.startswith(state.committed)
    assert ended.tail == ""


@given(hypotheses, st.integers(0, 6))
def test_the_prefix_and_what_follows_it_are_the_whole(
    hypothesis: list[tuple[str, bool]], count: int
) -> None:
    whole = heard(" ".join(text for text, _ in hypothesis))
    prefix = "".join(word.text for word in whole[:count]).strip()
    found = guess_after(prefix, whole)
    assert found is not None
    assert (prefix + found.text).strip() == "".join(word.text for word in whole).strip()
