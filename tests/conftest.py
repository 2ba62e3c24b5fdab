"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.support.postgres import ABSENT, PostgresServer, programs, running_postgres

from verbatim.older_servers import CUDA_VISIBLE_DEVICES, OLDER_VARIABLES

FOREIGN_PREFIXES = ("VERBATIM_", "HF_")
FOREIGN_SUFFIX = "_PROXY"
FOREIGN_NAMES = {known.name for known in OLDER_VARIABLES} - {CUDA_VISIBLE_DEVICES}
"""Which GPU the tests may use is for the machine to say."""

# A busy machine is no failure of a property; pytest's own time-out stops what hangs.
settings.register_profile("verbatim", deadline=None)
settings.load_profile("verbatim")


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The settings, hub, proxies and data of whoever runs the tests play no part in them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            foreign = name.startswith(FOREIGN_PREFIXES) or name.upper().endswith(FOREIGN_SUFFIX)
            if foreign or name in FOREIGN_NAMES:
                patch.delenv(name)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for the tests that want one."""
    if (bin_folder := programs()) is None:
        pytest.skip(ABSENT)
    with running_postgres(bin_folder) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    """Settings that name an empty database, of either kind."""
    if request.param == "sqlite":
        return {"data_dir": tmp_path / "data"}
    server: PostgresServer = request.getfixturevalue("postgres")
    return {"data_dir": tmp_path / "data", "database_url": server.new_database()}
