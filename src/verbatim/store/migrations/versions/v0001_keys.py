"""Keys, their use by day, and client secrets."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

# What is written here never changes, whatever becomes of `tables`.
ID = sa.String(32)
DIGEST = sa.String(64)
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("preview", ID, nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("audio_minutes_per_day", sa.Double),
        sa.Column("parallel_requests", sa.Integer),
        sa.Column("last_used_at", TIME),
        sa.Column("request_count", sa.BigInteger, nullable=False),
        sa.Column("audio_s", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
    )
    op.create_table(
        "key_days",
        sa.Column("key_id", ID, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("audio_s", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "day", name="pk_key_days"),
        sa.ForeignKeyConstraint(
            ["key_id"], ["keys.id"], name="fk_key_days_key_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "client_secrets",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("key_id", ID),
        sa.Column("authenticated", sa.Boolean, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("grant", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_client_secrets"),
        sa.ForeignKeyConstraint(
            ["key_id"], ["keys.id"], name="fk_client_secrets_key_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_client_secrets_key_id", "client_secrets", ["key_id"])
    op.create_index("ix_client_secrets_expires_at", "client_secrets", ["expires_at"])


def downgrade() -> None:
    """Remove the tables, and every key."""
    op.drop_table("client_secrets")
    op.drop_table("key_days")
    op.drop_table("keys")
