"""The gates: what is accepted, tried again, or taken for silence."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.request import Gates
from verbatim.stages.fallback import (
    Attempt,
    Verdict,
    average_logprob,
    best_failure,
    compression_ratio,
    judge,
)


def attempt(
    logprob: float = -0.3, no_speech: float = 0.0, ratio: float = 1.2, temperature: float = 0.0
) -> Attempt:
    return Attempt((1, 2), "text", temperature, logprob, no_speech, ratio)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (attempt(), Verdict.ACCEPT),
        (attempt(logprob=-1.0), Verdict.ACCEPT),
        (attempt(logprob=-1.01), Verdict.RETRY),
        (attempt(ratio=2.5), Verdict.RETRY),
        (attempt(ratio=2.4), Verdict.ACCEPT),
        (attempt(logprob=-1.2, no_speech=0.7), Verdict.SILENCE),
        (attempt(logprob=-0.9, no_speech=0.7), Verdict.ACCEPT),
        (attempt(logprob=-0.9, no_speech=0.95), Verdict.SILENCE),
        (attempt(logprob=-0.4, no_speech=0.95), Verdict.ACCEPT),
        (attempt(logprob=-0.3, no_speech=0.7, ratio=3.0), Verdict.RETRY),
    ],
)
def test_verdicts(case: Attempt, expected: Verdict) -> None:
    assert judge(case, Gates()) is expected


@given(
    st.floats(-5, 0),
    st.floats(0, 1),
    st.floats(0, 10),
)
def test_without_gates_everything_is_accepted(
    logprob: float, no_speech: float, ratio: float
) -> None:
    gates = Gates(compression_ratio=None, avg_logprob=None, no_speech=None, sure_no_speech=None)
    assert judge(attempt(logprob, no_speech, ratio), gates) is Verdict.ACCEPT


def test_no_speech_alone_means_silence_where_probability_has_no_gate() -> None:
    assert judge(attempt(no_speech=0.7), Gates(avg_logprob=None)) is Verdict.SILENCE


def test_best_failure_prefers_what_does_not_repeat_itself() -> None:
    loop = attempt(logprob=-0.1, ratio=9.0)
    guess = attempt(logprob=-1.5, temperature=0.4)
    worse = attempt(logprob=-2.0, temperature=0.6)
    assert best_failure([loop, worse, guess], Gates()) is guess
    assert best_failure([loop], Gates()) is loop


def test_repetition_compresses() -> None:
    assert compression_ratio("") == 0
    assert compression_ratio("Thank you. " * 40) > 2.4 > compression_ratio("See you tomorrow.")


def test_average_counts_the_end_token_and_undoes_the_length_penalty() -> None:
    total, tokens, penalty = -6.0, 5, 0.8
    score = total / math.pow(tokens, penalty)
    assert average_logprob(score, tokens, penalty) == pytest.approx(total / 6)
