"""Whole sessions over speech with known words, and an engine that hears them by their times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.live_server import PATIENCE_S
from tests.support.spoken import (
    RATE,
    Speech,
    SpokenEngine,
    Transcriber,
    live_service,
    play,
    spoken,
    transcribe_live,
)

from verbatim.domain.audio import Window, to_pcm
from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    ModelUnavailableError,
    OverloadedError,
    UnavailableError,
)
from verbatim.domain.live import (
    Cleared,
    EndReason,
    Failed,
    LiveEvent,
    LiveOptions,
    SecondPass,
    SessionEnd,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    TurnDetection,
    UtteranceEnded,
)
from verbatim.domain.request import Task
from verbatim.domain.transcript import WindowResult
from verbatim.pipeline.live.service import LiveLimits
from verbatim.pipeline.live.session import SessionTimes

ENGLISH = LiveOptions(language="en")
TWO = spoken(0.5, "Hello there, my good friends.", 1.2, "Where are you all going today?", 1.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.005)


def covered(engine: SpokenEngine, first: float, last: float) -> bool:
    """Whether every moment of a stretch was in some window."""
    at = first
    for window in sorted(engine.windows, key=lambda window: window.start_s):
        if window.start_s <= at + 1e-6:
            at = max(at, window.start_s + window.duration_s)
    return at >= last - 0.05


async def test_two_sentences() -> None:
    engine = SpokenEngine(TWO)
    heard = await transcribe_live(engine, TWO, ENGLISH)
    assert heard.text == TWO.text
    assert [final.reason for final in heard.finals] == [EndReason.ENDPOINT, EndReason.ENDPOINT]
    assert [final.text for final in heard.finals] == [
        "Hello there, my good friends.",
        "Where are you all going today?",
    ]
    ends = [event for event in heard.events if isinstance(event, SessionEnded)]
    assert ends == [SessionEnded(SessionEnd.FINISHED, TWO.duration_s)]
    kinds = [type(event) for event in heard.events]
    assert kinds.index(SpeechStarted) < kinds.index(SpeechStopped) < kinds.index(UtteranceEnded)


async def test_times_are_those_of_the_session() -> None:
    heard = await transcribe_live(SpokenEngine(TWO), TWO, ENGLISH)
    words = [word for final in heard.finals for word in final.words]
    assert [word.text.strip() for word in words] == [word.text.strip() for word in TWO.words]
    for found, true in zip(words, TWO.words, strict=True):
        assert found.start == pytest.approx(true.start, abs=0.35)  # the padding before speech
        assert found.end == pytest.approx(true.end, abs=0.02)
    for final in heard.finals:
        assert final.start <= final.words[0].start
        assert final.end <= TWO.duration_s
        assert [s.text.strip() for s in final.segments] == [final.text]


async def test_words_come_while_they_are_spoken() -> None:
    heard = await transcribe_live(SpokenEngine(TWO), TWO, ENGLISH, pause_s=0.03)
    before_the_end = [p for p in heard.partials if p.committed and p.utterance == 0]
    assert before_the_end
    for partial in heard.partials:
        assert partial.start <= partial.end <= TWO.duration_s


async def test_every_window_fits_and_begins_with_what_is_committed() -> None:
    speech = spoken(0.3, " ".join(f"word{n}{'.' if n % 9 == 0 else ''}" for n in range(80)), 1.0)
    engine = SpokenEngine(speech)
    heard = await transcribe_live(engine, speech, ENGLISH)
    assert heard.text == speech.text
    assert all(window.duration_s <= 28.0 for window in engine.windows)
    assert any(window.duration_s > 10 for window in engine.windows)
    for window in engine.windows:
        assert len((window.options.prefix or "").encode()) < 300
        assert window.options.word_timestamps
        assert window.options.timestamps == (window.options.prefix is None)
    assert covered(engine, 0.6, 0.3 + 80 * 0.4)


@pytest.mark.parametrize("piece_s", [0.001, 0.0333, 2.0, 100.0])
async def test_the_size_of_the_pieces_is_no_matter(piece_s: float) -> None:
    pause_s = 0.0 if piece_s < 0.01 else 0.01
    heard = await transcribe_live(SpokenEngine(TWO), TWO, ENGLISH, piece_s=piece_s, pause_s=pause_s)
    assert heard.text == TWO.text


async def test_integers_and_floats_are_the_same() -> None:
    engine = SpokenEngine(TWO)
    async with live_service(engine) as service:
        session = await service.open(ENGLISH)
        heard = Transcriber(session)
        await play(session, to_pcm(TWO.samples))
        await session.finish()
        assert (await heard.done()).text == TWO.text


class TestOverload:
    """An engine that is too slow: the steps become longer, and audio waits."""

    @staticmethod
    def slow(seconds: float) -> Callable[[Sequence[Window]], Awaitable[None]]:
        async def wait(windows: Sequence[Window]) -> None:
            await asyncio.sleep(seconds)

        return wait

    async def test_nothing_is_lost(self) -> None:
        text = " ".join(f"word{n}" for n in range(90))
        speech = spoken(0.3, text, 1.0, "Afterwards something else.", 0.8)
        engine = SpokenEngine(speech, self.slow(0.4))
        heard = await transcribe_live(engine, speech, ENGLISH, piece_s=0.5, pause_s=0.0)
        assert heard.text == speech.text
        assert covered(engine, 0.6, 0.3 + 90 * 0.4)
        # 38 s were fed at once: far fewer windows than steps of half a second.
        assert len(engine.windows) < 20

    async def test_who_feeds_waits(self) -> None:
        speech = spoken(0.3, " ".join(f"word{n}" for n in range(300)), 1.0)
        stuck = asyncio.Event()

        async def wait(windows: Sequence[Window]) -> None:
            await stuck.wait()

        engine = SpokenEngine(speech, wait)
        async with live_service(engine) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            feeding = asyncio.create_task(play(session, speech.samples, 0.5, 0.0))
            await asyncio.sleep(1.0)
            assert not feeding.done()
            assert session.fed_s < 60
            stuck.set()
            await feeding
            await session.finish()
            assert (await heard.done()).text == speech.text


class TestEngineFailure:
    @staticmethod
    def fails(times: int, error: Exception) -> Callable[[Sequence[Window]], Awaitable[None]]:
        left = times

        async def fail(windows: Sequence[Window]) -> None:
            nonlocal left
            if left:
                left -= 1
                raise error

        return fail

    @pytest.mark.parametrize(
        "error", [ModelUnavailableError("gone"), InternalError("crashed", code="engine_crashed")]
    )
    async def test_windows_are_tried_again(self, error: Exception) -> None:
        engine = SpokenEngine(TWO, self.fails(2, error))
        heard = await transcribe_live(engine, TWO, ENGLISH)
        assert heard.text == TWO.text

    async def test_an_utterance_that_breaks_the_engine_fails_and_the_next_does_not(self) -> None:
        async def fail(windows: Sequence[Window]) -> None:
            if windows[0].start_s < 2.0:
                raise InternalError("crashed", code="engine_crashed")

        heard = await transcribe_live(SpokenEngine(TWO, fail), TWO, ENGLISH)
        failures = [event for event in heard.events if isinstance(event, Failed)]
        assert [failure.utterance for failure in failures] == [0]
        assert failures[0].error.code == "engine_crashed"
        assert [final.text for final in heard.finals] == ["Where are you all going today?"]

    async def test_a_fault_of_ours_ends_the_session_and_says_so(self) -> None:
        async def fail(windows: Sequence[Window]) -> None:
            raise ZeroDivisionError

        async with live_service(SpokenEngine(TWO, fail)) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            await play(session, TWO.samples)
            await heard.done()
            last = heard.events[-1]
            assert isinstance(last, SessionEnded)
            assert last.reason is SessionEnd.FAILED
            assert service.load().sessions == 0


class TestCommit:
    async def test_in_the_middle_of_speech(self) -> None:
        engine = SpokenEngine(TWO)
        async with live_service(engine) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            middle = round(1.7 * RATE)  # after three words
            await play(session, TWO.samples[:middle])
            await session.commit()
            await play(session, TWO.samples[middle:])
            await session.finish()
            await heard.done()
        assert heard.finals[0].reason is EndReason.COMMIT
        assert heard.finals[0].end == pytest.approx(1.7)
        assert heard.finals[0].text == "Hello there, my"
        assert heard.text == TWO.text

    async def test_of_silence_gives_an_empty_final(self) -> None:
        async with live_service(SpokenEngine(TWO)) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            await session.commit()
            await session.feed(np.zeros(RATE, np.float32))
            await session.commit()
            await session.finish()
            await heard.done()
        assert [(f.text, f.start, f.end) for f in heard.finals] == [("", 0, 0), ("", 0, 1.0)]
        ended = [event.reason for event in heard.events if isinstance(event, UtteranceEnded)]
        assert ended == [EndReason.COMMIT, EndReason.COMMIT]

    async def test_after_silence_the_text_is_there_at_once(self) -> None:
        """What was decoded in the pause is the final: a commit decodes nothing again."""
        engine = SpokenEngine(TWO)
        patient = replace(ENGLISH, turns=TurnDetection(silence_s=5.0))
        async with live_service(engine) as service:
            session = await service.open(patient)
            heard = Transcriber(session)
            await play(session, TWO.samples[: round(3.2 * RATE)])
            # All of the first sentence and the padding after it.
            spoken_s = TWO.words[4].end + 0.15
            await until(lambda: bool(heard.partials) and heard.partials[-1].end > spoken_s)
            decoded = len(engine.windows)
            await session.commit()
            await until(lambda: bool(heard.finals))
            assert [final.text for final in heard.finals] == ["Hello there, my good friends."]
            assert len(engine.windows) == decoded
            await session.finish()
            await heard.done()


class TestManual:
    MANUAL = LiveOptions(language="en", manual=True)

    async def test_silence_ends_nothing(self) -> None:
        engine = SpokenEngine(TWO)
        async with live_service(engine) as service:
            session = await service.open(self.MANUAL)
            heard = Transcriber(session)
            await play(session, TWO.samples)
            await session.commit()
            await session.finish()
            await heard.done()
        assert [final.text for final in heard.finals] == [TWO.text]
        assert not any(isinstance(e, SpeechStarted | SpeechStopped) for e in heard.events)

    async def test_silence_is_not_decoded(self) -> None:
        speech = spoken(0.5, "Hello there.", 20.0, "Good bye now.", 0.5)
        engine = SpokenEngine(speech)
        heard = await transcribe_live(engine, speech, self.MANUAL, piece_s=0.5)
        assert [final.text for final in heard.finals] == [speech.text]
        assert sum(window.duration_s for window in engine.windows) < 20
        assert all(window.duration_s < 5 for window in engine.windows)


class TestClear:
    async def test_forgets_what_is_open(self) -> None:
        async with live_service(SpokenEngine(TWO)) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            middle = round(1.5 * RATE)
            await play(session, TWO.samples[:middle])
            await session.clear()
            silence = np.zeros(RATE, np.float32)
            await play(session, silence)
            await session.clear()
            await session.finish()
            await heard.done()
        assert [event for event in heard.events if isinstance(event, Cleared)] == [
            Cleared(0),
            Cleared(None),
        ]
        assert heard.finals == []

    async def test_while_it_is_decoded(self) -> None:
        going = asyncio.Event()

        async def wait(windows: Sequence[Window]) -> None:
            await going.wait()

        engine = SpokenEngine(TWO, wait)
        async with live_service(engine) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            middle = round(1.5 * RATE)
            await play(session, TWO.samples[:middle])
            await until(lambda: engine.running > 0)
            await session.clear()
            going.set()
            await play(session, TWO.samples[round(3.0 * RATE) :])
            await session.finish()
            await heard.done()
        assert [final.utterance for final in heard.finals] == [1]


class TestUpdate:
    async def test_holds_from_the_next_utterance_on(self) -> None:
        engine = SpokenEngine(TWO)
        async with live_service(engine) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            middle = round(1.5 * RATE)
            await play(session, TWO.samples[:middle])
            await session.update(replace(ENGLISH, language="ko", prompt="Names: Kim."))
            await play(session, TWO.samples[middle:])
            await session.finish()
            await heard.done()
        assert [final.language for final in heard.finals] == ["en", "ko"]
        prompts = {
            window.options.language: window.options.initial_prompt for window in engine.windows
        }
        assert prompts == {"en": None, "ko": "Names: Kim."}
        assert session.options.language == "ko"

    async def test_from_manual_to_turns_ends_what_was_said(self) -> None:
        async with live_service(SpokenEngine(TWO)) as service:
            session = await service.open(replace(ENGLISH, manual=True))
            heard = Transcriber(session)
            await play(session, TWO.samples[: round(3.6 * RATE)])
            await session.update(ENGLISH)
            await until(lambda: bool(heard.finals))
            assert [final.reason for final in heard.finals] == [EndReason.ENDPOINT]
            await session.aclose()

    async def test_to_what_the_model_cannot_do(self) -> None:
        async with live_service(SpokenEngine(TWO)) as service:
            session = await service.open(ENGLISH)
            with pytest.raises(BadRequestError) as refused:
                await session.update(replace(ENGLISH, language="xx"))
            assert refused.value.param == "language"
            assert session.options == ENGLISH
            await session.aclose()

    async def test_to_another_model_lets_the_first_go(self) -> None:
        async with live_service(SpokenEngine(TWO)) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            for name in ("second", "third", "second"):
                await session.update(replace(ENGLISH, model=name))
            await play(session, TWO.samples)
            assert len(session._engines) == 1
            await session.finish()
            assert (await heard.done()).text == TWO.text


class TestLongUtterances:
    async def test_end_after_a_sentence(self) -> None:
        text = " ".join(f"word{n}{'.' if n % 7 == 0 else ''}" for n in range(60))
        speech = spoken(0.3, text, 1.0)
        options = replace(ENGLISH, max_utterance_s=8.0)
        heard = await transcribe_live(SpokenEngine(speech), speech, options, pause_s=0.02)
        assert heard.text == speech.text
        *split, last = heard.finals
        assert [final.reason for final in split] == [EndReason.LENGTH] * len(split)
        assert last.reason is EndReason.ENDPOINT
        assert len(split) >= 2
        assert all(final.text.endswith(".") for final in split)
        assert all(a.end <= b.start for a, b in zip(heard.finals, heard.finals[1:], strict=False))

    async def test_do_not_wait_for_a_sentence_for_ever(self) -> None:
        speech = spoken(0.3, " ".join(f"word{n}" for n in range(70)), 1.0)
        options = replace(ENGLISH, max_utterance_s=6.0)
        heard = await transcribe_live(SpokenEngine(speech), speech, options, pause_s=0.02)
        assert heard.text == speech.text
        assert all(final.end - final.start < 6 + 10 + 2.5 for final in heard.finals)
        assert len(heard.finals) >= 2

    async def test_in_which_nothing_is_stable_are_committed_all_the_same(self) -> None:
        """A model that changes its mind all the time."""
        text = " ".join(f"word{n}" for n in range(90))
        speech = spoken(0.3, text, 1.0)

        class Fickle(SpokenEngine):
            def _result(self, window: Window) -> WindowResult:
                result = super()._result(window)
                (segment,) = result.segments
                mark = f"v{len(self.windows)}"
                words = segment.words or ()
                known = len((window.options.prefix or "").split())
                changed = tuple(
                    word if place < known else replace(word, text=f"{word.text}{mark}")
                    for place, word in enumerate(words)
                )
                return replace(result, segments=(replace(segment, words=changed),))

            def _next_word(self, prefix: Sequence[str]) -> int:
                return int(prefix[-1][4:].split("v")[0]) + 1 if prefix else 0

        engine = Fickle(speech, mishear=lambda word: word.text)
        heard = await transcribe_live(engine, speech, ENGLISH)
        numbers = [int(word[4:].split("v")[0]) for word in heard.text.split()]
        assert numbers == list(range(90))
        assert all(window.duration_s <= 28 for window in engine.windows)


class TestLanguage:
    async def test_is_detected_and_then_kept(self) -> None:
        engine = SpokenEngine(TWO)
        heard = await transcribe_live(engine, TWO, LiveOptions(), pause_s=0.03)
        assert heard.text == TWO.text
        assert [final.language for final in heard.finals] == ["en", "en"]
        assert engine.windows[0].options.language is None
        assert any(window.options.language == "en" for window in engine.windows)

    async def test_is_chosen_among_those_that_are_asked_for(self) -> None:
        engine = SpokenEngine(TWO)
        await transcribe_live(engine, TWO, LiveOptions(languages=("en", "ko")))
        assert engine.windows[0].options.candidate_languages == ("en", "ko")


async def test_without_partials_only_finals_are_told() -> None:
    engine = SpokenEngine(TWO)
    heard = await transcribe_live(engine, TWO, replace(ENGLISH, partials=False), pause_s=0.03)
    assert heard.partials == []
    assert heard.text == TWO.text
    assert len(engine.windows) <= 6


async def test_a_second_pass_is_beside_the_final() -> None:
    engine = SpokenEngine(TWO)
    heard = await transcribe_live(engine, TWO, replace(ENGLISH, second_pass=True))
    passes = [event for event in heard.events if isinstance(event, SecondPass)]
    assert [p.text for p in passes] == [final.text for final in heard.finals]
    assert [p.utterance for p in passes] == [0, 1]
    for found, final in zip(passes, heard.finals, strict=True):
        assert (found.start, found.end, found.language) == (final.start, final.end, "en")
    assert sum(w.options.beam_size == 5 and w.options.prefix is None for w in engine.windows) >= 2


async def test_prompt_and_hotwords_come_before_what_is_said() -> None:
    engine = SpokenEngine(TWO)
    options = replace(ENGLISH, prompt="At the station.", hotwords="Seoul, Busan")
    await transcribe_live(engine, TWO, options)
    assert {w.options.initial_prompt for w in engine.windows} == {"Seoul, Busan At the station."}
    assert any(w.options.prefix for w in engine.windows)


class TestEnds:
    async def test_an_idle_session_ends(self) -> None:
        limits = LiveLimits(times=SessionTimes(idle_s=1.0))
        async with live_service(SpokenEngine(TWO), limits) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            for _ in range(4):
                await asyncio.sleep(0.3)
                await session.feed(np.zeros(1_600, np.float32))
            assert not heard.events
            assert (await heard.done()).events == [SessionEnded(SessionEnd.IDLE, 0.4)]
            assert service.load().sessions == 0

    async def test_a_session_that_lasts_too_long_ends_with_what_was_said(self) -> None:
        limits = LiveLimits(times=SessionTimes(longest_s=2.0))
        async with live_service(SpokenEngine(TWO), limits) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            await play(session, TWO.samples[: 2 * RATE], pause_s=0.005)
            await heard.done()
            assert heard.events[-1] == SessionEnded(SessionEnd.TOO_LONG, 2.0)
            assert heard.text
            # What comes after the end is no error, and has no effect.
            await session.feed(TWO.samples)
            await session.commit()
            await session.finish()

    async def test_draining_tells_the_finals(self) -> None:
        async with live_service(SpokenEngine(TWO)) as service:
            session = await service.open(ENGLISH)
            heard = Transcriber(session)
            await play(session, TWO.samples[: 2 * RATE])
            service.drain()
            with pytest.raises(UnavailableError):
                await service.open(ENGLISH)
            await heard.done()
            await service.drained()
            assert heard.events[-1] == SessionEnded(SessionEnd.DRAINING, 2.0)
            assert heard.finals[-1].reason is EndReason.FINISH

    async def test_closing_frees_everything_at_once(self) -> None:
        stuck = asyncio.Event()

        async def wait(windows: Sequence[Window]) -> None:
            await stuck.wait()

        engine = SpokenEngine(TWO, wait)
        async with live_service(engine) as service:
            async with aclosing(await service.open(ENGLISH)) as session:
                reading = asyncio.create_task(_last(session.events()))
                await play(session, TWO.samples)
                await until(lambda: engine.running > 0)
            assert service.load().sessions == 0
            await asyncio.wait_for(reading, PATIENCE_S)
            await until(lambda: engine.running == 0)
            await session.aclose()

    async def test_there_may_be_so_many(self) -> None:
        async with live_service(SpokenEngine(TWO), LiveLimits(max_sessions=2)) as service:
            first = await service.open(ENGLISH)
            second = await service.open(ENGLISH)
            assert first.id != second.id
            with pytest.raises(OverloadedError) as refused:
                await service.open(ENGLISH)
            assert refused.value.retry_after_s
            await first.aclose()
            await (await service.open(ENGLISH)).aclose()
            await second.aclose()
            assert service.load().sessions == 0


async def _last(events: AsyncIterator[LiveEvent]) -> LiveEvent | None:
    last = None
    async for event in events:
        last = event
    return last


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (LiveOptions(language="xx"), "language"),
        (LiveOptions(languages=("en", "xx")), "language"),
        (LiveOptions(turns=TurnDetection(silence_s=0.0)), "silence_s"),
        (LiveOptions(step_s=0.0), "step_s"),
        (LiveOptions(max_utterance_s=1.0), "max_utterance_s"),
        (LiveOptions(prompt="x" * 100_000), "prompt"),
        (LiveOptions(languages=("en",) * 200), "languages"),
    ],
)
async def test_options_that_make_no_sense(options: LiveOptions, param: str) -> None:
    async with live_service(SpokenEngine(TWO)) as service:
        with pytest.raises(BadRequestError) as refused:
            await service.open(options)
        assert refused.value.param == param
        assert service.load().sessions == 0


async def test_translation_by_a_model_that_cannot() -> None:
    engine = SpokenEngine(TWO)
    engine._description = replace(engine.describe(), languages=("en",))
    async with live_service(engine) as service:
        with pytest.raises(BadRequestError) as refused:
            await service.open(LiveOptions(task=Task.TRANSLATE))
        assert refused.value.param == "task"


class Babbler(SpokenEngine):
    """Says anything at all: what it is told by a list of dice, whatever is in the window."""

    def __init__(self, dice: list[int]) -> None:
        super().__init__(TWO)
        self._dice = dice or [0]

    def _next_word(self, prefix: Sequence[str]) -> int:
        return 0

    def _throw(self, sides: int) -> int:
        value = self._dice[len(self.windows) * 7 % len(self._dice)]
        self._dice = [*self._dice[1:], value * 31 % 997]
        return value % sides

    def _result(self, window: Window) -> WindowResult:
        result = super()._result(window)
        prefix = window.options.prefix or ""
        kind = self._throw(6)
        texts = [f" {word}" for word in prefix.split()]
        if kind == 0:
            texts = []
        elif kind == 1:
            texts = [" other", " text"]
        vocabulary = ["yes", "Yes.", "no,", "no", "maybe!", "...", "No", "yes yes"]
        texts += [f" {vocabulary[self._throw(8)]}" for _ in range(self._throw(9))]
        each = window.duration_s / max(len(texts), 1)
        words = tuple(
            replace(
                TWO.words[0],
                text=text,
                start=place * each,
                end=(place + 1) * each,
                probability=self._throw(100) / 100,
            )
            for place, text in enumerate(texts)
        )
        segments = tuple(
            replace(segment, words=words, text="".join(texts)) for segment in result.segments[:1]
        )
        ratio = 5.0 if self._throw(10) == 0 else 1.0
        return replace(result, segments=segments, compression_ratio=ratio)


LONG = spoken(0.2, "a1 a2 a3 a4 a5 a6 a7", 0.7, "b1 b2 b3", 0.3, "c1 c2 c3 c4 c5 c6 c7 c8", 0.7)


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(0, 996), min_size=1, max_size=40),
    st.lists(st.sampled_from(["commit", "clear", "wait"]), max_size=4),
    st.booleans(),
)
def test_whatever_the_engine_says_the_promises_hold(
    dice: list[int], orders: list[str], manual: bool
) -> None:
    """`Transcriber` holds the session to them."""
    asyncio.run(_babble(LONG, dice, orders, manual=manual))


async def _babble(speech: Speech, dice: list[int], orders: list[str], *, manual: bool) -> None:
    async with live_service(Babbler(dice)) as service:
        session = await service.open(LiveOptions(language="en", manual=manual, max_utterance_s=5.0))
        heard = Transcriber(session)
        for part in np.array_split(speech.samples, len(orders) + 1):
            await play(session, part, 0.25, 0.002)
            if orders and (order := orders.pop()) != "wait":
                await (session.commit() if order == "commit" else session.clear())
        await session.finish()
        await heard.done()
        started = {e.utterance for e in heard.events if isinstance(e, UtteranceEnded)}
        assert started <= set(heard.ended)
