"""whisper.cpp through pywhispercpp, one window after another."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import _pywhispercpp as bindings
import numpy as np
from numpy.typing import NDArray
from pywhispercpp.model import Model

from benchmarks.contenders.contract import LANGUAGE
from benchmarks.contenders.one_at_a_time import OneAtATime

NEVER: Final = -1e9
"""A threshold that everything passes."""
NO_SPEECH_NEVER: Final = 2.0


def make(model: str, cores: int) -> WhisperCpp:
    """Load a ggml file."""
    return WhisperCpp(
        Model(model, n_threads=cores, print_progress=False, redirect_whispercpp_logs_to=None)
    )


class WhisperCpp(OneAtATime):
    """A loaded model."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def versions(self) -> dict[str, str]:
        """Of the Python package, which brings whisper.cpp along."""
        return {"pywhispercpp": version("pywhispercpp")}

    def remark(self) -> str:
        """The number format of the file."""
        return "q8_0"

    def close(self) -> None:
        """Nothing: the process ends."""

    def count(self, window: NDArray[np.float32], tokens: int) -> int:
        """Tokens of a window."""
        segments = self._model.transcribe(
            window,
            language=LANGUAGE,
            no_timestamps=True,
            single_segment=True,
            temperature=0.0,
            temperature_inc=0.0,
            entropy_thold=NEVER,
            logprob_thold=NEVER,
            no_speech_thold=NO_SPEECH_NEVER,
            # It ends after the token at which it finds the limit reached.
            max_tokens=tokens - 1,
        )
        context = self._model._ctx  # noqa: SLF001 - the package has no other way to the tokens
        return sum(bindings.whisper_full_n_tokens(context, i) for i in range(len(segments)))
