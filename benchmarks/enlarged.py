"""The bundled demo model in the shape of a larger one: its text, and the larger model's cost.

Live speech cannot be measured with random weights: which words are committed, and how often a guess
changes, depends on what is decoded. So the demo model's weights are laid into the larger shape (the
idea of Net2Net, Chen et al. 2015, arXiv 1511.05641): every residual value is there several times,
whoever reads it reads the first copy, heads and layers that are new add nothing. Where the width
is no multiple, some values have a copy more; layer norms then see a mean and a variance that are
off by about one part in a hundred, which is what int8 does too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.model_files import ctranslate2_folder
from benchmarks.random_weights import Array, Weights
from benchmarks.shapes import FEED_FORWARD_FACTOR, SHAPES, Shape
from verbatim.engine.weights import AnyArray, dequantised, read_weights

DEMO_FOLDER: Final = Path(__file__).parents[1] / "src" / "verbatim" / "assets" / "demo-model"
DEMO: Final = "demo"
"""The demo model as it is, where the name of a shape may stand."""
RECIPE: Final = 1
"""Raised when the files change, so that old ones are not taken."""
_NEXT_TO_NOTHING: Final = np.float32(1e-6)
"""What a new layer's part in the residual is multiplied by."""
_MODEL_FILE: Final = "model.bin"
_ATTENTIONS: Final = {"attn": "self_attention", "cross_attn": "attention"}
"""openai-whisper's names of a decoder layer's two attentions, and CTranslate2's."""


def enlarged_folder(name: str, store: Path) -> Path:
    """A CTranslate2 folder of the demo model in a shape, made where it is missing.

    Args:
        name: of the shape, or `DEMO`.
        store: where such models are kept.
    """
    if name == DEMO:
        return DEMO_FOLDER
    made_from = (DEMO_FOLDER / _MODEL_FILE).stat()
    folder = store / f"demo-as-{name}-{RECIPE}-{made_from.st_size}-{int(made_from.st_mtime)}"
    if not folder.exists():
        unfinished = folder.with_name(f".{folder.name}")
        weights = enlarged(read_weights(DEMO_FOLDER / _MODEL_FILE), SHAPES[name])
        ctranslate2_folder.write(weights, SHAPES[name], unfinished, "int8")
        for file in DEMO_FOLDER.glob("*.json"):
            shutil.copy(file, unfinished)
        unfinished.rename(folder)
    return folder


def enlarged(small: dict[str, AnyArray], shape: Shape) -> Weights:
    """Weights of a shape that write what a smaller model writes.

    Args:
        small: variables of its CTranslate2 file.
        shape: at least as large in everything.

    Returns:
        By openai-whisper's names.
    """
    layout = _Layout(
        width=len(small["encoder/layer_norm/gamma"]),
        heads=int(small["encoder/num_heads"]),
        shape=shape,
    )
    weights = dict(_layers(small, layout, "encoder", shape.encoder_layers, ("attn",)))
    weights |= _layers(small, layout, "decoder", shape.decoder_layers, tuple(_ATTENTIONS))
    for name in ("conv1", "conv2"):
        weight = dequantised(small, f"encoder/{name}/weight")
        inputs = weight if name == "conv1" else layout.read(weight)
        weights[f"encoder.{name}.weight"] = layout.written(inputs)
        weights[f"encoder.{name}.bias"] = layout.written(small[f"encoder/{name}/bias"])
    for half in ("encoder", "decoder"):
        positions = small[f"{half}/position_encodings/encodings"]
        weights[f"{half}.positional_embedding"] = layout.written(positions.T).T.copy()
    embedding = dequantised(small, "decoder/embeddings/weight")
    weights["decoder.token_embedding.weight"] = layout.written(embedding.T).T.copy()
    weights |= layout.norm(small, "encoder/layer_norm", "encoder.ln_post")
    weights |= layout.norm(small, "decoder/layer_norm", "decoder.ln")
    return weights


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the values of the small model are in the large one.

    Attributes:
        width: of the small model.
        heads: of the small model.
        shape: of the large one.
    """

    width: int
    heads: int
    shape: Shape

    def written(self, array: AnyArray) -> Array:
        """Rows (small width, …) that are added to the residual, in all their copies."""
        copies, rest = divmod(self.shape.width, self.width)
        once_more = np.arange(rest) * self.width // max(rest, 1)
        return np.concatenate([*[array] * copies, array[once_more]]).astype(np.float32)

    def read(self, array: AnyArray) -> Array:
        """Columns (outputs, small width, …) that read the residual: its first copy only."""
        return _padded(array, 1, self.shape.width)

    def norm(self, small: dict[str, AnyArray], theirs: str, ours: str) -> Weights:
        """A layer norm, silent about the copies."""
        width = self.shape.width
        return {
            f"{ours}.weight": _padded(small[f"{theirs}/gamma"], 0, width),
            f"{ours}.bias": _padded(small[f"{theirs}/beta"], 0, width),
        }

    def into_heads(self, array: AnyArray, axis: int) -> Array:
        """An axis of all heads' values, (small width) to (large width)."""
        size, large = self.width // self.heads, self.shape.width // self.shape.heads
        before, after = array.shape[:axis], array.shape[axis + 1 :]
        apart = array.reshape(*before, self.heads, size, *after)
        wide = _padded(_padded(apart, axis + 1, large), axis, self.shape.heads)
        return wide.reshape(*before, self.shape.width, *after)

    @property
    def query_scale(self) -> float:
        """Makes up for larger heads, by whose size attention is divided."""
        size, large = self.width // self.heads, self.shape.width // self.shape.heads
        return float((large / size) ** 0.5)


