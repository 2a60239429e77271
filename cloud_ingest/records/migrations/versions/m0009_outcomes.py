"""How a stay ended, where somebody has said so. Revision 0009."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("encounters", sa.Column("outcome", sa.String(), nullable=True))
