"""The page in Debian's Chromium: how it is started, watched, and looked at by axe."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

WEB: Final = Path(__file__).parents[2] / "src" / "verbatim" / "web"
AXE: Final = WEB / "node_modules" / "axe-core" / "axe.min.js"
BUILT: Final = WEB / "dist" / "index.html"
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
PATIENCE_MS: Final = 60_000
BUILD_S: Final = 300
DESKTOP: Final = (1280, 800)
PHONE: Final = (360, 740)
EXPECTED: Final = "Failed to load resource"
"""What Chromium logs of itself for every answer that is an error; tests cause them on purpose."""


def chromium() -> str | None:
    """The browser's program; None where it is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def require_page() -> str:
    """Skip where there is no Chromium or no Node.js; build the page where it is not built.

    Returns:
        The browser's program.
    """
    program = chromium()
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    if not BUILT.is_file() or not AXE.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("the page is not built, and there is no npm: apt-get install nodejs npm")
        for words in (("ci",), ("run", "build")):
            command = [npm, "--silent", "--prefix", str(WEB), *words]
            subprocess.run(command, check=True, timeout=BUILD_S)
    return program


@contextmanager
def running_browser(program: str, args: Sequence[str] = ()) -> Iterator[Browser]:
    """Chromium without a window, for as long as the context lasts.

    Args:
        program: as `require_page` found it.
        args: more of its switches, such as a file for the microphone.
    """
    # Tests run on machines that do other things too.
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Root, as in containers, has no sandbox; the pages are our own.
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", *args]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = DESKTOP,
    locale: str = "en-US",
    tolerated: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[Page]:
    """A new visitor on the page; fails at the end if the page did what it never may.

    That is: an error in its script, a broken rule of its content security policy, a request to
    another host.

    Args:
        browser: of `running_browser`.
        url: of the server; with about:blank, hosts are not watched.
        size: width and height of the window, in CSS pixels.
        locale: the browser's language.
        tolerated: beginnings of errors that the test causes.
        options: more of Playwright's for a context, such as `color_scheme`.
    """
    width, height = size
    options.setdefault("reduced_motion", "reduce")
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale=locale, **options
    )
    context.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    host = urlsplit(url).netloc

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith((EXPECTED, *tolerated)):
            faults.append(message.text)

    def on_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if host and parts.scheme not in {"blob", "data"} and parts.netloc != host:
            faults.append(f"asked another host: {request.url}")

    page = context.new_page()
    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", on_request)
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert faults == [], faults


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


def assert_accessible(page: Page) -> None:
    """Let axe look at what is shown now."""
    # Evaluated, not loaded: the page's policy lets no other script in.
    page.evaluate(_axe())
    options = {
        "runOnly": {"type": "tag", "values": list(RULES)},
        "resultTypes": ["violations"],
        # It would put copies of the style sheets into the page, which its policy forbids.
        "preload": False,
    }
    found = page.evaluate("options => axe.run(document, options)", options)
    told = [
        f"{violation['id']}: {violation['help']} at {node['target']} {node.get('failureSummary')}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
    assert told == [], told


def assert_fits(page: Page) -> None:
    """Nothing is wider than the window."""
    wider = page.evaluate(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wider <= 0
