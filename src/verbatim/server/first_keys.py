"""Shows the keys of a first start, once, where logs do not keep them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TextIO

from verbatim.access.administration import NewKey
from verbatim.domain.keys import Scope

INTRODUCTION: Final = (
    "Callers of this server need a key, and this is its first start. These keys are shown now and\n"
    "never again; `verbatim keys` makes others, and revokes these.\n"
)


def show_first_keys(keys: Sequence[NewKey], console: TextIO) -> None:
    """Write them down for whoever started the server; nothing where none were made.

    Args:
        keys: just made.
        console: standard output, which no logger writes to.
    """
    if not keys:
        return
    lines = [INTRODUCTION]
    for new in keys:
        purpose = "to manage keys" if Scope.ADMIN in new.key.scopes else "for clients"
        lines.append(f"  {new.key.name} ({purpose}):\n    {new.secret}\n")
    console.write("\n".join(lines) + "\n")
    console.flush()
