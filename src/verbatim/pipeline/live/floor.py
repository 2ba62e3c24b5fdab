"""What the two tasks of a live session share: the audio, the utterances, and who may speak."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from verbatim.domain.live import (
    EndReason,
    LiveEvent,
    LiveOptions,
    SessionEnd,
    SpeechStarted,
    UtteranceEnded,
)
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.pipeline.live.engine import LiveEngine
from verbatim.pipeline.live.steps import Heard
from verbatim.pipeline.live.utterance import Utterance
from verbatim.stages.endpointing import EndpointState, Phase
from verbatim.stages.tape import Tape

MAX_EVENTS: Final = 256
"""That wait for a reader; then everything waits."""


class Floor:
    """State of a session. It changes, and what changed is told, only by who holds `turn`.

    So events come in the order of what they tell, whichever task tells them.

    Attributes:
        turn: see above.
        events: for the session's reader; None ends them.
        changed: set when there is something new for the decoder.
        progress: set when the decoder has got on.
        tape: the audio.
        endpoint: how far it was listened to.
        boundary: no utterance that is to come begins before this sample.
        utterances: not final yet, with the engine that each is for; only the last may be open.
        language: of the last utterance that said anything.
        ended: why no more audio comes; None while more may.
    """

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.events: asyncio.Queue[LiveEvent | None] = asyncio.Queue(MAX_EVENTS)
        self.changed = asyncio.Event()
        self.progress = asyncio.Event()
        self.tape = Tape()
        self.endpoint = EndpointState()
        self.boundary = 0
        self.utterances: deque[tuple[Utterance, LiveEngine]] = deque()
        self.language: str | None = None
        self.ended: SessionEnd | None = None
        self._next_number = 0

    @property
    def open_utterance(self) -> Utterance | None:
        """The utterance to which more audio may belong."""
        last = self.utterances[-1][0] if self.utterances else None
        return last if last is not None and last.open else None

    @property
    def heard(self) -> Heard:
        """How far the audio was listened to, and whether it is silent there."""
        state = self.endpoint
        silence = state.silence_start if state.phase is Phase.STOPPING else None
        return Heard(min(state.position, self.tape.end), silence)

    async def tell(self, event: LiveEvent) -> None:
        """Tell something that is no change of the state."""
        async with self.turn:
            await self.events.put(event)

    def add(self, options: LiveOptions, engine: LiveEngine, start: int) -> Utterance:
        """A new utterance from a sample on; holds the turn."""
        utterance = Utterance(self._number(), options, start, self.language)
        self.utterances.append((utterance, engine))
        return utterance

    def split(self, utterance: Utterance, engine: LiveEngine) -> Utterance | None:
        """The next utterance, where the only one became too long; holds the turn."""
        rest = utterance.split(self._next_number)
        if rest is not None:
            self._number()
            self.utterances.append((rest, engine))
        return rest

    async def tell_start(self, utterance: Utterance, speech_start: int) -> None:
        """Tell that speech began; holds the turn."""
        if not utterance.options.manual:
            await self.events.put(SpeechStarted(utterance.number, speech_start / SAMPLE_RATE_HZ))

    async def end(self, utterance: Utterance, end: int, reason: EndReason) -> None:
        """No more audio belongs to an utterance; holds the turn."""
        utterance.close(end, reason)
        start_s, end_s = (
            utterance.start / SAMPLE_RATE_HZ,
            max(end, utterance.start) / SAMPLE_RATE_HZ,
        )
        await self.events.put(UtteranceEnded(utterance.number, start_s, end_s, reason))

    def _number(self) -> int:
        self._next_number += 1
        return self._next_number - 1
