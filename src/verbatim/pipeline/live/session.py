"""A live session: one task listens to the audio, another has it decoded, both tell what happens.

The listener finds out where utterances begin and end; the decoder takes them one after another, in
steps while they are spoken and once more when they are over. However long the engine takes, audio
only waits: the steps become longer, and in the end `feed` does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from verbatim.domain.audio import AnyAudio, as_pcm
from verbatim.domain.errors import InternalError
from verbatim.domain.live import Failed, LiveEvent, LiveOptions, SessionEnd, SessionEnded
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.protocol import EngineDescription
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.live.decoder import LiveDecoder
from verbatim.pipeline.live.engine import EngineSource, LiveEngine
from verbatim.pipeline.live.floor import Floor
from verbatim.pipeline.live.inbox import Clear, Commit, Finish, Inbox, Update
from verbatim.pipeline.live.listener import Listener
from verbatim.pipeline.live.options import check_options
from verbatim.pipeline.live.second_pass import SecondPasses
from verbatim.pipeline.live.tap import AudioTap
from verbatim.stages.live_script import Shown, in_script

ID_BYTES: Final = 16

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """How long a session may last, in seconds; None: for ever.

    Attributes:
        idle_s: without any audio.
        longest_s: altogether.
    """

    idle_s: float | None = None
    longest_s: float | None = None


class StreamSession:
    """A `LiveSession` of one stream.

    Args:
        engine: held for this session, which closes it.
        source: where engines of other models come from.
        vad: finds speech.
        options: how it listens; checked.
        owner: shares its turns at the device with its other sessions.
        times: how long it may last.
        clock: seconds that only rise.
        on_end: called once when the session is over.
    """

    def __init__(
        self,
        engine: LiveEngine,
        source: EngineSource,
        vad: SileroVad,
        options: LiveOptions,
        owner: str,
        times: SessionTimes,
        clock: Callable[[], float],
        on_end: Callable[[StreamSession], None],
    ) -> None:
        self.id: Final = secrets.token_hex(ID_BYTES)
        self._source, self._owner, self._clock = source, owner, clock
        self._times = times
        self._on_end = on_end
        self._tap: AudioTap | None = None
        self._options = options
        self._engine = engine
        self._engines = [engine]
        self._floor = Floor()
        self._inbox = Inbox()
        self._second_passes = SecondPasses(self._floor.tell)
        self._listener = Listener(
            self._floor, self._inbox, vad, options, engine, self._release_engines
        )
        self._decoder = LiveDecoder(self._floor, self._second_passes, clock)
        self._began_s = self._fed_at_s = clock()
        self._feeding = 0
        self._life = asyncio.create_task(self._live())
        self._task = asyncio.create_task(self._run())

    @property
    def fed_s(self) -> float:
        """Seconds of audio that were fed so far."""
        return self._inbox.position / SAMPLE_RATE_HZ

    @property
    def heard_s(self) -> float:
        """Seconds of audio that were listened to so far."""
        return self._floor.heard.position / SAMPLE_RATE_HZ

    @property
    def options(self) -> LiveOptions:
        """As last updated."""
        return self._options

    def describe(self) -> EngineDescription:
        """The model that listens."""
        return self._engine.describe()

    def write_down(self, folder: Path) -> None:
        """Keep what is heard from now on, for who looks for a fault."""
        self._tap = AudioTap(folder, self.id)

    async def feed(self, samples: AnyAudio) -> None:
        """Hear more audio; see `LiveSession.feed`."""
        self._feeding += 1
        pcm = as_pcm(samples)
        try:
            if self._tap is not None:
                await self._tap.write(pcm)
            await self._inbox.put(pcm)
        finally:
            self._feeding -= 1
            self._fed_at_s = self._clock()

    async def commit(self) -> None:
        """End the utterance here; see `LiveSession.commit`."""
        self._inbox.order(Commit())

    async def clear(self) -> None:
        """Forget the open utterance; see `LiveSession.clear`."""
        self._inbox.order(Clear())

    async def update(self, options: LiveOptions) -> None:
        """Listen by other options; see `LiveSession.update`."""
        check_options(options)
        if options.model == self._options.model:
            self._engine.check(options)
        else:
            engine = await self._source.open(options, self._owner)
            self._engine = engine
            self._engines.append(engine)
        self._options = options
        self._inbox.order(Update(options, self._engine))

    async def finish(self) -> None:
        """No more audio comes; see `LiveSession.finish`."""
        self.end(SessionEnd.FINISHED)

    def end(self, reason: SessionEnd) -> None:
        """Finish for a reason; after the first one, others do nothing."""
        self._inbox.order(Finish(reason))

    async def events(self) -> AsyncGenerator[LiveEvent]:
        """What the session tells; see `LiveSession.events`."""
        shown = Shown()
        while (event := await self._floor.events.get()) is not None:
            told, shown = in_script(event, self._options.script, shown)
            yield told
            if isinstance(event, SessionEnded):
                return

    async def aclose(self) -> None:
        """End at once; twice is fine."""
        self.end(SessionEnd.FINISHED)
        self._life.cancel()
        await self.ended()
        # Whoever still reads the events must not wait for ever.
        events = self._floor.events
        if events.full():
            events.get_nowait()
        events.put_nowait(None)

    async def ended(self) -> None:
        """Until the session is over, whatever ends it."""
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        """See the session's life to its end, and free everything then."""
        watching = asyncio.create_task(self._watch())
        # Not awaited itself: one that is cancelled before it begins runs no code.
        await asyncio.wait({self._life})
        watching.cancel()
        self._second_passes.cancel()
        for engine in self._engines:
            await engine.aclose()
        if self._tap is not None:
            await self._tap.aclose()
        self._on_end(self)

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listener.run())
                tasks.create_task(self._decoder.run())
            await self._second_passes.finish()
            await self._tell_end(self._floor.ended or SessionEnd.FINISHED)
        except ExceptionGroup as failures:
            log.error("a live session failed", exc_info=failures)
            self.end(SessionEnd.FAILED)
            fault = InternalError("The session failed; the server's log says why. Open another.")
            await self._floor.events.put(Failed(None, fault))
            await self._tell_end(SessionEnd.FAILED)

    async def _tell_end(self, reason: SessionEnd) -> None:
        audio_s = self._floor.tape.end / SAMPLE_RATE_HZ
        await self._floor.events.put(SessionEnded(reason, audio_s))

    async def _watch(self) -> None:
        """End a session that is idle or has lasted long enough."""
        idle_s, longest_s = self._times.idle_s, self._times.longest_s
        while True:
            now_s = self._clock()
            due: dict[SessionEnd, float] = {}
            if idle_s is not None:
                # Who waits for room with audio in the hand is not idle.
                since_s = now_s if self._feeding else self._fed_at_s
                due[SessionEnd.IDLE] = since_s + idle_s
            if longest_s is not None:
                due[SessionEnd.TOO_LONG] = self._began_s + longest_s
            if not due:
                return
            reason = min(due, key=lambda each: due[each])
            if due[reason] <= now_s:
                self.end(reason)
                return
            await asyncio.sleep(due[reason] - now_s)

    async def _release_engines(self) -> None:
        """Let models go that were left for another one and have nothing more to decode."""
        needed = {self._engine, self._listener.engine}
        needed |= {engine for _, engine in self._floor.utterances}
        for engine in list(self._engines):
            if engine not in needed and not self._second_passes.uses(engine):
                self._engines.remove(engine)
                await engine.aclose()
