"""OpenTelemetry traces, as a collector gets them."""

from __future__ import annotations

import gzip
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.support.live_server import SPEECH, LiveServer, live_server, wait_until

from verbatim.domain.errors import InternalError, UnavailableError
from verbatim.engine.fake import FakeEngine
from verbatim.server.traces import Tracing, open_tracing
from verbatim.settings import Settings

PATH = "/v1/transcripts"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
STAGES = {"receive", "queue", "model", "transcribe"}


@contextmanager
def traced_server(
    folder: Path, engine: FakeEngine | None = None
) -> Iterator[tuple[LiveServer, InMemorySpanExporter]]:
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    options = {"tracing": Tracing(provider, time.monotonic)}
    with live_server(folder, engine, context_options=options) as server:
        yield server, spans


def transcribe(server: LiveServer, **headers: str) -> int:
    with server.client(headers=headers) as client:
        return client.post(PATH, files={"file": SPEECH.read_bytes()}).status_code


def request_span(spans: InMemorySpanExporter) -> ReadableSpan:
    def found() -> list[ReadableSpan]:
        return [span for span in spans.get_finished_spans() if span.kind is SpanKind.SERVER]

    wait_until(lambda: len(found()) == 1)
    return found()[0]


def test_a_request_is_a_span_with_its_stages_below(tmp_path: Path) -> None:
    with traced_server(tmp_path) as (server, spans):
        before_ns = time.time_ns()
        assert transcribe(server, **CALLER) == 200
        whole = request_span(spans)
        stages = [span for span in spans.get_finished_spans() if span is not whole]
        after_ns = time.time_ns()
    assert whole.name == f"POST {PATH}"
    assert whole.context is not None
    assert f"{whole.context.trace_id:032x}" == TRACE_ID
    assert whole.parent is not None
    assert whole.parent.is_remote
    facts = dict(whole.attributes or {})
    assert facts["http.route"] == PATH
    assert facts["http.response.status_code"] == 200
    assert (facts["verbatim.model"], facts["verbatim.cache"]) == ("fake", "miss")
    assert facts["verbatim.audio_s"] == pytest.approx(2.2, abs=0.2)
    assert {span.name for span in stages} == STAGES
    for span in stages:
        assert span.parent is not None
        assert span.parent.span_id == whole.context.span_id
        assert span.start_time is not None
        assert span.end_time is not None
        assert before_ns <= span.start_time <= span.end_time <= after_ns
    order = sorted(stages, key=lambda span: span.start_time or 0)
    assert (order[0].name, order[-1].name) == ("receive", "transcribe")


def test_a_request_without_a_caller_begins_a_trace(tmp_path: Path) -> None:
    with traced_server(tmp_path) as (server, spans):
        transcribe(server)
        assert request_span(spans).parent is None


def test_a_failure_is_a_failed_span(tmp_path: Path) -> None:
    async def fail(windows: Any) -> None:
        raise InternalError("secret detail")

    with traced_server(tmp_path, FakeEngine(interruption=fail)) as (server, spans):
        assert transcribe(server) == 500
        whole = request_span(spans)
    assert whole.status.status_code is StatusCode.ERROR
    assert dict(whole.attributes or {})["error.type"] == "internal"
    assert "secret" not in whole.to_json()


def test_machines_questions_make_no_spans(tmp_path: Path) -> None:
    with traced_server(tmp_path) as (server, spans):
        with server.client() as client:
            for path in ("/health", "/ready", "/metrics"):
                client.get(path)
        assert not spans.get_finished_spans()


@dataclass
class Collector:
    """An OpenTelemetry collector that keeps what it gets."""

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    url: str = ""

    def names(self) -> set[str]:
        return {
            span.name
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def services(self) -> set[str]:
        return {
            fact.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for fact in resource.resource.attributes
            if fact.key == "service.name"
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            kept.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_port}"
        yield kept
        server.shutdown()
        thread.join()


async def test_spans_are_sent_where_opentelemetrys_variables_say(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    async with open_tracing(Settings(traces=True)) as tracing:
        assert tracing is not None
        with live_server(tmp_path, context_options={"tracing": tracing}) as server:
            assert transcribe(server) == 200
    assert collector.names() == STAGES | {f"POST {PATH}"}
    assert collector.services() == {"verbatim"}


async def test_off_is_off() -> None:
    async with open_tracing(Settings()) as tracing:
        assert tracing is None


async def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(UnavailableError, match=r"verbatim-stt\[otel\]"):
        async with open_tracing(Settings(traces=True)):
            pass
