"""Live sessions as wires see them: samples in, events out.

A wire opens a session, feeds it from one task and reads its events in another; both at the same
time, since whoever does not read the events keeps the audio waiting in the end.

    async with aclosing(await sessions.open(options)) as session:
        await session.feed(samples)          # task one; then commit, clear, update, finish
        async for event in session.events()  # task two; ends after SessionEnded

The events and what they promise are in `verbatim.domain.live`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from verbatim.domain.audio import AnyAudio
from verbatim.domain.live import LiveEvent, LiveOptions
from verbatim.engine.protocol import EngineDescription


@dataclass(frozen=True, slots=True)
class LiveLoad:
    """How many sessions there are."""

    sessions: int
    max_sessions: int


class LiveSession(Protocol):
    """One stream of speech.

    Audio and orders (`commit`, `clear`, `update`, `finish`) take effect in the order in which they
    were given. None of the methods waits for the decoding of anything, but `feed` for room.

    A session that was told to finish, or is finishing by itself because it is idle, lasted too long
    or the server stops, takes nothing more: what it is given then has no effect. Its last events
    are on their way, and `SessionEnded` says why it ended.
    """

    @property
    def id(self) -> str:
        """Unguessable, unique among all sessions; 32 hexadecimal digits."""
        ...

    @property
    def fed_s(self) -> float:
        """Seconds of audio that were fed so far: the time of the next sample."""
        ...

    @property
    def heard_s(self) -> float:
        """Seconds of audio that were listened to so far: speech in them was told, or is none."""
        ...

    @property
    def options(self) -> LiveOptions:
        """As last updated."""
        ...

    def describe(self) -> EngineDescription:
        """The model that listens."""
        ...

    async def feed(self, samples: AnyAudio) -> None:
        """Hear more audio. Waits while too much of it is still unheard; drops nothing.

        Args:
            samples: (n,) float32 within ±1, or int16; mono at 16 kHz, any n.
        """
        ...

    async def commit(self) -> None:
        """End the utterance here, without waiting for silence.

        Always gives one `UtteranceEnded` with reason COMMIT and one `Final` (or `Failed`), of an
        empty utterance where nothing was said since the last one.
        """
        ...

    async def clear(self) -> None:
        """Forget the open utterance and all audio since the last one; gives one `Cleared`.

        Utterances that had ended before still get their `Final`.
        """
        ...

    async def update(self, options: LiveOptions) -> None:
        """Listen by other options from the next utterance on.

        Where an utterance is open it goes on as it began, but for `turns` and `manual`, which hold
        at once. Another model is loaded before this returns.

        Raises:
            BadRequestError: an option that makes no sense, or that the model cannot serve.
            ModelNotFoundError, ModelUnavailableError: another model was asked for.
        """
        ...

    async def finish(self) -> None:
        """No more audio comes: what is open ends with reason FINISH, then the session."""
        ...

    def events(self) -> AsyncIterator[LiveEvent]:
        """What the session tells, ending with `SessionEnded`. For one reader."""
        ...

    async def aclose(self) -> None:
        """End at once, whatever is still unheard, and free everything; twice is fine."""
        ...


class LiveSessions(Protocol):
    """Where sessions come from."""

    async def open(self, options: LiveOptions, owner: str = "") -> LiveSession:
        """Open a session; its model is loaded when this returns.

        Args:
            options: how it listens.
            owner: sessions of one owner share the turns at the device; empty: on its own.

        Raises:
            OverloadedError: there are as many sessions as may be.
            UnavailableError: the server is stopping.
            BadRequestError: an option that makes no sense, or that the model cannot serve.
            ModelNotFoundError, ModelUnavailableError: the model cannot be had.
        """
        ...

    def load(self) -> LiveLoad:
        """How many sessions there are."""
        ...

    def drain(self) -> None:
        """Open no more, and let every session finish as if its audio had ended here."""
        ...

    async def drained(self) -> None:
        """Until every session has finished."""
        ...

    async def aclose(self) -> None:
        """End all sessions at once."""
        ...
