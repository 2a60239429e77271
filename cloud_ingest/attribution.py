"""Whose readings they are, out of the records; the index itself is ``rules.attribution``'s."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Association, Device
from rules.attribution import Attribution, Span

__all__ = ["Attribution", "Span", "load_attribution", "load_owners"]


def load_attribution(session: Session, tenant: str) -> Attribution:
    """The associations in force; corrected ones are left out."""
    rows = session.scalars(
        select(Association).where(Association.tenant == tenant, Association.superseded_at.is_(None))
    )
    return Attribution(Span(r.device, r.patient, r.start, r.end) for r in rows)


def load_owners(session: Session, tenant: str) -> dict[str, str]:
    """Device -> the gateway that it belongs to now."""
    rows = session.execute(select(Device.id, Device.gateway).where(Device.tenant == tenant))
    return {device: gateway for device, gateway in rows}  # noqa: C416 - rows are no pairs to mypy
