"""What `verbatim doctor` looks at, a function each."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import platform
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal, TypeAlias

from verbatim.cli.console import size
from verbatim.domain.errors import VerbatimError
from verbatim.domain.request import TranscriptionRequest
from verbatim.domain.transcript import Transcript, WarningCode
from verbatim.engine.catalog import Catalog
from verbatim.engine.encoder_choice import (
    CTRANSLATE2,
    EncoderMeasurement,
    RememberedMeasurements,
)
from verbatim.engine.hardware import Hardware
from verbatim.engine.hub import HubClient
from verbatim.engine.known_models import DEMO_NAME
from verbatim.engine.model_choice import wanted_model
from verbatim.settings import Settings

State: TypeAlias = Literal["ok", "warning", "failed"]

PACKAGES: Final = {
    "ctranslate2": "ctranslate2",
    "av": "av",
    "onnxruntime": "onnxruntime",
    "tokenizers": "tokenizers",
    "numpy": "numpy",
    "opencc": "opencc",
}
"""Modules that come with native code, which may fail to load, and their distributions."""
CODECS: Final = ("mp3", "aac", "flac", "opus", "vorbis", "wmav2", "amrnb", "alac", "pcm_s16le")
SELF_CHECK_SOUND: Final = Path(__file__).parents[1] / "assets" / "self-check" / "sentence.ogg"
SELF_CHECK_TEXT: Final = "peter lives in london"
SELF_CHECK_ALIKE: Final = 0.6
"""Least likeness of what is heard to what was said: the installation is checked, not the model."""
LOW_SPACE_BYTES: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        state: "failed" means that nothing can be transcribed.
        advice: what to do; empty where nothing needs to be done.
    """

    name: str
    state: State
    summary: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks are given."""

    settings: Settings
    catalog: Catalog
    hub: HubClient
    hardware: Hardware


def check_packages(patient: Patient) -> Finding:
    """Whether everything with native code loads."""
    del patient
    broken, there = [], []
    for module, distribution in PACKAGES.items():
        try:
            importlib.import_module(module)
            there.append(f"{distribution} {version(distribution)}")
        except (ImportError, OSError, PackageNotFoundError) as error:
            broken.append(f"{distribution} ({str(error).splitlines()[0]})")
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if broken:
        advice = "Install again: pip install --force-reinstall verbatim-stt"
        return Finding("packages", "failed", f"{python}; broken: {', '.join(broken)}", advice)
    return Finding("packages", "ok", f"{python}, {', '.join(there)}")


def check_processor(patient: Patient) -> Finding:
    """Cores, memory and the instructions that speed inference up."""
    hardware = patient.hardware
    features = " ".join(hardware.features) or "no special instructions known"
    cores = f"{hardware.cores} core{'s' if hardware.cores > 1 else ''}"
    summary = f"{hardware.processor}: {cores}, {size(hardware.memory_bytes)} memory, {features}"
    if platform.machine() in {"x86_64", "AMD64"} and "avx2" not in hardware.features:
        advice = "Without AVX2 inference is several times slower; take a small model."
        return Finding("processor", "warning", summary, advice)
    return Finding("processor", "ok", summary)


def check_gpu(patient: Patient) -> Finding:
    """Whether a GPU is there, and CTranslate2 can use it."""
    from verbatim.engine.local import devices  # noqa: PLC0415  slow

    gpus = [f"{gpu.name} ({size(gpu.memory_bytes)})" for gpu in patient.hardware.gpus]
    usable = devices().cuda_devices
    if usable:
        return Finding("GPU", "ok", ", ".join(gpus) or f"{usable} CUDA devices")
    if gpus:
        advice = (
            "The driver shows a GPU that CUDA cannot use. Update the driver (525 or newer); in a "
            "container, start it with GPUs (docker run --gpus all)."
        )
        return Finding("GPU", "warning", f"{', '.join(gpus)}, not usable", advice)
    if patient.settings.device == "cuda":
        advice = "Install an NVIDIA driver, or unset VERBATIM_DEVICE: the CPU is used meanwhile."
        return Finding("GPU", "warning", "none, and the settings ask for one", advice)
    return Finding("GPU", "ok", "none; the CPU is used")


def check_model(patient: Patient) -> Finding:
    """Which model is used if none is named."""
    wanted = wanted_model(patient.hardware, patient.settings.device).name
    try:
        files = patient.catalog.resolve("auto")
    except VerbatimError as error:
        return Finding("default model", "failed", patient.settings.model, error.message)
    if files.is_demo:
        advice = f"It knows a few hundred words only; get a real one: verbatim models pull {wanted}"
        return Finding("default model", "warning", f"{files.name} (bundled)", advice)
    return Finding("default model", "ok", f"{files.name} in {files.folder}")


def check_model_folders(patient: Patient) -> Finding:
    """Where models are looked for and kept."""
    models_dir, cache = patient.settings.models_dir, patient.hub.config.cache_dir
    count = sum(entry.source != "bundled" for entry in patient.catalog.installed())
    summary = f"{count} installed; cache {cache}"
    summary += f", models folder {models_dir}" if models_dir else ""
    if models_dir is not None and not models_dir.is_dir():
        advice = f"There is no folder {models_dir}: make it, or change VERBATIM_MODELS_DIR."
        return Finding("models", "warning", summary, advice)
    problem = _folder_problem(cache, LOW_SPACE_BYTES)
    if problem:
        advice = f"{problem} Set HF_HOME to another place for downloads."
        return Finding("models", "warning", summary, advice)
    return Finding("models", "ok", summary)


def check_encoders(patient: Patient) -> Finding:
    """What was found to encode fastest on this processor, by model."""
    name = "encoder (CPU)"
    if patient.settings.encoder != "auto":
        return Finding(name, "ok", f"{patient.settings.encoder}, as set")
    measured = RememberedMeasurements(patient.settings.data_dir).all().values()
    if not measured:
        return Finding(name, "ok", "measured when a model is first loaded")
    return Finding(name, "ok", "; ".join(map(_encoder, measured)))


def _encoder(measured: EncoderMeasurement) -> str:
    chosen = measured.fastest() or CTRANSLATE2
    others = ", ".join(
        f"{name} {milliseconds:.0f}"
        for name, milliseconds in measured.window_ms.items()
        if name != chosen
    )
    summary = f"{measured.model}: {chosen}, {measured.window_ms[chosen]:.0f} ms of a core for 30 s"
    summary += f" ({others})" if others else ""
    return summary + "".join(f"; {name} fails: {why}" for name, why in measured.failures.items())


def check_hub(patient: Patient) -> Finding:
    """Whether models can be downloaded."""
    endpoint = patient.hub.config.endpoint
    if patient.hub.config.offline:
        return Finding("model hub", "ok", "not asked: the network is switched off")
    started_s = time.monotonic()
    try:
        patient.hub.probe()
    except VerbatimError as error:
        advice = "Without it, models come as folders: copy one to VERBATIM_MODELS_DIR/NAME."
        return Finding("model hub", "warning", error.message, advice)
    took_ms = 1000 * (time.monotonic() - started_s)
    return Finding("model hub", "ok", f"{endpoint} answers in {took_ms:.0f} ms")


def check_port(patient: Patient) -> Finding:
    """Whether the server could listen where the settings say."""
    host, port = patient.settings.host, patient.settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = f"{host}:{port}: {error.strerror or error}"
        advice = "Is a server running already? Else choose another with --port or --host."
        return Finding("port", "warning", reason, advice)
    return Finding("port", "ok", f"{host}:{port} is free")


def check_spool(patient: Patient) -> Finding:
    """Whether uploads have a place to wait."""
    folder = patient.settings.spool_dir or Path(tempfile.gettempdir())
    problem = _folder_problem(folder, patient.settings.max_upload_bytes)
    if problem:
        advice = f"{problem} Set VERBATIM_SPOOL_DIR to another place."
        return Finding("spool", "warning", str(folder), advice)
    return Finding("spool", "ok", f"{folder}, {size(shutil.disk_usage(folder).free)} free")


def check_decoding(patient: Patient) -> Finding:
    """Whether libav can decode what people send."""
    del patient
    import av  # noqa: PLC0415  slow

    missing = [name for name in CODECS if name not in av.codecs_available]
    if missing:
        advice = "Recordings of these kinds cannot be read: install the av package from PyPI again."
        return Finding("audio formats", "warning", f"missing: {', '.join(missing)}", advice)
    return Finding("audio formats", "ok", ", ".join(CODECS))


def check_transcription(patient: Patient) -> Finding:
    """Transcribe a sentence with the demo model: decoding, speech detection and inference."""
    settings = patient.settings.model_copy(update={"model": DEMO_NAME})
    started_s = time.monotonic()
    try:
        heard, device = asyncio.run(_hear(settings, patient.hub))
    except VerbatimError as error:
        return Finding("transcription", "failed", "a test sentence failed", error.message)
    took_s = time.monotonic() - started_s
    words = " ".join(re.findall(r"\w+", heard.text.lower()))
    alike = difflib.SequenceMatcher(None, words, SELF_CHECK_TEXT).ratio()
    summary = f'"{heard.text}" on {device} in {took_s:.1f} s, loading included'
    if alike < SELF_CHECK_ALIKE:
        advice = f'What was said is "{SELF_CHECK_TEXT}". Please report this with your hardware.'
        return Finding("transcription", "failed", summary, advice)
    for warning in heard.warnings:
        if warning.code is WarningCode.DEVICE_FALLBACK:
            return Finding("transcription", "warning", summary, warning.message)
    return Finding("transcription", "ok", summary)


async def _hear(settings: Settings, hub: HubClient) -> tuple[Transcript, str]:
    """What is found in the test sentence, and the device that found it."""
    from verbatim.pipeline.local_service import open_service  # noqa: PLC0415  slow
    from verbatim.pipeline.service import Recording  # noqa: PLC0415  slow

    async with open_service(settings, Catalog(settings, hub)) as service:
        run = await service.start(Recording(SELF_CHECK_SOUND), TranscriptionRequest())
        transcript = await run.result()
        devices = {description.device for description in service.loaded_models()}
    return transcript, ", ".join(sorted(devices))


def _folder_problem(folder: Path, needed_bytes: int) -> str:
    """Why a folder, or the one that it would be made in, cannot be written; empty if it can."""
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror or error}."
    if free_bytes < needed_bytes:
        return f"{folder} has only {size(free_bytes)} left, less than {size(needed_bytes)}."
    return ""


CHECKS: Final[tuple[Callable[[Patient], Finding], ...]] = (
    check_packages,
    check_processor,
    check_gpu,
    check_decoding,
    check_model,
    check_model_folders,
    check_hub,
    check_port,
    check_spool,
    check_transcription,
    check_encoders,
)


def examine(patient: Patient) -> Iterator[Finding]:
    """All findings, each as soon as it is there."""
    for check in CHECKS:
        finding = check(patient)
        yield finding
        if check is check_packages and finding.state == "failed":
            return
