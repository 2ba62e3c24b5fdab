"""The format `lrc`: lines for players that show text along with sound."""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf
from typing import Final

from verbatim.domain.transcript import Transcript
from verbatim.render.cues import S_PER_MINUTE, captions
from verbatim.render.options import RenderOptions
from verbatim.stages.captions import Cue

CLEARED_AFTER_S: Final = 2.0
"""A line stays until the next; before a pause of this length, an empty one ends it."""
_CS_PER_S: Final = 100
_TIME_IN_TEXT: Final = re.compile(r"[\[<](\d+:\d+(?:[.:]\d+)?)[\]>]")
"""What a player would take for a time."""


def render_lrc(transcript: Transcript, options: RenderOptions) -> str:
    """`[mm:ss.xx]text` for each caption, which is a single line; minutes may pass 99."""
    cues = captions(transcript, replace(options.captions, max_lines=1))
    next_starts = [*(cue.start for cue in cues[1:]), inf]
    return "".join(_lines(cue, next_s) for cue, next_s in zip(cues, next_starts, strict=False))


def _lines(cue: Cue, next_start_s: float) -> str:
    text = _TIME_IN_TEXT.sub(r"(\1)", " ".join(cue.lines))
    cleared = f"{_time(cue.end)}\n" if next_start_s - cue.end >= CLEARED_AFTER_S else ""
    return f"{_time(cue.start)}{text}\n{cleared}"


def _time(time_s: float) -> str:
    whole_s, cs = divmod(round(time_s * _CS_PER_S), _CS_PER_S)
    minutes, s = divmod(whole_s, S_PER_MINUTE)
    return f"[{minutes:02d}:{s:02d}.{cs:02d}]"
