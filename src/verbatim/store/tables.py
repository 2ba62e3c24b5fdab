"""The tables, as SQLAlchemy knows them; `migrations` makes them, and a test compares the two."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    LargeBinary,
    MetaData,
    String,
    Text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

ID_CHARS: Final = 32
NAME_CHARS: Final = 200
DIGEST_CHARS: Final = 64
"""SHA-256 in hexadecimal digits."""
CASCADE: Final = "CASCADE"


class UtcDateTime(TypeDecorator[datetime]):
    """A time aware of its zone. SQLite keeps none, so all are kept as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database, as UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database; what comes without a zone is UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """The root of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class KeyRow(Table):
    """An API key. Rows stay when a key is revoked."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    digest: Mapped[str] = mapped_column(String(DIGEST_CHARS), unique=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    preview: Mapped[str] = mapped_column(String(ID_CHARS))
    scopes: Mapped[str] = mapped_column(String(NAME_CHARS))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    requests_per_minute: Mapped[int | None]
    audio_minutes_per_day: Mapped[float | None] = mapped_column(Double)
    parallel_requests: Mapped[int | None]
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    request_count: Mapped[int] = mapped_column(BigInteger)
    audio_s: Mapped[float] = mapped_column(Double)


class KeyDayRow(Table):
    """What was asked for with a key on one day, by UTC."""

    __tablename__ = "key_days"

    key_id: Mapped[str] = mapped_column(ForeignKey(KeyRow.id, ondelete=CASCADE), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    audio_s: Mapped[float] = mapped_column(Double)


class ClientSecretRow(Table):
    """A short-lived secret that stands for a key, or for whoever asked where none was needed."""

    __tablename__ = "client_secrets"

    digest: Mapped[str] = mapped_column(String(DIGEST_CHARS), primary_key=True)
    key_id: Mapped[str | None] = mapped_column(ForeignKey(KeyRow.id, ondelete=CASCADE), index=True)
    authenticated: Mapped[bool]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    grant: Mapped[str] = mapped_column(Text)


class ResultRow(Table):
    """A result that is kept. `content` comes last: a look at the others need not read it."""

    __tablename__ = "results"

    digest: Mapped[str] = mapped_column(String(DIGEST_CHARS), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes] = mapped_column(LargeBinary)
