"""Live captions in a browser whose microphone plays rendered speech."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import av
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.support.browser import PHONE, assert_accessible, assert_fits, running_browser, visit
from tests.support.fake_process import ServerProcess
from tests.support.speech import FOLDER, error_rate

LEAD_S = 1.0
"""Silence before each sentence, seconds."""
SETTLE_MS = 90_000
RATE_HZ = 48_000
SPOKEN = {
    "en-09": "Please go to the airport.",
    "en-23": "The computer is red.",
    "en-03": "I will meet Linda at the airport on Saturday.",
}
MAX_ERROR = 0.2
START = "Start captions"
STOP = "Stop"


def _write_wave(path: Path, pieces: list[Path]) -> None:
    """The recordings one after the other with a second of silence before each and after all."""
    with av.open(path, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        resampler = av.AudioResampler("s16", "mono", RATE_HZ)

        def write(frame: av.AudioFrame) -> None:
            for packet in stream.encode(frame):
                output.mux(packet)

        def silence() -> None:
            frame = av.AudioFrame("s16", "mono", int(LEAD_S * RATE_HZ))
            frame.sample_rate = RATE_HZ
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            write(frame)

        for piece in pieces:
            silence()
            with av.open(piece) as source:
                for decoded in source.decode(audio=0):
                    decoded.pts = None
                    for frame in resampler.resample(decoded):
                        frame.pts = None
                        write(frame)
        for _ in range(3):
            silence()
        for packet in stream.encode(None):
            output.mux(packet)


@pytest.fixture(scope="module")
def speaking_browser(
    chromium_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """Its microphone says three sentences once, each time it is opened."""
    sound = tmp_path_factory.mktemp("microphone") / "speech.wav"
    _write_wave(sound, [FOLDER / f"{name}.ogg" for name in SPOKEN])
    switches = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop",
    ]
    with running_browser(chromium_program, switches) as browser:
        yield browser


def _captions(page: Page) -> str:
    return page.get_by_role("log").inner_text()


def _assert_said(text: str) -> None:
    """The words that were spoken, but for what a demo model may get wrong of them."""
    truth = " ".join(SPOKEN.values())
    assert error_rate([(truth, text, "en")]) <= MAX_ERROR, text


def test_what_is_said_is_read(speaking_browser: Browser, demo_server: ServerProcess) -> None:
    with visit(speaking_browser, f"{demo_server.url}/#/live") as page:
        page.get_by_label("Language").last.select_option("en")
        page.get_by_role("button", name=START).click()
        level = page.get_by_role("meter", name="Level of the microphone")
        expect(level).to_be_visible()
        page.wait_for_function(
            "() => Number(document.querySelector('[role=meter]')?.ariaValueNow) > 20"
        )
        # While it is being said, not only afterwards.
        expect(page.locator(".committed").first).not_to_be_empty(timeout=SETTLE_MS)
        assert_accessible(page)
        expect(page.get_by_role("log")).to_contain_text(
            re.compile("Saturday", re.IGNORECASE), timeout=SETTLE_MS
        )
        page.get_by_role("button", name=STOP).click()
        expect(page.get_by_text("Kept in the history")).to_be_visible(timeout=SETTLE_MS)
        _assert_said(_captions(page))
        assert page.locator(".tail").all_inner_texts() == [""] * len(SPOKEN)
        assert_accessible(page)

        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
            page.get_by_role("menuitem", name="SubRip subtitles").click()
        subtitles = Path(download.value.path()).read_text(encoding="utf-8")
        assert subtitles.startswith("1\n00:00:0")
        assert "-->" in subtitles

        said = _captions(page).split("\n")[0]
        page.get_by_role("button", name="Read and correct").click()
        expect(page.get_by_text(said.strip()).first).to_be_visible()


def test_committed_words_are_never_taken_back(
    speaking_browser: Browser, demo_server: ServerProcess
) -> None:
    with visit(speaking_browser, f"{demo_server.url}/#/live") as page:
        page.get_by_label("Language").last.select_option("en")
        page.evaluate(
            """() => {
              window.shown = [];
              new MutationObserver(() => {
                const text = [...document.querySelectorAll('.committed')].map(e => e.textContent);
                if (text.length) window.shown.push(text);
              }).observe(document.body, {subtree: true, childList: true, characterData: true});
            }"""
        )
        page.get_by_role("button", name=START).click()
        expect(page.get_by_role("log")).to_contain_text(
            re.compile("Saturday", re.IGNORECASE), timeout=SETTLE_MS
        )
        page.get_by_role("button", name=STOP).click()
        expect(page.get_by_text("Kept in the history")).to_be_visible(timeout=SETTLE_MS)
        shown: list[list[str]] = page.evaluate("() => window.shown")
    assert len(shown) > len(SPOKEN)
    for before, after in pairwise(shown):
        assert len(after) >= len(before)
        for old, new in zip(before, after, strict=False):
            assert new.startswith(old), (old, new)


class Cable:
    """Between the browser and the server; it can be pulled out and put back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._connections: set[socket.socket] = set()
        self._plugged = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        self._plugged = False
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        self._plugged = True

    def close(self) -> None:
        self.pull()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._plugged:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    near.close()
                    continue
                for a, b in ((near, far), (far, near)):
                    self._connections.add(a)
                    threading.Thread(target=self._pass_on, args=(a, b), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._connections.discard(source)
        source.close()


@pytest.fixture
def cable(demo_server: ServerProcess) -> Iterator[Cable]:
    parts = urlsplit(demo_server.url)
    cable = Cable(parts.hostname or "", parts.port or 0)
    yield cable
    cable.close()


def test_a_broken_connection_loses_no_words(speaking_browser: Browser, cable: Cable) -> None:
    with visit(
        speaking_browser, f"{cable.url}/#/live", tolerated=("WebSocket connection",)
    ) as page:
        page.get_by_label("Language").last.select_option("en")
        page.get_by_role("button", name=START).click()
        expect(page.locator(".committed").first).not_to_be_empty(timeout=SETTLE_MS)
        cable.pull()
        expect(page.get_by_role("status").filter(has_text="Connection lost")).to_be_visible()
        page.wait_for_timeout(1500)
        cable.plug()
        expect(page.get_by_role("log")).to_contain_text(
            re.compile("Saturday", re.IGNORECASE), timeout=SETTLE_MS
        )
        page.get_by_role("button", name=STOP).click()
        expect(page.get_by_text("Kept in the history")).to_be_visible(timeout=SETTLE_MS)
        _assert_said(_captions(page))


def test_large_type_fills_the_window(speaking_browser: Browser, demo_server: ServerProcess) -> None:
    with visit(speaking_browser, f"{demo_server.url}/#/live", size=PHONE, has_touch=True) as page:
        page.get_by_role("button", name=START).click()
        page.get_by_role("button", name="Large type").click()
        room = page.get_by_role("dialog", name="Captions")
        expect(room).to_be_visible()
        expect(room.locator(".committed").first).not_to_be_empty(timeout=SETTLE_MS)
        size = "e => parseFloat(getComputedStyle(e).fontSize)"
        before = room.locator(".text").evaluate(size)
        room.get_by_role("button", name="Larger").click()
        expect(room.locator(".text")).not_to_have_css("font-size", f"{before}px")
        assert room.locator(".text").evaluate(size) > before
        assert_accessible(page)
        assert_fits(page)
        page.keyboard.press("Escape")
        expect(room).to_be_hidden()
        page.get_by_role("button", name=STOP).click()
        expect(page.get_by_role("button", name=START)).to_be_visible(timeout=SETTLE_MS)


@pytest.mark.parametrize(
    ("name", "said"), [("NotFoundError", "None was found"), ("NotAllowedError", "does not allow")]
)
def test_without_a_microphone_it_says_what_to_do(
    speaking_browser: Browser, demo_server: ServerProcess, name: str, said: str
) -> None:
    with visit(speaking_browser, f"{demo_server.url}/#/live") as page:
        page.evaluate(
            """name => navigator.mediaDevices.getUserMedia = async () => {
              throw new DOMException('', name);
            }""",
            name,
        )
        page.get_by_role("button", name=START).click()
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_role("button", name=START)).to_be_visible()
        assert_accessible(page)
