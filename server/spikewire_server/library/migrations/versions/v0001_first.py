"""Sortings of the store, views, and notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "sortings",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("origin", _TEXT, nullable=False),
        sa.Column("class_name", _TEXT, nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("object_id", _TEXT, unique=True),
        sa.Column("acquisition_id", _TEXT),
        sa.Column("revision", _TEXT),
        sa.Column("sampling_frequency", sa.Double),
        sa.Column("unit_ids", sa.LargeBinary),
        sa.Column("t_starts", sa.JSON),
        sa.Column("unit_count", sa.BigInteger),
        sa.Column("spike_count", sa.BigInteger),
        sa.Column("dump", sa.LargeBinary),
    )
    op.create_table(
        "notes",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, primary_key=True),
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("etag", _TEXT, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("type", sa.LargeBinary),
        sa.Column("shape", sa.JSON),
        sa.Column("unit_ids", sa.LargeBinary),
    )
