from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.speech import all_speech, samples_of
from tests.support.synthetic_voice import noise, silence, voice

from verbatim.domain.audio import Samples, to_pcm
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import VadOptions
from verbatim.domain.units import SAMPLE_RATE_HZ, WINDOW_S, WINDOW_SAMPLES
from verbatim.engine.vad import CONTEXT_SAMPLES, SileroVad, VadState
from verbatim.pipeline.front_end import PAUSE_SEARCH_S, QUIET_SEARCH_S, STEP_SAMPLES, FrontEnd
from verbatim.stages import speech
from verbatim.stages.speech import FRAME_SAMPLES, Probabilities, SpeechChunk, SpeechState

OPTIONS = VadOptions()
VAD = SileroVad()
RECORDING_S = 1_800
"""Half an hour: 58 MB of int16."""
HELD_LIMIT_BYTES = 8_000_000
"""Of the front end, a chunk and what the test itself makes."""


class LoudnessVad(SileroVad):
    """Takes a frame's loudest sample for its probability of speech."""

    def advance(self, samples: Samples, state: VadState) -> tuple[Probabilities, VadState]:
        heard = np.concatenate((state.tail[CONTEXT_SAMPLES:], samples))
        count = len(heard) // FRAME_SAMPLES
        frames = heard[: count * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
        tail = np.concatenate(
            (np.zeros(CONTEXT_SAMPLES, np.float32), heard[count * FRAME_SAMPLES :])
        )
        return np.abs(frames).max(axis=1, initial=0.0), replace(state, tail=tail)

    def finish(self, state: VadState) -> Probabilities:
        left = np.abs(state.tail[CONTEXT_SAMPLES:])
        return np.full(min(1, len(left)), left.max(initial=0.0), np.float32)


LOUDNESS_VAD = LoudnessVad()


def tone(seconds: float, level: float) -> Samples:
    """Samples that alternate between plus and minus `level`, each marked so as to differ a bit."""
    length = round(seconds * SAMPLE_RATE_HZ)
    samples = np.full(length, level, np.float32)
    samples[1::2] *= -1
    return samples * np.linspace(0.999, 1.0, length, dtype=np.float32)


def scene(*parts: tuple[float, float]) -> Samples:
    """Tones of (level, seconds)."""
    return np.concatenate([tone(seconds, level) for level, seconds in parts])


def assert_chunks_are_the_recording(chunks: list[SpeechChunk], recording: Samples) -> None:
    """Each holds exactly its part, none is too long, and they do not overlap."""
    pcm = to_pcm(recording)
    for chunk in chunks:
        assert chunk.samples.dtype == np.int16
        assert 0 < len(chunk.samples) <= WINDOW_SAMPLES
        np.testing.assert_array_equal(chunk.samples, pcm[chunk.start_sample : chunk.end_sample])
    for before, after in pairwise(chunks):
        assert before.end_sample <= after.start_sample


def blocks_of(samples: Samples, data: st.DataObject) -> list[Samples]:
    cuts = data.draw(st.lists(st.integers(0, len(samples)), max_size=8))
    return np.split(samples, sorted(cuts))


@st.composite
def some_recording(draw: st.DrawFn) -> Samples:
    """Loud, doubtful, quiet; up to a few minutes, and no whole number of frames."""
    level = st.sampled_from([0.0, 0.1, 0.4, 0.45, 0.6, 0.9])
    seconds = st.one_of(st.floats(0.01, 3.0), st.floats(0.01, 50.0))
    parts = draw(st.lists(st.tuples(level, seconds), max_size=8))
    return np.concatenate([np.zeros(0, np.float32), *(tone(s, value) for value, s in parts)])


class TestEverything:
    @settings(max_examples=50)
    @given(some_recording(), st.data())
    def test_nothing_is_dropped(self, recording: Samples, data: st.DataObject) -> None:
        front_end = FrontEnd(blocks_of(recording, data), None, OPTIONS)
        chunks = list(front_end)
        assert_chunks_are_the_recording(chunks, recording)
        assert sum(len(chunk.samples) for chunk in chunks) == len(recording)
        assert front_end.samples_read == front_end.speech_samples == len(recording)
        assert all(chunk.gap_before_s == 0.0 for chunk in chunks)
        shortest = (WINDOW_S - QUIET_SEARCH_S) * SAMPLE_RATE_HZ
        assert all(len(chunk.samples) >= shortest for chunk in chunks[:-1])

    def test_cut_where_it_is_quietest(self) -> None:
        recording = scene((0.9, 20.0), (0.1, 1.0), (0.9, 5.5), (0.3, 0.3), (0.9, 20.0))
        first, second = FrontEnd([recording], None, OPTIONS)
        assert 26.5 <= first.end_sample / SAMPLE_RATE_HZ <= 26.8
        assert second.start_sample == first.end_sample

    def test_exactly_one_window_is_not_cut(self) -> None:
        (chunk,) = FrontEnd([tone(WINDOW_S, 0.5)], None, OPTIONS)
        assert len(chunk.samples) == WINDOW_SAMPLES

    def test_nothing_at_all(self) -> None:
        for vad in (None, VAD):
            front_end = FrontEnd([], vad, OPTIONS)
            assert list(front_end) == []
            assert front_end.samples_read == 0


class TestSpeech:
    @settings(max_examples=60)
    @given(some_recording(), st.sampled_from([0.1, 0.5, 2.0]), st.data())
    def test_the_chunks_are_the_regions(
        self, recording: Samples, min_silence_s: float, data: st.DataObject
    ) -> None:
        options = VadOptions(min_silence_s=min_silence_s)
        front_end = FrontEnd(blocks_of(recording, data), LOUDNESS_VAD, options)
        chunks = list(front_end)
        assert_chunks_are_the_recording(chunks, recording)

        heard, state = LOUDNESS_VAD.advance(recording, VadState())
        probabilities = np.concatenate((heard, LOUDNESS_VAD.finish(state)))
        decided, regions = speech.advance(SpeechState(), probabilities, options)
        regions += speech.finish(decided, len(recording), options)
        kept, expected = np.zeros((2, len(recording)), bool)
        for chunk in chunks:
            kept[chunk.start_sample : chunk.end_sample] = True
        for region in regions:
            expected[region.start_sample : region.end_sample] = True
        np.testing.assert_array_equal(kept, expected)
        assert front_end.samples_read == len(recording)
        assert front_end.speech_samples == kept.sum()
        # A region begins with a chunk that knows the silence before it; others have no lead.
        begins = {chunk.start_sample: chunk for chunk in chunks}
        for region in regions:
            first = begins.pop(region.start_sample)
            assert first.gap_before_s == region.silence_samples / SAMPLE_RATE_HZ
            assert first.lead_samples == region.lead_samples
        assert all(chunk.lead_samples == 0 for chunk in begins.values())

    @settings(max_examples=30)
    @given(some_recording(), st.data())
    def test_the_cut_into_blocks_changes_nothing(
        self, recording: Samples, data: st.DataObject
    ) -> None:
        one = list(FrontEnd([recording], LOUDNESS_VAD, OPTIONS))
        many = list(FrontEnd(blocks_of(recording, data), LOUDNESS_VAD, OPTIONS))
        assert [(c.start_sample, c.end_sample, c.gap_before_s) for c in one] == [
            (c.start_sample, c.end_sample, c.gap_before_s) for c in many
        ]

    def test_a_long_region_is_cut_in_its_longest_pause(self) -> None:
        recording = scene(
            (0.9, 10.0), (0.1, 0.4), (0.9, 8.0), (0.1, 0.32), (0.9, 5.0), (0.1, 0.2), (0.9, 16.0)
        )
        first, second = FrontEnd([recording], LOUDNESS_VAD, OPTIONS)
        assert first.end_sample / SAMPLE_RATE_HZ == pytest.approx(18.56, abs=0.05)
        assert second.start_sample == first.end_sample
        assert second.gap_before_s == pytest.approx(0.32, abs=0.04)

    def test_a_long_region_without_a_pause_is_cut_where_it_is_quietest(self) -> None:
        recording = scene((0.9, 22.0), (0.6, 0.3), (0.9, 20.0))
        first, second = FrontEnd([recording], LOUDNESS_VAD, OPTIONS)
        assert 22.0 <= first.end_sample / SAMPLE_RATE_HZ <= 22.3
        assert second.gap_before_s == 0.0

    def test_speech_without_end_is_cut_all_along(self) -> None:
        front_end = FrontEnd([tone(300.0, 0.9)], LOUDNESS_VAD, OPTIONS)
        chunks = list(front_end)
        assert front_end.speech_samples == 300 * SAMPLE_RATE_HZ
        least = (WINDOW_S - PAUSE_SEARCH_S) * SAMPLE_RATE_HZ
        assert all(len(chunk.samples) >= least for chunk in chunks[:-1])

    def test_a_chunk_comes_before_the_recording_has_ended(self) -> None:
        given_out = 0

        def blocks() -> Iterator[Samples]:
            nonlocal given_out
            for _ in range(1_000):
                given_out += 1
                yield scene((0.9, 2.0), (0.0, 2.0))

        next(iter(FrontEnd(blocks(), LOUDNESS_VAD, OPTIONS)))
        assert given_out * 4 * SAMPLE_RATE_HZ <= STEP_SAMPLES + 4 * SAMPLE_RATE_HZ

    def test_iterated_once(self) -> None:
        front_end = FrontEnd([tone(2.0, 0.9)], LOUDNESS_VAD, OPTIONS)
        assert len(list(front_end)) == 1
        assert list(front_end) == []

    def test_an_error_of_the_source_comes_through(self) -> None:
        def blocks() -> Iterator[Samples]:
            yield tone(1.0, 0.9)
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            list(FrontEnd(blocks(), LOUDNESS_VAD, OPTIONS))

    def test_options_that_make_no_sense(self) -> None:
        with pytest.raises(BadRequestError, match="threshold"):
            FrontEnd([], VAD, VadOptions(threshold=3.0))


def endless_speech(second: int) -> float:
    return 0.9


def silence_only(second: int) -> float:
    return 0.0


def doubt_after_speech(second: int) -> float:
    return 0.9 if second < 2 else 0.1 if second == 2 else 0.4


def bursts(second: int) -> float:
    return 0.9 if second % 40 < 20 else 0.1


@pytest.mark.parametrize("level", [endless_speech, silence_only, doubt_after_speech, bursts])
@pytest.mark.parametrize("vad", [LOUDNESS_VAD, None], ids=["vad", "everything"])
def test_memory_does_not_grow_with_the_recording(
    level: Callable[[int], float], vad: SileroVad | None
) -> None:
    blocks = (tone(1.0, level(second)) for second in range(RECORDING_S))
    front_end = FrontEnd(blocks, vad, OPTIONS)
    tracemalloc.start()
    try:
        for _ in front_end:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert front_end.samples_read == RECORDING_S * SAMPLE_RATE_HZ
    assert peak < HELD_LIMIT_BYTES


@pytest.mark.parametrize(
    "sound",
    [silence(60.0), noise(60.0, -30.0), noise(60.0, -60.0)],
    ids=["digital silence", "loud noise", "quiet noise"],
)
def test_no_speech_in_silence_and_noise(sound: Samples) -> None:
    front_end = FrontEnd([sound], VAD, OPTIONS)
    assert list(front_end) == []
    assert front_end.samples_read == len(sound)


def test_hardly_any_speech_in_a_hum() -> None:
    """120 Hz and harmonics; only the moment at which it is switched on may pass."""
    time = np.arange(60 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    hum = 0.1 * sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9))
    front_end = FrontEnd([np.asarray(hum, np.float32)], VAD, OPTIONS)
    assert all(chunk.end_sample < SAMPLE_RATE_HZ for chunk in front_end)
    assert front_end.speech_samples < SAMPLE_RATE_HZ // 2


