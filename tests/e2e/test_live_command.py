"""`verbatim live` as somebody at a terminal sees it, with the demo model."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.speech import error_rate, speech
from tests.support.terminal import on_terminal

MOST_ERRORS = 0.25
"""That it is this sentence, and not how well the model hears it."""
DIM = b"\x1b[2m"
OPTIONS = ("-m", "verbatim-demo", "--offline", "-l", "en")


def test_a_sentence_as_it_is_spoken(tmp_path: Path) -> None:
    file = max(speech("short", "en"), key=lambda each: each.duration)
    with on_terminal(["live", *OPTIONS, "--file", str(file.path)], tmp_path) as screen:
        assert screen.process.wait(60) == 0
        screen.wait_for(lambda lines: error_rate([(file.text, lines[-1], "en")]) <= MOST_ERRORS)
    *said, final = screen.lines
    assert any("demo model" in line for line in said)
    assert f"Listening to {file.path.name}; Ctrl-C ends it." in said
    # A guess was there before the text was, and is there no more.
    assert DIM in screen.written
    assert screen.written.rindex(DIM) < screen.written.rindex(final.encode())


def test_ctrl_c_ends_with_what_was_said(tmp_path: Path) -> None:
    (file,) = speech("long", "en", 1)
    first, second = file.sentences[:2]
    output = tmp_path / "said.txt"
    arguments = ["live", *OPTIONS, "--file", str(file.path), "-o", str(output)]
    with on_terminal(arguments, tmp_path) as screen:

        def second_begins(lines: list[str]) -> bool:
            place = next((i for i, line in enumerate(lines) if "Listening" in line), len(lines))
            return len(lines[place + 1 :]) == 2

        screen.wait_for(second_begins)
        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(60) == 0
        text = output.read_text()
        screen.wait_for(lambda lines: lines[-1] != "" and text.strip().endswith(lines[-1]))
    assert error_rate([(first.text, screen.lines[-2], "en")]) <= MOST_ERRORS
    assert text.split() != first.text.split()
    assert len(text.split()) <= len(first.text.split()) + len(second.text.split()) + 2
