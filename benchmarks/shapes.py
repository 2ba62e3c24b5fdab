"""The published dimensions of Whisper's models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

AUDIO_POSITIONS: Final = 1500
TEXT_POSITIONS: Final = 448
KERNEL_FRAMES: Final = 3
"""Width of both convolutions."""
FEED_FORWARD_FACTOR: Final = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """One model's dimensions; both halves are equally wide and have equally many heads.

    Attributes:
        mels: bands of the spectrogram.
        vocabulary: tokens, special ones included.
    """

    name: str
    encoder_layers: int
    decoder_layers: int
    width: int
    heads: int
    mels: int
    vocabulary: int


_ALL: Final = (
    Shape("tiny", 4, 4, 384, 6, 80, 51865),
    Shape("base", 6, 6, 512, 8, 80, 51865),
    Shape("small", 12, 12, 768, 12, 80, 51865),
    Shape("medium", 24, 24, 1024, 16, 80, 51865),
    Shape("large-v3", 32, 32, 1280, 20, 128, 51866),
    Shape("turbo", 32, 4, 1280, 20, 128, 51866),
)
SHAPES: Final[Mapping[str, Shape]] = MappingProxyType({shape.name: shape for shape in _ALL})
"""By name. Sources: openai/whisper's model card and `ModelDimensions` of its checkpoints; turbo is
large-v3 with four decoder layers."""
