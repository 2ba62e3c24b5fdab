"""Chinese written in the script that was asked for, by OpenCC.

OpenCC converts phrases (头发 becomes 頭髮 and 发展 becomes 發展), and phrases span words. So the
words are converted together, as the text they make, and each takes its share of the result.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, Protocol, cast

import opencc

from verbatim.domain.request import Script
from verbatim.domain.transcript import Segment, Transcript, Word

CHINESE: Final = frozenset({"zh", "yue"})

_HAN: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA: Final = re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")
_NUL: Final = "\0"


class _Converter(Protocol):
    def convert(self, text: str) -> str: ...


def convert(transcript: Transcript, script: Script) -> Transcript:
    """The transcript with the Chinese in it in this script; the same object for AS_SPOKEN."""
    if script is Script.AS_SPOKEN:
        return transcript
    segments = tuple(
        convert_segment(segment, script, transcript.language) for segment in transcript.segments
    )
    return replace(transcript, segments=segments)


def convert_segment(segment: Segment, script: Script, language: str | None = None) -> Segment:
    """The segment in this script if it is Chinese; else, and for AS_SPOKEN, the same object.

    It is Chinese if its language says so; if it says none, it goes by `language`, the recording's;
    if that is not known either, by its characters. Kana in a segment that does not say that it is
    Chinese means Japanese. Times, tokens and log probabilities do not change.
    """
    if script is Script.AS_SPOKEN or not _is_chinese(segment, language):
        return segment
    words = segment.words
    return replace(
        segment,
        text=convert_text(segment.text, script),
        words=share_out(words, _converted(words, script)) if words else words,
    )


def convert_text(text: str, script: Script) -> str:
    """The text in this script, whatever language it is in."""
    if script is Script.AS_SPOKEN:
        return text
    converter = _converter(script)
    # OpenCC drops what follows a NUL where a configuration has several steps (seen in 1.4.2).
    return _NUL.join(converter.convert(part) if part else "" for part in text.split(_NUL))


def to_simplified(text: str) -> str:
    """The text in simplified characters where that keeps its length; else the text as it is."""
    simplified = convert_text(text, Script.T2S)
    return simplified if len(simplified) == len(text) else text


@lru_cache(maxsize=len(Script))
def _converter(script: Script) -> _Converter:
    return cast("_Converter", opencc.OpenCC(script.value))


def _is_chinese(segment: Segment, language: str | None) -> bool:
    if segment.language:
        return segment.language in CHINESE
    if language and language not in CHINESE:
        return False
    return looks_chinese(segment.text)


def looks_chinese(text: str) -> bool:
    """Whether text of an unknown language has Chinese in it: characters, and no kana."""
    return bool(_HAN.search(text)) and not _KANA.search(text)


def share_out(words: Sequence[Word], converted: str) -> tuple[Word, ...]:
    """The words with their shares of their converted text; joined they give exactly that.

    A word for which nothing is left (津|巴|布|韦 is 辛巴威 in Taiwan) is one with the word before.
    """
    text = "".join(word.text for word in words)
    ends = _aligned(list(accumulate(len(word.text) for word in words)), text, converted)
    result: list[Word] = []
    for word, (start, end) in zip(words, pairwise([0, *ends]), strict=True):
        if start == end and word.text and result:
            result[-1] = replace(result[-1], end=max(word.end, result[-1].end))
        else:
            result.append(replace(word, text=converted[start:end]))
    return tuple(result)


def _converted(words: Sequence[Word], script: Script) -> str:
    return convert_text("".join(word.text for word in words), script)


def _aligned(offsets: Sequence[int], text: str, converted: str) -> list[int]:
    """Where offsets into the text, rising, lie in the converted text.

    Both are compared in simplified characters, so that only what got another wording differs;
    there the places are shared out in proportion.
    """
    simplified = to_simplified(text), to_simplified(converted)
    blocks = SequenceMatcher(None, *simplified, autojunk=False).get_opcodes()
    places: list[int] = []
    at = 0
    for offset in offsets:
        if offset == len(text):
            places.append(len(converted))
            continue
        while blocks[at][2] < offset:
            at += 1
        _, start, end, to_start, to_end = blocks[at]
        # Rounded up, so that the first words of a shorter wording get its characters.
        done = -(-(offset - start) * (to_end - to_start) // max(1, end - start))
        places.append(to_start + done)
    return places
