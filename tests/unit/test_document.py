"""Segments of windows become one text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.transcript import Segment, WarningCode, Word
from verbatim.stages.document import DocumentState, append


def segment(
    text: str,
    start: float = 0.0,
    end: float = 2.0,
    *,
    logprob: float = -0.2,
    words: tuple[Word, ...] | None = None,
) -> Segment:
    return Segment(
        id=0,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=(1,),
        temperature=0.0,
        avg_logprob=logprob,
        compression_ratio=1.0,
        no_speech_prob=0.0,
        words=words,
    )


def write(*segments: Segment) -> tuple[DocumentState, tuple[Segment, ...]]:
    return append(DocumentState(), segments)


def test_segments_are_numbered_across_windows() -> None:
    state, first = append(DocumentState(), [segment(" One."), segment(" Two.", 2, 4)])
    _, second = append(state, [segment(" Three.", 4, 5)])
    assert [s.id for s in (*first, *second)] == [0, 1, 2]


times = st.floats(0, 100)


@given(st.lists(st.tuples(times, times, st.sampled_from("abcdef"))))
def test_times_never_go_back(parts: list[tuple[float, float, str]]) -> None:
    segments = [
        segment(f" {text}", min(a, b), max(a, b), words=(Word(f" {text}", a, b, 1.0),))
        for a, b, text in parts
    ]
    _, written = write(*segments)
    last = 0.0
    for each in written:
        assert last <= each.start <= each.end
        assert each.words is not None
        assert all(each.start <= w.start <= each.end for w in each.words)
        last = each.end


def test_a_loop_inside_a_segment_is_collapsed_with_its_words() -> None:
    texts = [" So", *[" thank", " you"] * 12, " bye."]
    words = tuple(Word(t, i * 0.1, i * 0.1 + 0.1, 0.9) for i, t in enumerate(texts))
    state, (written,) = write(segment("".join(texts), 0.0, 2.6, words=words))
    assert written.text == " So thank you bye."
    assert [w.text for w in written.words or ()] == [" So", " thank", " you", " bye."]
    (warning,) = state.warnings
    assert warning.code is WarningCode.REPETITION
    assert (warning.start, warning.end) == (0.0, 2.6)


def test_a_loop_of_characters_is_collapsed() -> None:
    _, (written,) = write(segment("我们" + "谢谢你" * 10 + "再见"))
    assert written.text == "我们谢谢你再见"


def test_the_same_sentence_again_and_again_is_dropped() -> None:
    said = " Thank you for watching this video today."
    state, written = write(*(segment(said, i * 2, i * 2 + 2) for i in range(10)))
    assert len(written) == 4
    (warning,) = state.warnings
    assert (warning.code, warning.start, warning.end) == (WarningCode.REPETITION, 8.0, 20.0)


def test_a_few_short_repeats_stay() -> None:
    state, written = write(*(segment(" No.", i, i + 1) for i in range(5)))
    assert len(written) == 5
    assert state.warnings == ()


def test_guesses_are_kept_and_marked() -> None:
    state, written = write(segment(" Mumble.", 3, 4, logprob=-1.4), segment(" Fine.", 9, 10))
    assert [s.text for s in written] == [" Mumble.", " Fine."]
    (warning,) = state.warnings
    assert (warning.code, warning.start, warning.end) == (WarningCode.LOW_CONFIDENCE, 3, 4)


def test_more_text_than_can_be_said_is_marked() -> None:
    state, _ = write(segment(" " + "many different words here " * 4, 0.0, 1.0))
    assert [w.code for w in state.warnings] == [WarningCode.LOW_CONFIDENCE]


def test_neighbouring_warnings_become_one() -> None:
    state, _ = write(*(segment(f" w{i}", i, i + 1, logprob=-2.0) for i in range(4)))
    (warning,) = state.warnings
    assert (warning.start, warning.end) == (0, 4)


def test_empty_text_is_no_segment() -> None:
    assert write(segment("  "))[1] == ()
