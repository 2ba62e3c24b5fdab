"""Live Chinese in another script: it only ever grows, and its words are its text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.live import EndReason, Final, LiveEvent, Partial, SecondPass, SpeechStarted
from verbatim.domain.request import Script
from verbatim.domain.transcript import Word
from verbatim.stages.live_script import Shown, in_script


def _words(text: str) -> tuple[Word, ...]:
    return tuple(Word(c, i, i + 1, 0.9) for i, c in enumerate(text))


def _partial(said: str, tail: str = "", language: str | None = "zh", utterance: int = 0) -> Partial:
    return Partial(utterance, 0.0, 1.0, said, "", tail, _words(said), language)


def _final(said: str, utterance: int = 0, language: str = "zh") -> Final:
    words = _words(said)
    return Final(utterance, 0.0, 1.0, said, "", words, (), language, 1.0, EndReason.ENDPOINT)


def _told(events: list[LiveEvent], script: Script = Script.S2TWP) -> list[LiveEvent]:
    shown = Shown()
    told = []
    for event in events:
        changed, shown = in_script(event, script, shown)
        told.append(changed)
    return told


def _committed(event: LiveEvent) -> str:
    assert isinstance(event, Partial | Final)
    return event.committed if isinstance(event, Partial) else event.text


def test_traditional_characters_and_words_of_taiwan() -> None:
    first, second, last = _told(
        [_partial("我的", "软件"), _partial("我的软件", "很好"), _final("我的软件很好")]
    )
    assert isinstance(first, Partial)
    assert isinstance(second, Partial)
    assert isinstance(last, Final)
    assert (first.committed, first.delta, first.tail) == ("我的", "我的", "軟體")
    assert (second.committed, second.delta, second.tail) == ("我的軟體", "軟體", "很好")
    assert (last.text, last.delta) == ("我的軟體很好", "很好")
    assert [word.text for word in last.words] == list("我的軟體很好")


def test_what_was_shown_stays_though_the_whole_would_be_written_otherwise() -> None:
    # 头发 is 頭髮; 发 alone is 發.
    first, second = _told([_partial("理发"), _partial("理发店")], Script.S2TW)
    assert _committed(second).startswith(_committed(first))


def test_other_languages_and_events_are_left_alone() -> None:
    events: list[LiveEvent] = [
        SpeechStarted(0, 0.0),
        _partial("hello", " there", "en"),
        _partial("台灣の", "", "ja"),
    ]
    assert _told(events)[0] is events[0]
    assert [_committed(event) for event in _told(events)[1:]] == ["hello", "台灣の"]


def test_a_language_that_is_not_certain_goes_by_its_characters() -> None:
    (told,) = _told([_partial("头", "发", None)])
    assert (_committed(told), told.tail) == ("頭", "髮")  # type: ignore[union-attr]  # a Partial


def test_each_utterance_begins_anew() -> None:
    told = _told([_final("头发", 0), _partial("发展", utterance=1), _final("发展", 1)])
    assert [_committed(event) for event in told] == ["頭髮", "發展", "發展"]
    assert told[1].delta == "發展"  # type: ignore[union-attr]  # a Partial


def test_the_second_pass_is_written_likewise_and_changes_nothing_else() -> None:
    words = _words("软件")
    again = SecondPass(0, 0.0, 1.0, "软件", words, (), "zh")
    told = _told([_partial("软", "件"), again, _final("软件")], Script.S2TWP)
    assert told[1].text == "軟體"  # type: ignore[union-attr]  # a SecondPass
    assert _committed(told[2]).startswith(_committed(told[0]))


def test_a_script_that_is_chosen_in_the_middle_changes_what_follows_only() -> None:
    first, shown = in_script(_partial("头"), Script.AS_SPOKEN, Shown())
    second, _ = in_script(_partial("头发"), Script.S2T, shown)
    assert (_committed(first), _committed(second)) == ("头", "头發")


CHARS = st.sampled_from("头发理展软件台湾面条里程皇后天后干净干部 ab，。")


@pytest.mark.parametrize("script", [Script.S2T, Script.S2TWP, Script.S2HK, Script.T2S])
@given(pieces=st.lists(st.text(CHARS, max_size=4), min_size=1, max_size=6))
def test_it_only_ever_grows(script: Script, pieces: list[str]) -> None:
    said = [("".join(pieces[:n])) for n in range(1, len(pieces) + 1)]
    told = _told([*(_partial(text, "发") for text in said), _final(said[-1])], script)
    texts = [_committed(event) for event in told]
    for before, after in pairwise(["", *texts]):
        assert after.startswith(before)
    deltas = "".join(event.delta for event in told)  # type: ignore[union-attr]  # all have one
    assert deltas == texts[-1]
    for event in told:
        words = "".join(word.text for word in event.words)  # type: ignore[union-attr]  # all have
        assert words == _committed(event)
