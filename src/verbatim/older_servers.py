"""The older servers' environment variables and habits, in terms of our settings.

`read_variables` understands what a machine's environment says to the server that Verbatim takes
the place of; `PROFILES` are that server's ports, limits and defaults. Both are weaker than
anything that is said to Verbatim itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from verbatim.domain.addresses import checked_url
from verbatim.domain.errors import BadRequestError

LikeName: TypeAlias = Literal[
    "verbatim", "fastwhisper", "voxscribe", "microservice", "zhtw", "local"
]

Values: TypeAlias = Mapping[str, object]
"""Settings by name; the settings check the values."""
Environment: TypeAlias = Mapping[str, str]

OLDER_UPLOAD_BYTES: Final = 100 * 1024 * 1024
"""What two of the servers accept, and say so in their messages."""
UNLOAD_AT_ONCE_S: Final = 1.0
"""For a server that keeps no model: long enough for requests that follow each other closely."""
NO_GPU: Final = "-1"
"""What CUDA's driver takes for the end of the list; alone it hides all GPUs."""

PROFILES: Final[Mapping[LikeName, Values]] = MappingProxyType(
    {
        "verbatim": {},
        "fastwhisper": {
            "port": 8765,
            "tls_port": 8766,
            "max_connections": 200,
            "max_live_sessions": 200,
            "max_running": 15,
            "max_utterance_s": 300,
            "max_upload_bytes": OLDER_UPLOAD_BYTES,
        },
        "voxscribe": {"port": 8000},
        "microservice": {"port": 57001, "max_running": 20},
        "zhtw": {"port": 8496, "max_upload_bytes": OLDER_UPLOAD_BYTES},
        "local": {"port": 8000},
    }
)
"""What each server does where nothing is said; the address stays ours, which is this machine."""


def profile(said: Values) -> Values:
    """What is different for the server that `like` names in what is said; nothing for no server.

    Its port for encrypted connections is used where there is a certificate.
    """
    values = next((values for name, values in PROFILES.items() if name == said.get("like")), {})
    if said.get("tls_cert") is not None:
        return values
    return {name: value for name, value in values.items() if name != "tls_port"}


