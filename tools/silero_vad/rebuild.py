# /// script
# dependencies = ["numpy", "onnx==1.23.2"]
# ///
"""Write Silero VAD's graph anew, with its own weights, as large matrix products.

The published graph runs four small convolutions over the four STFT columns of each frame, which
a CPU does column by column. A convolution over so few columns is one matrix product, and then a
batch of frames is one large product: four times as fast, and equal within float32 rounding.

    python rebuild.py ORIGINAL.onnx OUT.onnx

ORIGINAL.onnx is `faster_whisper/assets/silero_vad_v6.onnx` of the faster-whisper 1.2.1 wheel.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 18
IR_VERSION = 8
FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
HOP_SAMPLES = 128
"""Between two STFT columns; a column's window is two hops."""
STFT_COLUMNS = 4
STFT_BINS = HOP_SAMPLES + 1
STRIDES = (1, 2, 2, 1)
HIDDEN_SIZE = 128

Array = NDArray[Any]


class Graph:
    """Nodes and constants as they are added, in order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Array) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def shape(self, name: str, *dims: int) -> str:
        """Add a constant of whole numbers; returns its name."""
        return self.constant(name, np.array(dims, np.int64))

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: object) -> str:
        """Add an operation; returns its first output's name."""
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]


def unrolled(weight: Array, bias: Array, columns: int, stride: int) -> tuple[Array, Array, int]:
    """A 3-tap convolution with padding 1 as a matrix over all its columns.

    Args:
        weight: (out, in, 3).
        bias: (out,).
        columns: of the input.
        stride: of the convolution.

    Returns:
        The matrix (columns * in, out_columns * out), its bias (out_columns * out,), out_columns.
    """
    outputs, inputs, taps = weight.shape
    out_columns = (columns - 1) // stride + 1
    matrix = np.zeros((columns * inputs, out_columns * outputs), np.float32)
    for out_column in range(out_columns):
        for tap in range(taps):
            column = out_column * stride + tap - 1
            if 0 <= column < columns:
                rows = slice(column * inputs, (column + 1) * inputs)
                matrix[rows, out_column * outputs : (out_column + 1) * outputs] = weight[..., tap].T
    return matrix, np.tile(bias, out_columns), out_columns


def add_magnitudes(graph: Graph, basis: Array) -> str:
    """STFT magnitudes: input (n, 576) to (n, columns * bins); `basis` is (2 * bins, window)."""
    pads = graph.shape("pads", 0, 0, 0, CONTEXT_SAMPLES)
    padded = graph.node("Pad", ["input", pads], ["padded"], mode="reflect")
    axis = graph.shape("axis", 1)
    hops = graph.shape("hops", -1, STFT_COLUMNS, HOP_SAMPLES)
    halves = []
    for half, start in (("first", 0), ("second", HOP_SAMPLES)):
        begin = graph.shape(f"{half}_begin", start)
        end = graph.shape(f"{half}_end", start + STFT_COLUMNS * HOP_SAMPLES)
        part = graph.node("Slice", [padded, begin, end, axis], [f"{half}_flat"])
        halves.append(graph.node("Reshape", [part, hops], [f"{half}_half"]))
    windows = graph.node("Concat", halves, ["windows"], axis=2)
    squares = []
    for name, rows in (("real", basis[:STFT_BINS]), ("imaginary", basis[STFT_BINS:])):
        matrix = graph.constant(f"{name}_basis", rows.T)
        value = graph.node("MatMul", [windows, matrix], [name])
        squares.append(graph.node("Mul", [value, value], [f"{name}_square"]))
    power = graph.node("Add", squares, ["power"])
    magnitude = graph.node("Sqrt", [power], ["magnitude"])
    flat = graph.shape("flat", -1, STFT_COLUMNS * STFT_BINS)
    return graph.node("Reshape", [magnitude, flat], ["magnitudes"])


def add_encoder(graph: Graph, frames: str, weights: Mapping[str, Array]) -> str:
    """The four convolutions: (n, columns * bins) to (n, hidden)."""
    columns = STFT_COLUMNS
    for layer, stride in enumerate(STRIDES):
        prefix = f"encoder.conv_layers.{layer}"
        matrix, bias, columns = unrolled(
            weights[f"{prefix}.weight"], weights[f"{prefix}.bias"], columns, stride
        )
        operands = [
            frames,
            graph.constant(f"conv{layer}_matrix", matrix),
            graph.constant(f"conv{layer}_bias", bias),
        ]
        product = graph.node("Gemm", operands, [f"conv{layer}"])
        frames = graph.node("Relu", [product], [f"encoded{layer}"])
    return frames


def add_decoder(graph: Graph, frames: str, weights: Mapping[str, Array]) -> None:
    """The LSTM over the frames, and the probability of each."""
    sequence = graph.node("Unsqueeze", [frames, graph.shape("batch_axis", 1)], ["sequence"])
    lstm = [graph.constant(f"lstm_{n}", weights[f"onnx::LSTM_{n}"]) for n in (209, 210, 211)]
    graph.node(
        "LSTM",
        [sequence, *lstm, "", "h", "c"],
        ["hidden", "hn", "cn"],
        hidden_size=HIDDEN_SIZE,
    )
    rows = graph.node("Reshape", ["hidden", graph.shape("rows", -1, HIDDEN_SIZE)], ["hidden_rows"])
    active = graph.node("Relu", [rows], ["hidden_active"])
    matrix = graph.constant("output_matrix", weights["decoder.conv1d.weight"][0])
    bias = graph.constant("output_bias", weights["decoder.conv1d.bias"])
    logit = graph.node("Gemm", [active, matrix, bias], ["logit"])
    column = graph.node("Sigmoid", [logit], ["probability"])
    graph.node("Reshape", [column, graph.shape("vector", -1)], ["speech_probs"])


def rebuild(original: onnx.ModelProto) -> onnx.ModelProto:
    """The same function of input (n, 576), h and c (1, 1, 128), as a faster graph."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in original.graph.initializer}
    graph = Graph()
    magnitudes = add_magnitudes(
        graph, weights["encoder.feature_extractor.forward_basis_buffer"][:, 0]
    )
    add_decoder(graph, add_encoder(graph, magnitudes, weights), weights)

    def tensor(name: str, *dims: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)

    state = (1, 1, HIDDEN_SIZE)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "silero_vad_v6",
            [
                tensor("input", "frames", FRAME_SAMPLES + CONTEXT_SAMPLES),
                tensor("h", *state),
                tensor("c", *state),
            ],
            [tensor("speech_probs", "frames"), tensor("hn", *state), tensor("cn", *state)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="verbatim",
    )
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:3])
    onnx.save(rebuild(onnx.load(source)), target)
