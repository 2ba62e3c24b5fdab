"""The format `text`: what was said, and a line end."""

from __future__ import annotations

from verbatim.domain.transcript import Transcript
from verbatim.render.options import RenderOptions


def render_text(transcript: Transcript, options: RenderOptions) -> str:
    """The whole text as it is, with one line end behind it."""
    del options
    return f"{transcript.text}\n"
