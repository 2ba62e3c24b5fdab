"""The realtime dialect's settings and events, without a connection."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.openai_schema import assert_valid
from tests.support.realtime_client import LOGPROBS

from verbatim.dialects.openai_realtime.config import BetaSession, Config, Session, Turns
from verbatim.dialects.openai_realtime.server_events import word_logprobs
from verbatim.dialects.openai_realtime.session_objects import beta_session_object, session_object
from verbatim.domain.live import LiveOptions, TurnDetection
from verbatim.domain.transcript import Word
from verbatim.wire.live_audio import LiveEncoding

WORDS = st.lists(st.text("ab,. é", min_size=1, max_size=5).map(lambda text: f" {text}"), min_size=1)


def changed(config: Config, include: Any = None, **heard: Any) -> Config:
    said: dict[str, Any] = {"type": "transcription", "audio": {"input": heard}}
    return config.changed(
        Session.model_validate(said if include is None else {**said, "include": include})
    )


class TestLogprobs:
    @given(WORDS, st.data())
    def test_tokens_join_to_the_delta(self, texts: list[str], data: st.DataObject) -> None:
        words = [Word(text, 0.0, 1.0, 0.5) for text in texts]
        text = "".join(texts).strip()
        delta = text[data.draw(st.integers(0, len(text))) :]
        told = word_logprobs(words, text, delta)
        assert "".join(each["token"] for each in told) == delta
        assert b"".join(bytes(each["bytes"]) for each in told) == delta.encode()
        assert len(told) <= len(words)

    def test_each_word_has_its_own(self) -> None:
        words = [Word(" Well", 0, 1, 1.0), Word(" then,", 1, 2, 0.5), Word(" go", 2, 3, 0.0)]
        told = word_logprobs(words, "Well then, go", ", go")
        assert [each["token"] for each in told] == [",", " go"]
        assert told[0]["logprob"] == pytest.approx(math.log(0.5))
        assert -math.inf < told[1]["logprob"] < -20


class TestSettings:
    def test_by_default_they_are_those_of_every_session(self) -> None:
        assert Config().options() == LiveOptions()
        assert Config().format.live().rate_hz == 24_000

    def test_all_of_them(self) -> None:
        config = changed(
            Config(),
            include=[LOGPROBS],
            format={"type": "audio/pcma"},
            transcription={
                "model": "tiny",
                "language": "ko-KR",
                "prompt": "Kim",
                "keywords": ["Seoul", "Busan"],
                "delay": "high",
            },
            noise_reduction={"type": "far_field"},
            turn_detection={
                "type": "server_vad",
                "threshold": 0.7,
                "prefix_padding_ms": 200,
                "silence_duration_ms": 900,
                "create_response": True,
                "idle_timeout_ms": None,
            },
        )
        assert config.options() == LiveOptions(
            model="tiny",
            language="ko",
            prompt="Kim",
            hotwords="Seoul, Busan",
            turns=TurnDetection(threshold=0.7, silence_s=0.9, padding_s=0.2),
            step_s=1.0,
            max_step_s=2.0,
        )
        assert config.format.live().encoding is LiveEncoding.ALAW
        assert config.format.live().rate_hz == 8_000
        assert config.logprobs

    def test_what_is_not_mentioned_stays(self) -> None:
        before = changed(
            Config(),
            include=[LOGPROBS],
            format={"type": "audio/pcmu"},
            transcription={"model": "tiny", "language": "en", "prompt": "Kim"},
            turn_detection=None,
        )
        assert changed(before) == before
        assert before.changed(Session.model_validate({})) == before
        assert before.changed(BetaSession.model_validate({}).released()) == before
        after = changed(before, transcription={"language": "zh"})
        assert (after.format, after.turns, after.logprobs) == (before.format, None, True)
        assert after.options().model == "tiny"
        assert (after.options().language, after.options().prompt) == ("zh", None)

    def test_null_is_the_default_but_for_the_turns(self) -> None:
        before = changed(
            Config(),
            include=[LOGPROBS],
            format={"type": "audio/pcmu"},
            transcription={"language": "en"},
        )
        said = {
            "audio": {"input": {"format": None, "transcription": None, "turn_detection": None}},
            "include": None,
        }
        after = before.changed(Session.model_validate(said))
        assert after == Config(turns=None)
        assert after.options().manual

    @pytest.mark.parametrize(
        ("said", "silence_s", "padding_s"),
        [
            ((0, 0), 0.1, 0.0),
            ((10**6, 10**6), 30.0, 5.0),
            # More than a float holds.
            ((10**400, 10**400), 30.0, 5.0),
        ],
    )
    def test_turns_out_of_our_bounds_are_the_nearest_within(
        self, said: tuple[int, int], silence_s: float, padding_s: float
    ) -> None:
        turns = Turns(silence_duration_ms=said[0], prefix_padding_ms=said[1])
        assert (turns.live().silence_s, turns.live().padding_s) == (silence_s, padding_s)
        assert turns.told()["silence_duration_ms"] == silence_s * 1000

    def test_the_less_eager_the_longer_it_waits(self) -> None:
        waits = [
            Turns.model_validate({"type": "semantic_vad", "eagerness": word}).live().silence_s
            for word in ("high", "medium", "low")
        ]
        assert waits == sorted(set(waits))
        assert Turns(type="semantic_vad").live().silence_s == waits[1]

    @pytest.mark.parametrize(
        ("name", "model"),
        [
            ("whisper-1", "auto"),
            ("gpt-live-transcribe", "auto"),
            ("gpt-realtime-whisper", "auto"),
            ("gpt-4o-realtime-preview-2024-12-17", "auto"),
            ("small", "small"),
            ("someone/realtime-whisper", "someone/realtime-whisper"),
        ],
    )
    def test_names_of_hosted_models_mean_the_default(self, name: str, model: str) -> None:
        assert Config().with_model(name).options().model == model


class TestSessionsAsTold:
    @given(
        st.sampled_from([None, "audio/pcm", "audio/pcmu", "audio/pcma"]),
        st.sampled_from(
            [None, {"type": "server_vad"}, {"type": "semantic_vad"}, {"silence_duration_ms": 1}]
        ),
        st.sampled_from([None, {"language": "en", "languages": [], "keywords": ["a"]}]),
        st.booleans(),
    )
    def test_they_fit_the_schemas(
        self, kind: str | None, turns: Any, transcription: Any, logprobs: bool
    ) -> None:
        config = changed(
            Config(),
            include=[LOGPROBS] if logprobs else [],
            format=kind and {"type": kind},
            transcription=transcription,
            turn_detection=turns,
        )
        assert_valid(
            "RealtimeTranscriptionSessionCreateResponseGA",
            session_object(config, "sess_1", "tiny"),
        )
        assert_valid(
            "RealtimeTranscriptionSessionCreateResponse",
            beta_session_object(config, "sess_1", "tiny"),
        )

    def test_what_is_told_can_be_said_again(self) -> None:
        config = changed(
            Config(),
            include=[LOGPROBS],
            format={"type": "audio/pcmu"},
            transcription={"model": "tiny", "language": "en"},
            turn_detection={"type": "server_vad", "silence_duration_ms": 700},
        )
        told = session_object(config, "sess_1", "tiny")
        assert Config().changed(Session.model_validate(told)) == config
        beta = beta_session_object(config, "sess_1", "tiny")
        assert Config().changed(BetaSession.model_validate(beta).released()) == config
