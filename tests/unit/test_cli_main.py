"""The command as a whole: its help, its speed of start, its exit statuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.fake_hub import running_hub
from tests.support.terminal import PROGRAM
from typer.testing import CliRunner

from verbatim.cli.main import COMMANDS, app
from verbatim.domain.errors import BadRequestError, UnavailableError
from verbatim.settings import Settings

HEAVY = {"av", "ctranslate2", "fastapi", "httpx", "numpy", "onnxruntime", "pydantic_settings"}
DEADLINE_S = 60.0


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """In place of the server's module: keeps the settings, and does as it is told."""
    module = SimpleNamespace(settings=None, status=0, error=None)

    def serve(settings: Settings) -> int:
        module.settings = settings
        if module.error is not None:
            raise module.error
        return int(module.status)

    module.serve = serve
    monkeypatch.setitem(sys.modules, "verbatim.server.serve", module)
    return module


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"verbatim {version('verbatim-stt')}\n")


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert f"verbatim {name}" in result.stdout.replace("root", "verbatim")


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys\n"
        "from verbatim.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert done.stderr.strip() == "[]"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["sevre"])
    assert result.exit_code == 2
    assert "serve" in result.stderr


def test_flags_become_settings(served: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_HOST", "::1")
    monkeypatch.setenv("VERBATIM_DRAIN_S", "5")
    served.status = 3
    arguments = ["--port", "0", "--no-preload", "--drain-s", "1.5", "--device-indexes", "0,1"]
    result = CliRunner().invoke(app, ["serve", *arguments, "--models-dir", "/models"])
    assert result.exit_code == 3
    settings = served.settings
    assert (settings.port, settings.preload, settings.drain_s) == (0, False, 1.5)
    assert (settings.device_indexes, settings.models_dir) == ([0, 1], Path("/models"))
    assert (settings.host, settings.offline) == ("::1", False)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequestError("that is wrong"), 2),
        (UnavailableError("not now"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_a_line_and_a_status(
    served: SimpleNamespace, error: BaseException, status: int
) -> None:
    served.error = error
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == status
    assert result.stderr == (f"error: {error}\n" if str(error) else "")


def test_a_flag_that_does_not_fit_is_a_usage_error(served: SimpleNamespace) -> None:
    result = CliRunner().invoke(app, ["serve", "--port", "eighty"])
    assert result.exit_code == 2
    assert "port" in result.stderr
    assert "(from --port)" in result.stderr
    assert served.settings is None


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        [*PROGRAM, "settings"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(DEADLINE_S) == 141
    assert said == ""


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    with running_hub() as hub:
        hub.silent = threading.Event()
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path)}
        with subprocess.Popen(
            [*PROGRAM, "models", "pull", "tiny"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            deadline_s = time.monotonic() + DEADLINE_S
            while not hub.requests and time.monotonic() < deadline_s:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            output, said = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, output, said) == (130, "", "")
