from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verbatim.cli import service
from verbatim.cli.main import app
from verbatim.cli.service_unit import UNIT_NAME, ServiceWish, unit_text
from verbatim.domain.errors import BadRequestError

RUNNER = CliRunner()
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  *show*) printf '%s\\n' "$SHOWN" ;;
  *enable*) [ -z "$REFUSED" ] || { echo "$REFUSED" >&2; exit 1; } ;;
esac
"""

Calls = Callable[[], list[str]]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A machine with a systemd that notes what it is told."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    log = tmp_path / "calls"
    log.touch()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(log))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(service, "BOOTED", tmp_path)
    return lambda: log.read_text().splitlines()


def _unit(tmp_path: Path) -> Path:
    return tmp_path / "home/.config/systemd/user" / UNIT_NAME


def test_an_own_service_is_written_and_started(calls: Calls, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["service", "install", "--user"])
    assert result.exit_code == 0, result.output
    unit = _unit(tmp_path).read_text()
    assert re.search(r"^ExecStart=/.*/verbatim serve$", unit, re.MULTILINE)
    assert "WantedBy=default.target" in unit
    variables = tmp_path / "home/.config/verbatim/verbatim.env"
    assert f"EnvironmentFile=-{variables}" in unit
    assert variables.stat().st_mode & 0o077 == 0, "it may hold keys"
    assert calls() == [
        "--user --no-pager daemon-reload",
        f"--user --no-pager enable {UNIT_NAME}",
        f"--user --no-pager restart {UNIT_NAME}",
    ]


def test_installing_again_keeps_the_variables(calls: Calls, tmp_path: Path) -> None:
    variables = tmp_path / "home/.config/verbatim/verbatim.env"
    variables.parent.mkdir(parents=True)
    variables.write_text("VERBATIM_PORT=9\n")
    assert RUNNER.invoke(app, ["service", "install", "--user", "--no-start"]).exit_code == 0
    assert variables.read_text() == "VERBATIM_PORT=9\n"
    assert calls() == ["--user --no-pager daemon-reload"]


def test_printing_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = RUNNER.invoke(app, ["service", "install", "--print"])
    assert result.exit_code == 0
    assert "DynamicUser=yes" in result.output
    assert list(tmp_path.iterdir()) == []


def test_what_systemd_refuses_is_told(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSED", "Access denied")
    result = RUNNER.invoke(app, ["service", "install", "--user"])
    assert result.exit_code == 1
    assert "Access denied" in result.output


def test_without_systemd_it_says_what_to_do(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BOOTED", tmp_path / "missing")
    for command in ("install", "status", "remove"):
        result = RUNNER.invoke(app, ["service", command])
        assert result.exit_code == 1
        assert "--print" in result.output
    assert calls() == []


def test_a_program_that_the_service_cannot_reach_is_refused(tmp_path: Path) -> None:
    private = tmp_path / "private"
    (private / "bin").mkdir(parents=True)
    private.chmod(0o700)
    with pytest.raises(BadRequestError, match="/opt/verbatim, or use --user"):
        service._check_readable(private / "bin" / "verbatim")


def test_status_tells_how_it_is(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOWN", "LoadState=loaded\nActiveState=active\nNRestarts=2")
    result = RUNNER.invoke(app, ["service", "status"])
    assert result.exit_code == 0
    assert re.search(r"^state +active$", result.output, re.MULTILINE)
    assert re.search(r"^restarts +2$", result.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("LoadState=not-found\nActiveState=inactive", "service install"),
        ("LoadState=loaded\nActiveState=failed", "journalctl -u verbatim"),
    ],
)
def test_status_of_one_that_does_not_run(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, shown: str, said: str
) -> None:
    monkeypatch.setenv("SHOWN", shown)
    result = RUNNER.invoke(app, ["service", "status"])
    assert result.exit_code == service.EXIT_NOT_RUNNING
    assert said in result.output


def test_removing_stops_it_and_keeps_the_settings(calls: Calls, tmp_path: Path) -> None:
    RUNNER.invoke(app, ["service", "install", "--user"])
    result = RUNNER.invoke(app, ["service", "remove", "--user"])
    assert result.exit_code == 0, result.output
    assert not _unit(tmp_path).exists()
    assert (tmp_path / "home/.config/verbatim/verbatim.env").exists()
    assert calls()[-2:] == [
        f"--user --no-pager disable --now {UNIT_NAME}",
        "--user --no-pager daemon-reload",
    ]
    again = RUNNER.invoke(app, ["service", "remove", "--user"])
    assert again.exit_code == 2
    assert "not installed" in again.output


def test_a_path_is_quoted_as_systemd_reads_it() -> None:
    wish = ServiceWish(Path('/opt/my "100%" $x/verbatim'), Path("/etc/x.env"), 30.0, own_user=True)
    assert r'ExecStart="/opt/my \"100%%\" $$x/verbatim" serve' in unit_text(wish)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("own_user", [False, True])
def test_systemd_understands_every_line(tmp_path: Path, own_user: bool) -> None:
    unit = tmp_path / UNIT_NAME
    unit.write_text(unit_text(ServiceWish(Path("/bin/true"), Path("/e"), 30.0, own_user)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *(["--user"] if own_user else []), str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if UNIT_NAME in line]
    assert ours == []
