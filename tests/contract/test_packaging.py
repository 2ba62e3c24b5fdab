"""The container's files name things that exist, and do what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.live_server import live_server

from verbatim.settings import Settings, variable

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
KNOWN = {variable(name) for name in Settings.model_fields}
OF_COMPOSE = {"VERBATIM_EXTRAS", "VERBATIM_TAG", "VERBATIM_BIND", "VERBATIM_PUBLISHED_PORT"}
"""Read by the compose file itself, not by the server."""


def _compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    service = loaded["services"]["verbatim"]
    assert isinstance(service, dict)
    return service


def _instruction(name: str) -> str:
    """The last instruction of this name, with its continued lines."""
    found = re.findall(rf"^{name} ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return str(found[-1]).replace("\\\n", " ")


def test_every_variable_is_a_setting() -> None:
    in_image = set(re.findall(r"VERBATIM_[A-Z_]+", DOCKERFILE))
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    in_compose = set(re.findall(r"VERBATIM_[A-Z_]+", compose)) - OF_COMPOSE
    assert in_image <= KNOWN
    assert in_compose <= KNOWN


def test_what_is_copied_is_there() -> None:
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source


def test_extras_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ("cuda", "postgres"):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)
        assert extra in DOCKERFILE


def test_the_container_is_given_no_rights() -> None:
    service = _compose()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert _instruction("USER") == "1000"


def test_all_that_is_written_lies_in_a_volume() -> None:
    volumes = json.loads(_instruction("VOLUME"))
    assert {entry.split(":")[1] for entry in _compose()["volumes"]} == set(volumes)
    environment = _instruction("ENV").split()
    written = ("HOME=", "HF_HOME=", "VERBATIM_DATA_DIR=", "VERBATIM_SPOOL_DIR=")
    for place in (entry for entry in environment if entry.startswith(written)):
        assert place.split("=")[1].startswith(tuple(volumes)), place


def test_stopping_takes_longer_than_the_drain() -> None:
    grace_s = float(_compose()["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings().drain_s


@pytest.mark.parametrize("up", [True, False])
def test_the_health_check_tells_whether_it_lives(tmp_path: Path, up: bool) -> None:
    program, *arguments = json.loads(_instruction("HEALTHCHECK").split(" CMD ")[1])
    assert program == "python"
    with live_server(tmp_path) as server:
        port = server.url.rsplit(":", 1)[1] if up else "1"
        done = subprocess.run(
            [sys.executable, *arguments],
            env={"VERBATIM_PORT": port},
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode == 0) == up
