"""A device changes hands: off one patient and onto another in the same moment."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records.directory import Directory
from cloud_ingest.records.models import Association
from hearthward.trust.access import Scope

__all__ = ["give_device", "worn_now"]


def worn_now(session: Session, scope: Scope, device: str, now: int) -> Association | None:
    """The association that a device is in now, whoever may see it."""
    query = select(Association).where(
        Association.tenant == scope.tenant,
        Association.device == device,
        Association.superseded_at.is_(None),
        Association.start <= now,
        or_(Association.end.is_(None), Association.end > now),
    )
    return session.scalars(query).first()


def give_device(
    session: Session, directory: Directory, scope: Scope, *, device: str, patient: str, was: str | None
) -> Association:
    """Give a device to a patient; with ``was``, take it off in that association first, in one transaction.

    Raises ConfigError: unknown or out of use, on a patient whom the scope does not cover, or it is no longer
    in ``was`` but with somebody else.
    """
    now = directory.associations.now
    worn = worn_now(session, scope, device, now)
    if worn is not None and worn.id == was and worn.patient != patient:
        if worn.start < now:
            directory.associations.end(scope, worn.id, at=now)
        else:  # it was given to the wrong patient in this very moment: nothing was measured
            return directory.associations.change(scope, worn.id, patient=patient)
    return directory.associations.create(scope, device=device, patient=patient)
