"""Whisper's clock: the rates and lengths that the stages share, each computed from another."""

from __future__ import annotations

from typing import Final

SAMPLE_RATE_HZ: Final = 16_000
HOP_SAMPLES: Final = 160
"""Samples between two mel frames."""
FRAMES_PER_SECOND: Final = SAMPLE_RATE_HZ // HOP_SAMPLES
WINDOW_S: Final = 30
WINDOW_SAMPLES: Final = WINDOW_S * SAMPLE_RATE_HZ
WINDOW_FRAMES: Final = WINDOW_SAMPLES // HOP_SAMPLES
ENCODER_STRIDE: Final = 2
"""Mel frames to one encoder position."""
POSITIONS_PER_SECOND: Final = FRAMES_PER_SECOND // ENCODER_STRIDE
TIME_STEP_S: Final = 1 / POSITIONS_PER_SECOND
"""Seconds between two timestamp tokens."""
MAX_TOKENS: Final = 448
"""Longest token sequence of a Whisper decoder, prompt included."""
MAX_CONTEXT_TOKENS: Final = MAX_TOKENS // 2 - 1
"""Most tokens of earlier text that a window is given."""
