"""How long programs take from their command until they can transcribe."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.peers import OPENAI, SEQUENTIAL, VERBATIM
from benchmarks.processes import ContenderError

LONGEST_S: Final = 300.0
_POLL_S: Final = 0.01
_SCRIPTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        SEQUENTIAL.name: "import sys; from faster_whisper import WhisperModel; "
        "WhisperModel(sys.argv[1], device='cpu')",
        OPENAI.name: "import sys, whisper; whisper.load_model(sys.argv[1])",
    }
)
"""What loads a model, by the contender's name."""


def start_up_s(contender: str, model: Path, folder: Path) -> float:
    """Seconds from the command until it is ready.

    Args:
        contender: its name.
        model: its model.
        folder: the working directory of its process.

    Raises:
        ContenderError: it did not become ready.
    """
    if contender == VERBATIM.name:
        return _server_s(model, folder)
    command = [sys.executable, "-c", _SCRIPTS[contender], str(model)]
    begun_s = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ContenderError(f"was not ready within {LONGEST_S:.0f} s") from error
    if done.returncode:
        raise ContenderError(next(iter(reversed(done.stderr.strip().splitlines())), "failed"))
    return time.perf_counter() - begun_s


def _server_s(model: Path, folder: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(Path(sys.executable).with_name("verbatim")), "serve", "--port", str(port)]
    environment = dict(os.environ) | {
        "VERBATIM_MODEL": str(model),
        "VERBATIM_DATA_DIR": str(model.parent / "verbatim-data"),
        "VERBATIM_OFFLINE": "true",
        "VERBATIM_LOG_FILE": str(folder / "server.log"),
    }
    begun_s = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=environment) as server:
        try:
            while not _is_ready(port):
                if server.poll() is not None:
                    raise ContenderError(f"the server ended; see {folder / 'server.log'}")
                if time.perf_counter() - begun_s > LONGEST_S:
                    raise ContenderError(f"was not ready within {LONGEST_S:.0f} s")
                time.sleep(_POLL_S)
            return time.perf_counter() - begun_s
        finally:
            server.send_signal(signal.SIGTERM)


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=LONGEST_S)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
