"""The listening half of a live session: where utterances begin and end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from verbatim.domain.audio import Pcm, to_samples
from verbatim.domain.live import Cleared, EndReason, LiveOptions, SessionEnd, SpeechStopped
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.vad import SileroVad, VadState
from verbatim.pipeline.live.engine import LiveEngine
from verbatim.pipeline.live.floor import Floor
from verbatim.pipeline.live.inbox import Clear, Commit, Finish, Inbox, Order, Update
from verbatim.stages import endpointing
from verbatim.stages.endpointing import Phase, SpeechBegan, Turn
from verbatim.stages.speech import Probabilities

MAX_BACKLOG_S: Final = 45.0
"""Audio that is listened to ahead of the decoder."""


class Listener:
    """Takes what a wire brings, in order.

    Args:
        floor: the session's state.
        inbox: what was brought.
        vad: finds speech.
        options: how to listen, until an update.
        engine: for the utterances, until an update.
        on_update: called when other options hold.
    """

    def __init__(
        self,
        floor: Floor,
        inbox: Inbox,
        vad: SileroVad,
        options: LiveOptions,
        engine: LiveEngine,
        on_update: Callable[[], Awaitable[None]],
    ) -> None:
        self._floor = floor
        self._inbox = inbox
        self._vad = vad
        self._vad_state = VadState()
        self._options = options
        self.engine = engine
        """The engine of the next utterance."""
        self._on_update = on_update

    async def run(self) -> None:
        """Listen until no more comes."""
        while self._floor.ended is None:
            await self._wait_for_decoder()
            item = await self._inbox.take()
            if isinstance(item, Commit | Clear | Update | Finish):
                await self._obey(item)
            else:
                await self._hear(item)
            self._floor.changed.set()

    async def _wait_for_decoder(self) -> None:
        """Do not get too far ahead; what is not listened to waits in the inbox."""
        floor = self._floor
        while floor.utterances:
            ahead = floor.tape.end - floor.utterances[0][0].undecoded_from
            if ahead < MAX_BACKLOG_S * SAMPLE_RATE_HZ:
                return
            floor.progress.clear()
            await floor.progress.wait()

    async def _hear(self, pcm: Pcm) -> None:
        def advance() -> tuple[Probabilities, VadState]:
            return self._vad.advance(to_samples(pcm), self._vad_state)

        # In a thread: other sessions go on meanwhile.
        probabilities, self._vad_state = await asyncio.to_thread(advance)
        async with self._floor.turn:
            self._floor.tape.append(pcm)
            await self._follow(probabilities)
            self._forget()

    async def _follow(self, probabilities: Probabilities) -> None:
        floor = self._floor
        floor.endpoint, turns = endpointing.advance(
            floor.endpoint, probabilities, self._options.turns
        )
        for turn in turns:
            await self._take_turn(turn)

    async def _take_turn(self, turn: Turn) -> None:
        floor = self._floor
        current = floor.open_utterance
        if isinstance(turn, SpeechBegan):
            await self._begin(turn.start)
        elif current is not None:
            current.end_stretch(turn.heard, turn.end)
            floor.boundary = max(floor.boundary, turn.end)
            if not self._options.manual:
                await floor.events.put(SpeechStopped(current.number, turn.end / SAMPLE_RATE_HZ))
                await floor.end(current, turn.end, EndReason.ENDPOINT)

    async def _begin(self, speech_start: int) -> None:
        """Speech: of the utterance that is open, or of a new one."""
        floor = self._floor
        start = max(speech_start - self._padding, floor.boundary)
        current = floor.open_utterance
        if current is None:
            current = floor.add(self._options, self.engine, start)
            await floor.tell_start(current, max(speech_start, start))
        current.begin_stretch(start)

    async def _obey(self, order: Order) -> None:
        floor = self._floor
        async with floor.turn:
            match order:
                case Commit():
                    await self._cut(EndReason.COMMIT)
                case Clear():
                    await self._clear()
                case Update(options, engine):
                    await self._update(options, engine)
                case Finish(reason):
                    await self._finish(reason)

    async def _cut(self, reason: EndReason) -> None:
        """End what is open here, also speech that has only just begun."""
        floor, state = self._floor, self._floor.endpoint
        end = floor.tape.end
        if floor.open_utterance is None and state.phase is Phase.STARTING:
            await self._begin(min(state.speech_start, end))
        current = floor.open_utterance
        if current is None and reason is EndReason.COMMIT:
            current = floor.add(self._options, self.engine, floor.boundary)
        if current is not None:
            stopping = state.phase is Phase.STOPPING
            current.end_stretch(end, state.silence_start if stopping else end)
            await floor.end(current, end, reason)
        self._restart()

    async def _clear(self) -> None:
        floor = self._floor
        current = floor.open_utterance
        if current is not None:
            current.cleared = True
            floor.utterances.pop()
        self._restart()
        await floor.events.put(Cleared(None if current is None else current.number))

    async def _update(self, options: LiveOptions, engine: LiveEngine) -> None:
        self._options, self.engine = options, engine
        floor = self._floor
        current = floor.open_utterance
        quiet = floor.endpoint.phase in {Phase.QUIET, Phase.STARTING}
        if current is not None and quiet and not options.manual:
            await floor.end(current, floor.boundary, EndReason.ENDPOINT)
        await self._on_update()

    async def _finish(self, reason: SessionEnd) -> None:
        # The last frame is not whole.
        await self._follow(await asyncio.to_thread(self._vad.finish, self._vad_state))
        await self._cut(EndReason.FINISH)
        self._floor.ended = reason

    def _restart(self) -> None:
        """What follows has nothing to do with what was said before."""
        floor = self._floor
        floor.boundary = floor.tape.end
        floor.endpoint = endpointing.restart(floor.endpoint)

    @property
    def _padding(self) -> int:
        return round(self._options.turns.padding_s * SAMPLE_RATE_HZ)

    def _forget(self) -> None:
        """Let audio go that nobody will hear again."""
        floor, state = self._floor, self._floor.endpoint
        begun = state.position if state.phase is Phase.QUIET else state.speech_start
        next_start = max(begun - self._padding, floor.boundary)
        needed = [utterance.oldest_needed for utterance, _ in floor.utterances]
        floor.tape.forget(min([next_start, *(place for place in needed if place is not None)]))
