"""The page on output formats says what the code does: its examples are what is rendered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest
from tests.support.transcripts import segment, transcript

from verbatim.domain.request import Script
from verbatim.domain.transcript import Word
from verbatim.render.formats import FORMATS, Format, Granularity, RenderOptions, render
from verbatim.stages.caption_limits import CaptionLimits, layout_for
from verbatim.stages.script import convert_text

PAGE = (Path(__file__).parents[2] / "docs" / "output-formats.md").read_text(encoding="utf-8")
WORDS = (
    Word(" Thank", 0.32, 0.6, 0.99),
    Word(" you", 0.6, 0.74, 0.99),
    Word(" all", 0.74, 0.96, 0.98),
    Word(" for", 0.96, 1.1, 0.99),
    Word(" coming.", 1.1, 1.62, 0.99),
)
SHOWN = transcript(
    segment(" Thank you all for coming.", 0.32, 1.62, words=WORDS),
    segment(
        " Before we begin, please switch off your phones, because the concert is recorded.",
        4.1,
        9.06,
    ),
)
EVERYTHING = RenderOptions(granularities=frozenset(Granularity))


def example(row: Format) -> str:
    """What the page shows for a format: the first code block under its heading."""
    found = re.search(rf"^### `{row.name}`$.*?^```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"the page has no example of {row.name}"
    return found[1]


def shortened(value: object) -> object:
    """Lists cut down to their first item: the page shows one of each."""
    if isinstance(value, Mapping):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [shortened(value[0])]
    return value


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_examples_are_what_is_rendered(row: Format) -> None:
    body = render(SHOWN, row.name, EVERYTHING).body
    if isinstance(body, str):
        assert example(row) == body
    else:
        assert json.loads(example(row)) == shortened(body)


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_the_table_has_every_format(row: Format) -> None:
    media_type = row.media_type.partition(";")[0]
    assert re.search(
        rf"^\| `{row.name}` \|.*`{media_type}`.*`\.{row.extension}`", PAGE, re.MULTILINE
    )


def test_the_page_names_every_limit_with_its_defaults() -> None:
    latin, wide = (layout_for(CaptionLimits(), wide=wide) for wide in (False, True))
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    assert set(rows) >= {field.name for field in fields(CaptionLimits)}
    assert rows["max_lines"] == f"{latin.max_lines}"
    assert rows["max_line_chars"] == f"{latin.line_columns}; {wide.line_columns // 2}"
    assert rows["max_cue_s"] == f"{latin.max_cue_s:g}"
    assert rows["max_chars_per_s"] == f"{latin.columns_per_s:g}; {wide.columns_per_s / 2:g}"
    assert rows["min_cue_s"] == f"{latin.min_cue_s:.2f}"
    assert rows["min_gap_s"] == f"{latin.min_gap_s:.3f}"


@pytest.mark.parametrize("script", Script)
def test_the_page_shows_every_script(script: Script) -> None:
    (row,) = re.findall(rf"^\| `{script}` \|.*$", PAGE, re.MULTILINE)
    spoken = "頭髮和軟體" if script is Script.T2S else "头发和软件"
    assert convert_text(spoken, script) in row
