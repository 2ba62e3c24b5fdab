"""Flags that several commands have, each declared once, and what they mean."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import typer

from verbatim.domain.request import Task
from verbatim.settings import Settings, load_settings
from verbatim.stages.language_names import language_code

DETECT: Final = "auto"
"""A language that says the same as none."""

Model: TypeAlias = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A name, a hub name or a folder. [default: auto]"),
]
Device: TypeAlias = Annotated[
    Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where the model runs.")
]
ComputeType: TypeAlias = Annotated[
    str | None, typer.Option(help="Number format of the weights: int8, float16 …")
]
Threads: TypeAlias = Annotated[int | None, typer.Option(min=0, help="Threads on the CPU; 0: all.")]
Offline: TypeAlias = Annotated[bool, typer.Option("--offline", help="Do not touch the network.")]
Language: TypeAlias = Annotated[
    str | None,
    typer.Option("--language", "-l", help="A code or name; detected if not given."),
]
SpokenTask: TypeAlias = Annotated[
    Task, typer.Option(help="Write down what is said, or its English translation.")
]
Prompt: TypeAlias = Annotated[
    str | None, typer.Option(help="Text that sets names and style, as if said before.")
]
Hotwords: TypeAlias = Annotated[str | None, typer.Option(help="Words that are likely to be said.")]


def engine_settings(
    model: str | None,
    device: str | None,
    compute_type: str | None,
    threads: int | None,
    *,
    offline: bool,
) -> Settings:
    """The settings with what these flags say; None is not said, and neither is no `--offline`.

    Raises:
        BadRequestError: as `load_settings`.
    """
    return load_settings(
        {
            "model": model,
            "device": device,
            "compute_type": compute_type,
            "cpu_threads": threads,
            "offline": offline or None,
        }
    )


def language_flag(said: str | None) -> str | None:
    """The code of the language that `--language` names; None: it is to be detected.

    Raises:
        BadRequestError: no language is called so.
    """
    return None if said is None or said.strip().lower() == DETECT else language_code(said)
