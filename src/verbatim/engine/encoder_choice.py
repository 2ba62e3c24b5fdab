"""Which runtime encodes a model fastest on this machine: measured once, then remembered.

A candidate must compute what the model computes: its output may differ from that of the same
weights in float32 by 1 % (relative, Frobenius norm), or by no more than CTranslate2's own does.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verbatim.engine.model import Array

EncoderName: TypeAlias = Literal["auto", "ctranslate2", "openvino"]

CTRANSLATE2: Final = "ctranslate2"
MAX_RELATIVE_ERROR: Final = 0.01
ROUNDS: Final = 2
SLOW_S: Final = 4.0
"""Nothing that takes longer is measured again: large models would start minutes later."""
REMEMBERED_IN: Final = "encoders.json"
_SAMPLED_BYTES: Final = 1 << 16


class Encode(Protocol):
    """An encoder; blocks, and may be called from several threads."""

    def __call__(self, mel: Array, *, alone: bool = True) -> NDArray[np.float32]:
        """Mel (B, mels, frames) -> encoder output (B, frames / 2, width).

        Args:
            mel: the spectrograms.
            alone: nothing else keeps the processor busy.
        """
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to encode: its name, and how to set it up (may raise RuntimeError or ValueError)."""

    name: str
    open: Callable[[], Encode]


@dataclass(frozen=True, slots=True)
class EncoderMeasurement:
    """What each encoder needs and gives here.

    Attributes:
        model: the name of what was measured.
        window_ms: milliseconds of one core for 30 s, by candidate.
        errors: relative error of each candidate's output; empty where it could not be told.
        failures: why a candidate does not work here, by candidate.
    """

    model: str
    window_ms: Mapping[str, float]
    errors: Mapping[str, float]
    failures: Mapping[str, str]

    def fastest(self, without: Sequence[str] = ()) -> str | None:
        """The fastest candidate that is true to the model; None where none is."""
        allowed = max(MAX_RELATIVE_ERROR, self.errors.get(CTRANSLATE2, 0.0))
        true = [
            name
            for name in self.window_ms
            if name not in without and self.errors.get(name, np.inf) <= allowed
        ]
        return min(true, key=self.window_ms.__getitem__, default=None)


def measure_encoders(
    model: str, mel: Array, standing: Encode, exact: str, candidates: Sequence[Candidate]
) -> EncoderMeasurement:
    """Try all of them side by side. Blocks for seconds.

    Args:
        model: its name, for whoever reads the result.
        mel: speech of 30 s, (1, mels, 3000).
        standing: CTranslate2's encoder, which serves where nothing is better.
        exact: name of the candidate whose output the others are compared with; if it does not
            work, none of them can be taken.
        candidates: others to try.
    """
    every = [Candidate(CTRANSLATE2, lambda: standing), *candidates]
    working: dict[str, Encode] = {}
    outputs: dict[str, NDArray[np.float32]] = {}
    failures: dict[str, str] = {}
    for candidate in every:
        try:
            encode = candidate.open()
            outputs[candidate.name] = encode(mel)
        except (RuntimeError, ValueError, KeyError) as error:
            failures[candidate.name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            working[candidate.name] = encode
    return EncoderMeasurement(model, _times_ms(mel, working), _errors(outputs, exact), failures)


def _errors(outputs: Mapping[str, NDArray[np.float32]], exact: str) -> dict[str, float]:
    if exact not in outputs:
        return {}
    wanted = outputs[exact]
    size = float(np.linalg.norm(wanted))
    return {
        name: round(float(np.linalg.norm(output - wanted)) / size, 6)
        for name, output in outputs.items()
    }


def _times_ms(mel: Array, working: Mapping[str, Encode]) -> dict[str, float]:
    """Processor time, the best of some rounds in which the candidates take turns.

    Not the time that passes: at start a machine often does much else.
    """
    best = dict.fromkeys(working, np.inf)
    for _ in range(ROUNDS):
        for name, encode in working.items():
            if best[name] == np.inf or best[name] < SLOW_S:
                began = time.process_time()
                encode(mel)
                best[name] = min(best[name], time.process_time() - began)
    return {name: round(1000 * seconds, 1) for name, seconds in best.items()}


def fingerprint(weights: Path, *circumstances: str) -> str:
    """Names a model on a machine: its size and parts of it, and whatever else speed hangs on.

    Raises:
        OSError: the weights cannot be read.
    """
    size = weights.stat().st_size
    digest = hashlib.sha256("\0".join((str(size), *circumstances)).encode())
    with weights.open("rb") as file:
        for place in (0, size // 2, max(0, size - _SAMPLED_BYTES)):
            file.seek(place)
            digest.update(file.read(_SAMPLED_BYTES))
    return digest.hexdigest()[:32]


class RememberedMeasurements:
    """Measurements in a file of the data folder. What cannot be kept is measured again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / REMEMBERED_IN

    def all(self) -> dict[str, EncoderMeasurement]:
        """By fingerprint; empty where there are none, or the file is damaged."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return {key: EncoderMeasurement(**value) for key, value in kept.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def keep(self, key: str, measured: EncoderMeasurement) -> None:
        """Add one; a folder that cannot be written to is no reason to stop."""
        whole = {name: asdict(kept) for name, kept in {**self.all(), key: measured}.items()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Another process may write at the same time: each replaces the file whole.
            descriptor, partial = tempfile.mkstemp(dir=self._path.parent, prefix=REMEMBERED_IN)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(whole, file, indent=1)
            Path(partial).replace(self._path)
        except OSError:
            return
