"""By which clock people are told of a subject: that of what measures it, else of most gateways."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Association, Device, Gateway

__all__ = ["usual_zone", "zones_of"]


def zones_of(session: Session, tenant: str, subjects: Iterable[str]) -> dict[str, str | None]:
    """Subject -> the IANA name of its time zone; None where nobody has entered any."""
    wanted = set(subjects)
    usual = usual_zone(session, tenant)
    if usual is None:
        return dict.fromkeys(wanted)
    found: dict[str, str | None] = dict.fromkeys(wanted, usual)
    known = (Gateway.tenant == tenant, Gateway.timezone.is_not(None))
    through = (Device.tenant == Gateway.tenant) & (Device.gateway == Gateway.id)
    if gateways := _named(wanted, "gateway:"):
        query = select(Gateway.id, Gateway.timezone).where(*known, Gateway.id.in_(gateways))
        found |= {f"gateway:{key}": zone for key, zone in session.execute(query)}
    if devices := _named(wanted, "device:"):
        of = select(Device.id, Gateway.timezone).join(Gateway, through)
        query = of.where(*known, Device.id.in_(devices))
        found |= {f"device:{key}": zone for key, zone in session.execute(query)}
    if patients := sorted(s for s in wanted if ":" not in s):
        on = (Association.tenant == Device.tenant) & (Association.device == Device.id)
        of = select(Association.patient, Gateway.timezone).join(Device, on).join(Gateway, through)
        now = Association.end.is_(None), Association.superseded_at.is_(None)
        query = of.where(*known, *now, Association.patient.in_(patients)).order_by(Gateway.id.desc())
        found |= {patient: zone for patient, zone in session.execute(query)}  # noqa: C416 - rows are no pairs
    return found


def usual_zone(session: Session, tenant: str) -> str | None:
    """That of most gateways which have one."""
    zone = Gateway.timezone
    query = select(zone).where(Gateway.tenant == tenant, zone.is_not(None)).group_by(zone)
    return session.scalars(query.order_by(func.count().desc(), zone)).first()


def _named(subjects: Iterable[str], prefix: str) -> list[str]:
    return sorted(s.removeprefix(prefix) for s in subjects if s.startswith(prefix))
