"""Flags of the older real-time server, as settings of ours, so that its scripts still start."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

from verbatim.access.administration import KeyWish
from verbatim.access.opening import open_administration
from verbatim.access.secret import KeyFormat
from verbatim.cli.logs import configure_quiet_logging
from verbatim.cli.setting_flags import Flags
from verbatim.settings import Settings

WSS_PORT: Final = "8766"
"""Where that server's encrypted clients look for it."""
GENERATED_NAME: Final = "generated"

RENAMED: Final = MappingProxyType(
    {
        "ws_port": "port",
        "wss_port": "tls_port",
        "ssl_cert": "tls_cert",
        "ssl_key": "tls_key",
        "debug_dir": "debug_audio",
    }
)
"""Each flag that is one of ours under another name."""


class Mode(StrEnum):
    """What it listened for."""

    WS = "ws"
    WSS = "wss"
    BOTH = "both"


def older_parameters() -> Sequence[inspect.Parameter]:
    """For typer; hidden, since ours are the ones to learn."""
    texts: dict[str, object] = dict.fromkeys(RENAMED, str | None)
    kinds = {**texts, "mode": Mode | None, "debug": bool, "generate_key": bool}
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if kind is bool else None,
            annotation=Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", hidden=True)],
        )
        for name, kind in kinds.items()
    ]


def translated(flags: Flags) -> Flags:
    """All flags as settings; where one was said by both names, ours counts."""
    older = {name: flags[name] for name in (*RENAMED, "mode", "debug")}
    ours = {name: value for name, value in flags.items() if name not in older}
    ours.pop("generate_key")
    said: dict[str, Any] = {RENAMED[name]: older[name] for name in RENAMED}
    if older["debug"]:
        said["log_level"] = "debug"
    match older["mode"]:
        case Mode.WS:
            said |= dict.fromkeys(("tls_port", "tls_cert", "tls_key"))
        case Mode.WSS:
            # One port for both means that it is encrypted.
            said |= dict.fromkeys(("port", "tls_port"), said["tls_port"] or WSS_PORT)
        case Mode.BOTH:
            said["tls_port"] = said["tls_port"] or WSS_PORT
    return {**ours, **{n: v for n, v in said.items() if ours.get(n) is None}}


def generate_key(settings: Settings) -> str:
    """Make a key for clients, in that server's format.

    Raises:
        VerbatimError: as `open_administration`.
    """

    async def make() -> str:
        async with open_administration(settings) as keys:
            made = await keys.create(KeyWish(GENERATED_NAME, format=KeyFormat.OLDER))
            return made.secret

    configure_quiet_logging(settings)
    return asyncio.run(make())
