"""The format `srt` (SubRip): numbered captions."""

from __future__ import annotations

from typing import Final

from verbatim.domain.transcript import Transcript
from verbatim.render.cues import captions, clock_time
from verbatim.render.options import RenderOptions
from verbatim.stages.captions import Cue

_ARROW: Final = "-->"
_HARMLESS_ARROW: Final = "→"
"""SubRip has no escapes, and a line with an arrow in it could be read as a caption's times."""


def render_srt(transcript: Transcript, options: RenderOptions) -> str:
    """Captions numbered from 1, an empty line between them; nothing for no speech."""
    cues = captions(transcript, options.captions)
    return "\n".join(_cue(number, cue) for number, cue in enumerate(cues, start=1))


def _cue(number: int, cue: Cue) -> str:
    lines = "\n".join(cue.lines).replace(_ARROW, _HARMLESS_ARROW)
    return f"{number}\n{clock_time(cue.start, ',')} --> {clock_time(cue.end, ',')}\n{lines}\n"
