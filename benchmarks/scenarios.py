"""What is measured: who does which work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from benchmarks.peers import (
    BATCHED,
    BATCHED_GLIBC,
    BATCHED_GPU,
    BATCHED_JEMALLOC,
    BATCHED_POOL,
    OPENAI,
    OPENVINO_GENAI,
    POOL,
    SEQUENTIAL,
    TRANSFORMERS,
    TRANSFORMERS_BFLOAT16,
    TWO_WORKERS,
    VERBATIM,
    VERBATIM_GPU,
    WHISPER_CPP,
    Peer,
)

WINDOW_TOKENS: Final = 48
"""That a window of 30 s is decoded to."""
SHORT_TOKENS: Final = 16
"""That a recording of 5 s is decoded to: what people say in that time."""
SLOW_ROUNDS: Final = 2
"""At most, for peers that are known to be far behind."""
SLOW: Final = frozenset(
    peer.name for peer in (OPENAI, TRANSFORMERS, TRANSFORMERS_BFLOAT16, WHISPER_CPP, OPENVINO_GENAI)
)


class Kind(StrEnum):
    """How a scenario is measured and shown."""

    FILE = "file"
    BURST = "burst"
    START = "start"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Some work, and who does it.

    Attributes:
        name: on the command line.
        title: in the report.
        text: what the report says about it.
        kind: see there.
        peers: in the order of their turns.
        reference: whom the others are compared with.
        seconds: length of a recording.
        count: how many recordings there are at once.
        tokens: that each window is decoded to.
        equal_windows: whether all are given the same windows; else each cuts by its defaults.
        most_rounds: however many are asked for.
        models: it is for these only; empty: for all.
    """

    name: str
    title: str
    text: str
    kind: Kind
    peers: tuple[Peer, ...]
    reference: str
    seconds: float
    count: int = 1
    tokens: int = WINDOW_TOKENS
    equal_windows: bool = False
    most_rounds: int = 100
    models: tuple[str, ...] = ()

    def rounds(self, peer: Peer, asked: int) -> int:
        """How many rounds a peer has."""
        return min(asked, self.most_rounds, SLOW_ROUNDS if peer.name in SLOW else asked)


_BURST_PEERS: Final = (VERBATIM, POOL, TWO_WORKERS, BATCHED_POOL)
_ALL: Final = (
    Scenario(
        "file",
        "One recording, the same windows for all",
        "Nothing is cut out; everybody is given the windows that Verbatim cuts, and decodes each "
        "to the same length.",
        Kind.FILE,
        (
            VERBATIM,
            SEQUENTIAL,
            BATCHED,
            BATCHED_JEMALLOC,
            BATCHED_GLIBC,
            OPENAI,
            TRANSFORMERS,
            TRANSFORMERS_BFLOAT16,
            WHISPER_CPP,
            OPENVINO_GENAI,
        ),
        SEQUENTIAL.name,
        seconds=300,
        equal_windows=True,
    ),
    Scenario(
        "defaults",
        "One recording, each program by its defaults",
        "Verbatim and the batched pipeline take silence out, faster-whisper alone does not, so the "
        "number of windows differs.",
        Kind.FILE,
        (VERBATIM, SEQUENTIAL, BATCHED),
        SEQUENTIAL.name,
        seconds=600,
    ),
    Scenario(
        "burst-5s",
        "16 short requests at once",
        "Short commands and messages that arrive at the same moment.",
        Kind.BURST,
        _BURST_PEERS,
        POOL.name,
        seconds=5,
        count=16,
        tokens=SHORT_TOKENS,
    ),
    Scenario(
        "burst-30s",
        "16 requests of a window at once",
        "Each request is one full window.",
        Kind.BURST,
        _BURST_PEERS,
        POOL.name,
        seconds=30,
        count=16,
    ),
    Scenario(
        "long",
        "A long recording",
        "Memory must not grow with the recording.",
        Kind.FILE,
        (VERBATIM,),
        VERBATIM.name,
        seconds=10_800,
        most_rounds=1,
        models=("tiny",),
    ),
    Scenario(
        "long-peers",
        "A long recording, beside the batched pipeline",
        "Memory must not grow with the recording.",
        Kind.FILE,
        (VERBATIM, BATCHED),
        BATCHED.name,
        seconds=10_800,
        most_rounds=1,
        models=("tiny",),
    ),
    Scenario(
        "start",
        "From the command to the first answer",
        "Verbatim's server until `/ready` says so; the others until a script has loaded the model.",
        Kind.START,
        (VERBATIM, SEQUENTIAL, OPENAI),
        SEQUENTIAL.name,
        seconds=0,
    ),
    Scenario(
        "gpu",
        "One recording on a GPU, the same windows for both",
        "float16; the bound is what the chip's memory and arithmetic allow.",
        Kind.FILE,
        (VERBATIM_GPU, BATCHED_GPU),
        BATCHED_GPU.name,
        seconds=3_600,
        equal_windows=True,
    ),
)
SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType({one.name: one for one in _ALL})
BY_DEFAULT: Final = ("file", "defaults", "burst-5s", "burst-30s", "long", "start")
"""What `make bench` runs."""
GPU_BOUNDS_MS: Final[Mapping[str, float]] = MappingProxyType({"large-v3": 6.0, "turbo": 3.3})
"""Reasoned bounds of a window on an H200, in milliseconds."""
