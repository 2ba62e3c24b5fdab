"""What a caption may hold, so that it can be read: asked for, and resolved for a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from verbatim.domain.errors import BadRequestError
from verbatim.stages.caption_text import WIDE_COLUMNS

FILM_FRAMES_PER_S: Final = 24
DEFAULT_MAX_LINES: Final = 2
DEFAULT_LINE_CHARS: Final = 42
DEFAULT_LINE_CHARS_WIDE: Final = 16
"""Of Chinese, Japanese and Korean."""
DEFAULT_MAX_CUE_S: Final = 7.0
DEFAULT_CHARS_PER_S: Final = 17.0
DEFAULT_CHARS_PER_S_WIDE: Final = 9.0
DEFAULT_MIN_CUE_S: Final = 20 / FILM_FRAMES_PER_S
DEFAULT_MIN_GAP_S: Final = 2 / FILM_FRAMES_PER_S

_BOUNDS: Final = MappingProxyType(
    {
        "max_lines": (1, 3),
        "max_line_chars": (4, 100),
        "max_cue_s": (0.5, 60.0),
        "max_chars_per_s": (1.0, 1000.0),
        "min_cue_s": (0.0, 10.0),
        "min_gap_s": (0.0, 2.0),
    }
)
"""Least and greatest value that makes sense, of each limit."""
_SHOWN_CHARS: Final = 40
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class CaptionLimits:
    """The limits that a request sets; None leaves one at the default for the language.

    The defaults are those of the trade (Netflix's Timed Text Style Guides; the BBC's are near).
    For text that is mostly full-width, the characters of a line and of a second count full-width
    ones, and a half-width character (a Latin letter, a digit, a space) counts as half of one. In
    other text, a full-width character counts as two.

    Attributes:
        max_lines: lines of a caption (2).
        max_line_chars: characters of a line (42; 16 for Chinese, Japanese and Korean).
        max_cue_s: longest time a caption is shown (7 s).
        max_chars_per_s: reading speed (17; 9 for Chinese, Japanese and Korean).
        min_cue_s: shortest time a caption is shown, where the next leaves room (20 frames of film,
            0.83 s).
        min_gap_s: between two captions, so that the change is seen (2 frames of film, 0.083 s).

    Raises:
        BadRequestError: a value outside what makes sense; `param` names it.
    """

    max_lines: int | None = None
    max_line_chars: int | None = None
    max_cue_s: float | None = None
    max_chars_per_s: float | None = None
    min_cue_s: float | None = None
    min_gap_s: float | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value: float | None = getattr(self, name)
            if value is not None and not least <= value <= most:
                shown = str(value)[:_SHOWN_CHARS]
                raise BadRequestError(
                    f"{name} must be from {least:g} to {most:g}, not {shown}.", param=name
                )


@dataclass(frozen=True, slots=True)
class Layout:
    """Limits for one sort of text, all set.

    Attributes:
        line_columns: width of a line in columns.
        columns_per_s: reading speed.
    """

    max_lines: int
    line_columns: int
    max_cue_s: float
    columns_per_s: float
    min_cue_s: float
    min_gap_s: float

    @property
    def capacity(self) -> int:
        """Columns of a full caption."""
        return self.max_lines * self.line_columns


def layout_for(limits: CaptionLimits, *, wide: bool) -> Layout:
    """The limits for text that is mostly full-width, or not."""
    char_columns = WIDE_COLUMNS if wide else 1
    line_chars = DEFAULT_LINE_CHARS_WIDE if wide else DEFAULT_LINE_CHARS
    chars_per_s = DEFAULT_CHARS_PER_S_WIDE if wide else DEFAULT_CHARS_PER_S
    max_cue_s = _or(limits.max_cue_s, DEFAULT_MAX_CUE_S)
    return Layout(
        max_lines=int(_or(limits.max_lines, DEFAULT_MAX_LINES)),
        line_columns=int(_or(limits.max_line_chars, line_chars)) * char_columns,
        max_cue_s=max_cue_s,
        columns_per_s=_or(limits.max_chars_per_s, chars_per_s) * char_columns,
        min_cue_s=min(max_cue_s, _or(limits.min_cue_s, DEFAULT_MIN_CUE_S)),
        min_gap_s=_or(limits.min_gap_s, DEFAULT_MIN_GAP_S),
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def parse_limits(values: Mapping[str, str]) -> CaptionLimits:
    """Limits from text, as a form or a command line brings them.

    Args:
        values: by the names of `CaptionLimits`; other names are left alone, empty text is None.

    Raises:
        BadRequestError: no number, or outside what makes sense; `param` names it.
    """
    return CaptionLimits(
        max_lines=_read(values, "max_lines", int),
        max_line_chars=_read(values, "max_line_chars", int),
        max_cue_s=_read(values, "max_cue_s", float),
        max_chars_per_s=_read(values, "max_chars_per_s", float),
        min_cue_s=_read(values, "min_cue_s", float),
        min_gap_s=_read(values, "min_gap_s", float),
    )


def _read(values: Mapping[str, str], name: str, number: Callable[[str], _Number]) -> _Number | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        return number(text)
    except ValueError:
        kind = "a whole number" if number is int else "a number"
        raise BadRequestError(
            f"{name} must be {kind}, not {text[:_SHOWN_CHARS]!r}.", param=name
        ) from None
