"""The key file of the older real-time server."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.access.older_file import read_older_keys
from verbatim.domain.errors import BadRequestError

SECRET = "sk-" + "a6e05" + "0" * 39 + "be80"


def read(entry: object, secret: str = SECRET) -> Any:
    return read_older_keys(json.dumps({secret: entry}))[0]


def test_a_whole_entry() -> None:
    key = read(
        {
            "name": "현관",
            "created_at": "2025-11-26T10:20:30+00:00",
            "last_used": "2025-12-01T00:00:00.500000+09:00",
            "request_count": 17,
        }
    )
    assert (key.secret, key.name, key.request_count) == (SECRET, "현관", 17)
    assert key.created_at == datetime(2025, 11, 26, 10, 20, 30, tzinfo=UTC)
    assert key.last_used_at == datetime(2025, 11, 30, 15, 0, 0, 500_000, tzinfo=UTC)


def test_times_without_a_zone_are_this_machine_s() -> None:
    key = read({"created_at": "2025-11-26T10:20:30.123456"})
    assert key.created_at == datetime(2025, 11, 26, 10, 20, 30, 123_456).astimezone()


@pytest.mark.parametrize("entry", [{}, {"name": None, "created_at": "", "last_used": None}])
def test_what_is_left_out(entry: object) -> None:
    key = read(entry)
    assert (key.name, key.created_at, key.last_used_at, key.request_count) == ("", None, None, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("[1, 2]", "look like"),
        ("[" * 100_000, "no JSON"),
        (json.dumps({SECRET: "x"}), "look like"),
        (json.dumps({SECRET: {"request_count": "many"}}), "request_count"),
        (json.dumps({SECRET: {"request_count": -1}}), "request_count"),
        (json.dumps({SECRET: {"created_at": "yesterday"}}), "yesterday"),
        (json.dumps({SECRET: {"last_used": {}}}), "no time"),
        (json.dumps({"": {}}), "cannot be a key"),
        (json.dumps({"sk-한": {}}), "cannot be a key"),
        (json.dumps({"sk-\n": {}}), "cannot be a key"),
        (json.dumps({"a b": {}}), "look like"),
        (json.dumps({"x" * 1000: {}}), "cannot be a key"),
    ],
)
def test_what_is_no_such_file(text: str, words: str) -> None:
    with pytest.raises(BadRequestError, match=words) as caught:
        read_older_keys(text)
    assert SECRET not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    with contextlib.suppress(BadRequestError):
        read_older_keys(json.dumps(value))
