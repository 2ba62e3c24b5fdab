"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

FOREIGN_PREFIXES = ("VERBATIM_", "HF_")
FOREIGN_SUFFIX = "_PROXY"

# A busy machine is no failure of a property; pytest's own time-out stops what hangs.
settings.register_profile("verbatim", deadline=None)
settings.load_profile("verbatim")


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The settings, hub, proxies and data of whoever runs the tests play no part in them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            if name.startswith(FOREIGN_PREFIXES) or name.upper().endswith(FOREIGN_SUFFIX):
                patch.delenv(name)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield
