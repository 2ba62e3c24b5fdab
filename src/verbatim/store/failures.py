"""What a database's failure means to a caller."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from verbatim.domain.errors import StorageFullError, UnavailableError, VerbatimError

RETRY_S: Final = 5.0
SQLITE_PRIMARY_CODE_MASK: Final = 0xFF
SQLITE_ERROR: Final = 1
"""A mistake in the statement: our fault, unlike all else that SQLite cannot do."""
POSTGRES_DISK_FULL: Final = "53100"


def store_error(error: Exception, where: str) -> VerbatimError | None:
    """The error to tell, or None where it is a fault of ours.

    Args:
        error: raised while the database was used.
        where: the database, as people shall be told.
    """
    if isinstance(error, PoolTimeoutError):
        return UnavailableError(
            "The server is too busy to look this up; send the request again in a moment.",
            retry_after_s=RETRY_S,
        )
    cause = error.orig if isinstance(error, DBAPIError) else error
    if _is_full(cause):
        return StorageFullError(
            f"The disk is full, so nothing more can be kept in {where}. Free some room there; "
            "the server needs no restart."
        )
    if isinstance(cause, sqlite3.DatabaseError):
        return _sqlite_error(cause, where)
    if isinstance(error, OperationalError | InterfaceError | OSError):
        return UnavailableError(
            f"Verbatim cannot use {where} now. PostgreSQL must run there, be reachable from here, "
            "and let in the user that database_url names.",
            retry_after_s=RETRY_S,
        )
    return None


def _is_full(cause: BaseException | None) -> bool:
    if isinstance(cause, OSError):
        return cause.errno in {errno.ENOSPC, errno.EDQUOT}
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) == sqlite3.SQLITE_FULL
    return getattr(cause, "sqlstate", None) == POSTGRES_DISK_FULL


def _sqlite_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", SQLITE_ERROR)
    return code & SQLITE_PRIMARY_CODE_MASK


def _sqlite_error(error: sqlite3.DatabaseError, where: str) -> VerbatimError | None:
    code = _sqlite_code(error)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return UnavailableError(
            f"Another process holds {where} for too long; send the request again in a moment.",
            retry_after_s=RETRY_S,
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return UnavailableError(
            f"What lies in {where} is damaged, or is no database. Put a backup in its place, or "
            "move it away to begin anew without its keys."
        )
    if isinstance(error, sqlite3.OperationalError) and code != SQLITE_ERROR:
        return UnavailableError(
            f"Verbatim cannot read or write {where} ({error}). Its folder must be writable for "
            "the user that runs Verbatim; the setting data_dir names another."
        )
    return None
