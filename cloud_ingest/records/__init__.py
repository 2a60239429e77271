"""Relational records: the directory, users, alarms, audit, and the ingest's own tables."""

from __future__ import annotations

from cloud_ingest.records.accounts import Accounts
from cloud_ingest.records.alarms import AlarmHistory, apply_transitions
from cloud_ingest.records.audit import RecordsAuditLog
from cloud_ingest.records.engine import Records
from cloud_ingest.records.proofs import Proofs

__all__ = ["Accounts", "AlarmHistory", "Proofs", "Records", "RecordsAuditLog", "apply_transitions"]
