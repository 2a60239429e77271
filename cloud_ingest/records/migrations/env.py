"""Run by Alembic: migrates on the connection that ``records.upgrade`` hands in."""

from __future__ import annotations

from alembic import context

from cloud_ingest.records.models import Base


def run() -> None:
    """Migrate within the caller's transaction."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        transactional_ddl=True,
        compare_type=True,
        render_as_batch=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
