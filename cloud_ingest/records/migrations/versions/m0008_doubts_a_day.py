"""What the quality gate said of a device's readings of a day. Revision 0008."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

DOUBTS: Final = (
    *("suspect", "bad", "implausible"),
    *("impossible", "dropout", "zero", "jump", "spikes", "flat", "disagrees"),
)


def upgrade() -> None:
    """Apply."""
    for name in DOUBTS:
        op.add_column(
            "device_days", sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
        )
