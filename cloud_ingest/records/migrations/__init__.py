"""Alembic scripts, run by ``records.upgrade``."""
