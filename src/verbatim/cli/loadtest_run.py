"""Many requests to a server at once, and what came of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import httpx

CONNECT_TIMEOUT_S: Final = 10.0
NO_CACHE: Final = {"cache-control": "no-cache, no-store"}
"""Otherwise the first answer would be given to all."""
TOO_BUSY: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Wire:
    """How one dialect is asked for a transcription.

    Attributes:
        path: on the server.
        key_header: carries the API key.
        key_prefix: stands before it.
        model_field: form field that names the model; None where it has none.
        raw: the audio is the body itself instead of a form's file.
    """

    path: str
    key_header: str = "authorization"
    key_prefix: str = "Bearer "
    model_field: str | None = "model"
    raw: bool = False


WIRES: Final[Mapping[str, Wire]] = MappingProxyType(
    {
        "openai": Wire("/v1/audio/transcriptions"),
        "native": Wire("/v1/transcripts"),
        "voxscribe": Wire("/transcribe"),
        "microservice": Wire("/stt/transcribe/", model_field=None),
        "fastwhisper": Wire("/transcribe", "x-api-key", "", model_field=None),
        "zhtw": Wire("/transcribe/file"),
        "deepgram": Wire("/v1/listen", "authorization", "Token ", model_field=None, raw=True),
    }
)
"""By the names of the dialects, the file route of each."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is sent.

    Attributes:
        duration_s: length of its sound, seconds.
    """

    name: str
    data: bytes
    duration_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """What the server is asked.

    Attributes:
        url: of the server, without a path.
        requests: how many in all.
        concurrency: how many at the same time.
        timeout_s: after which an answer counts as missing, seconds.
        fields: further form fields.
        cached: whether the server may answer from its cache.
    """

    url: str
    wire: Wire
    recordings: Sequence[Recording]
    requests: int
    concurrency: int
    timeout_s: float
    api_key: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's end.

    Attributes:
        took_s: from the start of the request to the last byte of its answer, seconds.
        audio_s: length of the sound that was sent, seconds.
        error: why it failed; None if it did not.
    """

    took_s: float
    audio_s: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load; times in seconds."""

    wall_s: float
    answers: tuple[Answer, ...]

    @property
    def good(self) -> tuple[Answer, ...]:
        """The requests that were answered with a transcript."""
        return tuple(answer for answer in self.answers if answer.error is None)

    @property
    def errors(self) -> dict[str, int]:
        """How often each failure happened, the most frequent first."""
        return dict(Counter(a.error for a in self.answers if a.error is not None).most_common())

    def figures(self) -> dict[str, float | int | dict[str, int]]:
        """The figures of the table, for programs."""
        good = self.good
        times_s = [answer.took_s for answer in good]
        wall_s = self.wall_s or math.inf
        return {
            "requests": len(self.answers),
            "good": len(good),
            "failed": len(self.answers) - len(good),
            "wall_s": round(self.wall_s, 3),
            "requests_per_s": round(len(good) / wall_s, 3),
            "audio_s_per_s": round(sum(answer.audio_s for answer in good) / wall_s, 2),
            **{f"p{n}_s": round(percentile(times_s, n), 4) for n in (50, 95, 99)},
            "min_s": round(min(times_s, default=0.0), 4),
            "max_s": round(max(times_s, default=0.0), 4),
            "errors": self.errors,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that `percent` of all do not exceed (nearest rank); 0 of none."""
    if not values:
        return 0.0
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]


async def apply_load(
    load: Load,
    on_answer: Callable[[Answer], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Outcome:
    """Send all requests, never more than `concurrency` at the same time.

    Cancelled, it ends with what was answered until then.

    Args:
        load: what to ask.
        on_answer: told of each request's end.
        clock: seconds that only rise.
        transport: in place of the network, for tests.
    """
    answers: list[Answer] = []
    waiting = iter(itertools.islice(itertools.cycle(load.recordings), load.requests))
    limits = httpx.Limits(
        max_connections=load.concurrency, max_keepalive_connections=load.concurrency
    )
    timeout = httpx.Timeout(load.timeout_s, connect=CONNECT_TIMEOUT_S)
    began_s = clock()
    async with httpx.AsyncClient(
        base_url=load.url, limits=limits, timeout=timeout, transport=transport
    ) as client:

        async def work() -> None:
            # The next one is taken and begun without a pause, so no two take the same.
            for recording in waiting:
                answer = await _ask(client, load, recording, clock)
                answers.append(answer)
                on_answer(answer)

        workers = [asyncio.create_task(work()) for _ in range(load.concurrency)]
        try:
            await asyncio.gather(*workers)
        except asyncio.CancelledError:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    return Outcome(clock() - began_s, tuple(answers))


async def _ask(
    client: httpx.AsyncClient, load: Load, recording: Recording, clock: Callable[[], float]
) -> Answer:
    began_s = clock()
    try:
        async with asyncio.timeout(load.timeout_s):
            response = await client.post(load.wire.path, **_request(load, recording))
    except TimeoutError:
        error: str | None = f"no answer within {load.timeout_s:g} s"
    except httpx.HTTPError as failure:
        error = f"{type(failure).__name__}: {failure}".rstrip(": ")
    else:
        error = _error(response)
    return Answer(clock() - began_s, recording.duration_s, error)


def _request(load: Load, recording: Recording) -> dict[str, Any]:
    wire = load.wire
    headers = {} if load.cached else dict(NO_CACHE)
    if load.api_key:
        headers[wire.key_header] = wire.key_prefix + load.api_key
    if wire.raw:
        return {"content": recording.data, "params": dict(load.fields), "headers": headers}
    files = {"file": (recording.name, recording.data)}
    return {"files": files, "data": dict(load.fields), "headers": headers}


def _error(response: httpx.Response) -> str | None:
    if response.is_success:
        return None if _has_text(response) else "an answer without a text"
    busy = " (busy)" if response.status_code in TOO_BUSY else ""
    return f"HTTP {response.status_code}{busy}: {_reason(response)}"


def _has_text(response: httpx.Response) -> bool:
    """Whether it is a transcript in any of the dialects."""
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False
    return isinstance(body, dict) and ("text" in body or "results" in body)


def _reason(response: httpx.Response) -> str:
    """The message in the error shapes of all dialects."""
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return response.reason_phrase
    if not isinstance(body, dict):
        return response.reason_phrase
    nested = body.get("error")
    found = nested.get("message") if isinstance(nested, dict) else nested
    return str(found or body.get("detail") or body.get("err_msg") or response.reason_phrase)
