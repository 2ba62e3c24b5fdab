from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from verbatim.domain.errors import BadRequestError
from verbatim.wire.forms import FormModel, form_schema


class Shape(BaseModel):
    kind: Literal["round"]
    size: float = 1.0


class Sample(FormModel):
    synonyms: ClassVar[dict[str, str]] = {"titel": "title"}

    title: str | None = None
    count: int = Field(3, ge=0, le=9)
    ratio: float = 0.5
    quick: bool = False
    sides: list[Literal["left", "right"]] = Field(["left"])
    words: list[str] = Field([])
    shape: Shape | None = None


def read(*fields: tuple[str, str]) -> Sample:
    return Sample.read(fields)


def test_nothing_given_is_all_defaults() -> None:
    assert read() == Sample()


def test_empty_values_count_as_not_given() -> None:
    assert read(("count", ""), ("ratio", " "), ("title", ""), ("sides[]", ""), ("shape", "")) == (
        Sample()
    )


def test_unknown_fields_are_ignored() -> None:
    assert read(("unknown", "x"), ("other[]", "y"), ("third[a]", "z"), ("count[", "7")) == Sample()


@pytest.mark.parametrize(
    "fields",
    [
        [("sides[]", "left"), ("sides[]", "right")],
        [("sides", "left"), ("sides", "right")],
        [("sides", '["left", "right"]')],
        [("sides[]", '["left", "right"]')],
        [("sides", ' [ \n"left", "right"] ')],
    ],
)
def test_lists_in_every_spelling(fields: list[tuple[str, str]]) -> None:
    assert read(*fields).sides == ["left", "right"]


@pytest.mark.parametrize(
    "fields",
    [
        [("shape[kind]", "round"), ("shape[size]", "2.5")],
        [("shape", '{"kind": "round", "size": 2.5}')],
    ],
)
def test_objects_in_every_spelling(fields: list[tuple[str, str]]) -> None:
    assert read(*fields).shape == Shape(kind="round", size=2.5)


def test_a_word_that_begins_with_a_bracket_is_a_word() -> None:
    assert read(("words", "[noise]"), ("words", "[1"), ("words", "{x")).words == [
        "[noise]",
        "[1",
        "{x",
    ]


def test_text_is_kept_as_it_is_and_other_scalars_are_stripped() -> None:
    assert read(("title", " a "), ("count", " 4 ")) == Sample(title=" a ", count=4)


def test_the_last_of_several_scalars_counts() -> None:
    assert read(("count", "1"), ("count", "2")).count == 2


def test_synonyms() -> None:
    assert read(("titel", "x")).title == "x"


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("off", False), ("no", False)],
)
def test_booleans(text: str, value: bool) -> None:
    assert read(("quick", text)).quick is value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", "x"),
        ("count", "1.5"),
        ("count", "10"),
        ("count", "-1"),
        ("ratio", "nan"),
        ("ratio", "inf"),
        ("quick", "maybe"),
        ("sides", "up"),
        ("sides", '["left", "up"]'),
        ("sides", "[[]]"),
        ("shape", "square"),
        ("shape", '{"kind": "square"}'),
        ("shape", '{"size": 1}'),
        ("shape", "[" * 100_000),
        ("words", "[{}]"),
    ],
)
def test_a_value_that_does_not_fit_names_its_field(field: str, value: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read((field, value))
    assert caught.value.param == field
    assert field in caught.value.message


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["title", "count", "sides", "sides[]", "shape", "shape[kind]", "x["]),
            st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps),
        )
    )
)
def test_any_form_is_read_or_refused(fields: list[tuple[str, str]]) -> None:
    try:
        form = Sample.read(fields)
    except BadRequestError:
        return
    assert 0 <= form.count <= 9


@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip()), min_size=1))
def test_a_json_list_and_repeated_fields_say_the_same(words: list[str]) -> None:
    as_json = read(("words", json.dumps(words)))
    assert as_json.words == words


def test_the_schema_is_self_contained_and_names_the_file() -> None:
    schema = form_schema(Sample, "what to read")
    assert "$ref" not in json.dumps(schema)
    assert "$defs" not in schema
    properties: dict[str, Any] = schema["properties"]
    assert set(properties) == {"file", *Sample.model_fields}
    assert properties["file"]["format"] == "binary"
    assert schema["required"] == ["file"]
    assert properties["shape"]["anyOf"][0]["properties"]["size"]["default"] == 1.0
    assert "file" not in form_schema(Sample)["properties"]
