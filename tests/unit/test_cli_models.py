"""`verbatim models` against a hub on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fake_hub import FakeHub, Repository, model_files, running_hub, write_model
from tests.support.terminal import run_on_terminal
from typer.testing import CliRunner, Result

from verbatim.cli.console import size
from verbatim.cli.main import app
from verbatim.engine.known_models import DEMO_NAME, KNOWN_MODELS, find_known


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("VERBATIM_MODELS_DIR", str(tmp_path / "models"))
    known = find_known("tiny")
    assert known is not None
    with running_hub() as fake:
        monkeypatch.setenv("HF_ENDPOINT", fake.endpoint)
        fake.repositories[known.repository] = Repository(model_files())
        yield fake


def models(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, ["models", *arguments])
    assert result.exit_code == status, result.output
    return result


@pytest.mark.usefixtures("hub")
def test_from_nothing_to_a_model_and_back(tmp_path: Path) -> None:
    assert "tiny  " in models("list").stdout
    pulled = models("pull", "tiny")
    assert pulled.stdout.startswith("tiny: 300 kB in ")
    assert "Downloading tiny: 100 % of 300 kB" in pulled.stderr
    (line,) = (line for line in models("list").stdout.splitlines() if line.startswith("tiny "))
    assert "hub cache" in line
    assert f"folder       {tmp_path}" in models("show", "tiny").stdout
    assert models("remove", "tiny").stdout == "tiny is removed; 300 kB are free again.\n"
    assert "not here; `verbatim models pull tiny` fetches it" in models("show", "tiny").stdout


@pytest.mark.usefixtures("hub")
def test_json() -> None:
    pulled = json.loads(models("pull", "tiny", "--json").stdout)
    assert pulled["name"] == "tiny"
    assert Path(pulled["folder"], "model.bin").is_file()
    listed = {model["name"]: model for model in json.loads(models("list", "--json").stdout)}
    assert listed.keys() == {DEMO_NAME, *(model.name for model in KNOWN_MODELS)}
    assert listed["tiny"]["installed"] is True
    assert listed["tiny"]["folder"] == pulled["folder"]
    assert listed["small"]["installed"] is False
    shown = json.loads(models("show", "turbo", "--json").stdout)
    assert (shown["name"], shown["parameters"]) == ("large-v3-turbo", 809_000_000)
    assert json.loads(models("remove", "tiny", "--json").stdout)["freed_bytes"] > 300_000


@pytest.mark.usefixtures("hub")
def test_errors() -> None:
    assert "Did you mean tiny" in models("pull", "tinny", status=1).stderr
    assert "VERBATIM_OFFLINE" in models("pull", "tiny", "--offline", status=1).stderr
    assert "part of the package" in models("remove", DEMO_NAME, status=1).stderr
    assert "nothing to pull" in models("pull", DEMO_NAME, status=2).stderr


def test_offline_asks_nobody(hub: FakeHub) -> None:
    models("list")
    models("show", "tiny")
    models("pull", "tiny", "--offline", status=1)
    assert not hub.requests


@pytest.mark.usefixtures("hub")
def test_a_folder_of_ones_own_is_only_deleted_when_meant(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "models" / "mine")
    assert "say --yes" in models("remove", "mine", status=2).stderr
    assert folder.is_dir()
    models("remove", "mine", "--yes")
    assert not folder.exists()


@pytest.mark.usefixtures("hub")
def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    printed, shown = run_on_terminal(["models", "pull", "tiny"], tmp_path)
    assert "ing tiny" in shown
    assert "300" in shown
    assert printed.startswith("tiny: 300 kB in ")


@pytest.mark.parametrize(
    ("count_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (486_000_000, "486 MB"),
        (1_622_000_000, "1.6 GB"),
        (10_000_000_000, "10 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_are_readable(count_bytes: int, text: str) -> None:
    assert size(count_bytes) == text
