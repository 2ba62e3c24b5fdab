"""From a recording to a corrected text: transcribe, read along, edit, download, find it again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.support.audio_files import encode_video
from tests.support.browser import (
    PHONE,
    assert_accessible,
    assert_fits,
    visit,
)
from tests.support.fake_process import ServerProcess
from tests.support.speech import Speech, error_rate, samples_of, speech, wav

from verbatim.domain.units import SAMPLE_RATE_HZ

MOST_ERRORS = 0.1
"""The model's own tests are stricter; here it matters that the text is that of the file."""
TRANSCRIPTION_MS = 60_000
WORD_S = 0.35
HAND_OVER = """([kind, name, bytes]) => {
  const held = new DataTransfer();
  held.items.add(new File([new Uint8Array(bytes)], name, { type: 'audio/ogg' }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === 'drop'
    ? new DragEvent(kind, { ...options, dataTransfer: held })
    : new ClipboardEvent(kind, { ...options, clipboardData: held });
  document.querySelector('main').dispatchEvent(event);
}"""
NOTE_FORM = """() => {
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (form) {
    window.sent = [...form].filter(([name]) => name !== 'file');
    return send.call(this, form);
  };
}"""


@pytest.fixture(scope="module")
def short() -> Speech:
    return speech("short", "en", 1)[0]


@pytest.fixture(scope="module")
def long() -> Speech:
    return speech("long", "en")[-1]


@pytest.fixture
def unheard(long: Speech, tmp_path: Path) -> Path:
    """The long recording as a file that the server has no answer for yet."""
    path = tmp_path / "unheard.wav"
    # A little of the silence at its end is missing, and each time another little.
    missing = 1 + time.monotonic_ns() % SAMPLE_RATE_HZ
    path.write_bytes(wav(samples_of(long.name)[:-missing]))
    return path


def choose(page: Page, *files: Speech | Path) -> None:
    paths = [file.path if isinstance(file, Speech) else file for file in files]
    page.locator("input[type=file]").set_input_files(paths)


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name)


def done(page: Page, name: str) -> Locator:
    """The card of a recording, once it is transcribed."""
    found = card(page, name)
    expect(found.locator(".state")).to_contain_text("Done", timeout=TRANSCRIPTION_MS)
    return found


def open_transcript(page: Page, file: Speech) -> None:
    choose(page, file)
    done(page, file.path.name).get_by_role("button", name="Read and correct").click()
    expect(segment(page, 0)).to_be_visible()


def segment(page: Page, index: int) -> Locator:
    return page.locator(f"[data-segment='{index}']")


def player_time(page: Page) -> float:
    return float(page.evaluate("document.querySelector('video').currentTime"))


def is_playing(page: Page) -> bool:
    return bool(page.evaluate("!document.querySelector('video').paused"))


def edit(page: Page, index: int) -> Locator:
    """Open the editor of a segment, by keyboard."""
    segment(page, index).get_by_role("button", name="Edit").focus()
    page.keyboard.press("Enter")
    return segment(page, index).get_by_role("textbox")


@pytest.mark.parametrize("language", ["en", "zh", "ko"])
def test_a_file_becomes_text(browser: Browser, demo_server: ServerProcess, language: str) -> None:
    (file,) = speech("short", language, 1)
    with visit(browser, demo_server.url) as page:
        choose(page, file)
        text = done(page, file.path.name).get_by_role("region").inner_text()
        assert error_rate([(file.text, text, language)]) <= MOST_ERRORS
        assert_accessible(page)


def test_files_are_dropped_and_pasted_anywhere(
    browser: Browser, demo_server: ServerProcess, short: Speech
) -> None:
    other = speech("short", "en", 2)[1]
    with visit(browser, f"{demo_server.url}/#/history") as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("History")
        for event, file in {"drop": short, "paste": other}.items():
            page.evaluate(HAND_OVER, [event, file.path.name, list(file.path.read_bytes())])
            done(page, file.path.name)


def test_text_streams_in_while_it_is_recognised(
    browser: Browser, demo_server: ServerProcess, long: Speech, unheard: Path
) -> None:
    with visit(browser, demo_server.url) as page:
        choose(page, unheard)
        box = card(page, unheard.name)
        expect(box.get_by_role("region")).to_be_visible(timeout=TRANSCRIPTION_MS)
        early = box.get_by_role("region").inner_text()
        expect(box.get_by_role("progressbar")).to_be_visible()
        expect(box.locator(".state")).to_contain_text("left")
        assert_accessible(page)
        done(page, unheard.name)
        whole = box.get_by_role("region").inner_text()
        assert 0 < len(early) < len(whole)
        assert error_rate([(long.text, whole, "en")]) <= MOST_ERRORS


def test_several_files_wait_their_turn_and_one_is_cancelled(
    browser: Browser, demo_server: ServerProcess, unheard: Path
) -> None:
    shorts = speech("short", "en", 2)
    with visit(browser, demo_server.url) as page:
        choose(page, unheard, *shorts)
        second = card(page, shorts[0].path.name)
        expect(second.locator(".state")).to_have_text("Waits for the one before")
        second.get_by_role("button", name="Cancel").click()
        expect(second.locator(".state")).to_have_text("Cancelled")
        first = card(page, unheard.name)
        first.get_by_role("button", name="Cancel").click()
        expect(first.locator(".state")).to_have_text("Cancelled")
        done(page, shorts[1].path.name)
        second.get_by_role("button", name="Try again").click()
        done(page, shorts[0].path.name)


