"""A checkpoint as openai-whisper loads it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.random_weights import Weights
from benchmarks.shapes import AUDIO_POSITIONS, TEXT_POSITIONS, Shape


def write(weights: Weights, shape: Shape, path: Path) -> None:
    """Write a `.pt` file; needs torch."""
    import torch  # noqa: PLC0415 - only where this peer is installed

    dimensions = {
        "n_mels": shape.mels,
        "n_audio_ctx": AUDIO_POSITIONS,
        "n_audio_state": shape.width,
        "n_audio_head": shape.heads,
        "n_audio_layer": shape.encoder_layers,
        "n_vocab": shape.vocabulary,
        "n_text_ctx": TEXT_POSITIONS,
        "n_text_state": shape.width,
        "n_text_head": shape.heads,
        "n_text_layer": shape.decoder_layers,
    }
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    torch.save({"dims": dimensions, "model_state_dict": state}, path)
