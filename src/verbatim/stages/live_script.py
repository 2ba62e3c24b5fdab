"""Chinese of live speech in the script that was asked for, without taking back a character.

OpenCC converts phrases, and a phrase may be committed in parts: the whole would then be written
otherwise than its beginning was. What was shown stays; only what came after it is converted then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from verbatim.domain.live import Final, LiveEvent, Partial, SecondPass
from verbatim.domain.request import Script
from verbatim.domain.transcript import Segment, Word
from verbatim.stages.script import CHINESE, convert_segment, convert_text, looks_chinese, share_out


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown of an utterance: committed as it was said, and as it was written."""

    utterance: int = -1
    said: str = ""
    written: str = ""


def in_script(event: LiveEvent, script: Script, shown: Shown) -> tuple[LiveEvent, Shown]:
    """The event with its Chinese in this script, and what is shown after it.

    Args:
        event: the next one of a session.
        script: may change between events.
        shown: what came back with the event before; `Shown()` at first.
    """
    match event:
        case Partial(utterance, committed=said, tail=tail, words=words, language=language):
            before, after = _continue(utterance, said, language, script, shown)
            whole = _written(said + tail, language, script)
            rest = whole[len(after.written) :] if whole.startswith(after.written) else None
            told: LiveEvent = replace(
                event,
                committed=after.written,
                delta=after.written[len(before) :],
                tail=_written(tail, language, script) if rest is None else rest,
                words=_words(words, said, after.written),
            )
        case Final(utterance, text=said, words=words, language=language):
            before, after = _continue(utterance, said, language, script, shown)
            told = replace(
                event,
                text=after.written,
                delta=after.written[len(before) :],
                words=_words(words, said, after.written),
                segments=_segments(event.segments, said, after.written, script, language),
            )
        case SecondPass(text=said, words=words, language=language):
            written = _written(said, language, script)
            told = replace(
                event,
                text=written,
                words=_words(words, said, written),
                segments=_segments(event.segments, said, written, script, language),
            )
            after = shown
        case _:
            return event, shown
    return told, after


def _continue(
    utterance: int, said: str, language: str | None, script: Script, shown: Shown
) -> tuple[str, Shown]:
    """What was written of the utterance before, and what is now, which begins with it."""
    if shown.utterance != utterance or not said.startswith(shown.said):
        shown = Shown(utterance)
    whole = _written(said, language, script)
    if not whole.startswith(shown.written):
        whole = shown.written + _written(said[len(shown.said) :], language, script)
    return shown.written, Shown(utterance, said, whole)


def _written(text: str, language: str | None, script: Script) -> str:
    chinese = language in CHINESE if language else looks_chinese(text)
    return convert_text(text, script) if chinese else text


def _words(words: Sequence[Word], said: str, written: str) -> tuple[Word, ...]:
    if said == written or not words:
        return tuple(words)
    return share_out(words, written)


def _segments(
    segments: Sequence[Segment], said: str, written: str, script: Script, language: str
) -> tuple[Segment, ...]:
    if said == written:
        return tuple(segments)
    return tuple(convert_segment(segment, script, language) for segment in segments)
