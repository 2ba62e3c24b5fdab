"""What operators graph, in Prometheus' text format. Every label takes few values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from verbatim.domain.errors import ErrorKind
from verbatim.engine.residency import ResidentModel
from verbatim.pipeline.result_cache import CacheOutcome
from verbatim.scheduling.telemetry import BatchDone, Happening, Stage, StageDone, WindowBegun
from verbatim.server.activity import Activity
from verbatim.wire.notes import RequestNotes

KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "OTHER"
REQUEST_BUCKETS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
STAGE_BUCKETS_S: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
WINDOW_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)
REAL_TIME_FACTOR_BUCKETS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """The counters of one application; nothing is shared between two of them.

    Args:
        version: of Verbatim, shown as a label of `verbatim_build_info`.
        clock: seconds that only rise.

    Attributes:
        activity: the sums of what is counted here, for who asks the server itself.
    """

    def __init__(self, version: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.activity: Final = Activity(clock)
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("verbatim_build", "What runs here.", registry=registry).info({"version": version})
        self._requests = Counter(
            "verbatim_http_requests",
            "Requests answered, by dialect, route, method and status.",
            ("dialect", "route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "verbatim_http_request_seconds",
            "Time from a request's first byte to its answer's last.",
            ("dialect", "route"),
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._sockets = Counter(
            "verbatim_websockets",
            "WebSockets that ended, by dialect, route and close code.",
            ("dialect", "route", "code"),
            registry=registry,
        )
        self._errors = Counter(
            "verbatim_errors", "Errors told to clients, by kind.", ("kind",), registry=registry
        )
        self._upload_bytes = Counter(
            "verbatim_upload_bytes", "Bytes of audio files received.", registry=registry
        )
        self._audio_seconds = Counter(
            "verbatim_audio_seconds", "Seconds of audio transcribed.", registry=registry
        )
        self._real_time_factor = Histogram(
            "verbatim_real_time_factor",
            "Time spent on a transcription, waiting included, by the audio's length.",
            buckets=REAL_TIME_FACTOR_BUCKETS,
            registry=registry,
        )
        self._cache = Counter(
            "verbatim_cache",
            "Transcriptions by what the cache said: hit, miss, or joined to one in flight.",
            ("outcome",),
            registry=registry,
        )
        self._stages = Histogram(
            "verbatim_stage_seconds",
            "Time that transcriptions of files spend in each stage: receive, queue, model, "
            "transcribe.",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._window_waits = Histogram(
            "verbatim_window_wait_seconds",
            "Time that windows wait for the device, by priority.",
            ("model", "priority"),
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._batch_windows = Histogram(
            "verbatim_batch_windows",
            "Windows that are decoded together.",
            ("model",),
            buckets=WINDOW_BUCKETS,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "verbatim_batch_seconds",
            "Time that the device takes for a batch.",
            ("model",),
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        for stage in Stage:
            # So that a graph has a line from the start.
            self._stages.labels(stage.value)
        for kind in ErrorKind:
            self._errors.labels(kind.value)
        for outcome in CacheOutcome:
            self._cache.labels(outcome.value)

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Show a value that is read when the metrics are."""
        Gauge(f"verbatim_{name}", help_text, registry=self._registry).set_function(read)

    def watch_models(self, read: Callable[[], Iterable[ResidentModel]]) -> None:
        """Show the memory and the users of loaded models."""
        self._registry.register(_Models(read))

    def on_happening(self, happening: Happening) -> None:
        """Count what is told from inside."""
        match happening:
            case StageDone(stage, began_s, ended_s):
                self._stages.labels(stage.value).observe(ended_s - began_s)
            case WindowBegun(model, priority, waited_s):
                self._window_waits.labels(model, priority.value).observe(waited_s)
            case BatchDone(model, windows, took_s):
                self._batch_windows.labels(model).observe(windows)
                self._batch_seconds.labels(model).observe(took_s)

    def on_request(
        self, notes: RequestNotes, route: str, method: str, status: int, seconds: float
    ) -> None:
        """Count a request that ended.

        Args:
            notes: what its dialect noted.
            route: the route's template, never the path as sent.
            method: HTTP's word.
            status: HTTP's number.
            seconds: how long it took.
        """
        shown_method = method if method in KNOWN_METHODS else OTHER_METHOD
        self._requests.labels(notes.dialect, route, shown_method, str(status)).inc()
        self._seconds.labels(notes.dialect, route).observe(seconds)
        self._count(notes)

    def on_websocket(self, notes: RequestNotes, route: str, code: int) -> None:
        """Count a WebSocket that ended.

        Args:
            notes: what its dialect noted.
            route: the route's template.
            code: with which it was closed; HTTP's status where it was never accepted.
        """
        self._sockets.labels(notes.dialect, route, str(code)).inc()
        self._count(notes)

    def on_other(self, notes: RequestNotes) -> None:
        """Count what was done over a wire that is no HTTP."""
        self._count(notes)
        self.activity.on_end(notes)

    def _count(self, notes: RequestNotes) -> None:
        self._upload_bytes.inc(notes.upload_bytes)
        if notes.error is not None:
            self._errors.labels(notes.error.value).inc()
        if notes.audio_s is not None:
            self._audio_seconds.inc(notes.audio_s)
        if notes.cache is not None:
            self._cache.labels(notes.cache.value).inc()
        # What was known from before took no time, and would hide how fast the device is.
        took_time = notes.cache in {None, CacheOutcome.MISS}
        if notes.audio_s and notes.transcription_s is not None and took_time:
            self._real_time_factor.observe(notes.transcription_s / notes.audio_s)

    def exposition(self) -> tuple[bytes, str]:
        """The text to serve, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _Models(Collector):
    """Reads the loaded models whenever the metrics are: one that is gone has no line any more."""

    def __init__(self, read: Callable[[], Iterable[ResidentModel]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """The families of both metrics."""
        memory = GaugeMetricFamily(
            "verbatim_model_memory_bytes", "Main memory of a loaded model.", labels=["model"]
        )
        users = GaugeMetricFamily(
            "verbatim_model_users", "Requests and sessions that use a model.", labels=["model"]
        )
        for resident in self._read():
            memory.add_metric([resident.name], resident.memory_bytes)
            users.add_metric([resident.name], resident.users)
        yield memory
        yield users

    def describe(self) -> Iterator[Metric]:
        """Their names, known without a look at the models."""
        yield GaugeMetricFamily("verbatim_model_memory_bytes", "", labels=["model"])
        yield GaugeMetricFamily("verbatim_model_users", "", labels=["model"])
