"""How keys are made and shown."""

from __future__ import annotations

import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from verbatim.access.secret import (
    KeyFormat,
    digest_of,
    is_client_secret,
    new_client_secret,
    new_id,
    new_key,
    preview_of,
    same_digest,
)


def test_a_key_has_256_random_bits() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"sk-[0-9a-f]{64}", key) for key in keys)


def test_a_key_of_the_older_form() -> None:
    assert re.fullmatch(r"sk-[0-9a-f]{48}", new_key(KeyFormat.OLDER))


def test_client_secrets_and_ids_look_different() -> None:
    assert is_client_secret(new_client_secret())
    assert not is_client_secret(new_key())
    assert re.fullmatch(r"key_[0-9a-f]{16}", new_id())


def test_the_preview_of_the_older_server() -> None:
    assert preview_of("sk-a6e05" + "0" * 39 + "be80") == "sk-a6e05...be80"


@given(st.text(max_size=80))
def test_a_preview_never_tells_much(secret: str) -> None:
    shown = len(preview_of(secret)) - len("...")
    assert 3 * shown <= len(secret)


@given(st.text(), st.text())
def test_digests(one: str, other: str) -> None:
    assert digest_of(one) == hashlib.sha256(one.encode()).hexdigest()
    assert same_digest(digest_of(one), digest_of(other)) is (one == other)


def test_what_is_no_text_has_a_digest_too() -> None:
    """JSON can bring half a surrogate pair."""
    assert digest_of("\ud800") != digest_of("\ud801")
