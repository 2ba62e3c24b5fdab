"""The page's frame: its languages, looks, size, and what it never does."""

from __future__ import annotations

from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, expect
from tests.support.browser import PHONE, WEB, assert_accessible, assert_fits, visit
from tests.support.fake_process import ServerProcess

FIRST_VIEW_BYTES = 150_000
TABS = {
    "en-US": ["Transcribe", "Live", "History", "Server"],
    "zh-TW": ["轉錄", "即時", "紀錄", "伺服器"],
    "ko-KR": ["받아쓰기", "실시간", "기록", "서버"],
}
LANGUAGES = {"en-US": "English", "zh-TW": "繁體中文", "ko-KR": "한국어"}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VIEWS = ["", "live", "history", "server"]


@pytest.mark.parametrize("locale", TABS)
def test_the_browser_chooses_the_language(
    browser: Browser, demo_server: ServerProcess, locale: str
) -> None:
    with visit(browser, demo_server.url, locale=locale) as page:
        expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(TABS[locale])


def test_the_language_is_switched_and_remembered(
    browser: Browser, demo_server: ServerProcess
) -> None:
    with visit(browser, demo_server.url) as page:
        page.locator("header select").select_option("ko")
        links = page.get_by_role("navigation").get_by_role("link")
        expect(links).to_have_text(TABS["ko-KR"])
        assert page.locator("html").get_attribute("lang") == "ko"
        page.reload()
        expect(links).to_have_text(TABS["ko-KR"])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_accessible(browser: Browser, demo_server: ServerProcess, view: str) -> None:
    with visit(browser, f"{demo_server.url}/#/{view}") as page:
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert_accessible(page)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_fits_a_phone(browser: Browser, demo_server: ServerProcess, view: str) -> None:
    url = f"{demo_server.url}/#/{view}"
    with visit(browser, url, size=PHONE, has_touch=True, is_mobile=True) as page:
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        for locale, words in TABS.items():
            page.locator("header select").select_option(label=LANGUAGES[locale])
            expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(words)
            assert_fits(page)
        assert_accessible(page)


def test_the_first_view_is_small(browser: Browser, demo_server: ServerProcess) -> None:
    received = 0
    with visit(browser, "about:blank") as page:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")

        def add(event: dict[str, float]) -> None:
            nonlocal received
            received += int(event["encodedDataLength"])

        session.on("Network.loadingFinished", add)
        page.goto(demo_server.url, wait_until="networkidle")
    assert 0 < received <= FIRST_VIEW_BYTES


def test_settings_by_keyboard(browser: Browser, demo_server: ServerProcess) -> None:
    with visit(browser, demo_server.url) as page:
        page.get_by_role("button", name="Settings").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Settings")
        expect(dialog).to_be_visible()
        assert_accessible(page)
        dialog.get_by_label("Appearance").select_option("dark")
        assert page.locator("html").get_attribute("data-theme") == "dark"
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("button", name="Settings")).to_be_focused()


def test_the_demo_model_says_what_it_is(browser: Browser, demo_server: ServerProcess) -> None:
    with visit(browser, demo_server.url) as page:
        banner = page.get_by_text("The demo model is running")
        expect(banner).to_be_visible()
        page.get_by_role("button", name="Hide").click()
        expect(banner).to_be_hidden()
        page.reload()
        expect(page.get_by_role("navigation")).to_be_visible()
        expect(banner).to_be_hidden()


def test_what_is_served_is_what_was_built(demo_server: ServerProcess) -> None:
    with httpx.Client(base_url=demo_server.url) as client:
        for path in (WEB / "dist" / "page").glob("*.js"):
            assert client.get(f"/page/{path.name}").content == path.read_bytes()
