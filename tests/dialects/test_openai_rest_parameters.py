"""From form fields to what is asked of the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.openai_schema import DESCRIPTION

from verbatim.dialects.openai_rest.forms import TranscriptionForm, TranslationForm, refuse_speakers
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import (
    DEFAULT_TEMPERATURES,
    Gates,
    Script,
    Strategy,
    Task,
    TranscriptionRequest,
    VadOptions,
)
from verbatim.wire.forms import form_schema

API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def asked(**fields: str) -> TranscriptionRequest:
    return TranscriptionForm.read(fields.items()).request()


def test_nothing_given_is_the_default_request() -> None:
    assert asked() == TranscriptionRequest()


@pytest.mark.parametrize(
    "name", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe", "auto"]
)
def test_names_of_the_default_model_make_equal_requests(name: str) -> None:
    assert asked(model=name) == asked()


def test_other_models_are_asked_for_by_their_name() -> None:
    assert asked(model="Systran/faster-whisper-tiny").model == "Systran/faster-whisper-tiny"


@pytest.mark.parametrize(
    ("given", "code"),
    [("en", "en"), ("EN", "en"), ("english", "en"), ("zh-TW", "zh"), ("auto", None), (" ", None)],
)
def test_languages(given: str, code: str | None) -> None:
    assert asked(language=given).decode.language == code


def test_decoding() -> None:
    options = asked(
        prompt=" As said. ",
        temperature="0.4",
        beam_size="1",
        best_of="2",
        patience="1.5",
        length_penalty="0.9",
        repetition_penalty="1.1",
        no_repeat_ngram_size="3",
        hotwords="Kim",
        word_timestamps="true",
    ).decode
    assert options.initial_prompt == " As said. "
    assert options.temperatures == (0.4,)
    assert (options.beam_size, options.best_of, options.patience) == (1, 2, 1.5)
    assert (options.length_penalty, options.repetition_penalty) == (0.9, 1.1)
    assert options.no_repeat_ngram_size == 3
    assert options.hotwords == "Kim"
    assert options.word_timestamps
    assert asked(temperature="0").decode.temperatures == DEFAULT_TEMPERATURES


def test_keywords_and_hotwords_are_one() -> None:
    assert asked(keywords='["a", "b c"]').decode.hotwords == "a, b c"
    assert asked(keywords='["a"]', hotwords="b").decode.hotwords == "a, b"


@pytest.mark.parametrize("name", ["vad", "vad_filter"])
def test_voice_activity_can_be_switched_off(name: str) -> None:
    assert not asked(**{name: "false"}).vad


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"chunking_strategy": "auto"}, VadOptions()),
        (
            {"chunking_strategy": '{"type": "server_vad", "threshold": 0.3}'},
            VadOptions(threshold=0.3, pad_s=0.3, min_silence_s=0.2),
        ),
        (
            {
                "chunking_strategy[type]": "server_vad",
                "chunking_strategy[prefix_padding_ms]": "150",
                "chunking_strategy[silence_duration_ms]": "700",
            },
            VadOptions(threshold=0.5, pad_s=0.15, min_silence_s=0.7),
        ),
    ],
)
def test_chunking(fields: dict[str, str], options: VadOptions) -> None:
    assert asked(**fields).vad_options == options


def test_strategies() -> None:
    assert asked(strategy="sequential").strategy is Strategy.SEQUENTIAL
    conditioned = asked(condition_on_previous_text="1")
    assert conditioned.strategy is Strategy.SEQUENTIAL
    assert conditioned.condition_on_previous_text
    with pytest.raises(BadRequestError):
        asked(condition_on_previous_text="1", strategy="parallel")


def test_gates_can_be_moved_and_switched_off() -> None:
    assert asked().decode.gates == Gates()
    gates = asked(
        compression_ratio_threshold="2.0", logprob_threshold="off", no_speech_threshold="0.5"
    ).decode.gates
    assert gates == Gates(compression_ratio=2.0, avg_logprob=None, no_speech=0.5)
    silent = asked(no_speech_threshold="off").decode.gates
    assert silent == Gates(no_speech=None, sure_no_speech=None)


def test_several_languages() -> None:
    assert asked(languages='["en", "Korean"]').languages == ("en", "ko")
    assert asked(multilingual="true").detect_language_per_window
    with pytest.raises(BadRequestError) as caught:
        asked(languages="klingon")
    assert caught.value.param == "languages"


def test_the_script() -> None:
    assert asked(script="s2tw").script is Script.S2TW


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"response_format": "verbose_json", "timestamp_granularities[]": "word"}, True),
        ({"response_format": "verbose_json"}, False),
        ({"response_format": "json", "timestamp_granularities[]": "word"}, False),
        ({"response_format": "srt"}, True),
        ({"response_format": "vtt"}, True),
        ({"response_format": "text"}, False),
    ],
)
def test_words_are_found_where_the_answer_needs_them(fields: dict[str, str], words: bool) -> None:
    assert asked(**fields).decode.word_timestamps == words


def test_log_probabilities_are_for_json_and_streams() -> None:
    assert asked(include="logprobs").decode.token_logprobs
    assert asked(include="logprobs", stream="true", response_format="text").decode.token_logprobs
    with pytest.raises(BadRequestError):
        asked(include="logprobs", response_format="text")


def test_translation() -> None:
    request = TranslationForm.read([("language", "ko"), ("stream", "true")]).request()
    assert request.decode.task is Task.TRANSLATE
    assert request.decode.language == "ko"


@pytest.mark.parametrize("name", ["known_speaker_names[]", "known_speaker_references"])
def test_speaker_fields_are_refused_by_name(name: str) -> None:
    refuse_speakers("model")
    with pytest.raises(BadRequestError):
        refuse_speakers(name)


@pytest.mark.parametrize("form", [TranscriptionForm, TranslationForm])
def test_every_parameter_is_described(form: type[TranslationForm]) -> None:
    schema: dict[str, Any] = form_schema(form, "the file")
    assert not [name for name, what in schema["properties"].items() if not what.get("description")]


@pytest.mark.parametrize("form", [TranscriptionForm, TranslationForm])
def test_every_parameter_is_in_the_documentation(form: type[TranslationForm]) -> None:
    page = API_PAGE.read_text()
    names = {*form.model_fields, *form.synonyms}
    assert not [name for name in names if f"`{name}`" not in page]


def test_the_contract_s_parameters_are_known() -> None:
    schemas = json.loads(DESCRIPTION.read_text())["components"]["schemas"]
    speakers = {"known_speaker_names", "known_speaker_references"}
    wanted = set(schemas["CreateTranscriptionRequest"]["properties"]) - speakers
    assert wanted <= set(form_schema(TranscriptionForm, "the file")["properties"])
    wanted = set(schemas["CreateTranslationRequest"]["properties"])
    assert wanted <= set(form_schema(TranslationForm, "the file")["properties"])
