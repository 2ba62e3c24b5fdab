"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

FOREIGN_PREFIXES = ("VERBATIM_", "HF_")
FOREIGN_SUFFIX = "_PROXY"


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> Iterator[None]:
    """The settings, hub and proxies of whoever runs the tests play no part in them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            if name.startswith(FOREIGN_PREFIXES) or name.upper().endswith(FOREIGN_SUFFIX):
                patch.delenv(name)
        yield
