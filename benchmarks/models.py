"""The random models on disk, made once in each format that is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from benchmarks.model_files import (
    ctranslate2_folder,
    ggml_file,
    openai_checkpoint,
    transformers_folder,
)
from benchmarks.random_weights import Weights, random_weights
from benchmarks.shapes import SHAPES, Shape
from benchmarks.vocabulary import bundled_tokenizer, word_tokens

RECIPE: Final = 3
"""Raised when the files change, so that old ones are not taken."""
_EXPORT_S: Final = 1_800.0


class ModelFormat(StrEnum):
    """How a program wants its model; the value is the file's or folder's name."""

    CTRANSLATE2_INT8 = "ctranslate2-int8"
    CTRANSLATE2_FLOAT16 = "ctranslate2-float16"
    OPENAI = "openai.pt"
    TRANSFORMERS = "transformers"
    GGML = "ggml-q8_0.bin"
    OPENVINO = "openvino-int8"


class ModelError(Exception):
    """A model cannot be made in a format; the message says why."""


class ModelStore:
    """Makes and keeps the models.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._weights: tuple[str, Weights] | None = None

    def get(self, name: str, form: ModelFormat) -> Path:
        """A model's file or folder, made where it is missing.

        Raises:
            ModelError: it cannot be made here.
        """
        path = self._folder / f"{name}-{RECIPE}" / form.value
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            self._make(SHAPES[name], form, unfinished)
            unfinished.rename(path)
        except ImportError as error:
            raise ModelError(f"{error.name} is not installed") from error
        finally:
            _remove(unfinished)
        return path

    def forget_weights(self) -> None:
        """Let go of the memory that making models takes."""
        self._weights = None

    def _make(self, shape: Shape, form: ModelFormat, path: Path) -> None:
        if form is ModelFormat.OPENVINO:
            _export_openvino(self.get(shape.name, ModelFormat.TRANSFORMERS), path)
        else:
            _WRITERS[form](self._weights_of(shape), shape, path)

    def _weights_of(self, shape: Shape) -> Weights:
        if self._weights is None or self._weights[0] != shape.name:
            self._weights = (shape.name, random_weights(shape, word_tokens()))
        return self._weights[1]


def _write_int8(weights: Weights, shape: Shape, path: Path) -> None:
    ctranslate2_folder.write(weights, shape, path, "int8")


def _write_float16(weights: Weights, shape: Shape, path: Path) -> None:
    ctranslate2_folder.write(weights, shape, path, "float16")


def _write_ggml(weights: Weights, shape: Shape, path: Path) -> None:
    ggml_file.write(weights, shape, path, bundled_tokenizer())


Writer: TypeAlias = Callable[[Weights, Shape, Path], None]
_WRITERS: Final[Mapping[ModelFormat, Writer]] = MappingProxyType(
    {
        ModelFormat.CTRANSLATE2_INT8: _write_int8,
        ModelFormat.CTRANSLATE2_FLOAT16: _write_float16,
        ModelFormat.OPENAI: openai_checkpoint.write,
        ModelFormat.TRANSFORMERS: transformers_folder.write,
        ModelFormat.GGML: _write_ggml,
    }
)


def _export_openvino(source: Path, path: Path) -> None:
    """Have optimum-intel export a transformers folder, as its users do."""
    command = (
        *(str(Path(sys.executable).with_name("optimum-cli")), "export", "openvino"),
        *("--model", str(source), "--task", "automatic-speech-recognition-with-past"),
        *("--weight-format", "int8", str(path)),
    )
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_EXPORT_S, check=False
        )
    except FileNotFoundError as error:
        raise ModelError("optimum-intel is not installed, which exports the model") from error
    if done.returncode:
        reason = next(iter(reversed(done.stderr.strip().splitlines())), "no reason given")
        raise ModelError(f"optimum-intel cannot export the model: {reason}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
