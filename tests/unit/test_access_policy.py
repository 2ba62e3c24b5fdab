"""Who needs a key, as the settings say."""

from __future__ import annotations

from typing import Any

import pytest

from verbatim.access.policy import is_loopback, policy_of
from verbatim.access.secret import digest_of
from verbatim.domain.errors import BadRequestError
from verbatim.domain.keys import Scope
from verbatim.settings import Settings


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.0.9", "::1", "[::1]", "localhost", "LOCALHOST."]
)
def test_this_machine_alone(host: str) -> None:
    assert is_loopback(host)
    policy = policy_of(Settings(host=host))
    assert policy.anonymous is not None
    assert policy.anonymous.scopes == frozenset(Scope)
    assert not policy.anonymous.authenticated


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "localhost.evil"]
)
def test_other_machines_too(host: str) -> None:
    assert not is_loopback(host)
    assert policy_of(Settings(host=host)).required


@pytest.mark.parametrize(
    ("settings", "required"),
    [
        ({"auth": "on"}, True),
        ({"auth": "off"}, False),
        ({"api_key": "x"}, True),
        ({"api_key": "x", "auth": "off"}, False),
        ({"admin_key": "x"}, False),
        ({"no_auth": True, "api_key": "x"}, False),
        ({"host": "0.0.0.0", "no_auth": True}, False),
        ({"host": "0.0.0.0", "no_auth": True, "auth": "off"}, False),
        ({"host": "0.0.0.0", "auth": "on"}, True),
    ],
)
def test_what_settings_mean(settings: dict[str, Any], required: bool) -> None:
    assert policy_of(Settings(**settings)).required is required


def test_where_others_are_let_in_they_administer_nothing() -> None:
    anonymous = policy_of(Settings(host="0.0.0.0", no_auth=True)).anonymous
    assert anonymous is not None
    assert Scope.ADMIN not in anonymous.scopes
    assert {Scope.TRANSCRIBE, Scope.LIVE, Scope.JOBS} <= anonymous.scopes


def test_everybody_is_let_in_only_where_that_is_said() -> None:
    with pytest.raises(BadRequestError, match="--no-auth") as caught:
        policy_of(Settings(host="0.0.0.0", auth="off"))
    assert caught.value.param == "auth"


def test_a_contradiction() -> None:
    with pytest.raises(BadRequestError, match="contradict"):
        policy_of(Settings(auth="on", no_auth=True))


def test_pages_of_all_sites_need_keys_or_a_word_of_the_operator() -> None:
    with pytest.raises(BadRequestError, match="every page on the web") as caught:
        policy_of(Settings(cors_origins=["*"]))
    assert caught.value.param == "cors_origins"
    assert policy_of(Settings(cors_origins=["*"], auth="on")).required
    anonymous = policy_of(Settings(cors_origins=["*"], no_auth=True)).anonymous
    assert anonymous is not None
    assert Scope.ADMIN not in anonymous.scopes


def test_keys_of_the_settings() -> None:
    (api, admin) = policy_of(Settings(api_key="a", admin_key="b")).fixed
    assert api[0] == digest_of("a")
    assert api[1].scopes == {Scope.TRANSCRIBE, Scope.LIVE}
    assert admin[0] == digest_of("b")
    assert admin[1].scopes == {Scope.ADMIN}
    assert api[1].owner == ""