def test_who_reads_traditional_chinese_gets_it(
    browser: Browser, demo_server: ServerProcess
) -> None:
    (file,) = speech("short", "zh", 1)
    with visit(browser, demo_server.url, locale="zh-TW") as page:
        choose(page, file)
        expect(card(page, file.path.name)).to_contain_text("火車站")


def test_options_reach_the_server(browser: Browser, demo_server: ServerProcess) -> None:
    (file,) = speech("short", "zh", 1)
    with visit(browser, demo_server.url) as page:
        page.get_by_role("button", name="Options").click()
        page.get_by_label("Language spoken").select_option("zh")
        page.get_by_label("Chinese script").select_option("s2twp")
        page.get_by_label("Download as").select_option("srt")
        page.get_by_label("Names and special words").fill("台北")
        assert_accessible(page)
        page.evaluate(NOTE_FORM)
        choose(page, file)
        with page.expect_download() as download:
            done(page, file.path.name).get_by_role("button", name="Download SRT").click()
        sent = dict(page.evaluate("window.sent"))
        assert sent == {"language": "zh", "script": "s2twp", "prompt": "台北", "stream": "true"}
        assert download.value.suggested_filename == f"{file.name}.srt"
        assert "-->" in download.value.path().read_text(encoding="utf-8")


def test_a_click_on_a_word_plays_from_it(
    browser: Browser, demo_server: ServerProcess, long: Speech
) -> None:
    with visit(browser, demo_server.url) as page:
        open_transcript(page, long)
        sentence = long.sentences[1]
        shown = segment(page, 1).locator("[data-word]")
        assert shown.count() == len(sentence.words)
        expect(page.get_by_role("slider", name="Position")).to_be_visible()
        shown.nth(2).click()
        page.wait_for_function("!document.querySelector('video').paused")
        assert sentence.words[2].start - WORD_S <= player_time(page)
        expect(segment(page, 1).locator(".now")).to_be_visible()
        page.keyboard.press("Space")
        assert not is_playing(page)
        assert player_time(page) < sentence.end + 1


def test_keys_play_and_move(browser: Browser, demo_server: ServerProcess, long: Speech) -> None:
    with visit(browser, demo_server.url) as page:
        open_transcript(page, long)
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('video').currentTime === 5")
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("document.querySelector('video').currentTime === 0")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        start = long.sentences[1].start
        expect(segment(page, 1)).to_contain_class("active")
        assert player_time(page) == pytest.approx(start, abs=WORD_S)
        page.get_by_label("Speed").select_option("2")
        page.locator("h1").click()
        page.keyboard.press("Space")
        page.wait_for_function("!document.querySelector('video').paused")
        assert page.evaluate("document.querySelector('video').playbackRate") == 2


def test_search_finds_and_steps(browser: Browser, demo_server: ServerProcess, long: Speech) -> None:
    word = long.sentences[0].words[-1].word
    with visit(browser, demo_server.url) as page:
        open_transcript(page, long)
        page.get_by_role("searchbox").fill(word.upper())
        expect(segment(page, 0).locator(".hit")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.get_by_role("search").get_by_role("status")).to_contain_text("1 of")
        page.get_by_role("searchbox").fill("xyzzy")
        expect(page.get_by_role("search").get_by_role("status")).to_have_text("Not found")


def test_edit_split_join_undo_and_download(
    browser: Browser, demo_server: ServerProcess, long: Speech
) -> None:
    with visit(browser, demo_server.url) as page:
        open_transcript(page, long)
        count = page.locator("[data-segment]").count()
        box = edit(page, 0)
        assert_accessible(page)
        box.fill("Corrected by hand. And more.")
        page.keyboard.press("Enter")
        expect(segment(page, 0)).to_contain_text("Corrected by hand. And more.")
        box = edit(page, 0)
        box.evaluate("box => box.setSelectionRange(18, 18)")
        segment(page, 0).get_by_role("button", name="Split").click()
        expect(segment(page, 1)).to_contain_text("And more.")
        expect(page.locator("[data-segment]")).to_have_count(count + 1)
        edit(page, 1)
        segment(page, 1).get_by_role("button", name="Join below").click()
        expect(page.locator("[data-segment]")).to_have_count(count)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("[data-segment]")).to_have_count(count + 1)
        files = {}
        for kind, ending in {
            "Subtitles": "srt",
            "All details": "json",
            "Plain text": "txt",
        }.items():
            page.get_by_role("button", name="Download").click()
            with page.expect_download() as download:
                page.get_by_role("menuitem", name=kind).first.click()
            assert download.value.suggested_filename == f"{long.name}.{ending}"
            files[ending] = download.value.path().read_text(encoding="utf-8")
        assert files["txt"].startswith("Corrected by hand.")
        assert "And more." in files["srt"]
        assert len(json.loads(files["json"])["segments"]) == count + 1
        page.reload()
        expect(segment(page, 0)).to_contain_text("Corrected by hand.")
        expect(segment(page, 1)).to_contain_text("And more.")


