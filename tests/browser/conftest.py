"""A server with the demo model and a browser, for the tests of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from tests.support.browser import require_page, running_browser
from tests.support.fake_process import ServerProcess, serving


@pytest.fixture(scope="session")
def chromium_program() -> str:
    return require_page()


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    # Not for the whole session: Playwright's loop would be in the way of asynchronous tests.
    with running_browser(chromium_program) as browser:
        yield browser


@pytest.fixture(scope="session")
def demo_server(chromium_program: str) -> Iterator[ServerProcess]:
    """`verbatim serve` with the demo model, open to all; the same for all tests."""
    with serving() as server:
        yield server
