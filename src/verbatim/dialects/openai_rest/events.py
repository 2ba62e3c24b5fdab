"""A running transcription as OpenAI's stream of events."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence

from verbatim.domain.events import Finished, SegmentReady
from verbatim.domain.transcript import TokenLogprob, Transcript
from verbatim.domain.units import POSITIONS_PER_SECOND
from verbatim.pipeline.service import Run
from verbatim.render.options import JsonObject
from verbatim.render.plain_json import logprobs, warnings
from verbatim.wire import sse
from verbatim.wire.context import Context
from verbatim.wire.dialect import STATUS_OF_KIND
from verbatim.wire.failures import public_error
from verbatim.wire.notes import RequestNotes
from verbatim.wire.v1_errors import error_body


class GrowingText:
    """The text so far. What is added is told as deltas that join to exactly the final text.

    Space at either end of the whole is not part of it, so space at the end of an addition waits
    until more follows.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._space = ""

    @property
    def text(self) -> str:
        """All deltas so far."""
        return "".join(self._parts)

    def add(self, text: str) -> str:
        """The delta for a segment's text; may be empty."""
        waiting = self._space + text if self._parts else text.lstrip()
        delta = waiting.rstrip()
        if not delta:
            self._space = waiting
            return ""
        self._space = waiting[len(delta) :]
        self._parts.append(delta)
        return delta


async def transcript_events(
    run: Run, notes: RequestNotes, context: Context
) -> AsyncGenerator[bytes, None]:
    """Events for a client: deltas, then the whole text; or an error once something was sent.

    While nothing comes for the context's `heartbeat_s` an empty delta is sent, because proxies
    close connections that are silent.

    Raises:
        VerbatimError: it failed before the first event.
    """
    growing = GrowingText()
    begun = False
    started_s = context.clock()
    try:
        async for happened in sse.with_pauses(run.events(), context.heartbeat_s):
            if happened is None:
                yield _delta("", None)
            elif isinstance(happened, SegmentReady):
                segment = happened.segment
                if delta := growing.add(segment.text):
                    yield _delta(delta, segment.logprobs)
            elif isinstance(happened, Finished):
                notes.on_transcript(happened.transcript, context.clock() - started_s)
                yield sse.event(_done(growing.text, happened.transcript))
            else:
                continue
            begun = True
    except Exception as error:
        if not begun:
            raise
        # The status was sent long ago; the error's own shape is all that is left to tell it.
        shown = public_error(error, notes)
        body = error_body(shown, STATUS_OF_KIND[shown.kind])
        yield sse.event({"type": "error", **body})
    finally:
        run.leave()


def _delta(text: str, tokens: Sequence[TokenLogprob] | None) -> bytes:
    event: JsonObject = {"type": "transcript.text.delta", "delta": text}
    if tokens is not None:
        event["logprobs"] = logprobs(tokens)
    return sse.event(event)


def _done(text: str, transcript: Transcript) -> JsonObject:
    event: JsonObject = {
        "type": "transcript.text.done",
        "text": text,
        "usage": _usage(transcript),
    }
    tokens = [token for segment in transcript.segments for token in segment.logprobs or ()]
    if tokens:
        event["logprobs"] = logprobs(tokens)
    return event | warnings(transcript.warnings)


def _usage(transcript: Transcript) -> JsonObject:
    """The contract wants tokens here: the encoder's positions in, the decoder's tokens out."""
    heard = math.ceil(transcript.duration_s * POSITIONS_PER_SECOND)
    written = sum(len(segment.tokens) for segment in transcript.segments)
    return {
        "type": "tokens",
        "input_tokens": heard,
        "input_token_details": {"audio_tokens": heard, "text_tokens": 0},
        "output_tokens": written,
        "total_tokens": heard + written,
    }
