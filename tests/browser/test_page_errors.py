"""What the page says when something is wrong, and how one goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.support.browser import assert_accessible, visit
from tests.support.fake_process import ServerProcess
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until

from verbatim.engine.fake import FakeEngine

KEY = "sk-" + "5" * 64
ADMIN = "sk-" + "6" * 64
SECOND = SPEECH.with_name("en-02.ogg")


def status(page: Page, name: str = SPEECH.name) -> Locator:
    return page.get_by_role("article", name=name).locator(".state")


def choose(page: Page, path: Path = SPEECH) -> None:
    page.locator("input[type=file]").set_input_files(path)


def test_a_file_that_is_no_recording(
    browser: Browser, demo_server: ServerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("These are notes, and no sound.")
    with visit(browser, demo_server.url) as page:
        choose(page, path)
        expect(status(page, "notes.mp3")).to_have_text("This file holds no sound that can be read")
        assert_accessible(page)
        told = page.get_by_role("article").get_by_role("status")
        expect(told).to_have_text("This file holds no sound that can be read")
        page.get_by_role("link", name="History").click()
        expect(page.get_by_role("listitem").filter(has_text="notes.mp3")).to_contain_text("Failed")


def test_a_key_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    with (
        live_server(tmp_path, auth="on", api_key=KEY, admin_key=ADMIN) as server,
        visit(browser, server.url) as page,
    ):
        expect(page.get_by_text("This server asks for a key.")).to_be_visible()
        choose(page)
        dialog = page.get_by_role("dialog", name="This server asks for a key")
        dialog.get_by_label("Key").fill("sk-wrong")
        assert_accessible(page)
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("That key did not open this")
        dialog.get_by_label("Key").fill(KEY)
        dialog.get_by_role("button", name="Use this key").click()
        expect(status(page)).to_contain_text("Done")
        expect(page.get_by_text("This server asks for a key.")).to_be_hidden()
        stored = page.evaluate("[sessionStorage, localStorage].map(s => JSON.stringify(s))")
        assert KEY in stored[0]
        assert KEY not in stored[1]


def test_a_key_is_remembered_where_wished_and_forgotten(browser: Browser, tmp_path: Path) -> None:
    with (
        live_server(tmp_path, auth="on", api_key=KEY, admin_key=ADMIN) as server,
        visit(browser, server.url) as page,
    ):
        page.get_by_role("button", name="Enter key").click()
        dialog = page.get_by_role("dialog", name="This server asks for a key")
        dialog.get_by_label("Key").fill(KEY)
        dialog.get_by_role("switch", name="Remember").click()
        dialog.get_by_role("button", name="Use this key").click()
        expect(dialog).to_be_hidden()
        assert KEY in page.evaluate("JSON.stringify(localStorage)")
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("button", name="Forget").click()
        assert KEY not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")


def test_without_a_key_it_says_why_and_can_be_tried_again(browser: Browser, tmp_path: Path) -> None:
    with (
        live_server(tmp_path, auth="on", api_key=KEY, admin_key=ADMIN) as server,
        visit(browser, server.url) as page,
    ):
        choose(page)
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(status(page)).to_have_text("This server asks for a key")
        page.get_by_role("button", name="Try again").click()
        page.get_by_role("dialog").get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        expect(status(page)).to_contain_text("Done")


@dataclass
class FullServer:
    """A server with one place, which `other`'s recording has; `page`'s finds none."""

    server: LiveServer
    hold: Hold
    page: Page
    other: Page


@pytest.fixture
def full(browser: Browser, tmp_path: Path) -> Iterator[FullServer]:
    hold = Hold()
    engine = FakeEngine(interruption=hold)
    with (
        live_server(tmp_path, engine, max_running=1, max_waiting=0) as server,
        visit(browser, server.url) as page,
        visit(browser, server.url) as other,
    ):
        choose(other)
        wait_until(lambda: hold.held > 0)
        choose(page, SECOND)
        expect(status(page, SECOND.name)).to_contain_text("The server is busy. Trying again in")
        yield FullServer(server, hold, page, other)


def test_a_full_queue_is_waited_for(full: FullServer) -> None:
    assert_accessible(full.page)
    full.hold.release()
    expect(status(full.page, SECOND.name)).to_contain_text("Done")
    expect(status(full.other)).to_contain_text("Done")


def test_leaving_a_full_queue(full: FullServer) -> None:
    full.page.get_by_role("button", name=f"Cancel {SECOND.name}").click()
    expect(status(full.page, SECOND.name)).to_have_text("Cancelled")
    full.other.get_by_role("button", name=f"Cancel {SPEECH.name}").click()
    expect(status(full.other)).to_have_text("Cancelled")
    # What was cancelled here is cancelled there.
    wait_until(full.server.idle)


def test_the_server_goes_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with live_server(tmp_path) as server, visit(browser, server.url) as page:
        expect(page.get_by_role("navigation")).to_be_visible()
        page.context.set_offline(True)
        choose(page)
        expect(status(page)).to_have_text("The server does not answer")
        expect(page.get_by_text("What you have here is safe")).to_be_visible()
        assert_accessible(page)
        page.context.set_offline(False)
        page.locator(".banners").get_by_role("button", name="Try again").click()
        expect(page.get_by_text("What you have here is safe")).to_be_hidden()
        page.get_by_role("article").get_by_role("button", name="Try again").click()
        expect(status(page)).to_contain_text("Done")


def test_a_server_that_is_gone_is_noticed(browser: Browser, tmp_path: Path) -> None:
    hold = Hold()
    with visit(browser, "about:blank") as page:
        with live_server(tmp_path, FakeEngine(interruption=hold)) as server:
            page.goto(server.url)
            expect(page.get_by_role("navigation")).to_be_visible()
            hold.release()
        choose(page)
        expect(status(page)).to_have_text("The server does not answer")
