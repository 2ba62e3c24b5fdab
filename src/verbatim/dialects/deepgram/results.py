"""What a session tells, as the messages that a client gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from verbatim.dialects.deepgram.errors import error_message
from verbatim.dialects.deepgram.models import model_info, model_uuid
from verbatim.dialects.deepgram.query import MS_PER_S, LiveQuery
from verbatim.dialects.deepgram.words import JsonObject, alternative, joined, time
from verbatim.domain.live import EndReason, Failed, LiveEvent, Partial, SpeechStarted
from verbatim.domain.live import Final as FinalEvent
from verbatim.domain.transcript import Word
from verbatim.engine.protocol import EngineDescription

CHANNEL: Final = (0, 1)
"""The first of one: channels are mixed."""
LONGEST_STRETCH_S: Final = 4.0
"""Of committed words that are not told as final; about Deepgram's."""
ENDS_SPEECH: Final = frozenset({EndReason.ENDPOINT, EndReason.FINISH})


@dataclass(frozen=True, slots=True)
class _Stretch:
    """How far an utterance was told as final.

    Attributes:
        words: so many.
        start: where what follows begins, in seconds.
    """

    words: int
    start: float


class Narrator:
    """Turns a session's events into messages.

    Deepgram tells an utterance in stretches, each of which is final once; together they are the
    text. Here a stretch is committed words. The last committed word waits for the next one, since
    its closing punctuation may still come.

    Args:
        query: what the client asked for.
        model: that listens.
        request_id: of the connection.
    """

    def __init__(self, query: LiveQuery, model: EngineDescription, request_id: str) -> None:
        self._query = query
        self._metadata = {
            "request_id": request_id,
            "model_info": model_info(model.model, model.compute_type),
            "model_uuid": model_uuid(model.model),
        }
        self._told: dict[int, _Stretch] = {}
        self._gaps = Gaps(query.utterance_end_ms)

    def tell(self, event: LiveEvent) -> Iterator[JsonObject]:
        """The messages for what happened; none for what has no name there."""
        match event:
            case SpeechStarted(utterance, start):
                yield from self._gaps.on_speech(utterance, start)
                if self._query.vad_events:
                    told = {"type": "SpeechStarted", "channel": CHANNEL}
                    yield {**told, "timestamp": time(start)}
            case Partial():
                yield from self._partial(event)
            case FinalEvent():
                yield self._final(event)
                self._gaps.on_final(event)
            case Failed(utterance, error):
                if utterance is not None:
                    self._told.pop(utterance, None)
                    self._gaps.on_failure(utterance)
                yield error_message("TranscriptionError", error.message)
            case _:
                pass

    def heard(self, heard_s: float) -> Iterator[JsonObject]:
        """The messages that are due since so much audio was listened to."""
        yield from self._gaps.on_heard(heard_s)

    def _stretch(self, event: Partial | FinalEvent) -> _Stretch:
        return self._told.get(event.utterance, _Stretch(0, event.start))

    def _partial(self, event: Partial) -> Iterator[JsonObject]:
        stretch = self._stretch(event)
        certain = event.words[stretch.words : -1]
        if certain and certain[-1].end - stretch.start >= LONGEST_STRETCH_S:
            end = certain[-1].end
            yield self._results(
                certain, joined(certain), stretch.start, end, event.language, is_final=True
            )
            stretch = _Stretch(stretch.words + len(certain), end)
            self._told[event.utterance] = stretch
        words = event.words[stretch.words :]
        text = joined(words) + event.tail
        if self._query.interim_results and text.strip():
            yield self._results(words, text, stretch.start, event.end, event.language)

    def _final(self, event: FinalEvent) -> JsonObject:
        stretch = self._stretch(event)
        self._told.pop(event.utterance, None)
        words = event.words[stretch.words :]
        ends = event.reason in ENDS_SPEECH and self._query.tells_endpoints
        return self._results(
            words,
            joined(words),
            stretch.start,
            event.end,
            event.language,
            is_final=True,
            speech_final=ends,
            from_finalize=event.reason is EndReason.COMMIT,
        )

    def _results(
        self,
        words: tuple[Word, ...],
        text: str,
        start: float,
        end: float,
        language: str | None,
        **said: bool,
    ) -> JsonObject:
        told_language = language if self._query.many_languages else None
        what = alternative(text, words, punctuated=self._query.punctuated, language=told_language)
        marks = {"is_final": False, "speech_final": False, "from_finalize": False, **said}
        return {
            "type": "Results",
            "channel_index": CHANNEL,
            "start": time(start),
            "duration": time(max(end - start, 0.0)),
            **marks,
            "channel": {"alternatives": [what]},
            "metadata": self._metadata,
        }


class Gaps:
    """Finds where nobody said a word for so long, and tells each such place once.

    Args:
        least_ms: how long; None: such places are not told.
    """

    def __init__(self, least_ms: int | None) -> None:
        self._least_s = None if least_ms is None else least_ms / MS_PER_S
        self._last_word_end: float | None = None
        """None where it was told, or nothing was said."""
        self._open: set[int] = set()
        """Utterances that may still bring words."""

    def on_speech(self, utterance: int, start: float) -> Iterator[JsonObject]:
        """Somebody begins to speak; maybe after a gap that was not noticed so far."""
        yield from self.on_heard(start)
        self._open.add(utterance)

    def on_final(self, event: FinalEvent) -> None:
        """An utterance brings no more words."""
        self._open.discard(event.utterance)
        if event.reason is EndReason.LENGTH:
            # Its speech goes on in the next one, which nothing announces.
            self._open.add(event.utterance + 1)
        if event.words:
            self._last_word_end = event.words[-1].end

    def on_failure(self, utterance: int) -> None:
        """It brings none at all."""
        self._open.discard(utterance)

    def on_heard(self, heard_s: float) -> Iterator[JsonObject]:
        """So much audio was listened to."""
        end = self._last_word_end
        if self._least_s is None or end is None or self._open:
            return
        if heard_s - end >= self._least_s:
            self._last_word_end = None
            yield {"type": "UtteranceEnd", "channel": CHANNEL, "last_word_end": time(end)}
