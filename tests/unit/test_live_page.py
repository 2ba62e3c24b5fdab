"""The pages about live speech say all that the wires do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from verbatim.dialects.native_live import frames, routes
from verbatim.dialects.native_live.events import error_message, event_message
from verbatim.domain.errors import InternalError
from verbatim.domain.live import (
    Cleared,
    EndReason,
    Failed,
    Final,
    LiveEvent,
    Partial,
    SecondPass,
    SessionEnd,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    UtteranceEnded,
)
from verbatim.domain.transcript import Word
from verbatim.settings import Settings
from verbatim.wire.live_audio import LiveEncoding

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "live.md").read_text(encoding="utf-8")
WORDS = (Word(" a", 0.0, 1.0, 0.5),)
EVENTS: tuple[LiveEvent, ...] = (
    SpeechStarted(0, 0.0),
    SpeechStopped(0, 1.0),
    UtteranceEnded(0, 0.0, 1.0, EndReason.COMMIT),
    Partial(0, 0.0, 1.0, "a", "a", "", WORDS, "en"),
    Final(0, 0.0, 1.0, "a", "", WORDS, (), "en", 1.0, EndReason.COMMIT),
    SecondPass(0, 0.0, 1.0, "a", WORDS, (), "en"),
    Cleared(None),
    Failed(0, InternalError("no")),
    SessionEnded(SessionEnd.IDLE, 1.0),
)


def rows(kind: str) -> str:
    """The lines of tables that are about something."""
    return "\n".join(line for line in PAGE.splitlines() if line.startswith(f"| `{kind}`"))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_message_is_there_with_all_its_fields(event: LiveEvent) -> None:
    message = event_message(event)
    row = rows(message["type"])
    assert row, message["type"]
    assert all(f"`{field}`" in row for field in message.keys() - {"type"})
    assert all(f"`{field}`" in rows("text") for word in message.get("words", ()) for field in word)


def test_errors() -> None:
    fields = error_message(InternalError("no"))["error"]
    assert all(f"`{field}`" in rows("error") for field in fields)


@pytest.mark.parametrize("model", [frames.Start, frames.Resume, frames.Update])
def test_every_field_of_a_message_from_the_client(model: type[frames.Start]) -> None:
    assert all(f"`{field}`" in PAGE for field in model.model_fields)


@pytest.mark.parametrize("value", [*LiveEncoding, *EndReason, *SessionEnd])
def test_every_word_with_a_meaning(value: str) -> None:
    assert f"`{value}`" in PAGE


@pytest.mark.parametrize("kind", ["commit", "clear", "finish"])
def test_orders(kind: str) -> None:
    assert frames.later({"type": kind}).type == kind
    assert rows(kind)


def test_defaults() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| ([\w.]+)", PAGE, re.MULTILINE))
    for name in ("max_live_sessions", "live_idle_s", "max_live_s", "live_resume_s"):
        assert float(table[name]) == Settings.model_fields[name].default
    assert float(table["max_utterance_s"]) == frames.Start(type="start").max_utterance_s
    assert f"within {routes.START_S:g} s" in PAGE
    assert f"{routes.MAX_TEXT_CHARS} characters" in PAGE
    assert f"{routes.MAX_MESSAGE_BYTES // 2**20} MiB" in PAGE


def test_links_lead_somewhere() -> None:
    for page in (DOCS / "live.md", DOCS / "dialects" / "wyoming.md", DOCS / "cli.md"):
        for target in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", page.read_text(encoding="utf-8")):
            path, anchor = target
            if path.startswith("http"):
                continue
            linked = (page.parent / path) if path else page
            assert linked.is_file(), target
            heads = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.casefold()).replace(" ", "-") for head in heads}
            assert not anchor or anchor[1:] in slugs, target
