from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from verbatim.domain.errors import UnavailableError
from verbatim.server.logs import configure_logging
from verbatim.settings import Settings


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    configure_logging(Settings(), stream)
    structlog.stdlib.get_logger("ours").info("hello", count=1, name_="전사")
    logging.getLogger("theirs").warning("from %s", "a library", extra={"fact": 2})
    ours, theirs = lines(stream)
    assert (ours["message"], ours["count"], ours["name_"]) == ("hello", 1, "전사")
    assert (ours["level"], ours["logger"]) == ("info", "ours")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["message"], theirs["fact"], theirs["level"]) == (
        "from a library",
        2,
        "warning",
    )


def test_text_on_a_terminal() -> None:
    stream = Terminal()
    configure_logging(Settings(), stream)
    structlog.stdlib.get_logger("ours").info("hello", count=1)
    assert "hello" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(("log_format", "is_json"), [("json", True), ("text", False)])
def test_the_format_can_be_chosen(log_format: str, is_json: bool) -> None:
    for stream in (io.StringIO(), Terminal()):
        configure_logging(Settings.model_validate({"log_format": log_format}), stream)
        logging.getLogger("x").warning("hello")
        assert stream.getvalue().startswith("{") == is_json


def test_less_important_messages_are_left_out() -> None:
    stream = io.StringIO()
    configure_logging(Settings(log_level="warning"), stream)
    structlog.stdlib.get_logger("ours").info("no")
    logging.getLogger("theirs").info("no")
    structlog.stdlib.get_logger("ours").warning("yes")
    assert [line["message"] for line in lines(stream)] == ["yes"]


def test_what_is_bound_to_the_context_is_on_every_line() -> None:
    stream = io.StringIO()
    configure_logging(Settings(), stream)
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.stdlib.get_logger("ours").info("a")
        logging.getLogger("theirs").info("b")
    assert [line["request_id"] for line in lines(stream)] == ["r1", "r1"]


@pytest.mark.parametrize("stream_type", [io.StringIO, Terminal])
def test_a_traceback_shows_no_variables(stream_type: type[io.StringIO]) -> None:
    stream = stream_type()
    configure_logging(Settings(), stream)
    prompt = "secret " * 2
    try:
        raise ValueError("cause", len(prompt))
    except ValueError as error:
        structlog.stdlib.get_logger("ours").error("failed", exc_info=error)
    assert "ValueError" in stream.getvalue()
    assert "secret secret" not in stream.getvalue()


def test_a_file_is_rotated(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "verbatim.log"
    configure_logging(Settings(log_file=file, log_file_bytes=2000, log_files=3))
    for i in range(200):
        logging.getLogger("x").info("line %d", i)
    names = sorted(path.name for path in file.parent.iterdir())
    assert names == ["verbatim.log", "verbatim.log.1", "verbatim.log.2"]
    assert all(path.stat().st_size <= 2000 for path in file.parent.iterdir())
    assert json.loads(file.read_text().splitlines()[-1])["message"] == "line 199"


def test_one_file_is_one_file(tmp_path: Path) -> None:
    file = tmp_path / "verbatim.log"
    configure_logging(Settings(log_file=file, log_file_bytes=500, log_files=1))
    for i in range(50):
        logging.getLogger("x").info("line %d", i)
    assert [path.name for path in tmp_path.iterdir()] == ["verbatim.log"]


def test_configuring_again_replaces_what_was() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging(Settings(), first)
    configure_logging(Settings(), second)
    logging.getLogger("x").info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="log_file"):
        configure_logging(Settings(log_file=tmp_path / "file" / "log"))
