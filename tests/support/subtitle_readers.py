"""Readers of subtitle files, written from the formats' descriptions and not from our writers.

They are strict: what is not in its place fails.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

SRT_TIMES = re.compile(r"(\d{2,}):(\d\d):(\d\d),(\d{3}) --> (\d{2,}):(\d\d):(\d\d),(\d{3})")
VTT_TIMES = re.compile(r"(\d{2,}):(\d\d):(\d\d)\.(\d{3}) --> (\d{2,}):(\d\d):(\d\d)\.(\d{3})")
LRC_LINE = re.compile(r"\[(\d{2,}):([0-5]\d)\.(\d\d)\]")
VTT_ENTITIES = {"&amp;", "&lt;", "&gt;"}


@dataclass(frozen=True)
class Caption:
    """Times in seconds, and the lines as a viewer sees them."""

    start: float
    end: float
    lines: tuple[str, ...]


def _seconds(hours: str, minutes: str, seconds: str, ms: str) -> float:
    assert int(minutes) < 60
    assert int(seconds) < 60
    return (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) + int(ms) / 1000


def _lines(text: str) -> list[str]:
    """Split at the line ends that any reader of text files might know, not at \\n alone."""
    assert text == "" or text.endswith("\n")
    lines = text.splitlines()
    assert lines == text.split("\n")[:-1], "something besides a line feed ends a line"
    return lines


def _blocks(lines: list[str]) -> list[list[str]]:
    """Groups of lines, with one empty line between two."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        else:
            assert blocks[-1], "two empty lines"
            blocks.append([])
    assert blocks[-1] or len(blocks) == 1, "an empty line at the end"
    return [block for block in blocks if block]


def read_srt(text: str) -> list[Caption]:
    """SubRip: a number, the times, lines."""
    captions = []
    for number, (index, times, *lines) in enumerate(_blocks(_lines(text)), start=1):
        assert index == str(number)
        parts = SRT_TIMES.fullmatch(times)
        assert parts, times
        assert not any("-->" in line for line in lines)
        captions.append(_caption(parts, lines))
    return captions


def read_vtt(text: str) -> list[Caption]:
    """WebVTT without identifiers, settings, notes, styles and markup."""
    header, *blocks = _blocks(_lines(text))
    assert header == ["WEBVTT"]
    captions = []
    for times, *lines in blocks:
        parts = VTT_TIMES.fullmatch(times)
        assert parts, times
        for line in lines:
            assert "-->" not in line
            assert not set("<>") & set(line)
            assert set(re.findall("&[^;]*;?", line)) <= VTT_ENTITIES
        captions.append(_caption(parts, [html.unescape(line) for line in lines]))
    return captions


def _caption(parts: re.Match[str], lines: list[str]) -> Caption:
    assert lines
    values = parts.groups()
    return Caption(_seconds(*values[:4]), _seconds(*values[4:]), tuple(lines))


def read_lrc(text: str) -> list[tuple[float, str]]:
    """LRC: every line has one time, at its start; the lines are in order."""
    entries = []
    for line in _lines(text):
        (time,) = LRC_LINE.finditer(line)
        assert time.start() == 0
        minutes, seconds, hundredths = time.groups()
        at = int(minutes) * 60 + int(seconds) + int(hundredths) / 100
        entries.append((at, line[time.end() :]))
    assert entries == sorted(entries, key=lambda entry: entry[0])
    return entries
