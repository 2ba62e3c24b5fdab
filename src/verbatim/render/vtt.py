"""The format `vtt` (WebVTT, W3C), as browsers read it."""

from __future__ import annotations

from typing import Final

from verbatim.domain.transcript import Transcript
from verbatim.render.cues import captions, clock_time
from verbatim.render.options import RenderOptions
from verbatim.stages.captions import Cue

HEADER: Final = "WEBVTT\n"
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""With `>` among them no text can hold the arrow that parts a caption's times."""


def render_vtt(transcript: Transcript, options: RenderOptions) -> str:
    """The header, then captions with an empty line before each."""
    cues = captions(transcript, options.captions)
    return "\n".join([HEADER, *map(_cue, cues)])


def _cue(cue: Cue) -> str:
    lines = "\n".join(cue.lines).translate(_ESCAPES)
    return f"{clock_time(cue.start, '.')} --> {clock_time(cue.end, '.')}\n{lines}\n"
