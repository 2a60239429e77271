"""Relational records: the directory, users, alarms, audit, and the ingest's own tables."""

from __future__ import annotations

from cloud_ingest.records.engine import Records

__all__ = ["Records"]