def _layers(
    small: dict[str, AnyArray], layout: _Layout, half: str, count: int, attentions: tuple[str, ...]
) -> Iterator[tuple[str, Array]]:
    """All layers of one half; those that the small model does not have pass everything on."""
    known = len({name.split("/")[1] for name in small if name.startswith(f"{half}/layer_")}) - 1
    for place in range(count):
        source, name = f"{half}/layer_{min(place, known - 1)}", f"{half}.blocks.{place}"
        layer: Weights = {}
        for attention in attentions:
            layer |= _attention(
                small, layout, f"{source}/{_ATTENTIONS[attention]}", f"{name}.{attention}"
            )
        layer |= _feed_forward(small, layout, f"{source}/ffn", name)
        for key, array in layer.items():
            adds = key.endswith((".out.weight", ".out.bias", ".mlp.2.weight", ".mlp.2.bias"))
            if place < known:
                yield key, array
            else:
                # Not the same again, nor all zeros: CTranslate2 keeps equal arrays only once.
                yield key, np.roll(array, place, axis=-1) * (_NEXT_TO_NOTHING if adds else 1)


def _attention(small: dict[str, AnyArray], layout: _Layout, theirs: str, ours: str) -> Weights:
    linears = [
        (
            dequantised(small, f"{theirs}/linear_{part}/weight"),
            small[f"{theirs}/linear_{part}/bias"],
        )
        for part in range(3 if f"{theirs}/linear_2/weight" in small else 2)
    ]
    *inner, (out, out_bias) = linears
    weight = np.concatenate([weight for weight, _ in inner])
    bias = np.concatenate([bias for _, bias in inner])
    weights = layout.norm(small, f"{theirs}/layer_norm", f"{ours}_ln")
    for place, part in enumerate(("query", "key", "value")):
        rows = slice(place * layout.width, (place + 1) * layout.width)
        scale = np.float32(layout.query_scale if part == "query" else 1.0)
        weights[f"{ours}.{part}.weight"] = layout.read(layout.into_heads(weight[rows], 0)) * scale
        weights[f"{ours}.{part}.bias"] = layout.into_heads(bias[rows], 0) * scale
    weights[f"{ours}.out.weight"] = layout.written(layout.into_heads(out, 1))
    weights[f"{ours}.out.bias"] = layout.written(out_bias)
    return weights


def _feed_forward(small: dict[str, AnyArray], layout: _Layout, theirs: str, ours: str) -> Weights:
    hidden = FEED_FORWARD_FACTOR * layout.shape.width
    inner, outer = (dequantised(small, f"{theirs}/linear_{part}/weight") for part in (0, 1))
    return layout.norm(small, f"{theirs}/layer_norm", f"{ours}.mlp_ln") | {
        f"{ours}.mlp.0.weight": _padded(layout.read(inner), 0, hidden),
        f"{ours}.mlp.0.bias": _padded(small[f"{theirs}/linear_0/bias"], 0, hidden),
        f"{ours}.mlp.2.weight": layout.written(_padded(outer, 1, hidden)),
        f"{ours}.mlp.2.bias": layout.written(small[f"{theirs}/linear_1/bias"]),
    }


def _padded(array: AnyArray, axis: int, size: int) -> Array:
    """With zeros at the end of an axis."""
    missing = [(0, size - have if place == axis else 0) for place, have in enumerate(array.shape)]
    return np.pad(array, missing).astype(np.float32)
