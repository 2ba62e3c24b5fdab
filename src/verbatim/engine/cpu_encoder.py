"""The encoder of a model on the CPU: CTranslate2's own, or OpenVINO's where that is faster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from verbatim.domain.audio import PCM_FULL_SCALE
from verbatim.domain.errors import ModelUnavailableError
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_S
from verbatim.engine.encoder_choice import (
    CTRANSLATE2,
    Candidate,
    Encode,
    EncoderMeasurement,
    EncoderName,
    RememberedMeasurements,
    fingerprint,
    measure_encoders,
)
from verbatim.engine.features import FeatureExtractor
from verbatim.engine.hardware import measure_hardware
from verbatim.engine.model import Array
from verbatim.engine.model_folder import WEIGHTS_FILE
from verbatim.engine.openvino_encoder import (
    OpenVinoEncoder,
    Precision,
    computes_bfloat16,
    openvino_version,
)
from verbatim.stages.decode_audio import decode_all

LEAST_WIDTH: Final = 384
"""Of Whisper's models. What is smaller gains less than it takes to load OpenVINO."""
_SPEECH: Final = Path(__file__).parents[1] / "assets" / "self-check" / "sentence.ogg"
"""Any speech would do: how much a number format spoils hangs on what sounds are like."""
_OPENVINO: Final = "openvino-"
_INTEGER_TYPES: Final = ("int8", "int8_float32", "int8_bfloat16", "int8_float16")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What an encoder is wanted for.

    Attributes:
        folder: of the model, as CTranslate2 loads it.
        name: of the model.
        compute_type: CTranslate2's; a model that is asked for in float32 stays exact.
        threads: cores that one call may use.
        mels: mel bands.
        width: numbers at each of the encoder's positions.
    """

    folder: Path
    name: str
    compute_type: str
    threads: int
    mels: int
    width: int


def find_encoder(
    spec: EncoderSpec,
    wanted: EncoderName,
    standing: Encode,
    remembered: RememberedMeasurements | None,
    standing_version: str,
) -> tuple[str, Encode | None]:
    """The encoder to use, with its name. Blocks; the first time, while all are measured.

    Args:
        spec: the model.
        wanted: "auto" takes the fastest.
        standing: CTranslate2's encoder.
        remembered: where to look before measuring; None measures each time.
        standing_version: of CTranslate2.

    Returns:
        Its name, and what to call; None stands for CTranslate2, which then needs no detour.

    Raises:
        ModelUnavailableError: OpenVINO was asked for and does not work.
    """
    if wanted == CTRANSLATE2:
        return CTRANSLATE2, None
    if wanted == "auto" and spec.width < LEAST_WIDTH:
        return CTRANSLATE2, None
    version = openvino_version()
    if version is None:
        if wanted == "openvino":
            raise ModelUnavailableError(
                "The encoder 'openvino' was asked for, and the package openvino is not installed "
                "or does not load. Install it (pip install openvino), or set encoder to 'auto'."
            )
        return CTRANSLATE2, None
    candidates = {candidate.name: candidate for candidate in _candidates(spec)}
    measured = _measurement(
        spec, standing, tuple(candidates.values()), remembered, (standing_version, version)
    )
    best = measured.fastest(without=(CTRANSLATE2,) if wanted == "openvino" else ())
    if best is None and wanted == "openvino":
        reasons = "; ".join(measured.failures.values()) or "its results are not exact enough"
        raise ModelUnavailableError(
            f"OpenVINO cannot encode with {spec.name!r} here: {reasons}. Set encoder to 'auto'."
        )
    if best not in candidates:
        return CTRANSLATE2, None
    try:
        return best, candidates[best].open()
    except (RuntimeError, ValueError, KeyError) as error:  # it worked when it was measured
        _log.warning("encoder_failed", encoder=best, model=spec.name, reason=str(error))
        return CTRANSLATE2, None


def _measurement(
    spec: EncoderSpec,
    standing: Encode,
    candidates: tuple[Candidate, ...],
    remembered: RememberedMeasurements | None,
    versions: tuple[str, ...],
) -> EncoderMeasurement:
    key = fingerprint(
        spec.folder / WEIGHTS_FILE,
        spec.compute_type,
        str(spec.threads),
        measure_hardware().processor,
        *versions,
        *(candidate.name for candidate in candidates),
    )
    if remembered is not None and (known := remembered.all().get(key)) is not None:
        return known
    exact = _OPENVINO + Precision.FLOAT32
    measured = measure_encoders(spec.name, _speech(spec.mels), standing, exact, candidates)
    _log.info("encoders_measured", model=spec.name, window_ms=dict(measured.window_ms))
    if remembered is not None:
        remembered.keep(key, measured)
    return measured


def _candidates(spec: EncoderSpec) -> list[Candidate]:
    precisions = [Precision.FLOAT32]
    if spec.compute_type in _INTEGER_TYPES:
        precisions.append(Precision.INT8)
    if spec.compute_type != "float32" and computes_bfloat16():
        precisions.append(Precision.BFLOAT16)
    return [
        Candidate(_OPENVINO + precision, partial(_open, spec, precision))
        for precision in precisions
    ]


def _open(spec: EncoderSpec, precision: Precision) -> Encode:
    return OpenVinoEncoder(spec.folder, precision, spec.threads).encode


def _speech(mels: int) -> Array:
    """30 s of a spoken sentence, again and again, (1, mels, 3000)."""
    sentence, _, _ = decode_all(_SPEECH)
    pcm = (sentence * PCM_FULL_SCALE).astype(np.int16)
    whole = np.resize(pcm, int(WINDOW_S * SAMPLE_RATE_HZ))
    return FeatureExtractor(mels).batch([whole])
