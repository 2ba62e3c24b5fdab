"""json and verbose_json: OpenAI's shapes, by OpenAI's own description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.openai_schema import assert_valid
from tests.support.transcripts import broken_segments, segment, segments, spoken, transcript

from verbatim.domain.request import Task
from verbatim.domain.transcript import (
    Segment,
    TokenLogprob,
    Transcript,
    TranscriptWarning,
    WarningCode,
    Word,
)
from verbatim.render.formats import (
    Granularity,
    JsonObject,
    Rendered,
    RenderOptions,
    ResponseFormat,
    render,
)

NAN, INF = float("nan"), float("inf")
ALL = frozenset(Granularity)
TEN_FIELDS = {
    "id",
    "seek",
    "start",
    "end",
    "text",
    "tokens",
    "temperature",
    "avg_logprob",
    "compression_ratio",
    "no_speech_prob",
}
GRANULARITIES = st.frozensets(st.sampled_from(Granularity))
SPOKEN = transcript(*spoken(("Good morning.", "How are you today?"), "en"))


def body(
    given: Transcript, form: ResponseFormat, options: RenderOptions | None = None
) -> JsonObject:
    """The answer as a client gets it: through JSON."""
    rendered = render(given, form, options)
    assert rendered.media_type == "application/json"
    assert rendered.extension == "json"
    assert not isinstance(rendered.body, str)
    received: JsonObject = json.loads(rendered.text, parse_constant=pytest.fail)
    return received


def verbose(given: Transcript, granularities: frozenset[Granularity] = ALL) -> JsonObject:
    return body(given, ResponseFormat.VERBOSE_JSON, RenderOptions(granularities=granularities))


def listed(value: object) -> list[Mapping[str, object]]:
    return cast("list[Mapping[str, object]]", value)


def test_json() -> None:
    assert body(SPOKEN, ResponseFormat.JSON) == {
        "text": "Good morning. How are you today?",
        "usage": {"type": "duration", "seconds": 4},
    }
    assert SPOKEN.duration_s < 4


def test_verbose_json() -> None:
    said = (Word(" Hi", 0.5004, 0.80049, 0.9), Word(" there.", 0.81, 1.2, 0.8))
    given = transcript(segment(" Hi there.", 0.5, 1.2, words=said), language="ko")
    assert verbose(given) == {
        "task": "transcribe",
        "language": "korean",
        "duration": 1.2,
        "text": "Hi there.",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.5,
                "end": 1.2,
                "text": " Hi there.",
                "tokens": [50364, 2425, 50414],
                "temperature": 0.0,
                "avg_logprob": -0.21,
                "compression_ratio": 1.1,
                "no_speech_prob": 0.01,
            }
        ],
        "words": [
            {"word": "Hi", "start": 0.5, "end": 0.8},
            {"word": "there.", "start": 0.81, "end": 1.2},
        ],
        "usage": {"type": "duration", "seconds": 2},
    }


def test_segments_have_openais_ten_fields() -> None:
    (fields_of, *_) = listed(verbose(SPOKEN)["segments"])
    assert set(fields_of) == TEN_FIELDS
    assert {field.name for field in fields(Segment)} >= TEN_FIELDS


@given(GRANULARITIES)
def test_granularities(asked: frozenset[Granularity]) -> None:
    answer = verbose(SPOKEN, asked)
    assert ("segments" in answer) is ("segment" in asked)
    assert ("words" in answer) is ("word" in asked)


def test_segments_are_the_default() -> None:
    answer = body(SPOKEN, ResponseFormat.VERBOSE_JSON)
    assert "segments" in answer
    assert "words" not in answer


@given(st.one_of(segments(), broken_segments()), GRANULARITIES, st.sampled_from(Task))
def test_every_answer_fits_openais_description(
    parts: tuple[Segment, ...], asked: frozenset[Granularity], task: Task
) -> None:
    given = replace(transcript(*parts, task=task), duration_s=1.0)
    kind = "Transcription" if task is Task.TRANSCRIBE else "Translation"
    assert_valid(f"Create{kind}ResponseJson", body(given, ResponseFormat.JSON))
    answer = verbose(given, asked)
    assert_valid(f"Create{kind}ResponseVerboseJson", answer)
    for timed in (*listed(answer.get("segments", [])), *listed(answer.get("words", []))):
        assert 0 <= cast("float", timed["start"]) <= cast("float", timed["end"])
        assert timed.get("word") != ""


@pytest.mark.parametrize("number", [NAN, INF, -INF])
def test_numbers_that_json_does_not_know_are_replaced(number: float) -> None:
    odd = replace(
        segment(" x", number, number, words=(Word(" x", number, number, number),)),
        avg_logprob=number,
        compression_ratio=number,
        no_speech_prob=number,
        temperature=number,
        logprobs=(TokenLogprob(" x", number, b" x"),),
    )
    given = replace(transcript(odd), duration_s=number)
    assert_valid("CreateTranscriptionResponseVerboseJson", verbose(given))
    options = RenderOptions(include_logprobs=True)
    answer = body(given, ResponseFormat.JSON, options)
    assert_valid("CreateTranscriptionResponseJson", answer)


def test_log_probabilities() -> None:
    tokens = (TokenLogprob(" 안", -0.5, " 안".encode()), TokenLogprob("�", -INF, b"\xeb\x85"))
    given = transcript(
        replace(segment(" 안"), logprobs=tokens), replace(segment(" x"), logprobs=())
    )
    answer = body(given, ResponseFormat.JSON, RenderOptions(include_logprobs=True))
    assert_valid("CreateTranscriptionResponseJson", answer)
    assert answer["logprobs"] == [
        {"token": " 안", "logprob": -0.5, "bytes": [32, 236, 149, 136]},
        {"token": "�", "logprob": -9999.0, "bytes": [235, 133]},
    ]
    assert "logprobs" not in body(given, ResponseFormat.JSON)
    partly = replace(given, segments=(*given.segments, segment(" y")))
    asked = RenderOptions(include_logprobs=True)
    assert "logprobs" not in body(partly, ResponseFormat.JSON, asked)
    assert body(transcript(), ResponseFormat.JSON, asked)["logprobs"] == []


def test_a_translation_is_in_english_and_has_no_usage() -> None:
    given = replace(SPOKEN, task=Task.TRANSLATE, language="zh")
    answer = verbose(given)
    assert (answer["task"], answer["language"]) == ("translate", "english")
    assert "usage" not in answer
    assert set(body(given, ResponseFormat.JSON)) == {"text"}


@pytest.mark.parametrize("form", [ResponseFormat.JSON, ResponseFormat.VERBOSE_JSON])
def test_warnings_are_told(form: ResponseFormat) -> None:
    told = (
        TranscriptWarning(WarningCode.DEMO_MODEL, "A demo."),
        TranscriptWarning(WarningCode.REPETITION, "Said again.", 1.00049, 2.0),
    )
    assert body(replace(SPOKEN, warnings=told), form)["warnings"] == [
        {"code": "demo_model", "message": "A demo."},
        {"code": "repetition", "message": "Said again.", "start": 1.0, "end": 2.0},
    ]
    assert "warnings" not in body(SPOKEN, form)


@pytest.mark.parametrize(
    ("duration_s", "billed"), [(0.0, 0), (0.2, 1), (11.0, 11), (11.0000001, 11), (11.001, 12)]
)
def test_begun_seconds_count(duration_s: float, billed: int) -> None:
    given = replace(SPOKEN, duration_s=duration_s)
    assert body(given, ResponseFormat.JSON)["usage"] == {"type": "duration", "seconds": billed}


def test_no_speech() -> None:
    answer = verbose(transcript())
    assert_valid("CreateTranscriptionResponseVerboseJson", answer)
    assert (answer["text"], answer["segments"], answer["words"]) == ("", [], [])


def test_text_keeps_its_characters() -> None:
    rendered = render(transcript(segment(" 안녕, naïve")), ResponseFormat.JSON)
    assert isinstance(rendered, Rendered)
    assert "안녕, naïve" in rendered.text
