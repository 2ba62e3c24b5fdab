"""Voice activity: how probable speech is in every 32 ms, by Silero VAD on ONNX Runtime.

The model is shared by every stream; what a stream has heard so far is in its `VadState`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from verbatim.domain.audio import Samples
from verbatim.domain.errors import InternalError
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities

CONTEXT_SAMPLES: Final = 64
"""Of the frame before, which the model is given with each frame."""
BATCH_FRAMES: Final = 256
"""Frames in one run (8 s of audio, a few megabytes); larger batches were no faster."""

_HIDDEN_SHAPE: Final = (1, 1, 128)
_ASSET: Final = ("assets", "silero-vad", "silero_vad_v6.onnx")
_LOG_ERRORS_ONLY: Final = 3


def _zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class VadState:
    """What one stream has heard; the default is a stream's beginning.

    Attributes:
        hidden: (1, 1, 128) float32, the LSTM's output.
        cell: (1, 1, 128) float32, the LSTM's memory.
        tail: (64 + k,) float32, k < 512: the end of the last frame, then the samples that are
            still too few for a frame.
    """

    hidden: NDArray[np.float32] = field(default_factory=lambda: _zeros(_HIDDEN_SHAPE))
    cell: NDArray[np.float32] = field(default_factory=lambda: _zeros(_HIDDEN_SHAPE))
    tail: Samples = field(default_factory=lambda: _zeros((CONTEXT_SAMPLES,)))


class SileroVad:
    """Silero VAD v6 on one CPU thread, the caller's. Any number of threads may share it.

    The model is loaded at the first use.

    Args:
        model: an ONNX file with the interface of the bundled one, which is used by default.
    """

    def __init__(self, model: Path | None = None) -> None:
        self._model = model
        self._session: onnxruntime.InferenceSession | None = None
        self._loading = Lock()

    def advance(self, samples: Samples, state: VadState) -> tuple[Probabilities, VadState]:
        """Hear the next samples of a stream.

        The probabilities do not depend on how the stream is cut into calls (within 1e-5).

        Args:
            samples: (n,) float32, mono at 16 kHz within ±1, any n.
            state: as the call before left it.

        Returns:
            Speech probabilities (frames,) of the frames that are complete, 512 samples each, and
            the state for the next call.

        Raises:
            InternalError: the model cannot be loaded.
        """
        found: list[Probabilities] = []
        at = 0
        while at < len(samples):
            end = at + BATCH_FRAMES * FRAME_SAMPLES + CONTEXT_SAMPLES - len(state.tail)
            probabilities, state = self._run(samples[at:end], state)
            found.append(probabilities)
            at = end
        return np.concatenate(found) if found else _zeros((0,)), state

    def finish(self, state: VadState) -> Probabilities:
        """The stream's last, incomplete frame, filled up with zeros.

        Returns:
            (1,) float32, or (0,) where the stream ended with a whole frame.

        Raises:
            InternalError: the model cannot be loaded.
        """
        left = len(state.tail) - CONTEXT_SAMPLES
        if left == 0:
            return _zeros((0,))
        probabilities, _ = self._run(_zeros((FRAME_SAMPLES - left,)), state)
        return probabilities

    def _run(self, samples: Samples, state: VadState) -> tuple[Probabilities, VadState]:
        heard = np.concatenate((state.tail, samples))
        count = (len(heard) - CONTEXT_SAMPLES) // FRAME_SAMPLES
        if count == 0:
            return _zeros((0,)), VadState(state.hidden, state.cell, heard)
        windows = sliding_window_view(heard, CONTEXT_SAMPLES + FRAME_SAMPLES)
        frames = np.ascontiguousarray(windows[::FRAME_SAMPLES])
        outputs: list[NDArray[np.float32]] = self._loaded().run(
            ["speech_probs", "hn", "cn"], {"input": frames, "h": state.hidden, "c": state.cell}
        )
        probabilities, hidden, cell = outputs
        return probabilities, VadState(hidden, cell, heard[count * FRAME_SAMPLES :].copy())

    def _loaded(self) -> onnxruntime.InferenceSession:
        with self._loading:
            if self._session is None:
                self._session = _load(self._model)
            return self._session


def _load(model: Path | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_ERRORS_ONLY
    source = model or resources.files("verbatim").joinpath(*_ASSET)
    try:
        return onnxruntime.InferenceSession(
            source.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no root of their own.
        raise InternalError(
            f"The voice activity model {source} cannot be loaded ({error}). Reinstall Verbatim,"
            " or transcribe without voice activity detection (vad=false)."
        ) from error