def test_finds_the_synthetic_voice() -> None:
    recording = np.concatenate(
        (silence(3.0), voice(4.0), silence(5.0), voice(3.0, 1), silence(2.0))
    )
    chunks = list(FrontEnd([recording], VAD, OPTIONS))
    spans = [(c.start_sample / SAMPLE_RATE_HZ, c.end_sample / SAMPLE_RATE_HZ) for c in chunks]
    expected = [(3.0, 7.0), (12.0, 15.0)]
    assert len(spans) == len(expected)
    for (start, end), (voice_start, voice_end) in zip(spans, expected, strict=True):
        assert voice_start - 0.5 < start < voice_start
        assert voice_end < end < voice_end + 0.5


def test_every_word_of_the_test_speech_is_kept() -> None:
    """At most 0.1 % of the time in which words are spoken is lost, and of no word the half."""
    spoken = lost = 0
    for recording in all_speech():
        samples = samples_of(recording.name)
        kept = np.zeros(len(samples), bool)
        for chunk in FrontEnd([samples], VAD, OPTIONS):
            kept[chunk.start_sample : chunk.end_sample] = True
        for sentence in recording.sentences:
            spans = [(word.start, word.end) for word in sentence.words]
            for start, end in spans or [(sentence.start, sentence.end)]:
                word = kept[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)]
                spoken += len(word)
                lost += len(word) - int(word.sum())
                assert not len(word) or word.mean() > 0.5, (recording.name, start)
    assert spoken > 600 * SAMPLE_RATE_HZ
    assert lost < 0.001 * spoken
