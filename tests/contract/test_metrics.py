"""What `/metrics` shows, and that the dashboard asks for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.live_server import LiveServer, live_server

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "verbatim.json"
PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
METRIC = re.compile(r"\b((?:verbatim|process)_[a-z_]+)\b")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), cache=True) as server:
        yield server


def samples(server: LiveServer) -> Samples:
    text = httpx.get(f"{server.url}/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


def test_a_transcription_is_counted_stage_by_stage(server: LiveServer) -> None:
    before = samples(server)
    assert server.post().status_code == 200
    after = samples(server)
    for stage in ("receive", "queue", "model", "transcribe"):
        name = "verbatim_stage_seconds_count"
        assert value(after, name, stage=stage) == value(before, name, stage=stage) + 1
    assert value(after, "verbatim_stage_seconds_sum", stage="transcribe") > 0
    assert value(after, "verbatim_batch_windows_sum", model="fake") >= 1
    assert value(after, "verbatim_batch_seconds_count", model="fake") >= 1
    waits = "verbatim_window_wait_seconds_count"
    assert value(after, waits, model="fake", priority="interactive") >= 1
    assert value(after, "verbatim_model_memory_bytes", model="verbatim-demo") == 0
    assert value(after, "verbatim_model_users", model="verbatim-demo") == 0
    audio = "verbatim_audio_seconds_total"
    assert value(after, audio) - value(before, audio) == pytest.approx(2.2, abs=0.2)


def test_what_was_known_counts_as_a_hit_and_takes_no_time_on_the_device(
    server: LiveServer,
) -> None:
    server.post(prompt="known")
    before = samples(server)
    assert server.post(prompt="known").headers["x-verbatim-cache"] == "hit"
    after = samples(server)
    hits = {"name": "verbatim_cache_total", "outcome": "hit"}
    assert value(after, **hits) == value(before, **hits) + 1
    for same in ("verbatim_real_time_factor_count", "verbatim_batch_seconds_count"):
        labels = {"model": "fake"} if "batch" in same else {}
        assert value(after, same, **labels) == value(before, same, **labels)


def test_errors_are_counted_by_kind_and_begin_at_zero(server: LiveServer) -> None:
    before = samples(server)
    assert server.post(language="klingon").status_code == 400
    after = samples(server)
    name = "verbatim_errors_total"
    assert value(after, name, kind="bad_request") == value(before, name, kind="bad_request") + 1
    assert value(after, name, kind="storage_full") == 0


def test_a_model_that_is_unloaded_has_no_line_any_more(server: LiveServer) -> None:
    server.post(prompt="loads it")
    assert "verbatim_model_memory_bytes" in names(samples(server))
    httpx.post(f"{server.url}/v1/server/models/auto/unload")
    assert "verbatim_model_memory_bytes" not in names(samples(server))


def expressions(part: object) -> Iterator[str]:
    """Every query in the dashboard, at any depth."""
    if isinstance(part, dict):
        for key, each in part.items():
            if key in {"expr", "query", "definition"} and isinstance(each, str):
                yield each
            else:
                yield from expressions(each)
    elif isinstance(part, list):
        for each in part:
            yield from expressions(each)


def test_every_metric_of_the_dashboard_is_there(server: LiveServer) -> None:
    server.post(prompt="not known")
    there = names(samples(server))
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    asked = {name for query in expressions(dashboard) for name in METRIC.findall(query)}
    assert len(asked) > 15
    assert not asked - there


def test_the_dashboard_fits_any_grafana() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert dashboard["uid"] == "verbatim"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        assert panel["description"]
        grid = panel["gridPos"]
        assert 0 <= grid["x"] < grid["x"] + grid["w"] <= 24
        for other in panels:
            assert panel is other or apart(grid, other["gridPos"])


def apart(a: dict[str, int], b: dict[str, int]) -> bool:
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


def test_the_page_names_every_metric_and_no_other(server: LiveServer) -> None:
    server.post(prompt="not known either")
    text = httpx.get(f"{server.url}/metrics").text
    families = {
        family.name
        for family in text_string_to_metric_families(text)
        if family.name.startswith("verbatim_") and not family.name.endswith("_created")
    }
    page = set(METRIC.findall(PAGE.read_text()))
    named = {name.removesuffix("_total").removesuffix("_info") for name in page}
    told = {family.removesuffix("_info") for family in families}
    assert told <= named
    parts = {f"{name}{end}" for name in told for end in ("", "_bucket", "_sum", "_count")}
    assert {name for name in named if name.startswith("verbatim_")} <= parts
