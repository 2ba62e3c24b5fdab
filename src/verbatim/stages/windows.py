"""From chunks of speech to the windows a model is given, and from its times back to recorded ones.

A window is made of pieces of the recording with the silence between them taken out. Its
`TimeMap` knows where each piece lay. `pack` makes windows that can be decoded independently;
`SpeechBuffer` serves a decoder that goes on from wherever the last sentence ended.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

import numpy as np

from verbatim.domain.audio import Pcm
from verbatim.domain.transcript import Segment, Word
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from verbatim.stages.speech import SpeechChunk

MIN_FILL: Final = 0.6
"""A window that does not end with the recording is filled at least this far, if chunks allow."""
SEAM_SLACK_S: Final = 0.3
"""Timestamp tokens are about this exact: a segment that begins less than this before a seam, and
lies mostly after it, begins after it; and the same for ends."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the recording in a window; all in samples.

    `lead` is how much of it comes before its speech.
    """

    window_offset: int
    recording_start: int
    length: int
    lead: int = 0


@dataclass(frozen=True, slots=True)
class TimeMap:
    """Where in the recording each moment of a window lies.

    Attributes:
        pieces: one or more, in order: adjacent in the window, apart in the recording.
    """

    pieces: tuple[Piece, ...]

    def to_recording(self, time_s: float, *, is_end: bool = False) -> float:
        """Seconds in the window as seconds in the recording; never decreasing.

        A moment on a seam belongs to the piece before it where something ends, and to the piece
        after it where something begins. Before the first piece is its start; after the last, its
        end.
        """
        return self.within(self.piece_index(time_s, is_end=is_end), time_s)

    def piece_index(self, time_s: float, *, is_end: bool = False) -> int:
        """Which piece a moment of the window belongs to."""
        find = bisect_left if is_end else bisect_right
        after = find(self.pieces, _to_samples(time_s), key=lambda piece: piece.window_offset)
        return max(0, after - 1)

    def within(self, index: int, time_s: float) -> float:
        """Seconds in the window as seconds in the recording, kept within one piece."""
        return (self.pieces[index].recording_start + self._offset(index, time_s)) / SAMPLE_RATE_HZ

    def begin_within(self, index: int, start_s: float, end_s: float) -> float:
        """Where in the recording something begins that is said in a piece, seconds.

        Not before the piece's speech, unless it ends before that as well.
        """
        piece = self.pieces[index]
        offset = self._offset(index, start_s)
        if offset < piece.lead < self._offset(index, end_s):
            offset = piece.lead
        return (piece.recording_start + offset) / SAMPLE_RATE_HZ

    def _offset(self, index: int, time_s: float) -> int:
        """Samples from the start of a piece to a moment of the window, kept within the piece."""
        piece = self.pieces[index]
        return min(max(0, _to_samples(time_s) - piece.window_offset), piece.length)


@dataclass(frozen=True, slots=True, eq=False)
class PlannedWindow:
    """Audio for one window of a model.

    Attributes:
        samples: (n,) int16, mono at 16 kHz, 0 < n <= 480,000.
        time_map: where its samples lay in the recording.
    """

    samples: Pcm
    time_map: TimeMap

    @property
    def start_s(self) -> float:
        """Where it begins in the recording."""
        return self.time_map.to_recording(0.0)


class SpeechBuffer:
    """The speech of a recording as one track, silence taken out, from which windows are taken.

    Push chunks while `available` is below a window, peek, drop what is done: then it never holds
    more than a window and a chunk.
    """

    def __init__(self) -> None:
        self._chunks: deque[SpeechChunk] = deque()
        self._available = 0

    @property
    def available(self) -> int:
        """Samples that are held."""
        return self._available

    def push(self, chunk: SpeechChunk) -> None:
        """Append the next chunk of the recording."""
        self._chunks.append(chunk)
        self._available += len(chunk.samples)

    def peek(self, n_samples: int = WINDOW_SAMPLES) -> PlannedWindow:
        """The first `n_samples` that are held, or what there is of them; they stay.

        Raises:
            ValueError: nothing is held.
        """
        if not self._chunks:
            raise ValueError("nothing is held")
        taken: list[SpeechChunk] = []
        for chunk in self._chunks:
            if n_samples <= 0:
                break
            taken.append(replace(chunk, samples=chunk.samples[:n_samples]))
            n_samples -= len(chunk.samples)
        return _window(taken)

    def drop(self, n_samples: int) -> None:
        """Forget the first `n_samples`.

        Raises:
            ValueError: fewer are held.
        """
        if not 0 <= n_samples <= self._available:
            raise ValueError(f"cannot drop {n_samples} samples of {self._available}")
        self._available -= n_samples
        while n_samples:
            chunk = self._chunks.popleft()
            rest = chunk.samples[n_samples:]
            if len(rest):
                start = chunk.start_sample + n_samples
                lead = max(0, chunk.lead_samples - n_samples)
                self._chunks.appendleft(SpeechChunk(rest, start, 0.0, lead))
            n_samples -= len(chunk.samples) - len(rest)


def pack(chunks: Iterable[SpeechChunk], *, join: bool = True) -> Iterator[PlannedWindow]:
    """Join consecutive chunks to windows of at most 30 s that can be decoded independently.

    When the next chunk does not fit, the window ends at the longest silence between its chunks
    that leaves it filled to `MIN_FILL`, so that what was said in one breath stays together; the
    chunks after that begin the next window. Where no silence leaves it so full, it ends at the
    last one. At most a window and a chunk are held.

    Without `join` each chunk is a window: for recordings in which the language changes.
    """
    if not join:
        yield from (_window([chunk]) for chunk in chunks)
        return
    held: list[SpeechChunk] = []
    for chunk in chunks:
        while held and _length(held) + len(chunk.samples) > WINDOW_SAMPLES:
            count = _break(held, chunk)
            yield _window(held[:count])
            del held[:count]
        held.append(chunk)
    if held:
        yield _window(held)


def restore(segments: tuple[Segment, ...], time_map: TimeMap) -> tuple[Segment, ...]:
    """Segments and words with their times in the recording instead of the window.

    A word is placed in the piece in which its middle lies, and ends there at the latest: nobody
    says half a word before a silence that was taken out. Nothing begins in the padding before a
    piece's speech, where attention rests before the first word. A segment with words begins and
    ends with them. Order is kept, nothing overlaps, and no start is after its end.
    """
    restored: list[Segment] = []
    clock = 0.0
    for segment in segments:
        words = None if segment.words is None else _restored_words(segment.words, time_map, clock)
        if words:
            start, end = words[0].start, words[-1].end
        else:
            start, end = _ordered(*_segment_span(segment, time_map), clock)
        restored.append(replace(segment, start=start, end=end, words=words))
        clock = end
    return tuple(restored)


def _restored_words(words: tuple[Word, ...], time_map: TimeMap, clock: float) -> tuple[Word, ...]:
    """Words placed one after another, the first not before `clock` seconds."""
    restored: list[Word] = []
    for word in words:
        piece = time_map.piece_index((word.start + word.end) / 2)
        begin = time_map.begin_within(piece, word.start, word.end)
        start, clock = _ordered(begin, time_map.within(piece, word.end), clock)
        restored.append(replace(word, start=start, end=clock))
    return tuple(restored)


def _segment_span(segment: Segment, time_map: TimeMap) -> tuple[float, float]:
    """Where a segment without words lies, its ends moved over a seam that they just miss."""
    first = time_map.piece_index(segment.start)
    last = time_map.piece_index(segment.end, is_end=True)
    middle = time_map.piece_index((segment.start + segment.end) / 2)
    slack = SEAM_SLACK_S * SAMPLE_RATE_HZ
    if first < middle:
        seam = time_map.pieces[first + 1].window_offset
        first += seam - _to_samples(segment.start) <= slack
    if middle < last:
        seam = time_map.pieces[last].window_offset
        last -= _to_samples(segment.end) - seam <= slack
    begin = time_map.begin_within(first, segment.start, segment.end)
    return begin, time_map.within(last, segment.end)


def _ordered(start: float, end: float, clock: float) -> tuple[float, float]:
    start = max(start, clock)
    return start, max(end, start)


def _to_samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _length(chunks: Sequence[SpeechChunk]) -> int:
    return sum(len(chunk.samples) for chunk in chunks)


def _break(held: Sequence[SpeechChunk], following: SpeechChunk) -> int:
    """How many of the held chunks make the window, when the following one does not fit."""
    fills = accumulate(len(chunk.samples) for chunk in held)
    gaps = [chunk.gap_before_s for chunk in (*held[1:], following)]
    full_enough = [
        (gap, count)
        for count, (fill, gap) in enumerate(zip(fills, gaps, strict=True), start=1)
        if fill >= MIN_FILL * WINDOW_SAMPLES
    ]
    return max(full_enough)[1] if full_enough else len(held)


def _window(chunks: Sequence[SpeechChunk]) -> PlannedWindow:
    """One or more chunks as a window; those that touch become one piece of its map."""
    pieces: list[Piece] = []
    offset = 0
    for chunk in chunks:
        length = len(chunk.samples)
        last = pieces[-1] if pieces else None
        if last and last.recording_start + last.length == chunk.start_sample:
            pieces[-1] = replace(last, length=last.length + length)
        else:
            lead = min(chunk.lead_samples, length)
            pieces.append(Piece(offset, chunk.start_sample, length, lead))
        offset += length
    return PlannedWindow(
        np.concatenate([chunk.samples for chunk in chunks]), TimeMap(tuple(pieces))
    )
