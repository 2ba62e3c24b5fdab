"""Whisper's encoder on OpenVINO, from the weights of a CTranslate2 folder.

The network is that of Radford et al. 2022 (openai-whisper's `AudioEncoder`): two convolutions with
GELU, sinusoidal positions, pre-norm transformer layers whose keys have no bias, a last layer norm.
What it gains over CTranslate2 on a CPU: attention in one fused step, without writing all scores to
memory that is mapped anew in each call.
"""

from __future__ import annotations

import importlib
import queue
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verbatim.engine.model_folder import WEIGHTS_FILE
from verbatim.engine.weights import AnyArray, as_int8, dequantised, read_weights

Encoded = NDArray[np.float32]

_TELEMETRY: Final = "openvino_telemetry"
_LAYER_NORM_EPSILON: Final = 1e-5
_QUANTISED_TOGETHER: Final = 128
"""Numbers of a row of activations that share a scale. 32 is the runtime's own choice; 128 costs a
tenth less time and, with speech, no accuracy that could be measured."""


class Precision(StrEnum):
    """What the encoder's linear layers compute with."""

    FLOAT32 = "float32"
    INT8 = "int8"
    """int8 weights as CTranslate2 has them, activations quantised on the fly."""
    BFLOAT16 = "bfloat16"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Importing OpenVINO must not tell anybody: its reporter looks as if it were not installed."""
    there = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # how an import is refused
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        if there is not None:
            sys.modules[_TELEMETRY] = there


def import_openvino() -> Any:
    """The package, or None where it is not installed or does not load."""
    with _without_telemetry():
        try:
            return importlib.import_module("openvino")
        except (ImportError, OSError):
            return None


def openvino_version() -> str | None:
    """Which OpenVINO is installed; None where there is none."""
    openvino = import_openvino()
    return None if openvino is None else str(openvino.__version__)


def computes_bfloat16() -> bool:
    """Whether the processor has instructions for it; without, it is emulated, slowly."""
    abilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in abilities


class OpenVinoEncoder:
    """A compiled encoder; may be called from several threads.

    It is compiled twice: for a call that has the processor to itself and uses all cores, and for
    calls that share it, on one core each. Threads of one call wait for each other, so a core that
    somebody else uses holds all of them up: with two workers a window takes a sixth less so.

    Args:
        folder: a CTranslate2 Whisper folder.
        threads: cores that it uses.

    Raises:
        UnreadableWeightsError: the folder's weights are not laid out as expected.
        KeyError: a weight is not there.
        RuntimeError: OpenVINO cannot compile it on this machine.
    """

    def __init__(self, folder: Path, precision: Precision, threads: int) -> None:
        openvino = import_openvino()
        weights = read_weights(folder / WEIGHTS_FILE, "encoder/")
        network = _Network(openvino, weights, in_int8=precision is Precision.INT8).build()
        compiled = partial(_Compiled, openvino.Core(), network, precision, threads)
        self.precision = precision
        # At the same time: most of compiling is done by one thread.
        with ThreadPoolExecutor(2) as pool:
            alone = pool.submit(compiled, 1)
            together = pool.submit(compiled, threads) if threads > 1 else alone
        self._alone, self._together = alone.result(), together.result()

    def encode(self, mel: NDArray[np.float32], *, alone: bool = True) -> Encoded:
        """Mel (B, mels, frames) -> (B, frames / 2, width).

        Args:
            mel: the spectrograms.
            alone: nothing else keeps the processor busy.
        """
        return (self._alone if alone else self._together).encode(mel)


class _Compiled:
    """The network, ready for so many calls at a time."""

    def __init__(
        self, core: Any, network: Any, precision: Precision, threads: int, calls: int
    ) -> None:
        hint = "bf16" if precision is Precision.BFLOAT16 else "f32"
        self._compiled = core.compile_model(
            network,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": calls,
                "INFERENCE_PRECISION_HINT": hint,
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": _QUANTISED_TOGETHER,
            },
        )
        # A request of OpenVINO's serves one call at a time; its buffers are kept for the next.
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def encode(self, mel: NDArray[np.float32]) -> Encoded:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        # Several together are no faster, each takes its share of memory, and whenever their number
        # changes all of it is taken anew.
        rows = [np.array(request.infer([row[None]], share_inputs=True)[0]) for row in mel]
        self._idle.put(request)
        return np.concatenate(rows)


class _Network:
    """Builds the graph."""

    def __init__(self, openvino: Any, weights: Mapping[str, AnyArray], in_int8: bool) -> None:
        self._model = openvino.Model
        self._op = openvino.opset13
        self._weights = weights
        self._in_int8 = in_int8
        self._heads = int(weights["num_heads"])
        self._width = weights["layer_norm/gamma"].shape[0]

    def build(self) -> Any:
        op = self._op
        mels = self._weights["conv1/weight"].shape[1]
        mel = op.parameter([-1, mels, -1], np.float32, name="mel")
        x = self._convolution(self._convolution(mel, "conv1", stride=1), "conv2", stride=2)
        x = op.transpose(x, self._integers(0, 2, 1))
        x = op.add(x, self._positions(x))
        for layer in range(self._count_layers()):
            x = self._layer(x, f"layer_{layer}/")
        return self._model([self._norm(x, "layer_norm")], [mel], "encoder")

    def _count_layers(self) -> int:
        names = (name.split("/", 1)[0] for name in self._weights)
        return len({name for name in names if name.startswith("layer_") and name != "layer_norm"})

    def _layer(self, x: Any, name: str) -> Any:
        op = self._op
        attended = self._attention(
            self._norm(x, f"{name}self_attention/layer_norm"), f"{name}self_attention/"
        )
        x = op.add(x, attended)
        inner = self._linear(self._norm(x, f"{name}ffn/layer_norm"), f"{name}ffn/linear_0")
        return op.add(x, self._linear(op.gelu(inner, "erf"), f"{name}ffn/linear_1"))

    def _attention(self, x: Any, name: str) -> Any:
        op = self._op
        # Queries, keys and values are one matrix in the folder.
        together = self._linear(x, f"{name}linear_0")
        parts = op.split(together, self._integers(-1, scalar=True), 3).outputs()
        query, key, value = (self._by_head(part) for part in parts)
        mixed = op.scaled_dot_product_attention(query, key, value)
        joined = op.reshape(
            op.transpose(mixed, self._integers(0, 2, 1, 3)), self._integers(0, 0, self._width), True
        )
        return self._linear(joined, f"{name}linear_1")

    def _by_head(self, x: Any) -> Any:
        """(B, T, D) -> (B, heads, T, D / heads)."""
        shape = self._integers(0, 0, self._heads, self._width // self._heads)
        return self._op.transpose(self._op.reshape(x, shape, True), self._integers(0, 2, 1, 3))

    def _linear(self, x: Any, name: str) -> Any:
        op = self._op
        product = op.matmul(x, self._matrix(f"{name}/weight"), False, True)
        return op.add(product, self._constant(f"{name}/bias"))

    def _matrix(self, name: str) -> Any:
        op = self._op
        if not self._in_int8:
            return op.constant(dequantised(self._weights, name))
        rows, step = as_int8(self._weights, name)
        return op.multiply(op.convert(op.constant(rows), np.float32), op.constant(step[:, None]))

    def _convolution(self, x: Any, name: str, stride: int) -> Any:
        # In two dimensions, one of them 1, since the runtime's fast convolutions are.
        op, depth = self._op, self._integers(2)
        kernel = op.constant(dequantised(self._weights, f"{name}/weight")[:, :, None, :])
        y = op.convolution(op.unsqueeze(x, depth), kernel, [1, stride], [0, 1], [0, 1], [1, 1])
        bias = op.constant(dequantised(self._weights, f"{name}/bias").reshape(1, -1, 1, 1))
        return op.gelu(op.squeeze(op.add(y, bias), depth), "erf")

    def _positions(self, x: Any) -> Any:
        op = self._op
        count = op.gather(op.shape_of(x), self._integers(1), self._integers(0, scalar=True))
        table = self._constant("position_encodings/encodings")
        return op.slice(table, self._integers(0), count, self._integers(1), self._integers(0))

    def _norm(self, x: Any, name: str) -> Any:
        op = self._op
        even = op.mvn(x, self._integers(-1), True, _LAYER_NORM_EPSILON, "inside_sqrt")
        scaled = op.multiply(even, self._constant(f"{name}/gamma"))
        return op.add(scaled, self._constant(f"{name}/beta"))

    def _constant(self, name: str) -> Any:
        return self._op.constant(dequantised(self._weights, name))

    def _integers(self, *values: int, scalar: bool = False) -> Any:
        return self._op.constant(np.array(values[0] if scalar else values, np.int64))
