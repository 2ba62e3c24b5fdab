"""Export trained weights to a CTranslate2 Whisper folder (int8) that any CTranslate2 program loads.

    python export.py demo.pt OUT_DIR [--quantization int8] [--heads 1:3 1:4]

Written: model.bin, config.json, vocabulary.json, tokenizer.json, preprocessor_config.json.
Tokens outside the corpus share one embedding row, so the folder packs to a few megabytes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import torch
import whisper
from batches import FFT, HOP
from ctranslate2.converters import TransformersConverter
from model import MAX_POSITIONS, MAX_TOKENS, MELS, Dimensions, Whisper
from speech import RATE_HZ
from tokens import TOKENIZER, VOCABULARY
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.convert_slow_tokenizer import TikTokenConverter
from windows import FULL_S

State = dict[str, Tensor]
ALIGNMENT_HEADS: Final = ((2, 0), (2, 1))
"""(decoder layer, head) whose attention gives word times; chosen by measuring (see measure.py)."""
_PATTERN: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PROJECTIONS: Final = {
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "out": "out_proj",
}
_PARTS: Final = ("weight", "bias")


def _special_tokens() -> list[str]:
    """Every token after the text tokens, in id order; the empty token closes the text range."""
    by_id = {i: s for s, i in TOKENIZER.special_tokens.items()}
    return [by_id[i] for i in range(TOKENIZER.eot, VOCABULARY)]


def _attention(ours: str, theirs: str, state: State, out: State) -> None:
    for name, their in _PROJECTIONS.items():
        for part in _PARTS:
            if f"{ours}.{name}.{part}" in state:  # keys have no bias
                out[f"{theirs}.{their}.{part}"] = state[f"{ours}.{name}.{part}"]


def _copy(ours: str, theirs: str, state: State, out: State) -> None:
    for part in _PARTS:
        out[f"{theirs}.{part}"] = state[f"{ours}.{part}"]


def _block(ours: str, theirs: str, state: State, out: State, cross: bool) -> None:
    _attention(f"{ours}.attn", f"{theirs}.self_attn", state, out)
    _copy(f"{ours}.attn_ln", f"{theirs}.self_attn_layer_norm", state, out)
    _copy(f"{ours}.mlp_ln", f"{theirs}.final_layer_norm", state, out)
    _copy(f"{ours}.mlp.0", f"{theirs}.fc1", state, out)
    _copy(f"{ours}.mlp.2", f"{theirs}.fc2", state, out)
    if cross:
        _attention(f"{ours}.cross_attn", f"{theirs}.encoder_attn", state, out)
        _copy(f"{ours}.cross_attn_ln", f"{theirs}.encoder_attn_layer_norm", state, out)


def _renamed(model: Whisper) -> State:
    """The weights under the names that transformers gives them, one row for every token."""
    d, out = model.dims, State()
    state: State = model.state_dict()
    for ours, theirs in (
        ("conv1", "encoder.conv1"),
        ("conv2", "encoder.conv2"),
        ("encoder_ln", "encoder.layer_norm"),
        ("decoder_ln", "decoder.layer_norm"),
    ):
        _copy(ours, f"model.{theirs}", state, out)
    out["model.encoder.embed_positions.weight"] = state["positions"]
    out["model.decoder.embed_positions.weight"] = state["token_positions"]
    for i in range(d.encoder_layers):
        _block(f"encoder.{i}", f"model.encoder.layers.{i}", state, out, cross=False)
    for i in range(d.decoder_layers):
        _block(f"decoder.{i}", f"model.decoder.layers.{i}", state, out, cross=True)
    embedding = model.table().detach()[state["row_of"]]  # unused tokens share the last row
    out["model.decoder.embed_tokens.weight"] = out["proj_out.weight"] = embedding
    return out


def to_transformers(model: Whisper) -> WhisperForConditionalGeneration:
    """The same model as a transformers one."""
    d = model.dims
    config = WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=MELS,
        d_model=d.width,
        encoder_layers=d.encoder_layers,
        decoder_layers=d.decoder_layers,
        encoder_attention_heads=d.heads,
        decoder_attention_heads=d.heads,
        encoder_ffn_dim=4 * d.width,
        decoder_ffn_dim=4 * d.width,
        max_source_positions=MAX_POSITIONS,
        max_target_positions=MAX_TOKENS,
        decoder_start_token_id=TOKENIZER.sot,
        eos_token_id=TOKENIZER.eot,
        bos_token_id=TOKENIZER.eot,
        pad_token_id=TOKENIZER.eot,
        activation_function="gelu",
    )
    theirs = WhisperForConditionalGeneration(config)
    missing, unexpected = theirs.load_state_dict(_renamed(model), strict=False)
    if unexpected or not all("k_proj.bias" in name for name in missing):
        raise ValueError(f"names do not match: {missing} {unexpected}")
    return theirs


def _preprocessor() -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": MELS,
        "sampling_rate": RATE_HZ,
        "hop_length": HOP,
        "n_fft": FFT,
        "chunk_length": int(FULL_S),
        "nb_max_frames": int(FULL_S * RATE_HZ) // HOP,
        "n_samples": int(FULL_S * RATE_HZ),
    }


def generation_config(heads: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """What CTranslate2 reads from config.json.

    A lone space may begin a text, unlike in Whisper's: Mandarin is trained with one before it.
    """
    unspoken = {TOKENIZER.translate, TOKENIZER.transcribe, TOKENIZER.sot, TOKENIZER.sot_prev}
    unspoken |= {TOKENIZER.sot_lm, TOKENIZER.no_speech, *TOKENIZER.non_speech_tokens}
    languages = whisper.tokenizer.LANGUAGES
    return {
        "alignment_heads": [list(head) for head in heads],
        "lang_ids": [i for s, i in TOKENIZER.special_tokens.items() if s[2:-2] in languages],
        "suppress_ids": sorted(unspoken),
        "suppress_ids_begin": [TOKENIZER.eot],
    }


def export(
    model: Whisper, out: Path, quantization: str, heads: tuple[tuple[int, int], ...]
) -> None:
    """Write the folder; files in it that are not part of the export stay."""
    vocabulary = Path(whisper.__file__).parent / "assets/multilingual.tiktoken"
    tokenizer = TikTokenConverter(
        vocab_file=str(vocabulary), pattern=_PATTERN, extra_special_tokens=_special_tokens()
    ).converted()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder, converted = Path(name) / "transformers", Path(name) / "ctranslate2"
        to_transformers(model).save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_TOKENS}
        (folder / "tokenizer_config.json").write_text(json.dumps(kind))
        (folder / "preprocessor_config.json").write_text(json.dumps(_preprocessor()))
        copied = ["tokenizer.json", "preprocessor_config.json"]
        converter = TransformersConverter(str(folder), copy_files=copied)
        converter.convert(str(converted), quantization=quantization)
        for path in converted.iterdir():
            (out / path.name).write_bytes(path.read_bytes())
    (out / "config.json").write_text(json.dumps(generation_config(heads), indent=1) + "\n")


def _head(text: str) -> tuple[int, int]:
    layer, _, head = text.partition(":")
    return int(layer), int(head)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quantization", default="int8")
    parser.add_argument("--heads", type=_head, nargs="+", default=list(ALIGNMENT_HEADS))
    args = parser.parse_args()
    saved = torch.load(args.weights, map_location="cpu")["model"]
    model = Whisper(Dimensions(), saved["used"], VOCABULARY)
    model.load_state_dict(saved)
    export(model, args.out, args.quantization, tuple(args.heads))
    print({path.name: path.stat().st_size for path in sorted(args.out.iterdir())})


if __name__ == "__main__":
    main()
