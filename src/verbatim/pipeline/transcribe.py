"""From a recording to its transcript: the one way that files, sessions and jobs share."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from verbatim.domain.events import (
    Finished,
    Progress,
    SegmentReady,
    Started,
    TranscriptionEvent,
)
from verbatim.domain.request import Strategy, TranscriptionRequest
from verbatim.domain.transcript import Segment, Transcript, TranscriptWarning, WarningCode
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.hardware import usable_cores
from verbatim.engine.protocol import Engine
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.front_end import FrontEnd
from verbatim.pipeline.strategies import (
    SURE_LANGUAGE_PROBABILITY,
    WindowText,
    decode_parallel,
    decode_sequential,
)
from verbatim.pipeline.threads import ReadAhead, Turns
from verbatim.stages.decode_audio import (
    AudioReader,
    AudioSource,
    DecodeLimits,
    RawFormat,
    open_audio,
)
from verbatim.stages.document import DocumentState, append
from verbatim.stages.script import convert_segment
from verbatim.stages.speech import SpeechChunk
from verbatim.stages.windows import pack

BATCHES_AHEAD: Final = 2
"""Batches of windows that are decoded and cut while the engine works."""
CHUNKS_AHEAD: Final = 8


@dataclass(frozen=True, slots=True)
class Frontend:
    """What turns bytes into speech.

    Attributes:
        vad: the voice activity detector.
        limits: the bounds on decoding.
        turns: in which recordings are decoded and cut, all that share this object.
    """

    vad: SileroVad
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    turns: Turns = field(default_factory=lambda: Turns(usable_cores()))


class _Recording:
    """A recording while it is read: runs in the read-ahead thread, is looked at after it ended."""

    def __init__(
        self,
        source: AudioSource,
        request: TranscriptionRequest,
        frontend: Frontend,
        raw: RawFormat | None,
    ) -> None:
        self._source, self._request, self._frontend, self._raw = source, request, frontend, raw
        self._loop = asyncio.get_running_loop()
        self._tried = asyncio.Event()
        self._is_open = False
        self.claimed_s: float | None = None
        self.duration_s = 0.0
        self.speech_s = 0.0
        self.warnings: tuple[TranscriptWarning, ...] = ()

    async def opened(self) -> bool:
        """Whether it could be opened, once that is known; somebody has to read `chunks`."""
        await self._tried.wait()
        return self._is_open

    def chunks(self) -> Iterator[SpeechChunk]:
        """Decode and find speech. Raises what `open_audio` raises."""
        try:
            opened = open_audio(self._source, limits=self._frontend.limits, raw=self._raw)
            with opened as reader:
                self.claimed_s = reader.info.duration_s
                self._is_open = True
                self._tell_tried()
                yield from self._speech(reader)
        finally:
            self._tell_tried()

    def _speech(self, reader: AudioReader) -> Iterator[SpeechChunk]:
        vad = self._frontend.vad if self._request.vad else None
        front_end = FrontEnd(reader, vad, self._request.vad_options)
        yield from front_end
        self.duration_s = front_end.samples_read / SAMPLE_RATE_HZ
        self.speech_s = front_end.speech_samples / SAMPLE_RATE_HZ
        self.warnings = reader.warnings

    def _tell_tried(self) -> None:
        # The loop may be gone where a program ends without waiting for its tasks.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tried.set)


async def transcribe(
    source: AudioSource,
    request: TranscriptionRequest,
    engine: Engine,
    frontend: Frontend,
    raw: RawFormat | None = None,
) -> AsyncGenerator[TranscriptionEvent]:
    """Transcribe a recording, telling how far it is; the last event is `Finished`.

    Decoding, voice activity and cutting run ahead in a thread; memory is bounded by a few windows,
    not by the recording. Closing the iterator stops the work after the batch in flight.

    Args:
        source: a path, the bytes of a file, or a seekable binary file.
        request: what is asked for; `model` is not looked at, the engine is given.
        engine: the model to use.
        frontend: see there.
        raw: the format of headerless PCM, None for a file that says what it is.

    Raises:
        UnsupportedMediaError, TooLargeError: the audio cannot be had from the source.
        BadRequestError: options that the model cannot serve.
        InternalError: the device failed.
    """
    recording = _Recording(source, request, frontend, raw)
    state = DocumentState()
    segments: list[Segment] = []
    spoken: list[WindowText] = []
    texts = _decode(recording, request, engine, frontend.turns)
    async with aclosing(texts):
        async for text in texts:
            if isinstance(text, Started):
                yield text
                continue
            state, written = append(state, text.segments)
            written = tuple(
                convert_segment(segment, request.script, text.language) for segment in written
            )
            segments += written
            if text.segments:
                spoken.append(text)
            for segment in written:
                yield SegmentReady(segment)
            yield Progress(text.done_s, recording.claimed_s)
    yield Finished(_transcript(recording, request, engine, spoken, segments, state))


async def _decode(
    recording: _Recording, request: TranscriptionRequest, engine: Engine, turns: Turns
) -> AsyncGenerator[Started | WindowText]:
    """Whatever is written, window by window, after the word that the recording is open."""
    model = engine.describe().model
    if request.strategy is Strategy.SEQUENTIAL:
        async with (
            ReadAhead(recording.chunks, CHUNKS_AHEAD, "front-end", turns) as chunks,
            aclosing(decode_sequential(chunks, engine, request)) as texts,
        ):
            if await recording.opened():
                yield Started(model, recording.claimed_s)
            async for text in texts:
                yield text
        return
    ahead = BATCHES_AHEAD * engine.describe().batch_size
    # A window has one language, so where they change, what a silence parts stays apart.
    cut = partial(pack, join=not request.detect_language_per_window)
    async with (
        ReadAhead(lambda: cut(recording.chunks()), ahead, "front-end", turns) as planned,
        aclosing(decode_parallel(planned, engine, request)) as texts,
    ):
        if await recording.opened():
            yield Started(model, recording.claimed_s)
        async for text in texts:
            yield text


def _transcript(
    recording: _Recording,
    request: TranscriptionRequest,
    engine: Engine,
    spoken: Sequence[WindowText],
    segments: Sequence[Segment],
    state: DocumentState,
) -> Transcript:
    description = engine.describe()
    language, probability = _main_language(spoken, request.decode.language)
    uncertain: tuple[TranscriptWarning, ...] = ()
    if spoken and not request.decode.language and probability < SURE_LANGUAGE_PROBABILITY:
        uncertain = (
            TranscriptWarning(
                WarningCode.LANGUAGE_UNCERTAIN,
                f"The language could not be told with certainty ({language}, "
                f"{probability:.0%}); say it in the request if it is known.",
            ),
        )
    return Transcript(
        segments=tuple(segments),
        language=language,
        language_probability=probability,
        duration_s=recording.duration_s,
        speech_duration_s=recording.speech_s,
        model=description.model,
        task=request.decode.task,
        warnings=(*description.warnings, *recording.warnings, *uncertain, *state.warnings),
    )


def _main_language(spoken: Sequence[WindowText], given: str | None) -> tuple[str, float]:
    """The language of most of the speech, with its best probability; English where none is."""
    seconds: dict[str, float] = defaultdict(float)
    for text in spoken:
        seconds[text.language] += sum(s.end - s.start for s in text.segments)
    if not seconds:
        return given or "en", 1.0 if given else 0.0
    main = max(seconds, key=lambda language: seconds[language])
    return main, max(text.language_probability for text in spoken if text.language == main)
