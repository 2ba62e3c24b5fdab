"""Transcripts as bytes and back."""

from __future__ import annotations

import zlib
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.transcripts import segment, transcript

from verbatim.domain.request import Task
from verbatim.domain.transcript import (
    Segment,
    TokenLogprob,
    Transcript,
    TranscriptWarning,
    WarningCode,
    Word,
)
from verbatim.pipeline.packing import DamagedError, pack, unpack

numbers = st.floats(allow_nan=False)
texts = st.text(st.characters(), max_size=8)
words = st.builds(Word, texts, numbers, numbers, numbers)
tokens = st.builds(TokenLogprob, texts, numbers, st.binary(max_size=4))
segments = st.builds(
    Segment,
    st.integers(),
    st.integers(),
    numbers,
    numbers,
    texts,
    st.lists(st.integers(), max_size=4).map(tuple),
    numbers,
    numbers,
    numbers,
    numbers,
    st.none() | st.lists(words, max_size=3).map(tuple),
    st.none() | st.lists(tokens, max_size=3).map(tuple),
    st.none() | texts,
)
warnings = st.builds(
    TranscriptWarning, st.sampled_from(WarningCode), texts, st.none() | numbers, st.none() | numbers
)
transcripts = st.builds(
    Transcript,
    st.lists(segments, max_size=3).map(tuple),
    texts,
    numbers,
    numbers,
    numbers,
    texts,
    st.sampled_from(Task),
    st.lists(warnings, max_size=2).map(tuple),
)


@given(transcripts)
def test_a_transcript_comes_back_exactly_as_it_was(each: Transcript) -> None:
    assert unpack(pack(each)) == each


def test_half_a_surrogate_and_infinity_are_no_obstacle() -> None:
    odd = transcript(replace(segment("\ud800"), avg_logprob=-inf))
    assert unpack(pack(odd)) == odd


@pytest.mark.parametrize(
    "content",
    [b"", b"text", zlib.compress(b"text"), zlib.compress(b"[]"), zlib.compress(b'{"a": 1}')],
)
def test_what_is_no_transcript_is_told(content: bytes) -> None:
    with pytest.raises(DamagedError):
        unpack(content)


def test_a_transcript_that_was_cut_off_is_told() -> None:
    whole = pack(transcript(segment("some words")))
    with pytest.raises(DamagedError):
        unpack(whole[:-8])
