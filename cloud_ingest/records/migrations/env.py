"""Run by Alembic: migrates on the connection that ``records.upgrade`` hands in.

Offline (``alembic upgrade --sql``) it writes the SQL for the ``dialect`` handed in.
"""

from __future__ import annotations

from alembic import context

from cloud_ingest.records.models import Base


def run() -> None:
    """Migrate within the caller's transaction."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes.get("connection"),
        dialect_name=attributes.get("dialect"),
        target_metadata=Base.metadata,
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
