"""Transcripts that are kept, so that the same recording is not transcribed twice.

A result is known by the bytes of the upload, the request, the model's files, the settings that
change results, the version of Verbatim, and whose it is. Callers never get what others had
transcribed: by an answer that comes at once they could tell that somebody has the recording.

Nothing that goes wrong here is an error of a request: what cannot be read is transcribed anew, and
what cannot be written is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from weakref import WeakKeyDictionary

import structlog
from pydantic import TypeAdapter

from verbatim.domain.errors import VerbatimError
from verbatim.domain.request import Priority, TranscriptionRequest
from verbatim.domain.transcript import Transcript, WarningCode
from verbatim.pipeline.packing import FORMAT, DamagedError, pack, unpack
from verbatim.store.results import ResultStore

log = structlog.stdlib.get_logger(__name__)

LOOK_UP_S: Final = 1.0
"""A database that is slower than this costs more than it saves."""
PAUSE_S: Final = 30.0
"""For how long the database is left alone after it failed."""
MAX_UNSAVED: Final = 16
CLOSING_S: Final = 5.0
ACCIDENTAL: Final = frozenset(
    {WarningCode.DEVICE_FALLBACK, WarningCode.DAMAGED_AUDIO, WarningCode.TRUNCATED_AUDIO}
)
"""Warnings of what may be otherwise the next time: such results are not kept."""


class CacheOutcome(StrEnum):
    """How a request was served."""

    HIT = "hit"
    MISS = "miss"
    JOINED = "joined"


@dataclass(frozen=True, slots=True)
class Caching:
    """What a request allows.

    Attributes:
        read: it may be answered with a kept result, or with that of an equal request.
        keep: its result may be kept.
    """

    read: bool = True
    keep: bool = True


@dataclass(frozen=True, slots=True)
class ResultKey:
    """What a result is known by.

    Attributes:
        digest: of everything together.
        model: identity of the model's files as they were when the request came.
    """

    digest: str
    model: str


class ResultCache:
    """Keeps results in a store; to be closed before it.

    Args:
        store: see there.
        identify: the identity of the model with a name, as it lies on disk, and of the settings
            that it runs with; called in a thread. Raises VerbatimError or OSError.
        version: of Verbatim.
        clock: seconds that only rise.
        now: the time, aware of its zone, UTC.
    """

    def __init__(
        self,
        store: ResultStore,
        identify: Callable[[str], str],
        version: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._identify = identify
        self._version = version
        self._clock = clock
        self._now = now
        self._unsaved: dict[str, Transcript] = {}
        self._saving: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._rests_until_s = 0.0
        self._loaded: WeakKeyDictionary[object, str] = WeakKeyDictionary()

    async def key(
        self, audio_digest: str, request: TranscriptionRequest, owner: str
    ) -> ResultKey | None:
        """What the request's result is known by; None where it is not to be known again.

        Args:
            audio_digest: of the upload's bytes.
            request: as asked.
            owner: whose it is.
        """
        if request.decode.temperatures[:1] != (0.0,):
            return None  # whoever asks for chance wants other text each time
        try:
            model = await asyncio.to_thread(self._identify, request.model)
        except (VerbatimError, OSError):
            return None  # what is wrong with the model is told where it is loaded
        asked = _REQUEST.dump_json(replace(request, model="", priority=Priority.INTERACTIVE))
        digest = hashlib.sha256()
        for part in (FORMAT, self._version, owner, audio_digest, model):
            digest.update(f"{len(part)}:{part}".encode())
        digest.update(asked)
        return ResultKey(digest.hexdigest(), model)

    async def find(self, key: ResultKey) -> Transcript | None:
        """The result that is kept, if any."""
        if (unsaved := self._unsaved.get(key.digest)) is not None:
            return unsaved
        if self._clock() < self._rests_until_s:
            return None
        try:
            async with asyncio.timeout(LOOK_UP_S):
                content = await self._store.get(key.digest, self._now())
            return None if content is None else await asyncio.to_thread(unpack, content)
        except (VerbatimError, TimeoutError) as error:
            self._rest("kept results cannot be read", error)
        except DamagedError:
            log.warning("a kept result is damaged")
        return None

    async def is_current(self, key: ResultKey, model: object, name: str) -> bool:
        """Whether a loaded model is that of the files that the key was made from.

        Files can be replaced under a model that stays in memory. What was first seen right after
        it was loaded is what it was loaded from.

        Args:
            key: of a request.
            model: that is used for it.
            name: by which the request asked for it.
        """
        await self.remember(model, name)
        return self._loaded.get(model) == key.model

    async def remember(self, model: object, name: str) -> None:
        """Note from which files a model was loaded, right after it was."""
        if model not in self._loaded:
            with suppress(VerbatimError, OSError):
                self._loaded[model] = await asyncio.to_thread(self._identify, name)

    def keep(self, key: ResultKey, transcript: Transcript) -> None:
        """Keep a result, soon; from now on it can be found."""
        if ACCIDENTAL & {warning.code for warning in transcript.warnings}:
            return
        if len(self._unsaved) >= MAX_UNSAVED or self._clock() < self._rests_until_s:
            return
        self._unsaved[key.digest] = transcript
        task = asyncio.create_task(self._save(key, transcript))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def clear(self) -> int:
        """Forget all results; says how many were kept.

        Raises:
            StorageFullError, UnavailableError: the database cannot be written.
        """
        self._unsaved.clear()
        async with self._one_at_a_time:
            return await self._store.clear()

    async def aclose(self) -> None:
        """Finish writing what is kept."""
        if self._saving:
            _, late = await asyncio.wait(self._saving, timeout=CLOSING_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _save(self, key: ResultKey, transcript: Transcript) -> None:
        try:
            content = await asyncio.to_thread(pack, transcript)
            async with self._one_at_a_time:
                if key.digest not in self._unsaved:
                    return  # all results were to be forgotten meanwhile
                await self._store.put(key.digest, content, self._now())
        except VerbatimError as error:
            self._rest("results cannot be kept", error)
        finally:
            self._unsaved.pop(key.digest, None)

    def _rest(self, what: str, error: Exception) -> None:
        self._rests_until_s = self._clock() + PAUSE_S
        log.warning(what, problem=str(error) or type(error).__name__, pause_s=PAUSE_S)


_REQUEST: Final = TypeAdapter(TranscriptionRequest)
