"""Which text from a short input is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.request import Gates
from verbatim.stages.fallback import Attempt, Verdict, compression_ratio, judge
from verbatim.stages.segments import Split, TimedTokens
from verbatim.stages.short_context import Doubt, doubt

SENTENCE = "Please increase that limit five times."
OFF = Gates(compression_ratio=None, avg_logprob=None, no_speech=None, sure_no_speech=None)


def attempt(text: str = SENTENCE, logprob: float = -0.3, no_speech: float = 0.0) -> Attempt:
    return Attempt((1, 2), text, 0.0, logprob, no_speech, compression_ratio(text))


def split(end_s: float = 5.0, *, heard_out: bool = True) -> Split:
    return Split((TimedTokens(0.0, end_s, (1, 2)),), None, end_s, heard_out)


@pytest.mark.parametrize(
    ("said", "cut", "expected"),
    [
        (attempt(), split(), None),
        (attempt(logprob=-1.1), split(), Doubt.GATES),
        (attempt(logprob=-1.1, no_speech=0.7), split(), Doubt.GATES),
        (attempt("", logprob=-0.1), split(), Doubt.NO_TEXT),
        (attempt("...", logprob=-0.1), split(), Doubt.NO_TEXT),
        (attempt(f"{SENTENCE} {SENTENCE}"), split(), Doubt.REPETITION),
        (attempt("Thank you. Thank you."), split(), Doubt.REPETITION),
        (attempt("No, no, no."), split(), Doubt.REPETITION),
        (attempt("今天天气很好今天天气很好"), split(), Doubt.REPETITION),
        (attempt("Bye-bye. No, no."), split(), None),
        (attempt("高高兴兴"), split(), None),
        (attempt("".join(map(chr, range(0x4E00, 0x4F00)))), split(), Doubt.TOO_MUCH_TEXT),
        (attempt(), split(heard_out=False), Doubt.BROKEN_OFF),
        (attempt(), split(6.1), Doubt.ENDS_LATE),
        (attempt(), split(5.9), None),
        (attempt(), split(2.9), Doubt.ENDS_EARLY),
        (attempt(), split(3.1), None),
    ],
)
def test_what_speaks_against_five_seconds(
    said: Attempt, cut: Split, expected: Doubt | None
) -> None:
    assert doubt(said, cut, 5.0, Gates()) is expected


def test_the_gates_of_whisper_hold_where_a_request_turns_them_off() -> None:
    assert doubt(attempt(logprob=-1.1), split(), 5.0, OFF) is Doubt.GATES
    assert doubt(attempt(), split(), 5.0, OFF) is None


def test_stricter_gates_of_a_request_hold() -> None:
    assert doubt(attempt(logprob=-0.3), split(), 5.0, Gates(avg_logprob=-0.2)) is Doubt.GATES


@given(st.floats(-3, 0), st.floats(0, 1), st.sampled_from([OFF, Gates(), Gates(avg_logprob=-2)]))
def test_what_is_believed_passes_every_gate(logprob: float, no_speech: float, gates: Gates) -> None:
    said = attempt(logprob=logprob, no_speech=no_speech)
    if doubt(said, split(), 5.0, gates) is None:
        assert judge(said, gates) is judge(said, Gates()) is Verdict.ACCEPT
