"""A model file of whisper.cpp with 8-bit weights (q8_0).

Source of the layout: whisper.cpp's `whisper_model_load`, and ggml's `block_q8_0`.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.random_weights import END_OF_TEXT, Array, Weights
from benchmarks.shapes import AUDIO_POSITIONS, TEXT_POSITIONS, Shape
from verbatim.engine.features import mel_filters
from verbatim.engine.tokenizer import WhisperTokenizer

MAGIC: Final = 0x67676D6C
BLOCK_VALUES: Final = 32
"""Values that share a scale."""
_FILE_TYPE: Final = 2_000 + 7
"""Mostly q8_0, in the second version of ggml's quantization."""
_F32: Final = 0
_F16: Final = 1
_Q8_0: Final = 8
_UNQUANTISED: Final = frozenset({"encoder.positional_embedding", "decoder.positional_embedding"})
_CONVOLUTION_BIASES: Final = frozenset({"encoder.conv1.bias", "encoder.conv2.bias"})


def write(weights: Weights, shape: Shape, path: Path, tokenizer: WhisperTokenizer) -> None:
    """Write the file.

    Args:
        weights: of the shape.
        shape: of the model.
        path: of the file.
        tokenizer: its text tokens are written into the file.
    """
    with path.open("wb") as file:
        _integers(
            file,
            MAGIC,
            shape.vocabulary,
            AUDIO_POSITIONS,
            shape.width,
            shape.heads,
            shape.encoder_layers,
            TEXT_POSITIONS,
            shape.width,
            shape.heads,
            shape.decoder_layers,
            shape.mels,
            _FILE_TYPE,
        )
        filters = mel_filters(shape.mels)
        _integers(file, *filters.shape)
        file.write(filters.tobytes())
        _integers(file, END_OF_TEXT)
        for token in range(END_OF_TEXT):
            text = tokenizer.token_bytes([token])
            _integers(file, len(text))
            file.write(text)
        for name, array in weights.items():
            _tensor(file, name, array)


def q8_0(rows: Array) -> NDArray[np.uint8]:
    """Rows (n, k) with k a multiple of 32, as blocks: (n * k / 32, 34) bytes.

    A block is its scale as float16, then 32 values as int8.
    """
    blocks = rows.reshape(-1, BLOCK_VALUES)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127.0
    steps = np.where(scales > 0, scales, 1.0)
    values = np.rint(blocks / steps).astype(np.int8)
    return np.concatenate([scales.astype("<f2").view(np.uint8), values.view(np.uint8)], axis=1)


def _tensor(file: BinaryIO, name: str, array: Array) -> None:
    if name in _CONVOLUTION_BIASES:
        array = array[:, None]
    kind, data = _encoded(name, array)
    encoded_name = name.encode()
    _integers(file, array.ndim, len(encoded_name), kind, *reversed(array.shape))
    file.write(encoded_name)
    file.write(data)


def _encoded(name: str, array: Array) -> tuple[int, bytes]:
    if array.ndim == 3:
        return _F16, array.astype("<f2").tobytes()
    if array.ndim == 2 and name not in _UNQUANTISED and name not in _CONVOLUTION_BIASES:
        return _Q8_0, q8_0(array).tobytes()
    return _F32, array.astype("<f4").tobytes()


def _integers(file: BinaryIO, *values: int) -> None:
    file.write(struct.pack(f"<{len(values)}i", *values))
