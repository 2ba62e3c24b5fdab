"""A recording made in the page: Chromium's microphone says a rendered sentence."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect
from tests.support.browser import assert_accessible, running_browser, visit
from tests.support.fake_process import ServerProcess
from tests.support.speech import samples_of, speech, wav

TRANSCRIPTION_MS = 60_000


def test_a_recording_is_made(
    chromium_program: str, demo_server: ServerProcess, tmp_path: Path
) -> None:
    (file,) = speech("short", "en", 1)
    voice = tmp_path / "voice.wav"
    voice.write_bytes(wav(samples_of(file.name)))
    args = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
    ]
    with (
        running_browser(chromium_program, args) as browser,
        visit(browser, demo_server.url) as page,
    ):
        page.get_by_role("button", name="Record").click()
        expect(page.get_by_role("timer")).to_contain_text("0:05")
        assert_accessible(page)
        page.get_by_role("button", name="Stop and transcribe").click()
        card = page.get_by_role("article", name="Recording")
        expect(card.locator(".state")).to_contain_text("Done", timeout=TRANSCRIPTION_MS)
        text = card.get_by_role("region").inner_text()
        assert file.sentences[0].words[0].word in text
