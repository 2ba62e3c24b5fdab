"""`verbatim keys`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from verbatim.cli.main import app

KEY = r"sk-[0-9a-f]{64}"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERBATIM_DATA_DIR", str(tmp_path / "data"))


def verbatim(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments], input=given)


def facts(*arguments: str, given: str | None = None) -> Any:
    result = verbatim(*arguments, "--json", given=given)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_key_alone_is_on_standard_output() -> None:
    result = verbatim("create", "전화기")
    assert result.exit_code == 0
    assert re.fullmatch(KEY + "\n", result.stdout)
    assert "전화기" in result.stderr
    assert "jobs, live, transcribe" in result.stderr
    assert not re.search(KEY, result.stderr)


def test_everything_can_be_said() -> None:
    made = facts(
        *("create", "all", "--scope", "live", "--scope", "admin", "--expires", "30d", "--older"),
        *("--requests-per-minute", "60", "--audio-minutes-per-day", "90.5"),
        *("--parallel-requests", "2"),
    )
    assert re.fullmatch(r"sk-[0-9a-f]{48}", made["key"])
    assert made["scopes"] == ["admin", "live"]
    assert (made["requests_per_minute"], made["audio_minutes_per_day"]) == (60, 90.5)
    assert made["parallel_requests"] == 2
    ends = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert abs(ends - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize(("said", "days"), [("90m", 0.0625), ("12h", 0.5), ("2w", 14), (" 1D ", 1)])
def test_spans(said: str, days: float) -> None:
    ends = datetime.fromisoformat(facts("create", "--expires", said)["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


def test_days_and_moments() -> None:
    ends = facts("create", "--expires", "2999-01-31")["expires_at"]
    assert datetime.fromisoformat(ends) == datetime(2999, 1, 31).astimezone()
    ends = facts("create", "--expires", "2999-01-31T12:00:00+09:00")["expires_at"]
    assert datetime.fromisoformat(ends) == datetime(2999, 1, 31, 3, tzinfo=UTC)


def test_listing_shows_no_key() -> None:
    made = verbatim("create", "first", "--requests-per-minute", "5").stdout.strip()
    (listed,) = facts("list")
    assert listed["preview"] == f"{made[:8]}...{made[-4:]}"
    shown = verbatim("list").stdout
    assert made not in shown
    for word in ("ID", "first", listed["id"], "5 req/min", "for ever", "never"):
        assert word in shown


def test_revoking_by_id_and_by_key() -> None:
    by_id, by_key = facts("create", "a"), facts("create", "b")
    assert facts("revoke", by_id["id"])["revoked_at"]
    result = verbatim("revoke", by_key["key"])
    assert result.exit_code == 0
    assert "'b'" in result.stdout
    assert by_key["key"] not in result.output
    assert facts("list") == []
    assert len(facts("list", "--revoked")) == 2
    assert "revoked" in verbatim("list", "--revoked").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["revoke", "key_0000000000000000"], 1, "no key key_0000000000000000"),
        (["revoke", "sk-" + "0" * 64], 1, "no key sk-00000...0000"),
        (["create", ""], 2, "name"),
        (["create", "--expires", "soon"], 2, "30d"),
        (["create", "--expires", "2020-01-01"], 2, "past"),
        (["create", "--expires", "999999w"], 2, "--expires"),
        (["create", "--requests-per-minute", "0"], 2, "requests_per_minute"),
        (["create", "--scope", "fly"], 2, "scope"),
        (["import", "nothing.json"], 2, "cannot be read"),
        (["import", "."], 2, "cannot be read"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], status: int, words: str) -> None:
    result = verbatim(*arguments)
    assert result.exit_code == status, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_importing(tmp_path: Path) -> None:
    secret = "sk-" + "0" * 48
    entry = {"name": "현관", "created_at": "2025-11-26T10:20:30", "request_count": 17}
    (tmp_path / "api_keys.json").write_text(json.dumps({secret: entry}), encoding="utf-8")
    assert facts("import", "api_keys.json") == {"added": 1, "known": 0}
    assert "1 were here already" in verbatim("import", "api_keys.json").stdout
    (listed,) = facts("list")
    assert (listed["name"], listed["request_count"]) == ("현관", 17)
    other = json.dumps({secret: entry, "sk-" + "1" * 48: {}})
    assert facts("import", "-", given=other) == {"added": 1, "known": 1}


def test_a_file_of_something_else(tmp_path: Path) -> None:
    for content in (b"", b"\xff\xfe", b'{"sk-1": 5}', b"{}" * 5):
        (tmp_path / "api_keys.json").write_bytes(content)
        result = verbatim("import", "api_keys.json")
        assert result.exit_code == 2, content
        assert result.stderr.startswith("error: ")


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_DATA_DIR", "/dev/null/data")
    result = verbatim("create")
    assert result.exit_code == 1
    assert "data_dir" in result.stderr
