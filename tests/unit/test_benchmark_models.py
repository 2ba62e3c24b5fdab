"""The benchmark's random models: real shapes, and text that every program believes."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from benchmarks.model_files import ctranslate2_folder, ggml_file
from benchmarks.model_files.transformers_folder import renamed
from benchmarks.random_weights import END_OF_TEXT, Weights, random_weights, sinusoids
from benchmarks.shapes import SHAPES, Shape
from benchmarks.vocabulary import (
    bundled_tokenizer,
    language_ids,
    special_ids,
    tokenizer_json,
    tokens_in_order,
    word_tokens,
)
from tests.support.speech import samples_of

from verbatim.domain.audio import Window, to_pcm
from verbatim.domain.request import DecodeOptions, Gates
from verbatim.domain.transcript import WindowResult
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import LoadOptions
from verbatim.stages.repetition import find_loops

SMALL = Shape("small-test", 2, 2, 384, 6, 80, 51865)
TOKENS = 16
LIMIT = 2 * TOKENS - 4


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(SMALL, word_tokens())


@pytest.fixture(scope="module")
def results(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> list[WindowResult]:
    """What a small model of this kind says to several recordings of 5 s."""
    folder = tmp_path_factory.mktemp("model") / "int8"
    ctranslate2_folder.write(weights, SMALL, folder, "int8")
    options = DecodeOptions(
        language="en",
        timestamps=False,
        beam_size=1,
        temperatures=(0.0,),
        gates=Gates(None, None, None, None),
        max_new_tokens=LIMIT,
    )
    speech = samples_of("long-en-1")
    parts = [speech[start : start + 80_000] for start in range(0, 640_000, 80_000)]
    windows = [Window(to_pcm(part), options=options) for part in parts]
    load = LoadOptions(device="cpu", encoder="ctranslate2")
    engine = LocalEngine.load(folder, "random", load)

    async def run() -> list[WindowResult]:
        try:
            return await engine.run(windows)
        finally:
            await engine.aclose()

    return asyncio.run(run())


def test_every_window_is_decoded_to_the_limit(results: list[WindowResult]) -> None:
    assert {len(result.tokens) for result in results} == {TOKENS}


def test_the_text_is_probable_and_has_no_loops(results: list[WindowResult]) -> None:
    """So that nothing is decoded a second time, at full length or at a higher temperature."""
    gates = Gates()
    assert gates.avg_logprob is not None
    assert gates.compression_ratio is not None
    for result in results:
        assert result.avg_logprob > gates.avg_logprob
        assert result.compression_ratio < gates.compression_ratio
        (segment,) = result.segments
        assert not find_loops(segment.text.split())


def test_the_text_depends_on_the_audio(results: list[WindowResult]) -> None:
    """Equal texts one after another would be taken for a loop."""
    assert len({result.tokens for result in results}) > len(results) // 2


def test_weights_are_the_same_each_time(weights: Weights, tmp_path: Path) -> None:
    """Also after a file was written of them: other formats are made of the same ones."""
    ctranslate2_folder.write(weights, SMALL, tmp_path, "int8")
    again = random_weights(SMALL, word_tokens())
    assert all(np.array_equal(array, again[name]) for name, array in weights.items())


@pytest.mark.parametrize(
    ("name", "parameters"), [("tiny", 37_760_640), ("base", 72_593_920), ("small", 241_734_912)]
)
def test_shapes_have_as_many_weights_as_the_real_ones(name: str, parameters: int) -> None:
    """What transformers counts in the published models."""
    shape = SHAPES[name]
    width, hidden = shape.width, 4 * shape.width
    attention = 4 * width * width + 3 * width
    block = attention + 2 * width * hidden + hidden + width + 4 * width
    cross = attention + 2 * width
    count = shape.encoder_layers * block + shape.decoder_layers * (block + cross)
    count += 3 * width * (shape.mels + width) + 2 * width + 4 * width
    count += width * (shape.vocabulary + 448 + 1500)
    assert count == parameters
    if name == "tiny":
        found = random_weights(shape, word_tokens())
        assert sum(array.size for array in found.values()) == count


def test_positions_are_sines_and_cosines() -> None:
    """Independent of the vectorised code: the formula of the paper, value by value."""
    found = sinusoids(5, 8)
    for position in range(5):
        for place in range(4):
            angle = position / 10_000 ** (place / 3)
            assert found[position, place] == pytest.approx(np.sin(angle), abs=1e-6)
            assert found[position, 4 + place] == pytest.approx(np.cos(angle), abs=1e-6)


@pytest.mark.parametrize(("name", "languages"), [("tiny", 99), ("large-v3", 100)])
def test_vocabularies_are_whole(name: str, languages: int) -> None:
    shape = SHAPES[name]
    contents = tokenizer_json(shape)
    tokens = tokens_in_order(contents, shape)
    assert len(set(tokens)) == len(tokens) == shape.vocabulary
    assert tokens[END_OF_TEXT] == "<|endoftext|>"
    assert tokens[-1] == "<|30.00|>"
    assert len(language_ids(contents)) == languages
    assert tokens[special_ids(contents)["<|notimestamps|>"] + 1] == "<|0.00|>"


def test_transformers_names_are_complete(weights: Weights) -> None:
    names = renamed(weights)
    assert len(names) == len(weights)
    assert "model.encoder.layers.0.self_attn.q_proj.weight" in names
    assert "model.decoder.layers.1.encoder_attn_layer_norm.bias" in names
    assert "model.decoder.layers.0.fc2.weight" in names
    assert "model.decoder.embed_positions.weight" in names
    assert not any("blocks" in name or "mlp" in name or "ln" in name for name in names)


def test_eight_bit_blocks_hold_the_values() -> None:
    values = np.random.default_rng(1).normal(0, 3, (4, 64)).astype(np.float32)
    blocks = ggml_file.q8_0(values)
    assert blocks.shape == (8, 34)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    restored = blocks[:, 2:].view(np.int8).astype(np.float32) * scales
    largest = np.abs(values).max()
    assert np.abs(restored.reshape(values.shape) - values).max() < largest / 127
    assert not ggml_file.q8_0(np.zeros((1, 32), np.float32)).any()


def test_a_ggml_file_has_every_tensor(weights: Weights, tmp_path: Path) -> None:
    """Read back by the layout that whisper.cpp's loader follows."""
    path = tmp_path / "model.bin"
    ggml_file.write(weights, SMALL, path, bundled_tokenizer())
    shapes: dict[str, tuple[int, ...]] = {}
    with path.open("rb") as file:

        def integers(count: int) -> tuple[int, ...]:
            return struct.unpack(f"<{count}i", file.read(4 * count))

        magic, vocabulary, *_ = integers(12)
        assert (magic, vocabulary) == (ggml_file.MAGIC, SMALL.vocabulary)
        mels, bins = integers(2)
        file.seek(4 * mels * bins, 1)
        (count,) = integers(1)
        texts = [file.read(*integers(1)) for _ in range(count)]
        assert b" the" in texts
        sizes = {0: lambda n: 4 * n, 1: lambda n: 2 * n, 8: lambda n: n // 32 * 34}
        while header := file.read(12):
            dimensions, length, kind = struct.unpack("<3i", header)
            shape = integers(dimensions)
            name = file.read(length).decode()
            shapes[name] = tuple(reversed(shape))
            file.seek(sizes[kind](int(np.prod(shape))), 1)
    assert set(shapes) == set(weights)
    assert shapes["decoder.token_embedding.weight"] == (SMALL.vocabulary, SMALL.width)
    assert shapes["encoder.conv1.bias"] == (SMALL.width, 1)


def test_the_config_tells_the_languages(weights: Weights, tmp_path: Path) -> None:
    ctranslate2_folder.write(weights, SMALL, tmp_path, "int8")
    config = json.loads((tmp_path / "config.json").read_text())
    assert len(config["lang_ids"]) == 99
    assert config["alignment_heads"] == [[1, head] for head in range(SMALL.heads)]
