"""Decoded frames of any rate and layout as one channel at 16 kHz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.filter import Graph

from verbatim.domain.audio import Samples
from verbatim.domain.errors import UnsupportedMediaError
from verbatim.domain.units import SAMPLE_RATE_HZ

MAX_GATHERED_VALUES: Final = 1 << 20
"""Decoded values (samples times channels) gathered before they are converted."""
UNNAMED_LAYOUT: Final = "channels"
"""libav calls a layout whose speakers are not known "4 channels"."""


def shape_of(frame: av.AudioFrame) -> tuple[int, int, str]:
    """What a converter is made for: rate, number of channels, sample format."""
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name


class MonoConverter:
    """Downmix and resampling of a run of frames of one shape.

    Named layouts are mixed as ITU-R BS.775 has it, where speech lies in the centre; channels whose
    place is not known are averaged. Either way the weights add up to one, so nothing clips.
    Resampling is libswresample's with its default filter, which is what openai-whisper hears.

    libav is called once for about a second of audio: frames of 20 ms each would cost more in calls
    than in arithmetic.

    Args:
        frame: the first one; tells the shape, is not taken in.

    Raises:
        UnsupportedMediaError: a layout that cannot be mixed.
    """

    def __init__(self, frame: av.AudioFrame) -> None:
        self.shape: Final = shape_of(frame)
        self.rate_hz: Final[int] = frame.sample_rate
        self.samples_in = 0
        self._samples_out = 0
        self._fifo = AudioFifo()
        self._graph = _graph(frame)
        self._enough = min(self.rate_hz, MAX_GATHERED_VALUES // frame.layout.nb_channels)

    @property
    def duration_s(self) -> float:
        """Seconds taken in so far."""
        return self.samples_in / self.rate_hz

    def feed(self, frame: av.AudioFrame) -> Iterable[Samples]:
        """Take a frame in; gives samples (n,) now and then."""
        frame.pts = None  # The queue would insist on gapless ones; the caller keeps the time.
        self._fifo.write(frame)
        self.samples_in += frame.samples
        return self._convert(self._fifo.read()) if self._fifo.samples >= self._enough else ()

    def finish(self) -> Iterator[Samples]:
        """What is left, (n,); the whole run is then exactly as long as it was, to the sample."""
        due = round(self.samples_in * SAMPLE_RATE_HZ / self.rate_hz)
        rest = self._fifo.read()
        for frame in (None,) if rest is None else (rest, None):
            for samples in self._convert(frame):
                surplus = max(self._samples_out - due, 0)
                yield samples[: len(samples) - min(surplus, len(samples))]
        if self._samples_out < due:
            yield np.zeros(due - self._samples_out, np.float32)

    def _convert(self, frame: av.AudioFrame | None) -> Iterator[Samples]:
        self._graph.push(frame)
        while True:
            try:
                converted = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            samples = converted.to_ndarray()[0]
            self._samples_out += len(samples)
            yield _sanitised(samples)


def _graph(frame: av.AudioFrame) -> Graph:
    channels = frame.layout.nb_channels
    mean = "mono|c0=" + "+".join(f"{1 / channels:.9f}*c{index}" for index in range(channels))
    placed = not frame.layout.name.endswith(UNNAMED_LAYOUT)
    failure: av.FFmpegError | None = None
    # Ambisonics and lone rear channels have places, and libswresample no weights for them.
    for mix in (None, mean) if placed else (mean,):
        try:
            return _connected(frame, mix)
        except av.FFmpegError as error:
            failure = error
    raise UnsupportedMediaError(
        f"Audio with the channel layout '{frame.layout.name}' cannot be mixed to one channel; "
        "convert it to mono or stereo.",
        code="unsupported_channels",
    ) from failure


def _connected(frame: av.AudioFrame, mix: str | None) -> Graph:
    """The filters in a row; `mix` says how to make one channel, None leaves it to the layout."""
    graph = Graph()
    source = graph.add(
        "abuffer",
        sample_rate=str(frame.sample_rate),
        sample_fmt=frame.format.name,
        channel_layout=frame.layout.name,
        time_base=f"1/{frame.sample_rate}",
    )
    graph.link_nodes(
        source,
        *([] if mix is None else [graph.add("pan", mix)]),
        graph.add("aresample", sample_rate=str(SAMPLE_RATE_HZ), rematrix_maxval="1.0"),
        graph.add("aformat", sample_fmts="flt", channel_layouts="mono"),
        graph.add("abuffersink"),
    )
    graph.configure()
    return graph


def _sanitised(samples: Samples) -> Samples:
    """Within ±1 and finite: a file of floats can hold anything."""
    # Two reductions tell; the copies of isfinite and clip would cost a tenth of the decoding.
    if samples.max(initial=0.0) <= 1.0 and samples.min(initial=0.0) >= -1.0:
        return samples
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    clipped: Samples = np.clip(finite, -1.0, 1.0)
    return clipped
