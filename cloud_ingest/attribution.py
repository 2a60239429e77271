"""Whose readings they are, out of the records; the index itself is ``rules.attribution``'s."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Association, Device
from rules.attribution import Attribution, Span

__all__ = ["Attribution", "Span", "load_attribution", "load_owners"]


def load_attribution(
    session: Session, tenant: str, *, patient: str | None = None, devices: Collection[str] = ()
) -> Attribution:
    """The associations in force; corrected ones are left out.

    With ``patient`` only those of the devices that were ever on that patient, with ``devices`` of these.
    """
    in_force = Association.tenant == tenant, Association.superseded_at.is_(None)
    query = select(Association.device, Association.patient, Association.start, Association.end)
    query = query.where(*in_force)
    if patient is not None:
        own = select(Association.device).where(*in_force, Association.patient == patient)
        query = query.where(Association.device.in_(own))
    if devices:
        query = query.where(Association.device.in_(devices))
    return Attribution(Span(*row) for row in session.execute(query))


def load_owners(session: Session, tenant: str) -> dict[str, str]:
    """Device -> the gateway that it belongs to now."""
    rows = session.execute(select(Device.id, Device.gateway).where(Device.tenant == tenant))
    return {device: gateway for device, gateway in rows}  # noqa: C416 - rows are no pairs to mypy
