"""Which recordings a command line means: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from verbatim.domain.errors import NotFoundError, VerbatimError

STANDARD_INPUT: Final = "-"
STANDARD_INPUT_NAME: Final = "stdin"

_EXTENSIONS: Final = """
    3gp aac ac3 aif aifc aiff amr au avi caf flac flv m2ts m4a m4b m4v mka mkv mov mp2 mp3 mp4 mpga
    mts oga ogg ogv opus spx ts w64 wav weba webm wma wmv
"""
MEDIA_EXTENSIONS: Final = frozenset(f".{extension}" for extension in _EXTENSIONS.split())
"""What is taken from folders; a file that is named is tried whatever it is called."""


@dataclass(frozen=True, slots=True)
class Input:
    """A recording.

    Attributes:
        path: None for standard input.
        label: what it is called in messages.
        relative: its name below the output folder, still with its own extension.
    """

    path: Path | None
    label: str
    relative: PurePath


@dataclass(frozen=True, slots=True)
class BadInput:
    """An argument that leads to no recording."""

    label: str
    error: VerbatimError


def expand_inputs(arguments: Iterable[str]) -> tuple[Input | BadInput, ...]:
    """The recordings that are meant, in order, each once.

    A folder stands for the media files in it and below it, hidden ones left out, in the order of
    their names. A pattern (`*.mp3`, `**/*.wav`) that the shell did not replace is replaced here.
    """
    found: list[Input | BadInput] = []
    seen: set[Path] = set()
    for argument in arguments:
        for item in _expand(argument):
            if isinstance(item, Input) and item.path is not None:
                if item.path.resolve() in seen:
                    continue
                seen.add(item.path.resolve())
            found.append(item)
    return tuple(found)


def _expand(argument: str) -> tuple[Input | BadInput, ...]:
    path = Path(argument)
    if argument == STANDARD_INPUT:
        return (Input(None, STANDARD_INPUT_NAME, PurePath(STANDARD_INPUT_NAME)),)
    if path.is_dir():
        return _in_folder(path) or (_bad(argument, "There are no audio or video files in it."),)
    if path.exists():
        return (Input(path, argument, PurePath(path.name)),)
    if glob.has_magic(argument):
        # Path.glob takes no absolute patterns.
        matches = sorted(map(Path, glob.glob(argument, recursive=True)))  # noqa: PTH207
        expanded = (item for match in matches for item in _in_pattern(match))
        return tuple(expanded) or (_bad(argument, "No file matches this pattern."),)
    return (_bad(argument, "There is no such file."),)


def _in_pattern(match: Path) -> tuple[Input, ...]:
    if match.is_dir():
        return _in_folder(match)
    return (Input(match, str(match), PurePath(match.name)),)


def _in_folder(folder: Path) -> tuple[Input, ...]:
    files = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in MEDIA_EXTENSIONS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return tuple(Input(path, str(path), path.relative_to(folder)) for path in sorted(files))


def _bad(label: str, message: str) -> BadInput:
    return BadInput(label, NotFoundError(message))
