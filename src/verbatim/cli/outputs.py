"""What the files are called that transcripts are written to."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath

from verbatim.cli.inputs import Input
from verbatim.domain.errors import StorageFullError


class OutputNames:
    """Gives every output a name of its own below a folder, never that of an input.

    talk.mp3 becomes talk.txt. Where two inputs would meet (talk.mp3, talk.wav), or an output an
    input, the whole name stays: talk.mp3.txt; and where even those meet, a number is added.
    """

    def __init__(self, folder: Path, inputs: Iterable[Input]) -> None:
        inputs = tuple(inputs)
        self._folder = folder
        self._stems = Counter(item.relative.with_suffix("") for item in inputs)
        self._taken = {item.path.resolve() for item in inputs if item.path is not None}

    def next_for(self, item: Input, extension: str) -> Path:
        """Where an input's transcript goes; each call gives another path."""
        for relative in self._candidates(item.relative):
            path = self._folder / relative.with_name(f"{relative.name}.{extension}")
            if path.resolve() not in self._taken:
                self._taken.add(path.resolve())
                return path
        raise AssertionError("the candidates never end")

    def _candidates(self, relative: PurePath) -> Iterable[PurePath]:
        short = relative.with_suffix("")
        if self._stems[short] == 1:
            yield short
        yield relative
        for number in itertools.count(2):
            yield relative.with_name(f"{relative.name}-{number}")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all; replaces an older one.

    Raises:
        StorageFullError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StorageFullError(
            f"{path} cannot be written: {error.strerror or error}. Choose another folder with "
            "--output-dir, or make room."
        ) from error
