"""A live session's text as a file: what `verbatim transcribe` would have written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from verbatim.cli.live_screen import Message, Screen
from verbatim.cli.outputs import write_whole
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import Task
from verbatim.domain.transcript import Transcript, Word
from verbatim.render.formats import FORMATS, Granularity, RenderOptions, ResponseFormat, render
from verbatim.stages.live_segments import sentences

FORMAT_OF_ENDING: Final[Mapping[str, ResponseFormat]] = MappingProxyType(
    # Of the two that are JSON, the one with everything in it.
    {
        f".{row.extension}": row.name
        for row in FORMATS.values()
        if row.name is not ResponseFormat.JSON
    }
)
NOTHING: Final[Message] = {"language": "", "language_probability": 0.0}
ALL: Final = RenderOptions(granularities=frozenset({Granularity.SEGMENT, Granularity.WORD}))


def format_for(path: Path) -> ResponseFormat:
    """The format that a file's name asks for.

    Raises:
        BadRequestError: none has this ending.
    """
    form = FORMAT_OF_ENDING.get(path.suffix.lower())
    if form is None:
        raise BadRequestError(
            f"{path.name} does not say in what format to write; let it end in "
            f"{', '.join(FORMAT_OF_ENDING)}.",
            param="output",
        )
    return form


class Record:
    """Shows messages, and remembers the final ones.

    Args:
        screen: where they are shown.
        task: of the session.
    """

    def __init__(self, screen: Screen, task: Task) -> None:
        self._screen = screen
        self._task = task
        self._finals: list[Message] = []
        self._model = ""
        self._audio_s = 0.0

    def show(self, message: Message) -> None:
        """Take notice of it, and show it."""
        if message["type"] == "ready":
            self._model = message["model"]
        elif message["type"] == "ended":
            self._audio_s = message["audio_s"]
        elif message["type"] == "text" and message["is_final"] and message["committed"]:
            self._finals.append(message)
        self._screen.show(message)

    def transcript(self) -> Transcript:
        """All that was said, a segment for each sentence; its language is that of the first."""
        said = [
            segment
            for final in self._finals
            for segment in sentences(
                _words(final["committed"], final["words"]),
                language=final["language"],
                no_speech_prob=0.0,
            )
        ]
        segments = tuple(replace(segment, id=place) for place, segment in enumerate(said))
        end_s = segments[-1].end if segments else 0.0
        first: Message = self._finals[0] if self._finals else NOTHING
        return Transcript(
            segments=segments,
            language=first["language"],
            language_probability=first["language_probability"],
            duration_s=max(self._audio_s, end_s),
            speech_duration_s=sum(segment.end - segment.start for segment in segments),
            model=self._model,
            task=self._task,
        )


@contextmanager
def recorded(screen: Screen, path: Path | None, task: Task) -> Iterator[Screen]:
    """A screen whose text is written to a file at the end, also where that is a failure.

    Raises:
        BadRequestError: the file's name says no format; before anything else.
        StorageFullError: it cannot be written.
    """
    if path is None:
        yield screen
        return
    form = format_for(path)
    record = Record(screen, task)
    try:
        yield record
    finally:
        write_whole(path, render(record.transcript(), form, ALL).text)


def _words(text: str, told: list[Message]) -> tuple[Word, ...]:
    """The words with what is before them in the text, which messages leave out."""
    words: list[Word] = []
    at = 0
    for each in told:
        end = text.find(each["word"], at) + len(each["word"])
        spaced = text[at:end] if words else f" {text[at:end]}"
        words.append(Word(spaced, each["start"], each["end"], each["probability"]))
        at = end
    return tuple(words)
