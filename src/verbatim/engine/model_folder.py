"""A model's files on disk, and what a folder lacks to be a CTranslate2 Whisper model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from verbatim.domain.transcript import TranscriptWarning

WEIGHTS_FILE: Final = "model.bin"
CONFIG_FILE: Final = "config.json"
VOCABULARY_FILES: Final = ("tokenizer.json", "vocabulary.json", "vocabulary.txt")
"""A model needs one of these at least."""
OPTIONAL_FILES: Final = (*VOCABULARY_FILES, "preprocessor_config.json")

ModelSource: TypeAlias = Literal["bundled", "folder", "cache"]

_SPECIFICATION: Final = b"WhisperSpec"
_SPECIFICATION_OFFSET: Final = 6
"""Bytes before the specification's name: a 32-bit version and the name's 16-bit length."""
_LFS_POINTER: Final = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model that lies on disk.

    Attributes:
        name: as it is shown: a known name, a hub name or a folder's.
        folder: holds `model.bin` and what belongs to it.
        source: with the package, a folder of the operator's, or the hub's cache.
        warnings: what every transcript made with it should say.
    """

    name: str
    folder: Path
    source: ModelSource
    is_demo: bool = False
    warnings: tuple[TranscriptWarning, ...] = ()


def looks_like_model(folder: Path) -> bool:
    """Whether the folder holds a CTranslate2 Whisper model."""
    return folder_problem(folder) is None


def folder_problem(folder: Path) -> str | None:
    """What is wrong with a folder as a model, with what to do about it; None if nothing is."""
    try:
        return _problem(folder)
    except PermissionError as error:
        return f"{error.filename or folder} may not be read by this user. Change its permissions."


def _problem(folder: Path) -> str | None:
    if folder.is_file():
        return f"{folder} is a file. Name the folder that holds model.bin. {_conversion(folder)}"
    if not folder.is_dir():
        return f"There is no folder {folder}."
    missing = [name for name in (WEIGHTS_FILE, CONFIG_FILE) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):
        missing.append(f"{VOCABULARY_FILES[0]} (or {' or '.join(VOCABULARY_FILES[1:])})")
    if missing:
        return (
            f"{folder} is not a CTranslate2 Whisper model: {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing. {_conversion(folder)}".rstrip()
        )
    return _weights_problem(folder / WEIGHTS_FILE)


def _weights_problem(weights: Path) -> str | None:
    with weights.open("rb") as file:
        head = file.read(64)
    if head.startswith(_LFS_POINTER):
        return f"{weights} is only a pointer of Git LFS. Run `git lfs pull` in its folder."
    if head[_SPECIFICATION_OFFSET:].startswith(_SPECIFICATION):
        return None
    return (
        f"{weights} holds no Whisper model that CTranslate2 can read: it is another kind of model, "
        "or damaged. Copy or download it again."
    )


def _conversion(folder: Path) -> str:
    """How to turn what is there instead into a model of ours; empty where nothing is known."""
    names = [folder.name] if folder.is_file() else sorted(path.name for path in folder.iterdir())
    if any(name.startswith("ggml-") and name.endswith(".bin") for name in names):
        return (
            "It holds a whisper.cpp model, which cannot be converted; "
            "`verbatim models pull small` gets one that fits."
        )
    if any(name.endswith((".safetensors", ".h5")) or name == "pytorch_model.bin" for name in names):
        return (
            "It holds a transformers model; convert it: "
            "pip install ctranslate2 transformers torch && "
            f"ct2-transformers-converter --model {folder} --output_dir {folder}-ct2 "
            "--copy_files tokenizer.json preprocessor_config.json --quantization float16"
        )
    if checkpoint := next((name for name in names if name.endswith(".pt")), None):
        return (
            "It holds a checkpoint of openai-whisper. The published ones are there converted "
            f"(`verbatim models pull {checkpoint.removesuffix('.pt')}`); one of your own becomes a "
            "transformers model first (python -m transformers.models.whisper.convert_openai_to_hf) "
            "and is then converted with ct2-transformers-converter."
        )
    return ""
