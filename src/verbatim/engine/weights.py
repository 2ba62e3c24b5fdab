"""The arrays in a CTranslate2 model file, so that other runtimes can compute with the same weights.

Source of the layout: CTranslate2's `ModelSpec._serialize` (binary version 6): little endian; the
specification's name and revision; the variables, each with its name, shape, number format and
bytes; then names that stand for other variables. Strings have a 16-bit length and end in a zero.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

BINARY_VERSION: Final = 6
"""Of the layout; CTranslate2 writes no other since its version 2."""
_FORMATS: Final = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2", 5: "<u2"}
"""NumPy's names of CTranslate2's number formats; 5 is bfloat16, of which the bits are kept."""
_BFLOAT16: Final = 5
_INT8_MOST: Final = np.float32(127)

AnyArray: TypeAlias = NDArray[Any]


class UnreadableWeightsError(ValueError):
    """The file is not laid out as expected."""


class _Reader:
    """Reads a memory-mapped file from front to back."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def number(self, code: str) -> int:
        [value] = struct.unpack_from(f"<{code}", self._data, self._at)
        self._at += struct.calcsize(f"<{code}")
        return int(value)

    def string(self) -> str:
        data = self.bytes(self.number("H"))
        return bytes(data).rstrip(b"\0").decode()

    def bytes(self, size: int) -> memoryview:
        if self._at + size > len(self._data):
            raise UnreadableWeightsError("the file ends in the middle")
        part = memoryview(self._data)[self._at : self._at + size]
        self._at += size
        return part


def read_weights(path: Path, prefix: str = "") -> dict[str, AnyArray]:
    """Variables whose names begin with `prefix`, by the rest of their names.

    The arrays are read-only views of the mapped file: what is not used is not read. bfloat16
    becomes float32.

    Raises:
        UnreadableWeightsError: the file is of another kind, or cut off.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _read(_Reader(data), prefix)
    except (struct.error, UnicodeDecodeError) as error:
        raise UnreadableWeightsError(f"{path} is not laid out as expected") from error


def _read(reader: _Reader, prefix: str) -> dict[str, AnyArray]:
    if (version := reader.number("I")) != BINARY_VERSION:
        raise UnreadableWeightsError(f"of binary version {version}, not {BINARY_VERSION}")
    reader.string()
    reader.number("I")
    stored: dict[str, tuple[list[int], int, memoryview]] = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        number_format = reader.number("B")
        stored[name] = shape, number_format, reader.bytes(reader.number("I"))
    for _ in range(reader.number("I")):
        name, stands_for = reader.string(), reader.string()
        if stands_for not in stored:
            raise UnreadableWeightsError(f"{name} stands for {stands_for}, which is not there")
        stored[name] = stored[stands_for]
    return {
        name.removeprefix(prefix): _array(name, *stored[name])
        for name in stored
        if name.startswith(prefix)
    }


def _array(name: str, shape: list[int], number_format: int, data: memoryview) -> AnyArray:
    if number_format not in _FORMATS:
        raise UnreadableWeightsError(f"{name} has the unknown number format {number_format}")
    dtype = np.dtype(_FORMATS[number_format])
    if math.prod(shape) * dtype.itemsize != len(data):
        raise UnreadableWeightsError(f"{name} has {len(data)} bytes, which is not its shape")
    array = np.frombuffer(data, dtype).reshape(shape)
    if number_format == _BFLOAT16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def dequantised(weights: Mapping[str, AnyArray], name: str) -> NDArray[np.float32]:
    """A weight as float32, whatever it is kept as.

    int8 rows have a scale each (`NAME_scale`), by which they were multiplied.
    """
    array = weights[name]
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    scale = weights[f"{name}_scale"].astype(np.float32)
    whole: NDArray[np.float32] = array.astype(np.float32)
    return whole / scale.reshape(-1, *[1] * (array.ndim - 1)) if scale.ndim else whole / scale


def as_int8(
    weights: Mapping[str, AnyArray], name: str
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix as int8 rows and the number that each row is to be multiplied by.

    What the folder keeps in another format is rounded as CTranslate2 does when it loads such a
    folder for int8: each row by its largest number.
    """
    array = weights[name]
    if array.dtype == np.int8:
        return np.array(array), 1.0 / weights[f"{name}_scale"].astype(np.float32)
    whole = dequantised(weights, name)
    largest = np.abs(whole).max(axis=1)
    step = np.where(largest > 0, largest, 1.0).astype(np.float32) / _INT8_MOST
    return np.rint(whole / step[:, None]).astype(np.int8), step
