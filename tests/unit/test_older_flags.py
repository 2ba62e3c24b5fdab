"""The older real-time server's flags on `verbatim serve`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from verbatim.cli.main import app
from verbatim.settings import Settings

Run = Callable[..., Settings]


@pytest.fixture(name="settings_of")
def _settings_of(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The settings that the server is started with."""
    started: list[Settings] = []

    def serve(settings: Settings) -> int:
        started.append(settings)
        return 0

    monkeypatch.setitem(sys.modules, "verbatim.server.serve", SimpleNamespace(serve=serve))

    def run(*arguments: str) -> Settings:
        result = CliRunner().invoke(app, ["serve", *arguments])
        assert result.exit_code == 0, result.stderr
        return started[-1]

    return run


PAIR = ("--ssl-cert", "cert.pem", "--ssl-key", "key.pem")


@pytest.mark.parametrize(
    ("arguments", "port", "tls_port"),
    [
        ((), 8000, None),
        (("--ws-port", "9001"), 9001, None),
        (("--wss-port", "9002", *PAIR), 8000, 9002),
        (("--mode", "both", "--ws-port", "9001", "--wss-port", "9002", *PAIR), 9001, 9002),
        (("--mode", "both", "--like", "fastwhisper", *PAIR), 8765, 8766),
        (("--mode", "wss", "--wss-port", "9002", *PAIR), 9002, 9002),
        (("--mode", "wss", *PAIR), 8766, 8766),
        (("--mode", "wss", "--like", "fastwhisper", *PAIR), 8766, 8766),
        (("--mode", "ws", "--ws-port", "9001", "--wss-port", "9002", *PAIR), 9001, None),
        (("--ws-port", "9001", "--port", "9003"), 9003, None),
    ],
)
def test_ports(
    settings_of: Run, arguments: tuple[str, ...], port: int, tls_port: int | None
) -> None:
    settings = settings_of(*arguments)
    assert (settings.port, settings.tls_port) == (port, tls_port)
    encrypted = "--ssl-cert" in arguments and "ws" not in arguments
    assert (settings.tls_cert is not None) == (settings.tls_key is not None) == encrypted


def test_debugging(settings_of: Run) -> None:
    assert settings_of("--debug").log_level == "debug"
    assert settings_of("--debug", "--log-level", "error").log_level == "error"
    assert settings_of().log_level == "info"
    assert settings_of("--debug-dir", "heard").debug_audio == Path("heard")


def test_they_are_not_advertised() -> None:
    shown = CliRunner().invoke(app, ["serve", "--help"]).output
    assert "--wss-port" not in shown
    assert "--generate-key" not in shown


def test_another_mode() -> None:
    result = CliRunner().invoke(app, ["serve", "--mode", "quic"])
    assert result.exit_code == 2
    assert "--mode" in result.stderr


def test_a_key_is_made_and_works() -> None:
    result = CliRunner().invoke(app, ["serve", "--generate-key"])
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(r"sk-[0-9a-f]{48}\n", result.stdout)
    listed = CliRunner().invoke(app, ["keys", "list"]).stdout
    assert result.stdout[:8] in listed
