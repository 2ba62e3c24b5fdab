"""Random weights in the shape of a Whisper model: as fast as the real ones, and nothing to fetch.

Noise alone writes loops of improbable tokens, which programs rightly distrust and decode again. So
the decoder's positions point at a few words each, and the rest, which hears the audio, only decides
between them: every window gets a probable text of its own without loops. The rows of the special
tokens are nearly zero, so no window ends by itself, and each is decoded to exactly as many tokens
as the caller's limit says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes import (
    AUDIO_POSITIONS,
    FEED_FORWARD_FACTOR,
    KERNEL_FRAMES,
    TEXT_POSITIONS,
    Shape,
)

Array: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = dict[str, Array]
"""By the names of openai-whisper's checkpoints; a linear layer's weight is (outputs, inputs)."""

END_OF_TEXT: Final = 50257
"""The first special token; all after it are special too."""
SEED: Final = 0
_EMBEDDING_DEVIATION: Final = 0.02
_SPECIAL_SCALE: Final = 1e-3
_LONGEST_WAVE: Final = 10_000.0
CHOICES: Final = 4
"""Words for each position, of which the audio chooses one."""
_CERTAINTY: Final = 10.0
"""Makes the chosen word probable."""
_LAYERS_SHARE: Final = 0.3
"""What the decoder's layers add together, in relation to the position."""
_AUDIO_GAIN: Final = 6.0
"""How much stronger the audio is than the other things that a layer adds."""
_FOCUS: Final = 8.0
"""Makes the decoder listen to few moments: the average of all hardly differs between windows."""
_LOUDNESS: Final = 8.0
"""Makes the encoder hear more of the audio than of its own positions."""
_BRANCHES: Final = ("attn.out", "cross_attn.out", "mlp.2")


def random_weights(shape: Shape, words: Sequence[int]) -> Weights:
    """Every tensor of a model, always the same for a shape; takes seconds for large ones.

    Args:
        shape: of the model.
        words: tokens that are written, `CHOICES` for each position of the decoder.
    """
    random = np.random.default_rng(SEED)
    weights = dict(_encoder(shape, random))
    weights.update(_decoder(shape, random))
    weights["encoder.conv1.weight"] *= np.float32(_LOUDNESS)
    weights["decoder.positional_embedding"] = _directions(
        weights["decoder.token_embedding.weight"], words
    )
    share = _LAYERS_SHARE * (len(_BRANCHES) * shape.decoder_layers) ** -0.5
    for layer in range(shape.decoder_layers):
        for branch in _BRANCHES:
            weights[f"decoder.blocks.{layer}.{branch}.weight"] *= np.float32(share)
        weights[f"decoder.blocks.{layer}.cross_attn.out.weight"] *= np.float32(_AUDIO_GAIN)
        weights[f"decoder.blocks.{layer}.cross_attn.query.weight"] *= np.float32(_FOCUS)
    weights["decoder.ln.weight"] *= np.float32(_CERTAINTY)
    return weights


def sinusoids(positions: int, width: int) -> Array:
    """Whisper's fixed encoder positions (positions, width): sines, then cosines."""
    steps = np.arange(width // 2) / (width // 2 - 1)
    angles = np.arange(positions)[:, None] * _LONGEST_WAVE ** -steps[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _directions(embedding: Array, words: Sequence[int]) -> Array:
    """What makes a few words equally probable at each position, (positions, width)."""
    chosen = np.asarray(words[: CHOICES * TEXT_POSITIONS]).reshape(TEXT_POSITIONS, CHOICES)
    directions = embedding[chosen].sum(axis=1)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    scaled: Array = directions * np.float32(embedding.shape[1] ** 0.5) / lengths
    return scaled


def _encoder(shape: Shape, random: np.random.Generator) -> Iterator[tuple[str, Array]]:
    width = shape.width
    for name, inputs in (("conv1", shape.mels), ("conv2", width)):
        yield f"encoder.{name}.weight", _matrix(random, width, inputs, KERNEL_FRAMES)
        yield f"encoder.{name}.bias", np.zeros(width, np.float32)
    yield "encoder.positional_embedding", sinusoids(AUDIO_POSITIONS, width)
    for layer in range(shape.encoder_layers):
        yield from _block(f"encoder.blocks.{layer}", shape, random, cross=False)
    yield from _norm("encoder.ln_post", width)


def _decoder(shape: Shape, random: np.random.Generator) -> Iterator[tuple[str, Array]]:
    width = shape.width
    embedding = random.standard_normal((shape.vocabulary, width), np.float32)
    embedding *= _EMBEDDING_DEVIATION
    embedding[END_OF_TEXT:] *= _SPECIAL_SCALE
    yield "decoder.token_embedding.weight", embedding
    for layer in range(shape.decoder_layers):
        yield from _block(f"decoder.blocks.{layer}", shape, random, cross=True)
    yield from _norm("decoder.ln", width)


def _block(
    name: str, shape: Shape, random: np.random.Generator, *, cross: bool
) -> Iterator[tuple[str, Array]]:
    width = shape.width
    for attention in ("attn", "cross_attn") if cross else ("attn",):
        for part in ("query", "key", "value", "out"):
            yield f"{name}.{attention}.{part}.weight", _matrix(random, width, width)
            if part != "key":
                yield f"{name}.{attention}.{part}.bias", np.zeros(width, np.float32)
        yield from _norm(f"{name}.{attention}_ln", width)
    hidden = FEED_FORWARD_FACTOR * width
    for part, outputs, inputs in (("mlp.0", hidden, width), ("mlp.2", width, hidden)):
        yield f"{name}.{part}.weight", _matrix(random, outputs, inputs)
        yield f"{name}.{part}.bias", np.zeros(outputs, np.float32)
    yield from _norm(f"{name}.mlp_ln", width)


def _norm(name: str, width: int) -> Iterator[tuple[str, Array]]:
    yield f"{name}.weight", np.ones(width, np.float32)
    yield f"{name}.bias", np.zeros(width, np.float32)


def _matrix(random: np.random.Generator, outputs: int, *inputs: int) -> Array:
    """Normal values whose variance keeps a layer's output as large as its input."""
    matrix = random.standard_normal((outputs, *inputs), np.float32)
    matrix *= np.float32(np.prod(inputs) ** -0.5)
    return matrix
