"""The Deepgram dialect's words, messages and parameters, without a connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.dialects.deepgram.query import LiveQuery, RecordedQuery
from verbatim.dialects.deepgram.results import LONGEST_STRETCH_S, Gaps, Narrator
from verbatim.dialects.deepgram.words import (
    MOST_SENTENCES,
    alternative,
    paragraphs,
    sentences,
    unpunctuated,
    utterances,
)
from verbatim.domain.live import (
    EndReason,
    Final,
    LiveOptions,
    Partial,
    SpeechStarted,
    TurnDetection,
)
from verbatim.domain.transcript import Word
from verbatim.engine.protocol import EngineDescription
from verbatim.wire.live_audio import LiveEncoding, LiveFormat

MODEL = EngineDescription("tiny", ("en",), "cpu", (0,), "int8", 1)
TEXTS = st.lists(st.sampled_from([" a", " b.", " c?", " d,", "好", "。", " e’s"]), min_size=1)


def words_of(texts: Iterable[str], pause_s: float = 0.0, word_s: float = 0.5) -> tuple[Word, ...]:
    step_s = word_s + pause_s
    return tuple(
        Word(text, place * step_s, place * step_s + word_s, 0.9) for place, text in enumerate(texts)
    )


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Hello there, my friends!", "hello there my friends"),
        ("Don't stop—it’s well-known: 3.5, or 1,000.", "don't stop—it’s well-known 3.5 or 1,000"),
        ('"Quoted" (and bracketed)…', "quoted and bracketed"),
        ("你好，世界。再見!", "你好世界再見"),
        ("你好,世界", "你好世界"),
        ("안녕하세요. 네?", "안녕하세요 네"),
        ("नमस्ते, दुनिया।", "नमस्ते दुनिया"),
        ("¿Qué tal?", "qué tal"),
        ("...", ""),
        ("", ""),
    ],
)
def test_bare_text(text: str, bare: str) -> None:
    assert unpunctuated(text) == bare


@given(st.text())
def test_bare_text_stays_as_it_is(text: str) -> None:
    bare = unpunctuated(text)
    assert unpunctuated(bare) == bare
    assert bare == bare.strip()


@given(TEXTS, st.booleans())
def test_words_make_the_transcript(texts: list[str], punctuated: bool) -> None:
    words = words_of(texts)
    told = alternative("".join(texts), words, punctuated=punctuated)
    assert len(told["words"]) == len(words)
    assert all(word["word"] for word in told["words"])
    if punctuated:
        assert told["transcript"] == "".join(texts).strip()
        joined = "".join(word["punctuated_word"] for word in told["words"])
        assert joined == told["transcript"].replace(" ", "")


@given(TEXTS, st.floats(0, 3), st.floats(0, 3))
def test_pieces_are_the_whole(texts: list[str], pause_s: float, least_s: float) -> None:
    words = words_of(texts, pause_s)
    assert [word for piece in utterances(words, least_s) for word in piece] == list(words)
    assert [word for piece in sentences(words) for word in piece] == list(words)
    told = paragraphs(words)
    assert [w for paragraph in told for piece in paragraph for w in piece] == list(words)
    assert all(1 <= len(paragraph) <= MOST_SENTENCES for paragraph in told)


def test_where_sentences_end() -> None:
    words = words_of([" He", " said", ' "no."', " Why?”", " Never", " mind"])
    assert [len(piece) for piece in sentences(words)] == [3, 1, 2]
    assert [len(piece) for piece in sentences(words_of("你好。再見"))] == [3, 2]


def test_a_pause_begins_a_paragraph_after_a_sentence_only() -> None:
    words = [
        *words_of([" One.", " Two."]),
        Word(" Three", 9.0, 9.5, 0.9),
        Word(" four.", 19, 20, 0.9),
    ]
    assert [len(paragraph) for paragraph in paragraphs(words)] == [2, 1]


def results(narrator: Narrator, *events: Any) -> list[dict[str, Any]]:
    return [told for event in events for told in narrator.tell(event)]


def partial(words: tuple[Word, ...], tail: str = "", end: float | None = None) -> Partial:
    text = "".join(word.text for word in words).strip()
    edge = words[-1].end + 0.5 if end is None else end
    return Partial(0, 0.0, edge, text, "", tail, words, "en")


def final(words: tuple[Word, ...], reason: EndReason = EndReason.ENDPOINT) -> Final:
    text = "".join(word.text for word in words).strip()
    return Final(0, 0.0, 60.0, text, "", words, (), "en", 1.0, reason)


def transcripts(messages: Iterable[dict[str, Any]]) -> list[str]:
    return [message["channel"]["alternatives"][0]["transcript"] for message in messages]


class TestStretches:
    @given(st.integers(1, 40), st.lists(st.integers(0, 40)), st.booleans())
    def test_finals_are_the_text_once(self, count: int, seen: list[int], interim: bool) -> None:
        texts = [f" word{number}." for number in range(count)]
        whole = words_of(texts)
        narrator = Narrator(LiveQuery(punctuate=True, interim_results=interim), MODEL, "id")
        events: list[Any] = []
        for most in sorted(min(each, count) for each in seen):
            # The mark that closes the last word comes with the next one.
            shown = whole[:most]
            if shown:
                last = Word(shown[-1].text.rstrip("."), shown[-1].start, shown[-1].end, 0.9)
                events.append(partial((*shown[:-1], last), " tail"))
        told = results(narrator, *events, final(whole))
        finals = [message for message in told if message["is_final"]]
        assert " ".join(transcripts(finals)).split() == "".join(texts).split()
        assert [message["speech_final"] for message in finals] == [False] * (len(finals) - 1) + [
            True
        ]
        assert interim or len(finals) == len(told)
        ends = [message["start"] + message["duration"] for message in finals]
        starts = [message["start"] for message in finals[1:]]
        assert starts == pytest.approx(ends[:-1])
        for message in told:
            if not message["is_final"]:
                assert transcripts([message])[0].endswith("tail")

    def test_a_stretch_is_told_when_it_is_long(self) -> None:
        narrator = Narrator(LiveQuery(), MODEL, "id")
        short = words_of([" a"] * int(LONGEST_STRETCH_S / 0.5))
        assert results(narrator, partial(short)) == []
        long = words_of([" a"] * (int(LONGEST_STRETCH_S / 0.5) + 1))
        (told,) = results(narrator, partial(long))
        assert told["duration"] == LONGEST_STRETCH_S

    @pytest.mark.parametrize(
        ("reason", "endpointing", "ends", "finalized"),
        [
            (EndReason.ENDPOINT, None, True, False),
            (EndReason.ENDPOINT, "false", False, False),
            (EndReason.FINISH, None, True, False),
            (EndReason.LENGTH, None, False, False),
            (EndReason.COMMIT, None, False, True),
        ],
    )
    def test_what_ends_speech(
        self, reason: EndReason, endpointing: str | None, ends: bool, finalized: bool
    ) -> None:
        narrator = Narrator(LiveQuery(endpointing=endpointing), MODEL, "id")
        (told,) = results(narrator, final(words_of([" a"]), reason))
        assert (told["speech_final"], told["from_finalize"]) == (ends, finalized)


class TestGaps:
    def test_each_is_told_once(self) -> None:
        gaps = Gaps(1_000)
        assert not list(gaps.on_heard(9.0))
        assert not list(gaps.on_speech(0, 10.0))
        assert not list(gaps.on_heard(20.0))
        gaps.on_final(final(words_of([" a"] * 24)))
        assert not list(gaps.on_heard(12.9))
        (told,) = gaps.on_heard(13.0)
        assert told == {"type": "UtteranceEnd", "channel": (0, 1), "last_word_end": 12.0}
        assert not list(gaps.on_heard(14.0))

    def test_also_where_speech_came_before_it_was_noticed(self) -> None:
        gaps = Gaps(1_000)
        gaps.on_final(final(words_of([" a"])))
        (told,) = gaps.on_speech(1, 5.0)
        assert told["last_word_end"] == 0.5
        gaps.on_failure(1)
        assert not list(gaps.on_heard(60.0))

    def test_not_while_words_may_come(self) -> None:
        gaps = Gaps(1_000)
        gaps.on_final(final(words_of([" a"])))
        assert not list(gaps.on_speech(1, 1.2))
        assert not list(gaps.on_heard(60.0))

    def test_not_while_speech_goes_on_in_the_next_utterance(self) -> None:
        gaps = Gaps(1_000)
        gaps.on_final(final(words_of([" a"]), EndReason.LENGTH))
        assert not list(gaps.on_heard(60.0))
        gaps.on_final(Final(1, 1.0, 9.0, "", "", (), (), "en", 1.0, EndReason.ENDPOINT))
        (told,) = gaps.on_heard(60.0)
        assert told["last_word_end"] == 0.5

    def test_none_where_nobody_asked(self) -> None:
        narrator = Narrator(LiveQuery(vad_events=True), MODEL, "id")
        told = results(narrator, SpeechStarted(0, 0.0), final(words_of([" a"])))
        assert [message["type"] for message in told] == ["SpeechStarted", "Results"]
        assert not list(narrator.heard(99.0))


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "model"),
        [
            ("nova-3", "auto"),
            ("nova-2-medical", "auto"),
            ("base", "auto"),
            ("whisper", "auto"),
            ("whisper-1", "auto"),
            ("whisper-large", "large"),
            ("Whisper-Base", "base"),
            ("small", "small"),
            ("nova/x", "nova/x"),
            ("Org/Model", "Org/Model"),
        ],
    )
    def test_models(self, name: str, model: str) -> None:
        assert RecordedQuery(model=name).request().model == model

    def test_how_live_audio_is_heard(self) -> None:
        query = LiveQuery.read(
            [
                ("model", "tiny"),
                ("language", "ko"),
                ("interim_results", "true"),
                ("endpointing", "300"),
                ("keywords", "Seoul:3"),
                ("encoding", "mulaw"),
                ("sample_rate", "8000"),
                ("nonsense", "1"),
            ]
        )
        assert query.options() == LiveOptions(
            model="tiny",
            language="ko",
            hotwords="Seoul",
            turns=TurnDetection(silence_s=0.3),
        )
        assert query.audio() == LiveFormat(LiveEncoding.MULAW, 8_000, 1)

    @pytest.mark.parametrize(
        ("endpointing", "silence_s"),
        [("10", 0.1), ("0", 0.1), ("99999999", 30.0), ("true", 0.5), ("false", 0.5)],
    )
    def test_silence_within_bounds(self, endpointing: str, silence_s: float) -> None:
        assert LiveQuery(endpointing=endpointing).options().turns.silence_s == silence_s

    def test_who_wants_no_interim_text_costs_less(self) -> None:
        quiet, eager = LiveQuery().options(), LiveQuery(interim_results=True).options()
        assert quiet.step_s > eager.step_s
        assert quiet.max_step_s >= quiet.step_s

    def test_asking_for_nothing_special_is_no_redaction(self) -> None:
        assert RecordedQuery.read([("redact", "false")]).redact == ["false"]
