"""text and tsv, and the table of formats."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from tests.support.transcripts import broken_segments, seen, segment, segments, transcript

from verbatim.domain.errors import BadRequestError
from verbatim.domain.transcript import Segment
from verbatim.render.formats import FORMATS, Format, ResponseFormat, parse_format, render


def written(form: ResponseFormat, *parts: Segment) -> str:
    body = render(transcript(*parts), form).body
    assert isinstance(body, str)
    return body


def test_text_is_all_that_was_said_and_a_line_end() -> None:
    assert written(ResponseFormat.TEXT, segment(" One."), segment(" Two.")) == "One. Two.\n"
    assert written(ResponseFormat.TEXT) == "\n"


def test_tsv_as_openai_whisper_writes_it() -> None:
    assert written(
        ResponseFormat.TSV, segment(" One,\ttwo.", 0.0, 1.2345), segment(" 3.", 400.5, 401.0)
    ) == ("start\tend\ttext\n0\t1234\tOne, two.\n400500\t401000\t3.\n")
    assert written(ResponseFormat.TSV) == "start\tend\ttext\n"


def check_table(parts: tuple[Segment, ...]) -> None:
    table = written(ResponseFormat.TSV, *parts)
    assert table.splitlines() == table.split("\n")[:-1]
    header, *rows = csv.reader(
        io.StringIO(table, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE, strict=True
    )
    assert header == ["start", "end", "text"]
    assert [seen(text) for _, _, text in rows] == [seen(part.text) for part in parts]
    assert all(0 <= int(start) <= int(end) for start, end, _ in rows)


@given(segments())
def test_no_text_breaks_the_table(parts: tuple[Segment, ...]) -> None:
    check_table(parts)


@given(broken_segments())
def test_no_time_breaks_the_table(parts: tuple[Segment, ...]) -> None:
    check_table(parts)


def test_the_table_has_every_format_once() -> None:
    assert list(FORMATS) == [row.name for row in FORMATS.values()]
    assert set(FORMATS) == set(ResponseFormat)


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_rendered_carries_the_tables_row(row: Format) -> None:
    rendered = render(transcript(segment(" Hello.")), row.name)
    assert (rendered.media_type, rendered.extension) == (row.media_type, row.extension)
    assert "Hello." in rendered.text


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_names_are_understood(row: Format) -> None:
    assert parse_format(f" {row.name.upper()} ") is row.name


def test_other_names_are_refused() -> None:
    with pytest.raises(
        BadRequestError, match="json, text, srt, verbose_json, vtt, tsv, lrc"
    ) as caught:
        parse_format("docx")
    assert caught.value.param == "response_format"
    with pytest.raises(BadRequestError) as caught:
        parse_format("x" * 100_000, param="format")
    assert caught.value.param == "format"
    assert len(caught.value.message) < 200
