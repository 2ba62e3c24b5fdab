"""Where keys are looked for in headers, and which subprotocol is agreed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from verbatim.wire.credentials import offered_keys, spoken_subprotocol

KEY = "sk-0123456789abcdef"


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode()) for name, value in pairs])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}"),
        ("Authorization", f"bearer   {KEY} "),
        ("Authorization", f"Token {KEY}"),
        ("Authorization", KEY),
        ("X-API-Key", KEY),
        ("X-Api-Key", f" {KEY} "),
        ("X-Admin-Key", KEY),
        ("Sec-WebSocket-Protocol", f"verbatim, verbatim.key.{KEY}"),
        ("Sec-WebSocket-Protocol", f"realtime,openai-insecure-api-key.{KEY},openai-beta.x"),
        ("Sec-WebSocket-Protocol", f"token, {KEY}"),
        ("Sec-WebSocket-Protocol", f"Bearer,{KEY}"),
    ],
)
def test_every_place_for_a_key(name: str, value: str) -> None:
    assert offered_keys(headers((name, value))) == (KEY,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Basic {KEY}"),
        ("Authorization", f"Digest username={KEY}"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer  "),
        ("Authorization", ""),
        ("X-API-Key", "  "),
        ("Cookie", f"key={KEY}"),
        ("X-Key", KEY),
        ("Sec-WebSocket-Protocol", "verbatim.key."),
        ("Sec-WebSocket-Protocol", "realtime"),
        ("Sec-WebSocket-Protocol", "token"),
    ],
)
def test_what_is_no_key(name: str, value: str) -> None:
    assert offered_keys(headers((name, value))) == ()


def test_several_keys_come_in_order_and_once() -> None:
    shown = headers(
        ("X-Admin-Key", "admin"),
        ("X-API-Key", "own"),
        ("Authorization", "Bearer none"),
        ("X-API-Key", "none"),
        ("Sec-WebSocket-Protocol", "verbatim.key.last"),
    )
    assert offered_keys(shown) == ("none", "own", "admin", "last")


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        (f"verbatim, verbatim.key.{KEY}", "verbatim"),
        (f"verbatim.key.{KEY}, verbatim", "verbatim"),
        (f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1", "realtime"),
        (f"token, {KEY}", "token"),
        (f"verbatim.key.{KEY}", None),
        ("", None),
    ],
)
def test_the_subprotocol_that_is_agreed_on(offered: str, spoken: str | None) -> None:
    assert spoken_subprotocol(headers(("Sec-WebSocket-Protocol", offered))) == spoken


groups = st.sampled_from(
    [
        ["token", KEY],
        ["bearer", KEY],
        [f"verbatim.key.{KEY}"],
        [f"openai-insecure-api-key.{KEY}"],
        ["realtime"],
    ]
)


@given(st.lists(groups, max_size=5))
def test_a_key_is_never_said_back(offered: list[list[str]]) -> None:
    names = [name for group in offered for name in group]
    given_headers = headers(("Sec-WebSocket-Protocol", ", ".join(names)))
    assert KEY not in (spoken_subprotocol(given_headers) or "")
    assert (KEY in offered_keys(given_headers)) is any(KEY in name for name in names)
