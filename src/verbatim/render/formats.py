"""The formats of an answer, in one table, and the one way to any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from verbatim.domain.errors import BadRequestError
from verbatim.domain.transcript import Transcript
from verbatim.render.lrc import render_lrc
from verbatim.render.options import Granularity, JsonObject, JsonValue, RenderOptions
from verbatim.render.plain_json import render_json
from verbatim.render.srt import render_srt
from verbatim.render.text import render_text
from verbatim.render.tsv import render_tsv
from verbatim.render.verbose_json import render_verbose_json
from verbatim.render.vtt import render_vtt

__all__ = [
    "FORMATS",
    "Format",
    "Granularity",
    "JsonObject",
    "JsonValue",
    "RenderOptions",
    "Rendered",
    "ResponseFormat",
    "parse_format",
    "render",
]

Body: TypeAlias = str | JsonObject
_SHOWN_CHARS: Final = 40


class ResponseFormat(StrEnum):
    """How a transcript can be written."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"
    TSV = "tsv"
    LRC = "lrc"


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table.

    Attributes:
        media_type: its own; a dialect may have reasons to say `text/plain`.
        extension: of a file that holds it, without the dot.
        from_words: it is better where the words' times are known.
        render: writes a transcript.
    """

    name: ResponseFormat
    media_type: str
    extension: str
    from_words: bool
    render: Callable[[Transcript, RenderOptions], Body]


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer.

    Attributes:
        body: text, or an object to be written as JSON; it holds no NaN and no infinity.
        extension: of a file that holds it, without the dot.
    """

    body: Body
    media_type: str
    extension: str

    @property
    def text(self) -> str:
        """The body as text, an object as JSON on one line."""
        if isinstance(self.body, str):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, allow_nan=False)


_JSON_TYPE: Final = "application/json"
_TABLE: Final = (
    Format(ResponseFormat.JSON, _JSON_TYPE, "json", False, render_json),
    Format(ResponseFormat.VERBOSE_JSON, _JSON_TYPE, "json", False, render_verbose_json),
    Format(ResponseFormat.TEXT, "text/plain; charset=utf-8", "txt", False, render_text),
    Format(ResponseFormat.SRT, "application/x-subrip; charset=utf-8", "srt", True, render_srt),
    Format(ResponseFormat.VTT, "text/vtt; charset=utf-8", "vtt", True, render_vtt),
    Format(
        ResponseFormat.TSV, "text/tab-separated-values; charset=utf-8", "tsv", False, render_tsv
    ),
    Format(ResponseFormat.LRC, "text/plain; charset=utf-8", "lrc", True, render_lrc),
)
FORMATS: Final = MappingProxyType({row.name: row for row in _TABLE})


def parse_format(name: str, *, param: str = "response_format") -> ResponseFormat:
    """The format of this name.

    Raises:
        BadRequestError: there is none; the message lists them.
    """
    try:
        return ResponseFormat(name.strip().lower())
    except ValueError:
        raise BadRequestError(
            f"{name[:_SHOWN_CHARS]!r} is no format; choose one of {', '.join(ResponseFormat)}.",
            param=param,
        ) from None


def render(
    transcript: Transcript, form: ResponseFormat, options: RenderOptions | None = None
) -> Rendered:
    """Write a transcript in a format. Subtitles of hours take seconds: not in an event loop."""
    row = FORMATS[form]
    return Rendered(
        row.render(transcript, options or RenderOptions()), row.media_type, row.extension
    )
