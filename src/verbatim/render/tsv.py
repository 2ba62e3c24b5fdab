"""The format `tsv`: a table of segments, with the columns of openai-whisper's."""

from __future__ import annotations

from typing import Final

from verbatim.domain.transcript import Segment, Transcript
from verbatim.render.cues import MS_PER_S
from verbatim.render.options import RenderOptions, seconds
from verbatim.stages.caption_text import one_line

HEADER: Final = "start\tend\ttext\n"


def render_tsv(transcript: Transcript, options: RenderOptions) -> str:
    """The header, then start and end in milliseconds and the text of each segment."""
    del options
    return HEADER + "".join(map(_row, transcript.segments))


def _row(segment: Segment) -> str:
    start = seconds(segment.start)
    end = max(start, seconds(segment.end))
    times = f"{round(start * MS_PER_S)}\t{round(end * MS_PER_S)}"
    return f"{times}\t{one_line(segment.text)}\n"
