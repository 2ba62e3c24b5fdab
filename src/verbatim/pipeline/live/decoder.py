"""The decoding half of a live session: one utterance after another, each until it is final."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from verbatim.domain.audio import Window
from verbatim.domain.errors import VerbatimError
from verbatim.domain.live import EndReason, Failed
from verbatim.domain.transcript import WindowResult
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.pipeline.live.engine import LiveEngine
from verbatim.pipeline.live.floor import Floor
from verbatim.pipeline.live.second_pass import SecondPasses
from verbatim.pipeline.live.steps import Wanted
from verbatim.pipeline.live.utterance import Piece, Utterance

STEPS_PER_DECODING: Final = 1.5
"""A step is at least so many times as long as decoding takes, so that the engine has room."""


class LiveDecoder:
    """Has decoded what is worth it, whenever something is.

    Args:
        floor: the session's state.
        second_passes: what hears utterances again.
        clock: seconds that only rise.
    """

    def __init__(
        self, floor: Floor, second_passes: SecondPasses, clock: Callable[[], float]
    ) -> None:
        self._floor = floor
        self._second_passes = second_passes
        self._clock = clock
        self._took_s = 0.0
        """How long the last decoding took."""

    async def run(self) -> None:
        """Decode until the audio has ended and everything is final."""
        floor = self._floor
        while True:
            floor.changed.clear()
            if not floor.utterances:
                if floor.ended is not None:
                    return
                await floor.changed.wait()
                continue
            utterance, engine = floor.utterances[0]
            async with floor.turn:
                if not utterance.cleared:
                    await self._tell_progress(utterance, engine)
            if utterance.cleared or utterance.complete:
                continue
            wanted = utterance.wanted(floor.heard, STEPS_PER_DECODING * self._took_s)
            if wanted is None:
                await floor.changed.wait()
            else:
                await self._decode(utterance, engine, wanted)

    async def _decode(self, utterance: Utterance, engine: LiveEngine, wanted: Wanted) -> None:
        floor = self._floor
        samples = floor.tape.cut(wanted.first, wanted.last)
        start_s = wanted.first / SAMPLE_RATE_HZ
        began_s = self._clock()
        result: WindowResult | VerbatimError
        try:
            result = await engine.run(Window(samples, start_s, utterance.decode_options(wanted)))
        except VerbatimError as error:
            result = error
        self._took_s = self._clock() - began_s
        async with floor.turn:
            if utterance.cleared:
                return
            if isinstance(result, WindowResult):
                utterance.take(wanted, result)
                await self._tell_progress(utterance, engine)
            elif not utterance.open:
                floor.utterances.popleft()
                await floor.events.put(Failed(utterance.number, result))
            elif not result.retryable:
                utterance.pass_over(wanted)
        floor.progress.set()

    async def _tell_progress(self, utterance: Utterance, engine: LiveEngine) -> None:
        """Tell what is new in the first utterance, and its end where everything is known of it."""
        for first, last in utterance.settle():
            self._keep(utterance, first, last)
        if utterance.complete:
            await self._conclude(utterance, engine)
            return
        if (partial := utterance.partial()) is not None:
            await self._floor.events.put(partial)
        if (rest := self._floor.split(utterance, engine)) is not None:
            self._keep(utterance, utterance.start, rest.start)
            await self._floor.end(utterance, rest.start, EndReason.LENGTH)
            await self._floor.tell_start(rest, rest.start)
            await self._conclude(utterance, engine)

    def _keep(self, utterance: Utterance, first: int, last: int) -> None:
        """Keep audio for the second pass, if there is to be one."""
        if utterance.options.second_pass:
            utterance.pieces.append(Piece(first, self._floor.tape.cut(first, last)))

    async def _conclude(self, utterance: Utterance, engine: LiveEngine) -> None:
        self._floor.utterances.popleft()
        final = utterance.final()
        if final.text:
            self._floor.language = final.language
        await self._floor.events.put(final)
        self._second_passes.begin(final, utterance.pieces, utterance.options, engine)
        self._floor.progress.set()
