"""What operators meet: health, readiness, metrics, documentation, headers, logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.live_server import SPEECH, LiveServer, live_server, wait_until
from tests.support.openai_schema import error_of

from verbatim.domain.errors import BadRequestError
from verbatim.engine.fake import FakeEngine

SAID = "Something private was said."
METRICS = {
    "verbatim_http_requests",
    "verbatim_http_request_seconds",
    "verbatim_http_requests_in_flight",
    "verbatim_errors",
    "verbatim_upload_bytes",
    "verbatim_audio_seconds",
    "verbatim_real_time_factor",
    "verbatim_queue_running",
    "verbatim_queue_waiting",
    "verbatim_models_loaded",
    "verbatim_spooled_files",
    "verbatim_build_info",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path, FakeEngine(lambda window: SAID)) as server:
        yield server


def get(server: LiveServer, path: str, **headers: str) -> Any:
    with server.client() as client:
        return client.get(path, headers=headers)


def request_lines(server: LiveServer, count: int = 1) -> list[Any]:
    """Log lines of requests; they are written when the answer is out already."""

    def found() -> list[Any]:
        return [line for line in server.logs if line["event"] == "request"]

    wait_until(lambda: len(found()) == count)
    return found()


def samples(server: LiveServer) -> dict[str, list[Any]]:
    text = get(server, "/metrics").text
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def test_health_before_and_after_a_model_is_loaded(server: LiveServer) -> None:
    before = get(server, "/health").json()
    assert before["status"] == "healthy"
    assert (before["model"], before["model_loaded"]) == ("auto", False)
    server.post()
    after = get(server, "/health").json()
    assert (after["model"], after["model_loaded"], after["device"]) == ("fake", True, "cpu")
    assert after["loaded_models"] == ["fake"]


def test_the_root_says_what_this_is(server: LiveServer) -> None:
    body = get(server, "/").json()
    assert set(body) >= {"message", "version", "device", "loaded_models", "supported_models"}
    assert {"tiny", "small", "large-v3"} <= set(body["supported_models"])


@pytest.mark.parametrize("path", ["/", "/health", "/ready"])
def test_head_is_answered(server: LiveServer, path: str) -> None:
    with server.client() as client:
        answer = client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""


def test_not_ready_until_the_model_is_loaded(tmp_path: Path) -> None:
    with live_server(tmp_path, preload=True) as server:
        answer = get(server, "/ready")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "loaded" in answer.json()["reason"]
        assert get(server, "/health").status_code == 200


def test_draining_refuses_work_and_goes_on_to_answer_machines(server: LiveServer) -> None:
    assert get(server, "/ready").status_code == 200
    server.drain.begin()
    assert get(server, "/ready").status_code == 503
    assert get(server, "/health").status_code == 200
    assert get(server, "/metrics").status_code == 200
    answer = server.post()
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "stopping" in error_of(answer.json())["message"]


def test_the_metrics_count_what_was_done(server: LiveServer) -> None:
    for _ in range(2):
        assert server.post().status_code == 200
    assert server.post(temperature="hot").status_code == 400
    request_lines(server, 3)
    told = samples(server)
    assert set(told) >= METRICS

    def value(name: str, **labels: str) -> float:
        family = name.removesuffix("_total").removesuffix("_count")
        (found,) = (
            s.value for s in told[family] if s.name == name and labels.items() <= s.labels.items()
        )
        return float(found)

    route = "/v1/audio/transcriptions"
    assert value("verbatim_http_requests_total", route=route, status="200") == 2
    assert value("verbatim_http_requests_total", route=route, status="400") == 1
    assert value("verbatim_http_requests_total", route=route, status="400", dialect="openai_rest")
    assert value("verbatim_http_request_seconds_count", route=route) == 3
    assert value("verbatim_errors_total", kind="bad_request") == 1
    assert value("verbatim_upload_bytes_total") == 3 * SPEECH.stat().st_size
    assert value("verbatim_audio_seconds_total") == pytest.approx(2 * 2.171, abs=0.1)
    assert value("verbatim_real_time_factor_count") == 2
    assert value("verbatim_queue_running") == 0
    assert value("verbatim_models_loaded") == 1


def test_labels_take_few_values_whatever_clients_send(server: LiveServer) -> None:
    with server.client() as client:
        for i in range(30):
            client.get(f"/nothing/{i}")
            client.get(f"/v1/models/model-{i}")
            client.request(f"METHOD{i}", "/health")
    requests = samples(server)["verbatim_http_requests"]
    assert len(requests) < 15
    assert {sample.labels["method"] for sample in requests} <= {"GET", "OTHER"}
    assert {sample.labels["route"] for sample in requests} <= {
        "unmatched",
        "/v1/models/{model:path}",
        "/health",
        "/metrics",
    }


def test_the_api_is_described(server: LiveServer) -> None:
    described = get(server, "/openapi.json").json()
    assert {
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/models",
        "/v1/models/{model}",
        "/health",
        "/ready",
        "/metrics",
    } <= set(described["paths"])
    body = described["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]
    form = body["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file"]
    assert {"file", "model", "language", "stream", "chunking_strategy"} <= set(form["properties"])
    responses = described["paths"]["/v1/audio/transcriptions"]["post"]["responses"]
    assert "text/event-stream" in responses["200"]["content"]
    assert "422" not in responses


def test_the_documentation_needs_no_other_host(server: LiveServer) -> None:
    page = get(server, "/docs")
    assert page.status_code == 200
    assert not re.search(r"(?:https?:)?//|<script|@import|url\(", page.text)
    for name in ("chunking_strategy", "max_line_chars", "server_vad", "verbose_json"):
        assert name in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_headers_on_every_answer(server: LiveServer) -> None:
    for answer in (get(server, "/health"), get(server, "/v1/nothing"), server.post()):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
        assert "server" not in answer.headers


def test_a_client_s_request_id_is_kept_if_it_is_one(server: LiveServer) -> None:
    assert get(server, "/health", **{"x-request-id": "abc-1.2_3"}).headers["x-request-id"] == (
        "abc-1.2_3"
    )
    for bad in ("", "a b", "x" * 200, "id;", '"><script>'):
        told = get(server, "/health", **{"x-request-id": bad})
        assert re.fullmatch(r"[0-9a-f]{32}", told.headers["x-request-id"])


def test_other_origins_are_let_in_only_where_the_settings_say(tmp_path: Path) -> None:
    origin = "https://app.example"
    with live_server(tmp_path / "closed") as server:
        assert "access-control-allow-origin" not in get(server, "/health", origin=origin).headers
    with live_server(tmp_path / "open", cors_origins=[origin]) as server:
        for answer in (get(server, "/health", origin=origin), get(server, "/v1/x", origin=origin)):
            assert answer.headers["access-control-allow-origin"] == origin
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
        other = get(server, "/health", origin="https://evil.example")
        assert "access-control-allow-origin" not in other.headers
        with server.client() as client:
            preflight = client.options(
                "/v1/audio/transcriptions",
                headers={"origin": origin, "access-control-request-method": "POST"},
            )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == origin


def test_a_request_is_one_line_in_the_log(server: LiveServer) -> None:
    with server.client() as client:
        client.post(
            "/v1/audio/transcriptions?token=secret",
            files={"file": ("my diary.ogg", SPEECH.read_bytes())},
            data={"prompt": "Private words."},
            headers={"x-request-id": "mine", "authorization": "Bearer secret"},
        )
    (line,) = request_lines(server)
    assert line["request_id"] == "mine"
    assert line["log_level"] == "info"
    assert (line["method"], line["route"], line["status"]) == (
        "POST",
        "/v1/audio/transcriptions",
        200,
    )
    assert line["audio_s"] == pytest.approx(2.17, abs=0.05)
    assert {"duration_s", "real_time_factor", "upload_bytes", "model", "language"} <= set(line)
    told = str(server.logs)
    for private in ("secret", "diary", "Private", SAID):
        assert private not in told


def test_questions_of_machines_are_not_worth_a_line(server: LiveServer) -> None:
    get(server, "/health")
    assert request_lines(server)[0]["log_level"] == "debug"


def test_a_failure_is_logged_with_its_cause(tmp_path: Path) -> None:
    async def fail(windows: Any) -> None:
        raise ZeroDivisionError("the cause")

    with live_server(tmp_path, FakeEngine(interruption=fail)) as server:
        answer = server.post()
        assert "the cause" not in answer.text
        causes = [line["exc_info"] for line in server.logs if "exc_info" in line]
        assert any(isinstance(cause, ZeroDivisionError) for cause in causes)
        (line,) = request_lines(server)
        assert line["error"] == "internal"
        assert line["request_id"] in error_of(answer.json())["message"]


def test_a_dialect_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(BadRequestError, match="openai_rest"),
        live_server(tmp_path, dialects=["klingon"]),
    ):
        pass


def test_a_dialect_can_be_switched_off(tmp_path: Path) -> None:
    with live_server(tmp_path, dialects=[]) as server:
        assert get(server, "/v1/models").status_code == 404
        assert get(server, "/health").status_code == 200
