"""A Whisper folder as transformers loads it: safetensors and configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.random_weights import END_OF_TEXT, Array, Weights
from benchmarks.shapes import AUDIO_POSITIONS, FEED_FORWARD_FACTOR, TEXT_POSITIONS, Shape
from benchmarks.vocabulary import special_ids, tokenizer_json

_RENAMED: Final = (
    (r"\.blocks\.", ".layers."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.cross_attn_ln\.", ".encoder_attn_layer_norm."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.attn\.", ".self_attn."),
    (r"\.query\.", ".q_proj."),
    (r"\.key\.", ".k_proj."),
    (r"\.value\.", ".v_proj."),
    (r"\.out\.", ".out_proj."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"^encoder\.ln_post\.", "encoder.layer_norm."),
    (r"^decoder\.ln\.", "decoder.layer_norm."),
    (r"\.token_embedding\.", ".embed_tokens."),
    (r"\.positional_embedding$", ".embed_positions.weight"),
)
"""openai-whisper's names, and what transformers calls them."""


def renamed(weights: Weights) -> dict[str, Array]:
    """The same tensors by the names of transformers."""
    found: dict[str, Array] = {}
    for name, array in weights.items():
        theirs = name
        for pattern, replacement in _RENAMED:
            theirs = re.sub(pattern, replacement, theirs)
        found[f"model.{theirs}"] = np.ascontiguousarray(array)
    return found


def write(weights: Weights, shape: Shape, folder: Path) -> None:
    """Write a folder for `from_pretrained`; needs safetensors."""
    from safetensors.numpy import save_file  # noqa: PLC0415 - only where this peer is installed

    folder.mkdir(parents=True, exist_ok=True)
    save_file(renamed(weights), folder / "model.safetensors", metadata={"format": "pt"})
    contents = tokenizer_json(shape)
    for name, value in (
        ("config.json", _config(shape, special_ids(contents))),
        ("preprocessor_config.json", _preprocessor(shape)),
        ("tokenizer.json", contents),
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
        ("generation_config.json", _generation(special_ids(contents))),
    ):
        (folder / name).write_text(json.dumps(value), encoding="utf-8")


def _config(shape: Shape, special: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "vocab_size": shape.vocabulary,
        "num_mel_bins": shape.mels,
        "d_model": shape.width,
        "encoder_layers": shape.encoder_layers,
        "decoder_layers": shape.decoder_layers,
        "encoder_attention_heads": shape.heads,
        "decoder_attention_heads": shape.heads,
        "encoder_ffn_dim": FEED_FORWARD_FACTOR * shape.width,
        "decoder_ffn_dim": FEED_FORWARD_FACTOR * shape.width,
        "max_source_positions": AUDIO_POSITIONS,
        "max_target_positions": TEXT_POSITIONS,
        "pad_token_id": END_OF_TEXT,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": END_OF_TEXT,
        "decoder_start_token_id": special["<|startoftranscript|>"],
        "torch_dtype": "float32",
    }


def _preprocessor(shape: Shape) -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": shape.mels,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": 30,
        "nb_max_frames": 3_000,
        "n_samples": 480_000,
    }


def _generation(special: dict[str, int]) -> dict[str, Any]:
    first, last = special["<|startoftranscript|>"], special["<|translate|>"]
    return {
        "is_multilingual": True,
        "lang_to_id": {token: i for token, i in special.items() if first < i < last},
        "task_to_id": {
            "transcribe": special["<|transcribe|>"],
            "translate": special["<|translate|>"],
        },
        "no_timestamps_token_id": special["<|notimestamps|>"],
        "decoder_start_token_id": first,
        "pad_token_id": END_OF_TEXT,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": END_OF_TEXT,
        "max_length": TEXT_POSITIONS,
        "suppress_tokens": [],
        "begin_suppress_tokens": [END_OF_TEXT],
        "forced_decoder_ids": None,
    }
