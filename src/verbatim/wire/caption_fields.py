"""The fields that say how subtitles are laid out, in forms and in JSON alike."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from verbatim.stages.captions import CaptionLimits


class CaptionFields(BaseModel):
    """Limits of subtitles; those of the language where nothing is said."""

    model_config = ConfigDict(frozen=True)

    max_line_chars: int | None = Field(None, description="Longest line of a subtitle.")
    max_lines: int | None = Field(None, description="Lines of a subtitle.")
    max_cue_s: float | None = Field(None, description="Longest time of a subtitle, seconds.")
    max_chars_per_s: float | None = Field(None, description="Reading speed of subtitles.")

    def caption_limits(self) -> CaptionLimits:
        """The same in our terms.

        Raises:
            BadRequestError: a limit makes no sense.
        """
        return CaptionLimits(
            max_lines=self.max_lines,
            max_line_chars=self.max_line_chars,
            max_cue_s=self.max_cue_s,
            max_chars_per_s=self.max_chars_per_s,
        )
