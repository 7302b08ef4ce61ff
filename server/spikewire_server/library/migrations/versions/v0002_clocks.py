"""Sync points of the store's sortings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column for the clocks of segments."""
    op.add_column("sortings", sa.Column("clocks", sa.LargeBinary))