def test_copy(browser: Browser, demo_server: ServerProcess, short: Speech) -> None:
    with visit(browser, demo_server.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        open_transcript(page, short)
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_text("Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert error_rate([(short.text, copied, "en")]) <= MOST_ERRORS


def test_a_video_shows_its_picture_and_captions(
    browser: Browser, demo_server: ServerProcess, short: Speech, tmp_path: Path
) -> None:
    path = tmp_path / "clip.webm"
    samples = samples_of(short.name)
    film = encode_video(
        samples,
        SAMPLE_RATE_HZ,
        muxer="webm",
        audio_codec="libopus",
        video_codec="libvpx",
        seconds=short.duration,
    )
    path.write_bytes(film)
    with visit(browser, demo_server.url) as page:
        choose(page, path)
        done(page, path.name).get_by_role("button", name="Read and correct").click()
        expect(page.locator("video")).to_be_visible()
        cues = page.evaluate(
            "[...document.querySelector('video').textTracks[0].cues].map(cue => cue.text)"
        )
        assert error_rate([(short.text, " ".join(cues), "en")]) <= MOST_ERRORS
        track = "document.querySelector('video').textTracks[0].mode"
        assert page.evaluate(track) == "showing"
        page.get_by_role("button", name="Captions").click()
        assert page.evaluate(track) == "hidden"
        assert_accessible(page)


def test_history_opens_downloads_deletes(
    browser: Browser, demo_server: ServerProcess, short: Speech
) -> None:
    with visit(browser, demo_server.url) as page:
        choose(page, short)
        done(page, short.path.name)
        page.get_by_role("link", name="History").click()
        line = page.get_by_role("listitem").filter(has_text=short.path.name)
        expect(line).to_contain_text("With recording")
        assert_accessible(page)
        page.reload()
        with page.expect_download() as download:
            line.get_by_role("button", name="Download").click()
            page.get_by_role("menuitem", name="Subtitles").first.click()
        assert "-->" in download.value.path().read_text(encoding="utf-8")
        line.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        line.get_by_role("link", name=short.path.name).click()
        expect(segment(page, 0)).to_be_visible()
        expect(page.get_by_text("Made with the demo model")).to_be_visible()
        expect(page.get_by_role("slider", name="Position")).to_be_visible()


def test_recordings_are_kept_only_where_wished(
    browser: Browser, demo_server: ServerProcess, short: Speech
) -> None:
    with visit(browser, demo_server.url) as page:
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("switch", name="Keep recordings").click()
        page.keyboard.press("Escape")
        open_transcript(page, short)
        expect(page.get_by_role("slider", name="Position")).to_be_visible()
        page.reload()
        expect(page.get_by_text("The recording is not kept")).to_be_visible()
        page.locator("input[type=file]").set_input_files(short.path)
        expect(page.get_by_role("slider", name="Position")).to_be_visible()


def test_a_reload_in_the_middle_loses_nothing_that_came(
    browser: Browser, demo_server: ServerProcess, long: Speech, unheard: Path
) -> None:
    with visit(browser, demo_server.url) as page:
        choose(page, unheard)
        box = card(page, unheard.name)
        expect(box.get_by_role("region")).to_be_visible(timeout=TRANSCRIPTION_MS)
        early = box.get_by_role("region").inner_text()
        # What came is written a moment later.
        page.wait_for_timeout(600)
        expect(box.get_by_role("progressbar")).to_be_visible()
        page.reload()
        page.get_by_role("link", name="History").click()
        line = page.get_by_role("listitem").filter(has_text=unheard.name)
        expect(line).to_contain_text("Interrupted")
        expect(line).to_contain_text(early[:40].strip())
        line.get_by_role("link", name=unheard.name).click()
        expect(page.get_by_text("This transcription was interrupted")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("button", name="Run it again").click()
        expect(page.get_by_text("Still being transcribed")).to_be_visible()
        expect(page.get_by_text("Still being transcribed")).to_be_hidden(timeout=TRANSCRIPTION_MS)
        whole = page.get_by_role("region", name="Transcript").locator(".text").all_text_contents()
        assert error_rate([(long.text, " ".join(whole), "en")]) <= MOST_ERRORS


def test_a_transcript_on_a_phone(
    browser: Browser, demo_server: ServerProcess, short: Speech
) -> None:
    with visit(browser, demo_server.url, size=PHONE, has_touch=True, is_mobile=True) as page:
        open_transcript(page, short)
        assert_fits(page)
        assert_accessible(page)
        edit(page, 0)
        assert_fits(page)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Download").click()
        assert_fits(page)


def test_what_is_not_here_says_so(browser: Browser, demo_server: ServerProcess) -> None:
    with visit(browser, f"{demo_server.url}/#/transcripts/nothing") as page:
        expect(page.get_by_role("heading", name="This transcript is not here")).to_be_visible()
        assert_accessible(page)
