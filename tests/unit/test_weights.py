"""Weights are read from CTranslate2's file as CTranslate2 computes with them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from ctranslate2.specs.common_spec import LinearSpec

from verbatim.engine.weights import UnreadableWeightsError, as_int8, dequantised, read_weights

MODEL = Path(__file__).parents[2] / "src" / "verbatim" / "assets" / "demo-model" / "model.bin"


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name: str, number_format: int, array: np.ndarray) -> bytes:
    shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    data = array.tobytes()
    return string(name) + shape + struct.pack("<BI", number_format, len(data)) + data


def model(variables: list[bytes], aliases: list[tuple[str, str]] = []) -> bytes:  # noqa: B006
    head = struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<I", 3)
    named = b"".join(string(a) + string(b) for a, b in aliases)
    return (
        head
        + struct.pack("<I", len(variables))
        + b"".join(variables)
        + struct.pack("<I", len(aliases))
        + named
    )


def write(folder: Path, data: bytes) -> Path:
    path = folder / "model.bin"
    path.write_bytes(data)
    return path


def test_every_number_format_becomes_float32(tmp_path: Path) -> None:
    wanted = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
    bfloat16 = (wanted.view(np.uint32) >> 16).astype(np.uint16)
    scale = 127 / np.abs(wanted).max(1)
    path = write(
        tmp_path,
        model(
            [
                variable("a/f32", 0, wanted),
                variable("a/f16", 4, wanted.astype(np.float16)),
                variable("a/bf16", 5, bfloat16),
                variable("a/int8", 1, np.round(wanted * scale[:, None]).astype(np.int8)),
                variable("a/int8_scale", 0, scale.astype(np.float32)),
                variable("b/other", 0, wanted),
            ]
        ),
    )
    weights = read_weights(path, "a/")
    assert set(weights) == {"f32", "f16", "bf16", "int8", "int8_scale"}
    for name in ("f32", "f16", "bf16"):
        np.testing.assert_array_equal(dequantised(weights, name), wanted)
    np.testing.assert_allclose(dequantised(weights, "int8"), wanted, atol=3 / 127 / 2)


def test_what_is_kept_in_float16_becomes_the_int8_that_ctranslate2_makes_of_it(
    tmp_path: Path,
) -> None:
    """Its converter stores the same numbers that its loader computes."""
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal((6, 40)).astype(np.float16)
    wanted[3] = 0
    spec = LinearSpec()
    spec.weight, spec.bias = wanted.astype(np.float32), np.zeros(6, np.float32)
    spec.validate()
    spec.optimize("int8")
    path = write(
        tmp_path,
        model(
            [
                variable("f16", 4, wanted),
                variable("int8", 1, spec.weight.numpy()),
                variable("int8_scale", 0, spec.weight_scale.numpy()),
            ]
        ),
    )
    weights = read_weights(path)
    rows, step = as_int8(weights, "f16")
    kept_rows, kept_step = as_int8(weights, "int8")
    np.testing.assert_array_equal(rows, kept_rows)
    np.testing.assert_allclose(step[np.arange(6) != 3], kept_step[np.arange(6) != 3], rtol=1e-6)
    np.testing.assert_allclose(rows * step[:, None], wanted, atol=step.max() / 2)


def test_a_name_may_stand_for_a_variable_of_another_part(tmp_path: Path) -> None:
    zeros = np.zeros(3, np.float32)
    path = write(tmp_path, model([variable("decoder/b", 0, zeros)], [("encoder/b", "decoder/b")]))
    np.testing.assert_array_equal(read_weights(path, "encoder/")["b"], zeros)


@pytest.mark.parametrize("kept", [3, 20, 40, 60])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    whole = model([variable("a", 0, np.zeros(8, np.float32))])
    assert len(whole) > 60
    with pytest.raises(UnreadableWeightsError):
        read_weights(write(tmp_path, whole[:kept]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableWeightsError, match="version"):
        read_weights(write(tmp_path, struct.pack("<I", 5) + b"\0" * 100))
    wrong = string("a") + struct.pack("<BIBI", 1, 3, 0, 4) + b"\0" * 4
    with pytest.raises(UnreadableWeightsError, match="not its shape"):
        read_weights(write(tmp_path, model([wrong])))
    unknown = string("a") + struct.pack("<BIBI", 1, 1, 99, 1) + b"\0"
    with pytest.raises(UnreadableWeightsError, match="format 99"):
        read_weights(write(tmp_path, model([unknown])))
    with pytest.raises(UnreadableWeightsError, match="stands for"):
        read_weights(write(tmp_path, model([], [("a", "b")])))


def test_the_demo_model_can_be_read() -> None:
    weights = read_weights(MODEL, "encoder/")
    assert weights["conv1/weight"].shape == (160, 80, 3)
    assert dequantised(weights, "layer_0/self_attention/linear_0/weight").shape == (480, 160)
