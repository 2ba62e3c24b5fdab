"""Takes the pictures of the page in docs/images: `python tools/screenshots.py`, in some minutes.

Needs what the browser tests need: Chromium, and the page built (`make web`). The server runs with
the demo model; what it transcribes is the tests' speech.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import av
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import DESKTOP, PHONE, require_page  # noqa: E402
from tests.support.fake_process import READY_S, server_process  # noqa: E402
from tests.support.live_server import wait_until  # noqa: E402
from tests.support.speech import samples_of, speech, wav  # noqa: E402

IMAGES: Final = ROOT / "docs" / "images"
VERBATIM: Final = str(Path(sys.executable).with_name("verbatim"))
LANGUAGES: Final = {"en": "en-US", "zh": "zh-TW", "ko": "ko-KR"}
PATIENCE_MS: Final = 120_000
SETTLED_MS: Final = 900


@dataclass(frozen=True)
class Stage:
    """A page that is open, and the language of its visitor."""

    page: Page
    language: str

    def go(self, view: str) -> None:
        """Choose a view in the navigation."""
        self.page.locator(f"nav a[href='#/{view}']").click()


def stay(stage: Stage) -> None:
    """Show what is shown first."""
    del stage


@dataclass(frozen=True)
class Shot:
    """A picture: what is shown, how, and how one gets there."""

    name: str
    language: str = "en"
    scheme: str = "light"
    size: tuple[int, int] = DESKTOP
    steps: Callable[[Stage], None] = stay


def recording(language: str) -> Path:
    """The longest rendered speech of a language, under a name that a person would give it."""
    return speech("long", language)[0].path


def transcribe(stage: Stage) -> None:
    """Have two recordings transcribed."""
    names = {"en": "Interview", "zh": "訪談", "ko": "인터뷰"}
    shorts = {"en": "Voice note", "zh": "語音備忘", "ko": "음성 메모"}
    files = {
        shorts[stage.language]: speech("short", stage.language)[0].path,
        names[stage.language]: recording(stage.language),
    }
    stage.page.locator("input[type=file]").set_input_files(
        [
            {"name": f"{name}.ogg", "mimeType": "audio/ogg", "buffer": path.read_bytes()}
            for name, path in files.items()
        ]
    )
    stage.page.wait_for_function(
        "() => document.querySelectorAll('article .mark.done').length === 2", timeout=PATIENCE_MS
    )


def read(stage: Stage) -> None:
    """Open the longer transcript in the middle of being played."""
    transcribe(stage)
    stage.page.locator("article").first.locator(".row button").first.click()
    stage.page.locator(".bars canvas").first.wait_for()
    stage.page.locator("[data-segment='2'] [data-word='1']").click()
    stage.page.wait_for_timeout(SETTLED_MS)
    stage.page.locator("h1").click()
    stage.page.keyboard.press("Space")
    stage.page.mouse.move(0, 0)


def correct(stage: Stage) -> None:
    """Edit a segment."""
    read(stage)
    stage.page.locator("[data-segment='3'] .edit button").focus()
    stage.page.keyboard.press("Enter")


def options(stage: Stage) -> None:
    """Open the options."""
    stage.page.locator("button[aria-expanded]").first.click()


def history(stage: Stage) -> None:
    """Show the history with something in it."""
    transcribe(stage)
    stage.go("history")


def live(stage: Stage) -> None:
    """Captions of a rendered recording."""
    stage.go("live")
    stage.page.locator("main button.primary").first.click()
    stage.page.wait_for_timeout(12_000)


def visit_live(stage: Stage) -> None:
    """The live view before it is begun."""
    stage.go("live")


def server(stage: Stage) -> None:
    """The server's view, with a little time on its charts."""
    stage.go("server")
    stage.page.wait_for_timeout(8_000)


def settings(stage: Stage) -> None:
    """The dialog of settings."""
    stage.page.locator("header .tools button").click()


