"""Several back ends: each recording goes to the one with the fewest, and on where that fails."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import structlog

from verbatim.domain.errors import ErrorKind, UnavailableError, VerbatimError
from verbatim.domain.events import SegmentReady, TranscriptionEvent
from verbatim.domain.request import TranscriptionRequest
from verbatim.forwarding.back_end import BackEnd, UnreachableError

RETRY_S: Final = 10.0
KNOWN_S: Final = 1.0
"""For so long what was found out about the back ends is told again."""
ELSEWHERE: Final = frozenset(
    {ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.STORAGE_FULL, ErrorKind.NOT_FOUND}
)
"""What one back end says and another may not: it is busy, or lacks the model."""

log = structlog.stdlib.get_logger(__name__)


class BackEnds:
    """Passes recordings on.

    Args:
        back_ends: in the order in which they are preferred where they have equally much to do.
        clock: seconds that only rise.
    """

    def __init__(
        self, back_ends: Sequence[BackEnd], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._back_ends = tuple(back_ends)
        self._clock = clock
        self._looking = asyncio.Lock()
        self._known: str | None = None
        self._known_until_s = -math.inf

    async def check(self) -> None:
        """Look which of them are there, and log it."""
        found = await asyncio.gather(*map(_obstacle, self._back_ends))
        for back_end, obstacle in zip(self._back_ends, found, strict=True):
            if obstacle is None:
                log.info("work is passed on", back_end=back_end.url)
            else:
                log.warning("a back end cannot be reached", back_end=back_end.url, reason=obstacle)

    async def obstacle(self) -> str | None:
        """Why nothing can be passed on; None where one can be reached."""
        async with self._looking:
            if self._clock() >= self._known_until_s:
                self._known = await self._look()
                self._known_until_s = self._clock() + KNOWN_S
            return self._known

    async def _look(self) -> str | None:
        """Ask all; the first that is there is enough."""
        asked = [asyncio.create_task(_obstacle(back_end)) for back_end in self._back_ends]
        try:
            for answer in asyncio.as_completed(asked):
                if await answer is None:
                    return None
        finally:
            for task in asked:
                task.cancel()
        reasons = zip(self._back_ends, (task.result() for task in asked), strict=True)
        return _none_of(f"{back_end.url} ({reason})" for back_end, reason in reasons)

    async def transcribe(
        self, source: Path | bytes, request: TranscriptionRequest
    ) -> AsyncGenerator[TranscriptionEvent]:
        """Have a recording transcribed by one of them; the last event is `Finished`.

        Raises:
            UnavailableError: none can be reached, or one was lost after it told a part.
            VerbatimError: what a back end says of the recording, or the last of those that are
                too busy.
        """
        obstacles: list[str] = []
        refusal: VerbatimError | None = None
        for back_end in sorted(self._back_ends, key=lambda known: known.in_use):
            told = False
            try:
                async with aclosing(back_end.transcribe(source, request)) as events:
                    async for event in events:
                        # What was told before may be told again; segments may not.
                        told = told or isinstance(event, SegmentReady)
                        yield event
                return
            except UnreachableError as error:
                log.warning("a back end is lost", back_end=back_end.url, reason=str(error))
                if told:
                    raise UnavailableError(
                        f"The back end {back_end.url} was lost in the middle of the recording. "
                        "Send it again.",
                        retry_after_s=RETRY_S,
                    ) from error
                obstacles.append(f"{back_end.url} ({error})")
            except VerbatimError as error:
                if told or error.kind not in ELSEWHERE:
                    raise
                refusal = error
        if refusal is not None:
            raise refusal
        raise UnavailableError(_none_of(obstacles), retry_after_s=RETRY_S)


def _none_of(obstacles: Iterable[str]) -> str:
    return (
        f"No back end can be reached: {', '.join(obstacles)}. Start one, or set backend_url to "
        "where it is."
    )


async def _obstacle(back_end: BackEnd) -> str | None:
    try:
        await back_end.check()
    except UnreachableError as error:
        return str(error)
    return None
