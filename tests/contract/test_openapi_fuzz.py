"""Every operation of the API with made-up requests: no failure of ours, and nothing undescribed.

Schemathesis makes the requests from the description, some that fit it and some that do not, and
compares the answers with it: status, content type, headers, body. Half of the uploads are a real
recording, so that the descriptions of success are looked at too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.support.live_server import SPEECH, LiveServer, live_server, wait_until

from verbatim.engine.fake import FakeEngine

EXAMPLES = 5
"""Of each kind, for each operation: twenty seconds of computing in all."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
STATED_CAUSES = {HTTPStatus.SERVICE_UNAVAILABLE}
"""Models that are not on this machine, where the network may not be used."""
ADMIN = "an-administrator-s-key"
OPERATIONS = 38
Case = Any  # schemathesis.Case, whose type holds what mypy cannot follow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        # A made-up name might be that of a model in this machine's own cache.
        patch.setenv("HF_HOME", str(folder / "hub"))
        with live_server(folder, FakeEngine(lambda window: "Yes."), admin_key=ADMIN) as server:
            yield server


@pytest.fixture(scope="module")
def operations(server: LiveServer) -> list[Any]:
    with server.client() as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def fuzz(strategy: st.SearchStrategy[Case], attempt: Callable[[Case, bool], None]) -> None:
    """Attempt some of them, always the same ones."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy, st.booleans())
    def run(case: Case, speech: bool) -> None:
        attempt(case, speech)

    run()


def test_the_whole_api_is_looked_at(operations: list[Any]) -> None:
    assert len(operations) >= OPERATIONS


@pytest.mark.parametrize("fitting", [True, False])
def test_no_answer_is_a_failure_or_undescribed(
    server: LiveServer, operations: list[Any], fitting: bool
) -> None:
    mode = schemathesis.GenerationMode
    statuses = set()

    def attempt(case: Case, speech: bool) -> None:
        if speech and isinstance(case.body, dict) and "file" in case.body:
            case.body["file"] = SPEECH.read_bytes()
        elif speech and isinstance(case.body, bytes):
            case.body = SPEECH.read_bytes()
        answer = case.call(base_url=server.url, headers={"x-admin-key": ADMIN})
        statuses.add(answer.status_code)
        checks = [
            check
            for check in CHECKS
            if check is not not_a_server_error or answer.status_code not in STATED_CAUSES
        ]
        case.validate_response(answer, checks=checks)

    for operation in operations:
        takes_nothing = not list(operation.iter_parameters()) and not operation.body
        if takes_nothing and not fitting:
            continue
        kind = mode.POSITIVE if fitting else mode.NEGATIVE
        fuzz(operation.as_strategy(generation_mode=kind), attempt)
    wait_until(server.idle)
    assert {200, 400} <= statuses
    assert server.engine.windows, "no recording got through"
