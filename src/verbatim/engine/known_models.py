"""The Whisper models that have a name here, with what is known of each.

Parameter counts are those of openai-whisper's and Distil-Whisper's model cards. Sizes are those of
the float16 weights on the hub, rounded; the hub says the exact ones when a download starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MB: Final = 1_000_000
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a name of its own.

    Attributes:
        name: what it is called here.
        repository: where the hub keeps its CTranslate2 weights.
        parameters: how many weights it has.
        download_bytes: about what a download takes.
        aliases: other names that mean the same weights, those of the unconverted originals too.
        english_only: it knows no other language.
        translates: it was trained to translate into English.
    """

    name: str
    repository: str
    parameters: int
    download_bytes: int
    aliases: tuple[str, ...] = ()
    english_only: bool = False
    translates: bool = True


def _whisper(
    name: str, millions: int, megabytes: int, repository: str = "", aliases: tuple[str, ...] = ()
) -> KnownModel:
    english_only = name.endswith(".en")
    return KnownModel(
        name,
        repository or f"Systran/faster-whisper-{name}",
        millions * MILLION,
        megabytes * MB,
        (*aliases, f"openai/whisper-{name}"),
        english_only,
        translates=not english_only and "turbo" not in name,
    )


def _distilled(name: str, millions: int, megabytes: int, repository: str = "") -> KnownModel:
    return KnownModel(
        name,
        repository or f"Systran/faster-{name.replace('distil-', 'distil-whisper-', 1)}",
        millions * MILLION,
        megabytes * MB,
        (f"distil-whisper/{name}",),
        english_only=True,
        translates=False,
    )


KNOWN_MODELS: Final = (
    _whisper("tiny", 39, 78),
    _whisper("tiny.en", 39, 78),
    _whisper("base", 74, 148),
    _whisper("base.en", 74, 148),
    _whisper("small", 244, 486),
    _whisper("small.en", 244, 486),
    _whisper("medium", 769, 1531),
    _whisper("medium.en", 769, 1531),
    _whisper("large-v1", 1550, 3090),
    _whisper("large-v2", 1550, 3090),
    _whisper("large-v3", 1550, 3091, aliases=("large",)),
    _whisper(
        "large-v3-turbo",
        809,
        1622,
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        aliases=("turbo",),
    ),
    _distilled("distil-small.en", 166, 336),
    _distilled("distil-medium.en", 394, 792),
    _distilled("distil-large-v2", 756, 1516),
    _distilled("distil-large-v3", 756, 1516),
    _distilled("distil-large-v3.5", 756, 1516, "distil-whisper/distil-large-v3.5-ct2"),
)

AUTO: Final = "auto"
DEFAULT_ALIASES: Final = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-transcribe",
)
"""Names of hosted models that clients send; here each means the default model."""

DEMO_NAME: Final = "verbatim-demo"
"""The small model that comes with the package."""
DEMO_LANGUAGES: Final = ("en", "zh", "ko")
"""What it was trained on; its vocabulary has tokens for more."""

_BY_NAME: Final = {
    name.lower(): model
    for model in KNOWN_MODELS
    for name in (model.name, model.repository, *model.aliases)
}


def find_known(name: str) -> KnownModel | None:
    """The model with this name, alias or repository; letter case does not matter."""
    return _BY_NAME.get(name.lower())


def means_default(name: str) -> bool:
    """Whether the name asks for the default model, whichever that is."""
    return name == "" or name.lower() in {AUTO, *DEFAULT_ALIASES}