@dataclass(frozen=True, slots=True)
class OlderVariable:
    """A variable of an older server.

    Attributes:
        name: of the variable.
        servers: which had it.
        settings: what it sets.
        help: how it is understood.
        read: the settings that a value means.
        common: other programs have a variable of this name too, so a value that is no use here is
            passed over with a warning instead of keeping the server from starting.
    """

    name: str
    servers: str
    settings: tuple[str, ...]
    help: str
    read: Callable[[str, Environment], Values]
    common: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """A variable that is passed over, and why."""

    variable: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the environment says.

    Attributes:
        values: settings by name.
        variables: which variable each comes from.
        ignored: what is no use.
    """

    values: Values
    variables: Mapping[str, str]
    ignored: tuple[Ignored, ...]


def read_variables(environment: Environment) -> Reading:
    """What the older servers' variables mean; of two for one setting the first in the table wins.

    Raises:
        BadRequestError: a variable that only these servers have makes no sense; it is named.
    """
    values: dict[str, object] = {}
    variables: dict[str, str] = {}
    ignored: list[Ignored] = []
    for known in OLDER_VARIABLES:
        given = environment.get(known.name)
        if given is None or not (given.strip() or known.name == CUDA_VISIBLE_DEVICES):
            continue
        try:
            said = known.read(given.strip(), environment)
        except ValueError as error:
            if not known.common:
                raise BadRequestError(f"{known.name}: {error}.") from error
            ignored.append(Ignored(known.name, str(error)))
            continue
        for name, value in said.items():
            if name not in values:
                values[name], variables[name] = value, known.name
    return Reading(values, variables, tuple(ignored))


def _as(setting: str) -> Callable[[str, Environment], Values]:
    """The value as it is."""
    return lambda value, _: {setting: value}


def _device(value: str, _: Environment) -> Values:
    name, _colon, index = value.lower().partition(":")
    device = {"gpu": "cuda"}.get(name, name)
    if device not in {"auto", "cpu", "cuda"}:
        raise ValueError(f"{value!r} is no device; choose one of auto, cpu, cuda")
    if not index:
        return {"device": device}
    return {"device": device, "device_indexes": [_positive(index, least=0)]}


def _cuda_devices(value: str, _: Environment) -> Values:
    """Whatever they are called, the driver numbers those that it shows from 0 on."""
    shown = [part.strip() for part in value.split(",")]
    shown = shown[: shown.index(NO_GPU)] if NO_GPU in shown else shown
    if not any(shown):
        return {"device": "cpu"}
    return {"device_indexes": list(range(len(shown)))}


def _workers(value: str, _: Environment) -> Values:
    workers = _positive(value)
    return {"max_running": workers, "cpu_workers": workers}


def _threads(value: str, environment: Environment) -> Values:
    """Threads of each worker; without their number, as many workers as the cores are enough for."""
    threads = _positive(value)
    try:
        return {"cpu_threads": threads * _positive(environment.get("MAX_WORKERS", ""))}
    except ValueError:
        return {"cpu_workers": max(1, _cores() // threads)}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _model_cache(value: str, _: Environment) -> Values:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if value.lower() not in words:
        raise ValueError(f"{value!r} is neither true nor false")
    return {"keep_alive_s": 0.0 if words[value.lower()] else UNLOAD_AT_ONCE_S}


def _bytes(value: str, _: Environment) -> Values:
    return {"max_upload_bytes": _positive(value)}


def _log_level(value: str, _: Environment) -> Values:
    level = _LEVELS.get(value.lower())
    if level is None:
        raise ValueError(f"{value!r} is no level; there are {', '.join(_LEVELS)}")
    return {"log_level": level}


def _model_size(value: str, _: Environment) -> Values:
    if not (_SIZE.fullmatch(value) or "/" in value):
        raise ValueError(f"{value!r} is no size of Whisper, hub name or folder")
    return {"model": value}


def _back_ends(value: str, _: Environment) -> Values:
    urls = [url.strip() for url in value.split(",") if url.strip()]
    return {"backend_url": [checked_url(url) for url in urls]}


def _positive(value: str, least: int = 1) -> int:
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ValueError(f"{value!r} is no whole number from {least} on")
    return int(value)


_LEVELS: Final = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "notice": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "critical": "error",
    "fatal": "error",
}
_SIZE: Final = re.compile(
    r"(tiny|base|small|medium|large|turbo|distil)([.-][\w.-]*)?", re.IGNORECASE
)
CUDA_VISIBLE_DEVICES: Final = "CUDA_VISIBLE_DEVICES"

OLDER_VARIABLES: Final = (
    OlderVariable(
        "WHISPER_DEVICE",
        "Whisper Local Server, VoxScribe",
        ("device", "device_indexes"),
        "`auto`, `cpu`, `cuda`, also `gpu` and `cuda:1`.",
        _device,
    ),
    OlderVariable(
        "WHISPER_DEFAULT_MODEL",
        "Whisper Local Server",
        ("model",),
        "The default model.",
        _as("model"),
    ),
    OlderVariable(
        "WHISPER_PORT", "Whisper Local Server", ("port",), "Port to listen on.", _as("port")
    ),
    OlderVariable(
        "MAX_WORKERS",
        "VoxScribe",
        ("max_running", "cpu_workers"),
        "Transcriptions at the same time, and batches at the same time on a CPU.",
        _workers,
        common=True,
    ),
    OlderVariable(
        "TORCH_THREADS",
        "VoxScribe",
        ("cpu_threads", "cpu_workers"),
        "Threads of each worker: with `MAX_WORKERS`, the cores used are the product; without, "
        "there are as many workers as the cores are enough for.",
        _threads,
        common=True,
    ),
    OlderVariable(
        "ENABLE_MODEL_CACHE",
        "VoxScribe",
        ("keep_alive_s",),
        "`false` unloads a model a second after its last use.",
        _model_cache,
    ),
    OlderVariable(
        "MAX_FILE_SIZE",
        "VoxScribe",
        ("max_upload_bytes",),
        "Largest upload, bytes.",
        _bytes,
        common=True,
    ),
    OlderVariable(
        "LOG_LEVEL",
        "VoxScribe",
        ("log_level",),
        "In any case, with Python's and syslog's names.",
        _log_level,
        common=True,
    ),
    OlderVariable(
        "VOXSCRIBE_API_KEY",
        "VoxScribe",
        ("api_key",),
        "The token that clients show.",
        _as("api_key"),
    ),
    OlderVariable(
        "MODEL_SIZE",
        "microservice",
        ("model",),
        "The default model: a size, a hub name or a folder.",
        _model_size,
        common=True,
    ),
    OlderVariable(
        CUDA_VISIBLE_DEVICES,
        "microservice",
        ("device", "device_indexes"),
        "CUDA's driver hides all other GPUs and numbers these from 0 on, so all of these are used; "
        "`-1` or nothing means the CPU.",
        _cuda_devices,
        common=True,
    ),
    OlderVariable(
        "BACKEND_URL",
        "zh-TW service",
        ("backend_url",),
        "Servers to which the work is passed on.",
        _back_ends,
        common=True,
    ),
)
"""In the order in which they are asked."""
