"""The programs that people call the older servers with: curl, a script, a page in a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.live_server import PATIENCE_S

CURL = shutil.which("curl")
CALLERS = ("requests", "fetch", pytest.param("curl", marks=pytest.mark.skipif(
    CURL is None, reason="curl is not installed; the same requests are sent in two other ways"
)))  # fmt: skip
BROWSER_BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


@dataclass(frozen=True)
class Told:
    """An answer, as any of them sees it."""

    status: int
    body: Any
    headers: Mapping[str, str]


def send_form(
    caller: str,
    url: str,
    file: Path | None = None,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Told:
    """POST a form in a caller's way; without a file and fields, an empty POST."""
    fields, headers = dict(fields or {}), dict(headers or {})
    if caller == "curl":
        parts = [f"{name}={value}" for name, value in fields.items()]
        parts += [f"file=@{file}"] if file else []
        flags = [word for part in parts for word in ("-F", part)]
        return _curl(url, ["-X", "POST", *flags], headers)
    files: dict[str, tuple[str, bytes, str | None]] | None = None
    if file:
        files = {"file": (file.name, file.read_bytes(), None)}
    if caller == "fetch":
        # What a FormData with a Blob makes of itself in Chromium.
        headers |= {"Origin": _origin(url), "Sec-Fetch-Mode": "cors", "Accept": "*/*"}
        if file:
            headers["Content-Type"] = f"multipart/form-data; boundary={BROWSER_BOUNDARY}"
            files = {"file": ("blob", file.read_bytes(), "audio/ogg")}
    return _told(httpx.post(url, data=fields, files=files, headers=headers, timeout=PATIENCE_S))


def send_bytes(caller: str, url: str, content: bytes, folder: Path) -> Told:
    """POST bytes as the body itself."""
    if caller == "curl":
        path = folder / "body"
        path.write_bytes(content)
        return _curl(url, ["--data-binary", f"@{path}"], {})
    kind = "audio/wav" if caller == "fetch" else "application/octet-stream"
    return _told(
        httpx.post(url, content=content, headers={"Content-Type": kind}, timeout=PATIENCE_S)
    )


def get(caller: str, url: str, headers: Mapping[str, str] | None = None) -> Told:
    """GET an address."""
    if caller == "curl":
        return _curl(url, [], dict(headers or {}))
    return _told(httpx.get(url, headers=dict(headers or {}), timeout=PATIENCE_S))


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])


def _told(answer: httpx.Response) -> Told:
    return Told(answer.status_code, answer.json(), answer.headers)


def _curl(url: str, arguments: list[str], headers: Mapping[str, str]) -> Told:
    assert CURL is not None
    shown = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        [CURL, "-sS", "-i", "--max-time", str(PATIENCE_S), *shown, *arguments, url],
        check=True,
        capture_output=True,
        timeout=2 * PATIENCE_S,
    )
    head, _, body = done.stdout.decode().rpartition("\r\n\r\n")
    # curl may show an interim answer (100 Continue) before the real one.
    status_line, *lines = head.rpartition("HTTP/")[2].splitlines()
    told = dict(line.split(": ", 1) for line in lines)
    return Told(
        int(status_line.split()[1]),
        json.loads(body),
        httpx.Headers(told),
    )
