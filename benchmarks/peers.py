"""Who takes part, what each needs, and why one cannot take part here."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.models import ModelFormat

JEMALLOC: Final = "libjemalloc.so.2"
_LIBRARY_FOLDERS: Final = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
_JEMALLOC_TUNED: Final = "thp:always,dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0"
"""Keeps every page that was touched once, in huge pages."""
_GLIBC_TUNED: Final = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in (
        ("mmap_max", 0),
        ("trim_threshold", 1 << 40),
        ("top_pad", 64 << 20),
        ("hugetlb", 1),
    )
)
"""The same of glibc's allocator: nothing is mapped apart, nothing is given back."""
_BFLOAT16_FEATURES: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
Options: TypeAlias = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Peer:
    """A program in one configuration.

    Attributes:
        name: in the tables.
        module: see `Start`.
        form: of its model.
        options: of the module's `make`.
        installs: what pip is told to install for it, one call after the other.
        imports: modules that must be there.
        preload: a shared library that is loaded before all others.
        environment: variables of its process.
        features: of the processor, of which it needs one; empty: it runs anywhere.
    """

    name: str
    module: str
    form: ModelFormat
    options: Options = field(default_factory=dict)
    installs: tuple[tuple[str, ...], ...] = ()
    imports: tuple[str, ...] = ()
    preload: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset()

    def obstacle(self, features: tuple[str, ...]) -> str | None:
        """Why it cannot take part on this machine; None where it can."""
        for module in self.imports:
            if importlib.util.find_spec(module) is None:
                return f"the Python module {module} is not installed"
        if self.preload is not None and library(self.preload) is None:
            return f"{self.preload} is not installed"
        if self.features and not self.features & set(features):
            return f"the processor has none of {', '.join(sorted(self.features))}"
        return None

    def variables(self) -> dict[str, str]:
        """The environment of its process."""
        path = None if self.preload is None else library(self.preload)
        return dict(self.environment) | ({"LD_PRELOAD": str(path)} if path else {})


def library(name: str) -> Path | None:
    """Where a shared library lies; None where it is not installed."""
    paths = (Path(folder) / name for folder in _LIBRARY_FOLDERS)
    return next((path for path in paths if path.exists()), None)


_TORCH: Final = "torch==2.13.0"
_TRANSFORMERS: Final = "transformers==5.5.4"
"""The newest that optimum-intel takes."""

LIVE_INSTALLS: Final = ((_TORCH, "whisperlivekit==0.2.26"),)
"""For the benchmark of live speech. Its torchaudio works with PyTorch's CPU build."""

VERBATIM: Final = Peer("Verbatim", "benchmarks.contenders.ours", ModelFormat.CTRANSLATE2_INT8)
SEQUENTIAL: Final = Peer(
    "faster-whisper",
    "benchmarks.contenders.faster_whisper",
    ModelFormat.CTRANSLATE2_INT8,
    installs=(("faster-whisper==1.2.1",),),
    imports=("faster_whisper",),
)
BATCHED: Final = replace(SEQUENTIAL, name="faster-whisper, batched", options={"batched": True})
BATCHED_JEMALLOC: Final = replace(
    BATCHED,
    name="faster-whisper, batched, jemalloc",
    preload=JEMALLOC,
    environment={"MALLOC_CONF": _JEMALLOC_TUNED},
)
BATCHED_GLIBC: Final = replace(
    BATCHED,
    name="faster-whisper, batched, tuned glibc",
    environment={"GLIBC_TUNABLES": _GLIBC_TUNED},
)
POOL: Final = replace(SEQUENTIAL, name="faster-whisper, pool and semaphore")
TWO_WORKERS: Final = replace(
    SEQUENTIAL,
    name="faster-whisper, 2 workers of half the threads",
    options={"workers": 2, "permits": 2},
)
BATCHED_POOL: Final = replace(BATCHED, name="faster-whisper, batched, pool and semaphore")
OPENAI: Final = Peer(
    "openai-whisper",
    "benchmarks.contenders.openai_whisper",
    ModelFormat.OPENAI,
    installs=((_TORCH, "openai-whisper==20250625"),),
    imports=("whisper", "torch"),
)
TRANSFORMERS: Final = Peer(
    "transformers, float32",
    "benchmarks.contenders.transformers",
    ModelFormat.TRANSFORMERS,
    installs=((_TORCH, _TRANSFORMERS),),
    imports=("transformers", "torch"),
)
TRANSFORMERS_BFLOAT16: Final = replace(
    TRANSFORMERS,
    name="transformers, bfloat16",
    options={"number_format": "bfloat16"},
    features=_BFLOAT16_FEATURES,
)
WHISPER_CPP: Final = Peer(
    "whisper.cpp, q8_0",
    "benchmarks.contenders.whisper_cpp",
    ModelFormat.GGML,
    installs=(("pywhispercpp==1.5.1",),),
    imports=("pywhispercpp",),
)
OPENVINO_GENAI: Final = Peer(
    "OpenVINO GenAI, int8",
    "benchmarks.contenders.openvino_genai",
    ModelFormat.OPENVINO,
    installs=(
        (_TORCH, _TRANSFORMERS, "openvino-genai==2026.4.1.0", "nncf==3.3.0"),
        # It exports the model. What else it depends on, such as torchvision, is for other models.
        ("--no-deps", "optimum-intel==2.2.0", "optimum==2.3.0"),
    ),
    imports=("openvino_genai",),
)
_GPU: Final[Options] = {"device": "cuda", "compute_type": "float16"}
VERBATIM_GPU: Final = replace(
    VERBATIM, name="Verbatim, GPU", form=ModelFormat.CTRANSLATE2_FLOAT16, options=_GPU
)
BATCHED_GPU: Final = replace(
    BATCHED,
    name="faster-whisper, batched, GPU",
    form=ModelFormat.CTRANSLATE2_FLOAT16,
    options={"batched": True, "batch_size": 16, **_GPU},
)
EVERYBODY: Final = (
    VERBATIM,
    SEQUENTIAL,
    BATCHED,
    BATCHED_JEMALLOC,
    BATCHED_GLIBC,
    POOL,
    TWO_WORKERS,
    BATCHED_POOL,
    OPENAI,
    TRANSFORMERS,
    TRANSFORMERS_BFLOAT16,
    WHISPER_CPP,
    OPENVINO_GENAI,
    VERBATIM_GPU,
    BATCHED_GPU,
)


def configured(text: str) -> Peer:
    """Verbatim with other settings, to compare them: "cpu_threads=1,engine=local".

    Raises:
        ValueError: that is no list of settings.
    """
    options: dict[str, str | int | bool] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise ValueError(f"{part!r} is not SETTING=VALUE")
        options[name] = value
    return replace(VERBATIM, name=f"Verbatim, {text}", options=options)