VIEWS: Final[dict[str, Callable[[Stage], None]]] = {
    "transcribe": transcribe,
    "read": read,
    "history": history,
    "live": live,
    "server": server,
}


def shots(*, every: bool) -> Iterator[Shot]:
    """The pictures; with `every`, of each view all languages, light and dark, desk and phone."""
    for name, steps in VIEWS.items():
        for language, scheme, size in product(LANGUAGES, ("light", "dark"), (DESKTOP, PHONE)):
            odd = (language != "en") + (scheme != "light") + (size != DESKTOP)
            if every or odd <= 1:
                end = "-phone" if size == PHONE else ""
                yield Shot(f"{name}-{language}-{scheme}{end}", language, scheme, size, steps)
    yield Shot("start-en-light")
    yield Shot("options-en-light", steps=options)
    yield Shot("correct-en-light", steps=correct)
    yield Shot("correct-en-dark-phone", scheme="dark", size=PHONE, steps=correct)
    yield Shot("settings-en-dark", scheme="dark", steps=settings)
    yield Shot("live-start-en-light", steps=visit_live)


def take(browser: Browser, url: str, shot: Shot) -> bytes:
    """A picture as PNG."""
    width, height = shot.size
    phone = shot.size == PHONE
    extra: dict[str, Any] = {"is_mobile": True, "has_touch": True} if phone else {}
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if phone else 1,
        locale=LANGUAGES[shot.language],
        color_scheme=shot.scheme,
        reduced_motion="reduce",
        permissions=["microphone"],
        **extra,
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.wait_for_timeout(SETTLED_MS)
    shot.steps(Stage(page, shot.language))
    page.wait_for_timeout(SETTLED_MS)
    png = page.screenshot()
    context.close()
    return png


def compressed(png: bytes) -> bytes:
    """The same picture with at most 256 colours, which is a third of the size."""
    with av.open(io.BytesIO(png)) as file:
        frame = next(file.decode(video=0))
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    split, made = graph.add("split"), graph.add("palettegen", "reserve_transparent=0")
    used, sink = graph.add("paletteuse", "dither=none"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(made, 1, 0)
    made.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    paletted = graph.pull()
    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as file:
        stream = file.add_stream("png", options={"compression_level": "9", "pred": "mixed"})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "pal8"
        file.mux(stream.encode(paletted))
        file.mux(stream.encode(None))
    return min(png, out.getvalue(), key=len)


@contextmanager
def browser_and_server(language: str) -> Iterator[tuple[Browser, str]]:
    """Chromium, whose microphone says a recording of this language, and a server."""
    with TemporaryDirectory() as folder, server_process([VERBATIM, "serve"]) as running:
        voice = Path(folder) / "voice.wav"
        said = samples_of(recording(language).stem)
        voice.write_bytes(wav(np.asarray(said)))
        with running.client() as client:
            wait_until(lambda: client.get("/ready").status_code == 200, READY_S)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=require_page(),
                args=[
                    "--no-sandbox",
                    "--use-fake-ui-for-media-stream",
                    "--use-fake-device-for-media-stream",
                    f"--use-file-for-fake-audio-capture={voice}",
                ],
            )
            yield browser, running.url
            browser.close()


def main() -> None:
    """Take the pictures whose names begin with one of the words given; all without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of names; all if none are given")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    parser.add_argument("--every", action="store_true", help="all languages, light and dark")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    beginnings = tuple(given.names) or ("",)
    wanted = [shot for shot in shots(every=given.every) if shot.name.startswith(beginnings)]
    for language in dict.fromkeys(shot.language for shot in wanted):
        with browser_and_server(language) as (browser, url):
            for shot in (shot for shot in wanted if shot.language == language):
                path = given.out / f"{shot.name}.png"
                path.write_bytes(compressed(take(browser, url, shot)))
                print(path.name, path.stat().st_size // 1024, "kB")


if __name__ == "__main__":
    main()
