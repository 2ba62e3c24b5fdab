"""The two ways through long audio: windows side by side, or one after the other.

Both yield what each window said, in the recording's order and in the recording's time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any, Final

from verbatim.domain.audio import Window
from verbatim.domain.request import DecodeOptions, TranscriptionRequest
from verbatim.domain.transcript import Segment, WindowResult
from verbatim.domain.units import (
    FRAMES_PER_SECOND,
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
)
from verbatim.engine.protocol import Engine
from verbatim.pipeline.in_order import in_order
from verbatim.pipeline.threads import ReadAhead
from verbatim.stages.speech import SpeechChunk
from verbatim.stages.windows import PlannedWindow, SpeechBuffer, restore

BATCHES_IN_FLIGHT: Final = 2
"""Of one recording on each replica: one that is decoded, one that is next."""
SURE_LANGUAGE_PROBABILITY: Final = 0.5
"""A language at least this probable is not asked about again (openai-whisper's threshold)."""
LANGUAGE_WINDOWS: Final = 3
"""Windows that are heard before the majority decides on the language."""
SHORTEST_REST_S: Final = 0.5
"""Unheard audio at a window's end that is worth another window."""


@dataclass(frozen=True, slots=True)
class WindowText:
    """What one window said.

    Attributes:
        segments: in the recording's time.
        done_s: up to where the recording is done, seconds.
    """

    segments: tuple[Segment, ...]
    done_s: float
    language: str
    language_probability: float


@dataclass(slots=True)
class _Heard:
    """A window that was decoded, and the parts of it that had to be heard again."""

    planned: PlannedWindow
    options: DecodeOptions
    result: WindowResult
    segments: tuple[Segment, ...]


class LanguageVote:
    """Which language a recording is in, as long as it is not certain.

    The first window with speech decides where it is sure; otherwise the majority of a few does.
    """

    def __init__(self, options: DecodeOptions, *, per_window: bool) -> None:
        self._per_window = per_window
        self.settled: str | None = None if per_window else options.language
        self._votes: list[tuple[str, float]] = []

    @property
    def open(self) -> bool:
        """Whether further windows should be heard before any is passed on."""
        return self.settled is None and not self._per_window

    def hear(self, result: WindowResult) -> None:
        """Count a window's language; one without speech has no say."""
        if not self.open or not (result.segments or result.tail):
            return
        self._votes.append((result.language, result.language_probability))
        if result.language_probability >= SURE_LANGUAGE_PROBABILITY:
            self.settled = result.language
        elif len(self._votes) >= LANGUAGE_WINDOWS:
            self.close()

    def close(self) -> None:
        """Let the majority decide; among equals the most probable."""
        if self.open and self._votes:
            counts = Counter(language for language, _ in self._votes)
            self.settled = max(self._votes, key=lambda vote: (counts[vote[0]], vote[1]))[0]


def _options(
    request: TranscriptionRequest, language: str | None, prefix: str | None
) -> DecodeOptions:
    return replace(
        request.decode, language=language, candidate_languages=request.languages, prefix=prefix
    )


def _text(heard: _Heard) -> WindowText:
    planned = heard.planned
    seek = round(planned.time_map.to_recording(0.0) * FRAMES_PER_SECOND)
    placed = restore(heard.segments, planned.time_map)
    return WindowText(
        segments=tuple(replace(segment, seek=seek) for segment in placed),
        done_s=planned.time_map.to_recording(len(planned.samples) / SAMPLE_RATE_HZ, is_end=True),
        language=heard.result.language,
        language_probability=heard.result.language_probability,
    )


async def decode_parallel(
    planned: ReadAhead[PlannedWindow], engine: Engine, request: TranscriptionRequest
) -> AsyncGenerator[WindowText]:
    """Decode windows independently, so many at once that the engine never waits for the next.

    Each window is a call of its own: whoever runs the engine makes batches of them. Nothing is
    lost at a window's end: text that the model did not close is kept, and where it only said that
    more follows, the rest is heard again as a window of its own.
    """
    vote = LanguageVote(request.decode, per_window=request.detect_language_per_window)
    windows = aiter(planned)
    prefixes = chain([request.decode.prefix], repeat(None))

    def hear(window: PlannedWindow) -> Coroutine[Any, Any, _Heard]:
        return _hear(window, engine, _options(request, vote.settled, next(prefixes)))

    if vote.open:
        unsure: list[_Heard | WindowText] = []
        async for window in windows:
            heard = await hear(window)
            if heard.segments:
                unsure.append(heard)
            elif unsure:
                # It keeps its place, and not its audio: hours may go by before somebody speaks.
                unsure.append(_text(heard))
            else:
                yield _text(heard)
            vote.hear(heard.result)
            if not vote.open:
                break
        vote.close()
        for text in await _agree(unsure, vote.settled, engine):
            yield text
    description = engine.describe()
    most = BATCHES_IN_FLIGHT * description.batch_size * description.replicas
    async with aclosing(in_order(windows, hear, most)) as all_heard:
        async for heard in all_heard:
            yield _text(heard)


async def _agree(
    unsure: Sequence[_Heard | WindowText], language: str | None, engine: Engine
) -> list[WindowText]:
    """Windows that were heard in another language are heard again in the one that was settled."""
    agreed: list[WindowText] = []
    for each in unsure:
        if isinstance(each, WindowText):
            agreed.append(each)
        elif language is None or each.result.language == language:
            agreed.append(_text(each))
        else:
            options = replace(each.options, language=language)
            agreed.append(_text(await _hear(each.planned, engine, options)))
    return agreed


async def _hear(planned: PlannedWindow, engine: Engine, options: DecodeOptions) -> _Heard:
    """Decode a window to its end."""
    start_s = planned.time_map.to_recording(0.0)
    (result,) = await engine.run([Window(planned.samples, start_s, options)])
    heard = _Heard(planned, options, result, _all_segments(result, 0.0))
    length_s = len(planned.samples) / SAMPLE_RATE_HZ
    offset_s = 0.0
    while _has_rest(result, length_s - offset_s):
        offset_s += result.advance_s
        rest = Window(
            planned.samples[round(offset_s * SAMPLE_RATE_HZ) :],
            planned.time_map.to_recording(offset_s),
            replace(options, prefix=None, language=result.language),
        )
        (result,) = await engine.run([rest])
        heard.segments += _all_segments(result, offset_s)
    return heard


def _has_rest(result: WindowResult, length_s: float) -> bool:
    """Whether speech after `advance_s` was announced and not written."""
    return (
        not result.heard_out
        and result.tail is None
        and result.advance_s > 0
        and length_s - result.advance_s >= SHORTEST_REST_S
    )


def _all_segments(result: WindowResult, offset_s: float) -> tuple[Segment, ...]:
    """Closed segments and the tail, later by an offset within the window."""
    tail = (result.tail,) if result.tail else ()
    return tuple(_later(segment, offset_s) for segment in (*result.segments, *tail))


def _later(segment: Segment, offset_s: float) -> Segment:
    if not offset_s:
        return segment
    words = segment.words and tuple(
        replace(word, start=word.start + offset_s, end=word.end + offset_s)
        for word in segment.words
    )
    return replace(segment, start=segment.start + offset_s, end=segment.end + offset_s, words=words)


async def decode_sequential(
    chunks: ReadAhead[SpeechChunk], engine: Engine, request: TranscriptionRequest
) -> AsyncGenerator[WindowText]:
    """Decode window after window, each from where the last one stopped understanding.

    The procedure of openai-whisper's `transcribe`: a window that ends in mid-sentence is taken up
    again at its last closed segment, and, where the request says so, the text before a window is
    its context, unless that text needed a high temperature.
    """
    vote = LanguageVote(request.decode, per_window=request.detect_language_per_window)
    buffer = SpeechBuffer()
    context: tuple[int, ...] = ()
    prompt, prefix = request.decode.initial_prompt, request.decode.prefix
    source = aiter(chunks)
    ended = False
    while True:
        while not ended and buffer.available < WINDOW_SAMPLES:
            chunk = await anext(source, None)
            if chunk is None:
                ended = True
            else:
                buffer.push(chunk)
        # Less than one mel frame is nothing to hear.
        if buffer.available < HOP_SAMPLES:
            return
        planned = buffer.peek(WINDOW_SAMPLES)
        options = replace(_options(request, vote.settled, prefix), initial_prompt=prompt)
        window = Window(
            planned.samples, planned.time_map.to_recording(0.0), options, context_tokens=context
        )
        (result,) = await engine.run([window])
        vote.hear(result)
        prefix = None
        if result.segments:
            said = tuple(token for segment in result.segments for token in segment.tokens)
            hottest = request.decode.temperatures[-1] if result.needed_fallback else 0.0
            doubtful = max(hottest, result.temperature) > request.prompt_reset_temperature
            keep = request.condition_on_previous_text and not doubtful
            context = (*context, *said) if keep else ()
            prompt = prompt if keep else None
        buffer.drop(_advance(result, len(planned.samples)))
        heard = _Heard(planned, options, result, result.segments)
        yield _text(heard)


def _advance(result: WindowResult, length: int) -> int:
    """Samples that are heard for good; all of them where the model made no headway."""
    frames = round(result.advance_s * FRAMES_PER_SECOND)
    if result.heard_out or frames <= 0:
        return length
    return min(frames * HOP_SAMPLES, length)
