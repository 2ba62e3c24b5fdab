"""What subtitle formats share: a transcript's captions, and times as hours, minutes, seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from verbatim.domain.request import Task
from verbatim.domain.transcript import Transcript
from verbatim.stages.captions import CaptionLimits, Cue, lay_out

MS_PER_S: Final = 1000
S_PER_MINUTE: Final = 60
MINUTES_PER_HOUR: Final = 60
TRANSLATED_INTO: Final = "en"


def captions(transcript: Transcript, limits: CaptionLimits) -> tuple[Cue, ...]:
    """A transcript's captions; a translation is laid out as the English that it is."""
    language, segments = transcript.language, transcript.segments
    if transcript.task is Task.TRANSLATE:
        language = TRANSLATED_INTO
        segments = tuple(replace(segment, language=language) for segment in segments)
    return lay_out(segments, limits, language=language, duration_s=transcript.duration_s)


def clock_time(time_s: float, decimal_mark: str) -> str:
    """`HH:MM:SS` and milliseconds; the hours grow beyond two digits where they must."""
    whole_s, ms = divmod(round(time_s * MS_PER_S), MS_PER_S)
    whole_minutes, s = divmod(whole_s, S_PER_MINUTE)
    hours, minutes = divmod(whole_minutes, MINUTES_PER_HOUR)
    return f"{hours:02d}:{minutes:02d}:{s:02d}{decimal_mark}{ms:03d}"
