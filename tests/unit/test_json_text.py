"""JSON from outside."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.wire.json_text import TornTextError, load_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig"]))
def test_json_is_read(value: object, escaped: bool, encoding: str) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert load_json(text) == value
    assert load_json(text.encode(encoding)) == value


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (r'"\ud800"', ()),
        (r'{"a": ["b", "\udfff x"]}', ("a", 1)),
        (r'{"a": {"\ud83d": 1}}', ("a",)),
    ],
)
def test_what_cannot_be_sent_back_is_refused(text: str, place: tuple[str | int, ...]) -> None:
    for given_text in (text, text.encode()):
        with pytest.raises(TornTextError) as refused:
            load_json(given_text)
        assert refused.value.place == place


def test_whole_pairs_are_text() -> None:
    assert load_json(r'"\ud83d\ude00"') == "😀"


@pytest.mark.parametrize("text", [b"\xff", b"", "{", '"a"'.encode("utf-16"), "1 2"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its kinds have nothing else in common
        load_json(text)
