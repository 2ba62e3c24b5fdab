"""Brings a database's schema up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from verbatim.domain.errors import UnavailableError

MIGRATIONS: Final = Path(__file__).with_name("migrations")
NEWEST: Final = "head"
CONNECTION: Final = "connection"
"""Under which `migrations/env.py` finds the connection."""


def upgrade(connection: Connection) -> None:
    """Make what tables and columns are missing, in the transaction that runs.

    Raises:
        UnavailableError: the database was last used by a newer Verbatim.
    """
    config = Config(attributes={CONNECTION: connection})
    # Alembic reads percent signs as references to other options.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, NEWEST)
    except CommandError as error:
        raise UnavailableError(
            "The database was last used by a newer Verbatim, whose tables this one does not know. "
            "Install that version, or put back the backup from before it."
        ) from error
