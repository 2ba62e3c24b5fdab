"""Whisper's languages by code, by name, and by what people type."""

from __future__ import annotations

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.errors import BadRequestError
from verbatim.stages.language_names import (
    LANGUAGE_NAMES,
    WRITTEN_WITHOUT_SPACES,
    language_code,
    language_name,
)


def test_they_are_whispers_hundred() -> None:
    assert set(LANGUAGE_NAMES) == set(_LANGUAGE_CODES)
    assert len(set(LANGUAGE_NAMES.values())) == len(LANGUAGE_NAMES) == 100
    assert set(LANGUAGE_NAMES) >= WRITTEN_WITHOUT_SPACES


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("en", "english"),
        ("zh", "chinese"),
        ("ko", "korean"),
        ("yue", "cantonese"),
        ("ht", "haitian creole"),
        ("nn", "nynorsk"),
        ("jw", "javanese"),
        ("my", "myanmar"),
        ("xx", "xx"),
        ("", ""),
    ],
)
def test_names_as_openai_writes_them(code: str, name: str) -> None:
    assert language_name(code) == name


@given(st.sampled_from(sorted(LANGUAGE_NAMES.items())))
def test_every_code_and_name_is_understood(language: tuple[str, str]) -> None:
    code, name = language
    for said in (code, name, code.upper(), name.title(), f" {code}-XX ", name.replace(" ", "_")):
        assert language_code(said) == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("zh-TW", "zh"),
        ("zh_Hant", "zh"),
        ("cmn-Hans-CN", "zh"),
        ("Mandarin", "zh"),
        ("zh-yue", "yue"),
        ("zh-yue-HK", "yue"),
        ("yue-Hant-HK", "yue"),
        ("ko-KR", "ko"),
        ("jp", "ja"),
        ("pt-BR", "pt"),
        ("deu", "de"),
        ("ger", "de"),
        ("nb", "no"),
        ("jv", "jw"),
        ("iw", "he"),
        ("fil-PH", "tl"),
        ("Castilian", "es"),
        ("Haitian Creole", "ht"),
    ],
)
def test_what_people_type(said: str, code: str) -> None:
    assert language_code(said) == code


@pytest.mark.parametrize("said", ["", "xx", "klingon", "--", "english!", "tlh-Latn", "e" * 100_000])
def test_others_are_refused(said: str) -> None:
    with pytest.raises(BadRequestError, match="Whisper knows no language") as caught:
        language_code(said)
    assert caught.value.param == "language"
    assert len(caught.value.message) < 300


def test_a_slip_of_the_finger_gets_a_hint() -> None:
    with pytest.raises(BadRequestError, match="Did you mean japanese"):
        language_code("japanes", param="languages")
