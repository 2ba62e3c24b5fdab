"""A small JSON body as a typed value: what errors say."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict

from verbatim.domain.errors import BadRequestError
from verbatim.wire.json_body import parse_json


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = 0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner = Inner()
    text: str = ""


@pytest.mark.parametrize(
    ("body", "param", "place"),
    [
        (b'{"inner": {"number": "x"}}', "inner", "inner.number"),
        (b'{"text": 5}', "text", "text"),
        (rb'{"text": "\ud800"}', "text", "text"),
        (rb'{"inner": {"\ud800": 1}}', "inner", "inner"),
        (b"[]", None, None),
    ],
)
def test_the_field_at_fault_is_named(body: bytes, param: str | None, place: str | None) -> None:
    for whole, expected in ((False, param), (True, place)):
        with pytest.raises(BadRequestError) as refused:
            parse_json(body, Outer, whole_place=whole)
        assert refused.value.param == expected
        assert refused.value.message.encode()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse_json(body, Outer)
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("body", [b"[]", b"5", b"null", b'"text"', b'{"inner": []}'])
def test_no_class_of_ours_is_named_where_an_object_is_missing(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="Input should be an object") as refused:
        parse_json(body, Outer)
    assert not {"Outer", "Inner"} & set(refused.value.message.split())
