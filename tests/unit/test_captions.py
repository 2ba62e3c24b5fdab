"""Captions: nothing lost, limits held, and lines that a reader likes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.transcripts import broken_segments, seen, segment, segments, spoken, texts

from verbatim.domain.errors import BadRequestError
from verbatim.domain.transcript import Segment, Word
from verbatim.stages.caption_lines import LEAN, SHAPE_COST, LineCutter
from verbatim.stages.caption_text import Unit, columns, one_line
from verbatim.stages.captions import CaptionLimits, Cue, lay_out, parse_limits

MS = 0.001
TINY = 1e-6
FULL_WIDTH = {"W", "F"}

ENGLISH = (
    "It was the best of times, it was the worst of times, it was the age of wisdom.",
    "Yes.",
    "I know.",
    "When Mr. Darcy arrived at the house of Dr. Elizabeth Bennet in the U.S. on the 3rd of May, he "
    "was told that she had already left for London with her sister Jane and would not be returning "
    "until the following week.",
    "That's 25 percent of the total, or about $3.5 million, which the committee has decided to "
    "spend on the restoration of the old library.",
)
CHINESE = (
    "大家好，今天我们要讨论一下人工智能在医疗领域的应用，以及它可能带来的风险和挑战。",
    "在过去的十年里，深度学习技术在图像识别方面取得了巨大的进步，医生可以利用这些技术更快更准确地发现病人的早期症状。",
    "我用Python 3.11写了一个程序，处理了大约1200万条记录。",
)
JAPANESE = (
    "皆さん、こんにちは。",
    "「本当に大丈夫ですか」と彼女は聞きましたが、彼は何も答えずに部屋を出て行ってしまいました。",
    "データを集めるのに二年かかりましたが、その結果、以前よりもずっと正確に文字起こしができるようになりました。",
)
KOREAN = (
    "오늘은 인공지능이 의료 분야에서 어떻게 활용되고 있는지, 그리고 그로 인해 생길 수 있는 "
    "위험과 과제는 무엇인지 함께 이야기해 보려고 합니다.",
    "의사들은 이 기술을 이용해서 환자의 초기 증상을 더 빠르고 정확하게 찾을 수 있게 되었습니다.",
)
GERMAN = (
    "Die Donaudampfschifffahrtsgesellschaft hat am 3. Oktober bekannt gegeben, dass sie z. B. in "
    "Wien und in Linz neue Schiffe bauen wird, weil sie die alten nicht mehr reparieren kann.",
)


def lines_of(cues: Sequence[Cue]) -> list[str]:
    return [line for cue in cues for line in cue.lines]


def blocks(cues: Sequence[Cue]) -> list[str]:
    return ["/".join(cue.lines) for cue in cues]


def width(text: str) -> int:
    """Columns of text without combining marks, by the Unicode tables alone."""
    return sum(1 + (unicodedata.east_asian_width(char) in FULL_WIDTH) for char in text)


limits = st.builds(
    CaptionLimits,
    max_lines=st.none() | st.integers(1, 3),
    max_line_chars=st.none() | st.integers(4, 50),
    max_cue_s=st.none() | st.floats(0.5, 10),
    max_chars_per_s=st.none() | st.floats(1, 30),
    min_cue_s=st.none() | st.floats(0, 3),
    min_gap_s=st.none() | st.floats(0, 0.5),
)


def check(cues: Sequence[Cue], given: Sequence[Segment], asked: CaptionLimits) -> None:
    """What holds for every layout, whatever came in."""
    assert seen("".join(lines_of(cues))) == seen("".join(part.text for part in given))
    for cue in cues:
        assert cue.start >= 0
        assert MS - TINY <= cue.end - cue.start <= (asked.max_cue_s or 7.0) + TINY
        assert all(abs(t * 1000 - round(t * 1000)) < TINY for t in (cue.start, cue.end))
        assert 1 <= len(cue.lines) <= (asked.max_lines or 2)
        for line in cue.lines:
            assert line == one_line(line)
            assert seen(line)
            assert columns(line) <= 2 * (asked.max_line_chars or 21)
    for cue, following in pairwise(cues):
        assert cue.end <= following.start


@given(segments(), limits)
def test_nothing_is_lost_and_limits_hold(given: tuple[Segment, ...], asked: CaptionLimits) -> None:
    check(lay_out(given, asked), given, asked)


@given(broken_segments(), limits)
def test_times_that_are_no_times_do_no_harm(
    given: tuple[Segment, ...], asked: CaptionLimits
) -> None:
    check(lay_out(given, asked, duration_s=float("nan")), given, asked)


@given(
    segments(st.lists(st.sampled_from(["a", "to", "the", "word", "longer", "end."])).map(" ".join))
)
def test_latin_lines_have_42_columns_of_whole_words(given: tuple[Segment, ...]) -> None:
    cues = lay_out(given)
    assert " ".join(lines_of(cues)).split() == " ".join(part.text for part in given).split()
    assert all(width(line) <= 42 for line in lines_of(cues))


PHRASES = (
    "我们",
    "人工智能",
    "（大约）",
    "「你好」",
    "了解，",
    "非常重要。",
    "但是",
    "、以及",
    "什么？！",
    "十二",
)


@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=40).map("".join))
def test_chinese_lines_have_16_characters_and_keep_kinsoku(text: str) -> None:
    for line in lines_of(lay_out([segment(text, 0, len(text) / 5, language="zh")])):
        assert width(line) <= 32
        assert line[-1] not in "（「"
        if line[0] not in text[:1]:
            assert line[0] not in "、。，！？」）"


@pytest.mark.parametrize(
    ("sentences", "language", "most"),
    [
        (ENGLISH, "en", 42),
        (GERMAN, "de", 42),
        (CHINESE, "zh", 32),
        (JAPANESE, "ja", 32),
        (KOREAN, "ko", 32),
    ],
)
@pytest.mark.parametrize("words", [True, False])
def test_a_calm_speaker_can_be_read(
    sentences: tuple[str, ...], language: str, most: int, words: bool
) -> None:
    wide = language not in {"en", "de"}
    given = spoken(sentences, language, chars_per_s=4 if wide else 11, words=words)
    cues = lay_out(given)
    for cue in cues:
        chars = sum(map(width, cue.lines)) / (2 if wide else 1)
        assert chars / (cue.end - cue.start) <= (9 if wide else 17)
        assert cue.end - cue.start >= 20 / 24 - MS
        assert all(width(line) <= most for line in cue.lines)
    for cue, following in pairwise(cues):
        assert following.start - cue.end >= 2 / 24 - MS


@pytest.mark.parametrize("words", [True, False])
def test_english_reads_well(words: bool) -> None:
    assert blocks(lay_out(spoken(ENGLISH, "en", words=words))) == [
        "It was the best of times,/it was the worst of times,",
        "it was the age of wisdom.",
        "Yes. I know.",
        "When Mr. Darcy arrived at the house",
        "of Dr. Elizabeth Bennet/in the U.S. on the 3rd of May,",
        "he was told that she had already left/for London with her sister Jane",
        "and would not be returning/until the following week.",
        "That's 25 percent of the total,/or about $3.5 million,",
        "which the committee has decided to spend/on the restoration of the old library.",
    ]


@pytest.mark.parametrize("chars_per_s", [9, 12, 15, 18, 22])
def test_small_english_words_begin_lines_and_end_none(chars_per_s: float) -> None:
    small = {"a", "the", "of", "in", "at", "for", "to", "and", "or", "that", "he", "would", "Mr."}
    for line in lines_of(lay_out(spoken(ENGLISH, "en", chars_per_s=chars_per_s))):
        assert line.split()[-1] not in small


def test_stray_marks_stay_with_their_words() -> None:
    text = "Oui ! « Je crois » , dit-il — bien sûr . - Non ? - Si ."
    asked = CaptionLimits(max_line_chars=12)
    lines = lines_of(lay_out([segment(text, 0, 9, language="fr")], asked))
    assert " ".join(lines) == text
    assert not any(line[0] in "!?».,—" for line in lines)
    assert not any(line[-1] in "«-" for line in lines)


def test_chinese_reads_well() -> None:
    assert blocks(lay_out(spoken(CHINESE, "zh", chars_per_s=5))) == [
        "大家好，今天我们要讨论一下/人工智能在医疗领域的应用，",
        "以及它可能带来的风险和挑战。",
        "在过去的十年里，深度学习技术/在图像识别方面取得了巨大的进步，",
        "医生可以利用这些技术更快更准确地/发现病人的早期症状。",
        "我用Python 3.11写了一个程序，/处理了大约1200万条记录。",
    ]


def test_japanese_reads_well() -> None:
    assert blocks(lay_out(spoken(JAPANESE, "ja", chars_per_s=7))) == [
        "皆さん、こんにちは。",
        "「本当に大丈夫ですか」と/彼女は聞きましたが、",
        "彼は何も答えずに部屋を/出て行ってしまいました。",
        "データを集めるのに/二年かかりましたが、",
        "その結果、以前よりもずっと",
        "正確に文字起こしが/できるようになりました。",
    ]


def test_korean_reads_well() -> None:
    assert blocks(lay_out(spoken(KOREAN, "ko", chars_per_s=6))) == [
        "오늘은 인공지능이 의료 분야에서/어떻게 활용되고 있는지,",
        "그리고 그로 인해 생길 수 있는",
        "위험과 과제는 무엇인지/함께 이야기해 보려고 합니다.",
        "의사들은 이 기술을 이용해서/환자의 초기 증상을 더 빠르고",
        "정확하게/찾을 수 있게 되었습니다.",
    ]


def test_german_keeps_ordinals_abbreviations_and_long_words() -> None:
    lines = lines_of(lay_out(spoken(GERMAN, "de")))
    assert lines[0] == "Die Donaudampfschifffahrtsgesellschaft"
    assert not any(line.endswith(("3.", "z.", "B.", "am", "in", "und", "die")) for line in lines)


def test_traditional_chinese_breaks_where_simplified_does() -> None:
    text = "大家好，今天我們要討論一下人工智慧在醫療領域的應用，以及它可能帶來的風險和挑戰。"
    assert blocks(lay_out([segment(text, 0, 9, language="zh")])) == [
        "大家好，今天我們要討論一下/人工智慧在醫療領域的應用，",
        "以及它可能帶來的風險和挑戰。",
    ]


def test_thai_breaks_between_words() -> None:
    text = "สวัสดีครับ วันนี้เราจะมาพูดถึงการใช้ปัญญาประดิษฐ์ในทางการแพทย์ และความเสี่ยง"
    cues = lay_out([segment(text, 0, 8, language="th")], CaptionLimits(max_line_chars=30))
    assert len(lines_of(cues)) > 1
    # No line begins with a vowel or tone that belongs to the letter before.
    assert all(unicodedata.category(line[0]) == "Lo" for line in lines_of(cues))
    assert any(line.endswith("ปัญญาประดิษฐ์") or "ปัญญาประดิษฐ์" in line for line in lines_of(cues))


def test_a_sentence_that_fits_is_one_line() -> None:
    assert lay_out([segment(" Good morning, everyone.", 1, 2.5)]) == (
        Cue(1.0, 2.5, ("Good morning, everyone.",)),
    )


def test_a_word_longer_than_a_line_is_torn_and_no_other() -> None:
    text = "see https://example.com/a-very-long-address-that-goes-on-and-on/index.html for more"
    lines = lines_of(lay_out([segment(text, 0, 6)], CaptionLimits(max_line_chars=30)))
    assert all(width(line) <= 30 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert lines[-1].endswith("for more")


def test_emoji_and_accents_stay_whole() -> None:
    family = "👨‍👩‍👧"
    lines = lines_of(
        lay_out([segment(family * 9 + "e\u0301" * 30, 0, 9)], CaptionLimits(max_line_chars=6))
    )
    assert sum(line.count(family) for line in lines) == 9
    assert sum(line.count("e\u0301") for line in lines) == 30


@pytest.mark.parametrize("words", [True, False])
def test_space_between_segments(words: bool) -> None:
    """Latin and Korean segments may come without a space in front; Chinese have none to show."""
    asked = CaptionLimits(min_cue_s=5.0)

    def joined(first: str, second: str, language: str) -> list[str]:
        parts = [
            segment(text, start, start + 0.3, language=language, words=None)
            for start, text in ((0.0, first), (0.4, second))
        ]
        return blocks(lay_out(parts, asked))

    assert joined(" Yes.", " I know.", "en") == ["Yes. I know."]
    assert joined("Yes.", "I know.", "en") == ["Yes. I know."]
    assert joined("네.", "알아요.", "ko") == ["네. 알아요."]
    assert joined("对。", "我知道。", "zh") == ["对。我知道。"]
    assert joined("对", "我知道", "zh") == ["对 我知道"]


def word(text: str, start: float, end: float) -> Word:
    return Word(text, start, end, 0.9)


def test_times_come_from_words() -> None:
    said = (word(" One", 1.2, 1.6), word(" two.", 1.7, 2.4), word(" Three.", 6.0, 6.9))
    cues = lay_out([segment(" One two. Three.", 0.0, 9.0, words=said)])
    assert cues == (Cue(1.2, 2.4, ("One two.",)), Cue(6.0, 6.9, ("Three.",)))


def test_without_words_time_is_shared_out_by_characters() -> None:
    text = "a" * 40 + ". " + "b" * 39 + "."
    first, second = lay_out([segment(text, 10.0, 18.1)])
    assert first.start == 10.0
    assert second.start == pytest.approx(10.0 + 8.1 * 41 / 81, abs=MS)
    assert second.end == pytest.approx(18.1, abs=MS)


@pytest.mark.parametrize(
    "words",
    [
        (),
        (word(" Other", 0.1, 0.2), word(" words.", 0.2, 0.3)),
        (word(" One", float("nan"), 1.0), word(" two.", 1.0, 2.0)),
        (word(" One", 0.0, float("inf")), word(" two.", 1.0, 2.0)),
    ],
)
def test_words_that_do_not_fit_are_not_used(words: tuple[Word, ...]) -> None:
    plain = segment(" One two.", 3.0, 5.0)
    assert lay_out([replace(plain, words=words)]) == lay_out([plain])


def test_words_with_other_spacing_are_used() -> None:
    said = (word("One", 3.4, 3.6), word("two.", 3.7, 4.8))
    (cue,) = lay_out([segment(" One  two.", 3.0, 5.0, words=said)])
    assert (cue.start, cue.end) == (3.4, 4.8)


def test_a_segment_without_length_gets_time() -> None:
    (cue,) = lay_out(
        [
            segment(" " + "word " * 8, 4.0, 4.0),
        ]
    )
    assert cue.end - cue.start == pytest.approx(39 / 17, abs=MS)


def test_dense_text_is_shown_longer_where_silence_follows() -> None:
    text = " What she said then was far too fast to read."
    (alone,) = lay_out([segment(text, 1.0, 2.0)])
    assert alone.end - alone.start == pytest.approx((len(text) - 1) / 17, abs=2 * MS)
    first, *_ = lay_out([segment(text, 1.0, 2.0), segment(" Now it is slow again." * 3, 2.7, 8.2)])
    assert first.end == pytest.approx(2.7 - 2 / 24, abs=MS)


def test_no_caption_is_extended_beyond_the_recording() -> None:
    (cue,) = lay_out([segment(" Yes.", 9.0, 9.2)], duration_s=9.5)
    assert (cue.start, cue.end) == (9.0, 9.5)


def test_short_captions_are_extended_or_merged() -> None:
    (cue,) = lay_out([segment(" Yes.", 1.0, 1.2)])
    assert cue.end - cue.start == pytest.approx(20 / 24, abs=MS)
    close = [segment(" Yes.", 1.0, 1.2), segment(" I know that.", 1.3, 2.3)]
    assert blocks(lay_out(close)) == ["Yes. I know that."]
    apart = [segment(" Yes.", 1.0, 1.2), segment(" I know that.", 3.3, 4.3)]
    assert blocks(lay_out(apart)) == ["Yes.", "I know that."]


def test_a_long_silence_is_never_bridged() -> None:
    said = (word(" And", 0.0, 0.3), word(" then", 0.3, 0.6), word(" it", 3.0, 3.2))
    first, second = lay_out([segment(" And then it", 0.0, 3.2, words=said)])
    assert first.lines == ("And then",)
    assert first.end < second.start == 3.0


def test_a_word_that_lasts_is_not_shown_for_ever() -> None:
    (cue,) = lay_out([segment(" Oooh!", 0.0, 25.0)])
    assert (cue.start, cue.end) == (0.0, 7.0)


def test_each_segment_has_the_limits_of_its_own_text() -> None:
    mixed = [
        segment(" " + "The committee has decided to spend it on the old library today.", 0, 5),
        segment("医生可以利用这些技术更快更准确地发现病人的早期症状。", 5, 11),
    ]
    latin, *chinese = lay_out(mixed, language="zh")
    assert max(map(width, latin.lines)) > 32
    assert all(width(line) <= 32 for line in lines_of(chinese))


def test_limits_can_be_set() -> None:
    given = spoken(ENGLISH, "en")
    narrow = lay_out(given, CaptionLimits(max_lines=1, max_line_chars=20, max_cue_s=2.0))
    assert all(len(cue.lines) == 1 and width(cue.lines[0]) <= 20 for cue in narrow)
    assert all(cue.end - cue.start <= 2.0 + TINY for cue in narrow)
    slow = lay_out([segment(" Hello there.", 0, 1)], CaptionLimits(max_chars_per_s=4))
    assert slow[0].end == pytest.approx(12 / 4, abs=MS)


def test_nothing_to_see_gives_no_caption() -> None:
    assert lay_out([]) == ()
    assert lay_out([segment(" \n\u200b\u0301\ufeff", 0, 5)]) == ()


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"max_lines": 0}, "max_lines"),
        ({"max_line_chars": 3}, "max_line_chars"),
        ({"max_line_chars": 10**400}, "max_line_chars"),
        ({"max_cue_s": float("nan")}, "max_cue_s"),
        ({"max_chars_per_s": float("inf")}, "max_chars_per_s"),
        ({"min_cue_s": -1.0}, "min_cue_s"),
        ({"min_gap_s": 3.0}, "min_gap_s"),
    ],
)
def test_limits_that_make_no_sense_are_refused(values: dict[str, float], param: str) -> None:
    with pytest.raises(BadRequestError, match=f"{param} must be from") as caught:
        CaptionLimits(**values)  # type: ignore[arg-type]  # wrong values on purpose
    assert caught.value.param == param


def test_limits_are_read_from_text() -> None:
    values = {"max_lines": "1", "max_cue_s": " 5.5 ", "min_gap_s": "", "other": "x"}
    assert parse_limits(values) == CaptionLimits(max_lines=1, max_cue_s=5.5)
    for name, text in (("max_lines", "1.5"), ("max_cue_s", "long"), ("max_lines", "9" * 5000)):
        with pytest.raises(BadRequestError) as caught:
            parse_limits({name: text})
        assert caught.value.param == name


units = st.lists(
    st.builds(
        lambda size, spaced: Unit("x" * size, size, spaced), st.integers(1, 9), st.booleans()
    ),
    min_size=1,
    max_size=9,
)


@given(units, st.lists(st.floats(0, 200), min_size=9, max_size=9), st.integers(9, 24))
def test_lines_are_cut_at_the_least_cost(
    row: list[Unit], costs: list[float], line_columns: int
) -> None:
    """Against all ways to cut the row into the fewest lines."""

    def one(units: Sequence[Unit]) -> int:
        return len("".join(" " * unit.spaced + unit.text for unit in units).lstrip())

    def price(cuts: Sequence[int]) -> float:
        count = len(cuts) - 1
        spent = sum(costs[cut - 1] for cut in cuts[1:-1])
        for line, (first, end) in enumerate(pairwise(cuts)):
            lean = LEAN * (2 * line / (count - 1) - 1) if count > 1 else 0.0
            target = one(row) / count * (1 + lean)
            spent += SHAPE_COST * ((one(row[first:end]) - target) / line_columns) ** 2
        return spent

    for breaks in range(len(row)):
        ways = [(0, *inner, len(row)) for inner in combinations(range(1, len(row)), breaks)]
        fitting = [
            way for way in ways if all(one(row[a:b]) <= line_columns for a, b in pairwise(way))
        ]
        if fitting:
            break
    cost, cuts = LineCutter(row, costs, line_columns).cut(0, len(row))
    assert cost == pytest.approx(min(map(price, fitting)))
    assert price(cuts) == pytest.approx(cost)


@given(texts)
def test_one_line_is_one_line_and_stable(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in line)
    assert seen(line) == seen(text)
    assert one_line(line) == line
