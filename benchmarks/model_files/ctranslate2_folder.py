"""A CTranslate2 Whisper folder, for Verbatim and faster-whisper; needs neither torch nor a hub."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs.whisper_spec import WhisperSpec

from benchmarks.random_weights import Weights
from benchmarks.shapes import Shape
from benchmarks.vocabulary import language_ids, special_ids, tokenizer_json, tokens_in_order


def write(weights: Weights, shape: Shape, folder: Path, quantization: str) -> None:
    """Write `model.bin` and what belongs to it.

    Args:
        weights: of the shape.
        shape: of the model.
        folder: made where it is missing.
        quantization: CTranslate2's name of the stored number format, such as "int8".
    """
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    _fill_encoder(spec.encoder, weights)
    _fill_decoder(spec.decoder, weights)
    contents = tokenizer_json(shape)
    spec.register_vocabulary(tokens_in_order(contents, shape))
    special = special_ids(contents)
    spec.config.lang_ids = language_ids(contents)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [special["<|endoftext|>"]]
    later_layers = range(shape.decoder_layers // 2, shape.decoder_layers)
    spec.config.alignment_heads = [list(head) for head in product(later_layers, range(shape.heads))]
    spec.validate()
    spec.optimize(quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    (folder / "tokenizer.json").write_text(json.dumps(contents), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"feature_size": shape.mels}), encoding="utf-8"
    )


def _fill_encoder(spec: Any, weights: Weights) -> None:
    for name in ("conv1", "conv2"):
        _fill_linear(getattr(spec, name), weights, f"encoder.{name}")
    spec.position_encodings.encodings = weights["encoder.positional_embedding"].copy()
    _fill_norm(spec.layer_norm, weights, "encoder.ln_post")
    for index, layer in enumerate(spec.layer):
        _fill_block(layer, weights, f"encoder.blocks.{index}")


def _fill_decoder(spec: Any, weights: Weights) -> None:
    embedding = weights["decoder.token_embedding.weight"].copy()
    spec.embeddings.weight = embedding
    spec.projection.weight = embedding
    spec.scale_embeddings = np.float32(1.0)
    spec.position_encodings.encodings = weights["decoder.positional_embedding"].copy()
    _fill_norm(spec.layer_norm, weights, "decoder.ln")
    for index, layer in enumerate(spec.layer):
        name = f"decoder.blocks.{index}"
        _fill_block(layer, weights, name)
        _fill_fused(layer.attention.linear[0], weights, f"{name}.cross_attn", ("query",))
        _fill_fused(layer.attention.linear[1], weights, f"{name}.cross_attn", ("key", "value"))
        _fill_linear(layer.attention.linear[2], weights, f"{name}.cross_attn.out")
        _fill_norm(layer.attention.layer_norm, weights, f"{name}.cross_attn_ln")


def _fill_block(layer: Any, weights: Weights, name: str) -> None:
    attention = layer.self_attention
    _fill_fused(attention.linear[0], weights, f"{name}.attn", ("query", "key", "value"))
    _fill_linear(attention.linear[1], weights, f"{name}.attn.out")
    _fill_norm(attention.layer_norm, weights, f"{name}.attn_ln")
    _fill_linear(layer.ffn.linear_0, weights, f"{name}.mlp.0")
    _fill_linear(layer.ffn.linear_1, weights, f"{name}.mlp.2")
    _fill_norm(layer.ffn.layer_norm, weights, f"{name}.mlp_ln")


def _fill_fused(spec: Any, weights: Weights, name: str, parts: tuple[str, ...]) -> None:
    """Several linear layers of one input as one."""
    matrices = [weights[f"{name}.{part}.weight"] for part in parts]
    zero = np.zeros(len(matrices[0]), np.float32)
    spec.weight = np.concatenate(matrices)
    spec.bias = np.concatenate([weights.get(f"{name}.{part}.bias", zero) for part in parts])


def _fill_linear(spec: Any, weights: Weights, name: str) -> None:
    # Quantizing changes arrays in place, and these are for other formats too.
    spec.weight = weights[f"{name}.weight"].copy()
    spec.bias = weights[f"{name}.bias"].copy()


def _fill_norm(spec: Any, weights: Weights, name: str) -> None:
    spec.gamma = weights[f"{name}.weight"].copy()
    spec.beta = weights[f"{name}.bias"].copy()
