"""How a model's process asks the system for memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TUNABLES: Final = "GLIBC_TUNABLES"
"""The environment variable that glibc's allocator reads when a process begins."""
_LARGE_PAGES: Final = "glibc.malloc.hugetlb"
_TRANSPARENT: Final = 1
"""Ask for them where the system gives them on demand (madvise), and reserve none."""


def with_large_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that asks for its memory in pages of 2 MiB.

    Inference takes and returns tens of megabytes in every call, and entering each page of 4 KiB
    anew costs a sixth of the processor's time. What the user chose stands. Allocators other than
    glibc's (since 2.35) do not look at it.
    """
    given = environment.get(TUNABLES, "")
    if _LARGE_PAGES in given:
        return dict(environment)
    chosen = f"{_LARGE_PAGES}={_TRANSPARENT}"
    return {**environment, TUNABLES: f"{given}:{chosen}" if given else chosen}
