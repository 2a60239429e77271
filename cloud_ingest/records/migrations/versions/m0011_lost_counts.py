"""The ledger's counts of what did not go as it should are found without the others. Revision 0011."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    others = sa.text("kind NOT IN ('read', 'accepted', 'stored')")
    op.create_index(
        "ix_ledger_counts_others",
        "ledger_counts",
        ["tenant", "hour", "n"],
        sqlite_where=others,
        postgresql_where=others,
    )
