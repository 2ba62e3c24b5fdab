"""What is passed on to a back end says the same there, or is refused here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.errors import BadRequestError, VerbatimError
from verbatim.domain.request import (
    DecodeOptions,
    Priority,
    Script,
    Strategy,
    Task,
    TranscriptionRequest,
    VadOptions,
)
from verbatim.forwarding.fields import ForwardedForm, fields_of

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=20)
GATES = st.one_of(st.none(), st.just("off"), st.floats(-5, 5).map(repr))
FORMS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["auto", "whisper-1", "tiny", "owner/model"]),
        "language": st.sampled_from(["en", "zh-TW", "Korean", "auto"]),
        "task": st.sampled_from([task.value for task in Task]),
        "prompt": PLAIN,
        "hotwords": PLAIN,
        "temperature": st.floats(0, 1).map(repr),
        "script": st.sampled_from([script.value for script in Script]),
        "strategy": st.sampled_from([strategy.value for strategy in Strategy]),
        "vad": st.sampled_from(["true", "false"]),
        "multilingual": st.sampled_from(["true", "false"]),
        "word_timestamps": st.sampled_from(["true", "false"]),
        "beam_size": st.integers(1, 20).map(str),
        "best_of": st.integers(1, 20).map(str),
        "patience": st.floats(0.1, 10).map(repr),
        "length_penalty": st.floats(-10, 10).map(repr),
        "no_repeat_ngram_size": st.integers(0, 9).map(str),
        "compression_ratio_threshold": GATES,
        "log_prob_threshold": GATES,
        "no_speech_threshold": GATES,
        "languages": st.sampled_from(["en", "zh"]),
    },
)


@given(FORMS)
def test_what_a_form_asks_a_back_end_is_asked(form: dict[str, str | None]) -> None:
    asked = ForwardedForm.read((n, v) for n, v in form.items() if v is not None).request()
    fields = fields_of(asked)
    said = [(name, value) for name, values in fields.items() for value in values]
    assert ForwardedForm.read(said).request() == asked


def test_the_defaults() -> None:
    fields = fields_of(TranscriptionRequest())
    assert fields["model"] == ["auto"]
    assert fields["temperature"] == ["0.0"]
    assert "language" not in fields
    assert "prompt" not in fields


def test_the_priority_is_the_back_ends_matter() -> None:
    asked = TranscriptionRequest(priority=Priority.JOB)
    assert fields_of(asked) == fields_of(TranscriptionRequest())


@pytest.mark.parametrize(
    "asked",
    [
        TranscriptionRequest(vad_options=VadOptions(threshold=0.9)),
        TranscriptionRequest(decode=DecodeOptions(token_logprobs=True)),
        TranscriptionRequest(decode=DecodeOptions(prefix="So")),
        replace(TranscriptionRequest(), prompt_reset_temperature=0.1),
    ],
)
def test_what_no_field_says_is_refused(asked: TranscriptionRequest) -> None:
    with pytest.raises(BadRequestError, match="passes recordings on to others"):
        fields_of(asked)


def test_a_request_that_no_back_end_takes_is_no_crash() -> None:
    with pytest.raises(VerbatimError):
        fields_of(TranscriptionRequest(decode=DecodeOptions(beam_size=99)))
