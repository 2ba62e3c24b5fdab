"""Utterances heard again by a wider search, beside the session that they are from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import structlog

from verbatim.domain.audio import Window
from verbatim.domain.errors import VerbatimError
from verbatim.domain.live import Final as FinalEvent
from verbatim.domain.live import LiveOptions, SecondPass
from verbatim.domain.request import DecodeOptions, Priority
from verbatim.domain.transcript import Word
from verbatim.domain.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from verbatim.pipeline.live.engine import LiveEngine
from verbatim.pipeline.live.utterance import Piece
from verbatim.stages.live_segments import sentences
from verbatim.stages.trimming import MAX_WINDOW_S

MAX_PENDING: Final = 4
"""Utterances that may wait for theirs; where the engine has no time for more, they have none."""

log = structlog.stdlib.get_logger(__name__)


class SecondPasses:
    """Those of one session, one after another.

    Args:
        tell: hands an event to the session's reader.
    """

    def __init__(self, tell: Callable[[SecondPass], Awaitable[None]]) -> None:
        self._tell = tell
        self._tasks: dict[asyncio.Task[None], LiveEngine] = {}
        self._one = asyncio.Lock()

    def begin(
        self, final: FinalEvent, pieces: Sequence[Piece], options: LiveOptions, engine: LiveEngine
    ) -> None:
        """Hear an utterance again; does nothing where there was nothing, or too much waits."""
        if not final.words or not pieces or len(self._tasks) >= MAX_PENDING:
            return
        task = asyncio.create_task(self._run(final, pieces, options, engine))
        self._tasks[task] = engine
        task.add_done_callback(self._end)

    def uses(self, engine: LiveEngine) -> bool:
        """Whether this engine is still needed."""
        return engine in self._tasks.values()

    async def finish(self) -> None:
        """Until all are told."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Tell no more."""
        for task in self._tasks:
            task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a second pass failed", exc_info=error)

    async def _run(
        self, final: FinalEvent, pieces: Sequence[Piece], options: LiveOptions, engine: LiveEngine
    ) -> None:
        decode = DecodeOptions(
            language=final.language,
            task=options.task,
            word_timestamps=True,
            initial_prompt=options.prompt,
            hotwords=options.hotwords,
        )
        words: list[Word] = []
        no_speech_prob = 0.0
        async with self._one:
            for piece in cut_pieces(pieces, final.words):
                start = piece.start / SAMPLE_RATE_HZ
                try:
                    result = await engine.run(
                        Window(piece.samples, start, decode), Priority.INTERACTIVE
                    )
                except VerbatimError as error:
                    log.warning("a second pass failed", reason=error.message)
                    return
                no_speech_prob = max(no_speech_prob, result.no_speech_prob)
                for segment in (*result.segments, *((result.tail,) if result.tail else ())):
                    words += [
                        replace(word, start=word.start + start, end=word.end + start)
                        for word in segment.words or ()
                    ]
        spoken = tuple(words)
        await self._tell(
            SecondPass(
                utterance=final.utterance,
                start=final.start,
                end=final.end,
                text="".join(word.text for word in spoken).strip(),
                words=spoken,
                segments=sentences(spoken, language=final.language, no_speech_prob=no_speech_prob),
                language=final.language,
            )
        )


def cut_pieces(pieces: Sequence[Piece], words: Sequence[Word]) -> list[Piece]:
    """Pieces that fit a window, cut between words where they are longer."""
    longest = round(MAX_WINDOW_S * SAMPLE_RATE_HZ)
    gaps = [
        round((before.end + after.start) / 2 * SAMPLE_RATE_HZ) for before, after in pairwise(words)
    ]
    fitting: list[Piece] = []
    for piece in pieces:
        start, end = piece.start, piece.start + len(piece.samples)
        while end - start >= HOP_SAMPLES:
            last = end
            if end - start > longest:
                inside = (gap for gap in gaps if start + HOP_SAMPLES <= gap <= start + longest)
                last = max(inside, default=start + longest)
            samples = piece.samples[start - piece.start : last - piece.start]
            fitting.append(Piece(start, samples))
            start = last
    return fitting
