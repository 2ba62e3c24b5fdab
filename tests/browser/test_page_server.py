"""The view of the server: its figures, its models, its keys, and how to call it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.support.browser import PHONE, assert_accessible, assert_fits, visit
from tests.support.fake_hub import Repository, model_files, running_hub
from tests.support.fake_process import ServerProcess, serving
from tests.support.live_server import SPEECH

ADMIN = "an-administrator-of-tests"
MODEL = "verbatim-demo"


@pytest.fixture(scope="module")
def kept_server(chromium_program: str) -> Iterator[ServerProcess]:
    """With the demo model, and an administrator."""
    with serving("--admin-key", ADMIN) as server:
        yield server


def _give_key(page: Page, key: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key", exact=True).fill(key)
    dialog.get_by_role("button", name="Use this key").click()


def test_the_figures_are_the_server_s(browser: Browser, kept_server: ServerProcess) -> None:
    with visit(browser, f"{kept_server.url}/#/server") as page:
        expect(page.get_by_text("Ready", exact=True)).to_be_visible()
        requests = page.locator("dt", has_text="Requests").locator("xpath=../dd")
        expect(requests).to_be_visible()
        audio = page.locator("dt", has_text="Audio transcribed").locator("xpath=../dd")
        expect(audio).to_have_text("0 sec")
        with kept_server.client() as client:
            files = {"file": SPEECH.read_bytes()}
            assert client.post("/v1/transcripts", files=files).status_code == 200
        expect(audio).to_have_text("2 sec")
        assert_accessible(page)


def test_a_model_is_unloaded_and_loaded(browser: Browser, kept_server: ServerProcess) -> None:
    with visit(browser, f"{kept_server.url}/#/server") as page:
        row = page.get_by_role("listitem").filter(has_text=MODEL)
        expect(row.get_by_text("In memory", exact=True)).to_be_visible()
        row.get_by_role("button", name="Unload").click()
        expect(page.get_by_text("of memory freed")).to_be_visible()
        expect(row.get_by_text("In memory", exact=True)).to_be_hidden()
        row.get_by_role("button", name="Load", exact=True).click()
        expect(row.get_by_text("In memory", exact=True)).to_be_visible()


def test_a_model_is_fetched_and_deleted(
    browser: Browser, chromium_program: str, tmp_path: Path
) -> None:
    with running_hub() as hub:
        hub.repositories["Systran/faster-whisper-tiny.en"] = Repository(model_files())
        reached = {
            "VERBATIM_OFFLINE": "false",
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path),
        }
        with (
            serving("--model", MODEL, **reached) as server,
            visit(browser, f"{server.url}/#/server") as page,
        ):
            page.get_by_role("button", name="More models").click()
            row = page.get_by_role("listitem").filter(has_text="tiny.en")
            hub.silent = threading.Event()
            row.get_by_role("button", name="Get").click()
            expect(page.get_by_role("progressbar", name="Getting tiny.en")).to_be_visible()
            expect(row.get_by_role("button", name="Cancel")).to_be_visible()
            hub.silent.set()
            expect(row.get_by_text("cannot be reached")).to_be_visible()
            hub.silent = None
            row.get_by_role("button", name="Get").click()
            expect(row.get_by_text("on disk")).to_be_visible()
            row.get_by_role("button", name="Delete").click()
            page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            expect(row.get_by_role("button", name="Get")).to_be_visible()
            assert hub.downloads()


def test_a_key_is_made_shown_once_changed_and_revoked(
    browser: Browser, kept_server: ServerProcess
) -> None:
    with visit(browser, f"{kept_server.url}/#/server") as page:
        page.get_by_role("button", name="Manage keys").click()
        dialog = page.get_by_role("dialog", name="administrator")
        expect(dialog).to_be_visible()
        assert_accessible(page)
        _give_key(page, "not that one")
        expect(dialog.get_by_text("did not open")).to_be_visible()
        _give_key(page, ADMIN)
        page.get_by_role("button", name="New key").click()
        form = page.get_by_role("dialog", name="New key")
        assert_accessible(page)
        make = form.get_by_role("button", name="Make key")
        expect(make).to_be_disabled()
        form.get_by_label("Name").fill("front desk")
        form.get_by_label("Requests a minute").fill("60")
        form.get_by_role("switch", name="Jobs").click()
        make.click()

        shown = page.get_by_role("dialog", name="Key for front desk")
        secret = shown.locator("code").inner_text()
        assert secret.startswith("sk-")
        with kept_server.client() as client:
            (key,) = client.get("/v1/keys", headers={"x-admin-key": ADMIN}).json()["data"]
        assert key["limits"]["requests_per_minute"] == 60
        assert key["scopes"] == ["live", "transcribe"]
        shown.get_by_role("button", name="I have copied it").click()
        expect(page.get_by_text(secret)).to_have_count(0)

        row = page.get_by_role("listitem").filter(has_text="front desk")
        expect(row).to_contain_text("60 requests a minute")
        row.get_by_role("button", name="Change front desk").click()
        form = page.get_by_role("dialog", name="Change front desk")
        form.get_by_label("Requests a minute").fill("")
        form.get_by_label("Ends").select_option("30")
        form.get_by_role("button", name="Save").click()
        expect(row).not_to_contain_text("requests a minute")
        expect(row).to_contain_text("until")

        row.get_by_role("button", name="Revoke front desk").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(row).to_have_count(0)
        assert_accessible(page)


def test_how_to_call_it_has_its_address(browser: Browser, kept_server: ServerProcess) -> None:
    with visit(browser, f"{kept_server.url}/#/server") as page:
        code = page.get_by_role("tabpanel")
        for name, word in {"curl": "-F file", "Python": "OpenAI(", "JavaScript": "fetch("}.items():
            page.get_by_role("tab", name=name).click()
            expect(code).to_contain_text(f"{kept_server.url}/v1")
            expect(code).to_contain_text(word)
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Live")).to_be_focused()
        expect(code).to_contain_text("ws://")


def test_all_of_it_fits_a_phone(browser: Browser, kept_server: ServerProcess) -> None:
    with visit(browser, f"{kept_server.url}/#/server", size=PHONE, has_touch=True) as page:
        page.get_by_role("button", name="More models").click()
        expect(page.get_by_text("large-v3", exact=True)).to_be_visible()
        assert_fits(page)
        assert_accessible(page)
