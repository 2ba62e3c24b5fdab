"""Chinese scripts: phrases right across words, words that still make the text, Japanese alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import opencc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.transcripts import segment, transcript

from verbatim.domain.request import Script
from verbatim.domain.transcript import Word
from verbatim.stages.script import convert, convert_segment, convert_text

SCRIPTS = tuple(script for script in Script if script is not Script.AS_SPOKEN)
VOCABULARY = (
    "头发",
    "发展",
    "内存",
    "U盘",
    "计算机",
    "互联网",
    "干净",
    "后面",
    "皇后",
    "里面",
    "默认",
    "打印机",
    "信息",
    "记忆体",
    "津巴布韦",
    "特立尼达和多巴哥",
    "資料庫",
    "軟體",
    "的",
    "，",
    "。",
    " ",
    "Python",
    "𠮷",
)


def words_of(*pieces: str) -> tuple[Word, ...]:
    return tuple(Word(piece, float(at), at + 1.0, 0.9) for at, piece in enumerate(pieces))


def converted_words(script: Script, *pieces: str) -> list[str]:
    given = segment("".join(pieces), words=words_of(*pieces), language="zh")
    words = convert_segment(given, script).words
    assert words is not None
    return [word.text for word in words]


def test_phrases_are_converted_across_words() -> None:
    assert converted_words(Script.S2TW, "他", "剪了头", "发，", "经济", "发", "展") == [
        "他",
        "剪了頭",
        "髮，",
        "經濟",
        "發",
        "展",
    ]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script.S2T, "頭髮裏的內存和軟件"),
        (Script.S2TW, "頭髮裡的內存和軟件"),
        (Script.S2TWP, "頭髮裡的記憶體和軟體"),
        (Script.S2HK, "頭髮裏的內存和軟件"),
        (Script.T2S, "头发里的内存和软件"),
    ],
)
def test_each_script(script: Script, expected: str) -> None:
    assert convert_text("头发里的内存和软件", script) == expected


def test_longer_wording_goes_to_the_words_it_is_of() -> None:
    assert converted_words(Script.S2TWP, "这个", "内存", "很", "大，", "U盘", "也是") == [
        "這個",
        "記憶體",
        "很",
        "大，",
        "隨身碟",
        "也是",
    ]


def test_a_word_whose_characters_are_gone_is_one_with_the_word_before() -> None:
    given = segment("在津巴布韦", words=words_of("在", "津", "巴", "布", "韦"), language="zh")
    words = convert_segment(given, Script.S2TWP).words
    assert words is not None
    assert [word.text for word in words] == ["在", "辛", "巴", "威"]
    assert (words[0].start, words[-1].end) == (0.0, 5.0)
    assert all(word.start < word.end for word in words)


@given(
    st.lists(st.sampled_from(VOCABULARY), max_size=12).map("".join),
    st.sets(st.integers(0, 40)),
    st.sampled_from(SCRIPTS),
)
def test_words_make_the_converted_text(text: str, cuts: set[int], script: Script) -> None:
    """Wherever the words were cut; nothing about them but their text changes."""
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(text)), len(text)]
    pieces = [text[first:end] for first, end in pairwise(edges)]
    given = segment(text, words=words_of(*pieces), language="zh")
    result = convert_segment(given, script)
    assert result.words is not None
    assert "".join(word.text for word in result.words) == result.text
    assert result.text == opencc.OpenCC(script.value).convert(text)
    assert [word.end for word in result.words[-1:]] == [float(len(pieces))]
    starts = {word.start for word in given.words or ()}
    assert starts.issuperset(word.start for word in result.words)
    if len(result.text) == len(text) and script is not Script.S2TWP:
        assert [len(word.text) for word in result.words] == [len(piece) for piece in pieces]


def test_words_that_do_not_make_the_text_are_converted_too() -> None:
    given = segment("头发。", words=words_of("头", "发"), language="zh")
    result = convert_segment(given, Script.S2T)
    assert result.text == "頭髮。"
    assert [word.text for word in result.words or ()] == ["頭", "髮"]


@pytest.mark.parametrize("words", [None, ()])
def test_segments_without_words(words: tuple[Word, ...] | None) -> None:
    result = convert_segment(segment("头发", words=words, language="zh"), Script.S2T)
    assert (result.text, result.words) == ("頭髮", words)


def test_as_spoken_is_the_same_object() -> None:
    given = transcript(segment("头发", language="zh"), language="zh")
    assert convert(given, Script.AS_SPOKEN) is given


@pytest.mark.parametrize(
    ("text", "language", "recording", "touched"),
    [
        ("头发", "zh", "en", True),
        ("头发", "yue", "en", True),
        ("头发", None, "zh", True),
        ("头发", None, "", True),
        ("头发", "ja", "zh", False),
        ("头发", "en", "zh", False),
        ("头发", None, "ja", False),
        ("头发の本", None, "zh", False),
        ("头发の本", "zh", "zh", True),
        ("头发カット", None, "", False),
    ],
)
def test_only_chinese_is_converted(
    text: str, language: str | None, recording: str, touched: bool
) -> None:
    given = transcript(segment(text, language=language), language=recording)
    result = convert(given, Script.S2T)
    assert (result.text != text) is touched
    assert replace(result, segments=given.segments) == given


def test_text_behind_a_nul_is_kept() -> None:
    for script in SCRIPTS:
        assert convert_text("内\0存", script).count("\0") == 1
        assert len(convert_text("好\0好", script)) == 3


def test_converters_can_be_shared_by_threads() -> None:
    text = "他剪了头发，经济发展很快。" * 50
    expected = opencc.OpenCC("s2tw").convert(text)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: convert_text(text, Script.S2TW), range(64))) == {expected}
