"""The directory: places, people and equipment, each with create, change, end, get and list.

What a method refuses is a ConfigError that names the field and what to do; its details hold ``field`` and
``reason`` (``invalid``, ``conflict``, ``not_found``). What a scope does not cover does not exist for it.
Call within ``Records.run`` (changes) or ``Records.read``.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from cloud_ingest.records.equipment import Associations, Devices, Gateways
from cloud_ingest.records.people import Encounters, Patients
from cloud_ingest.records.places import Beds, Wards
from hearthward.core.ids import Ids

__all__ = [
    "Associations",
    "Beds",
    "Devices",
    "Directory",
    "Encounters",
    "Gateways",
    "Patients",
    "Wards",
]


class Directory:
    """All of the directory's repositories on one session."""

    def __init__(
        self,
        session: Session,
        *,
        now: int,
        ids: Ids,
        wall: int | None = None,
        profiles: Collection[str] | None = None,
    ) -> None:
        self.wards = Wards(session, now=now, wall=wall, ids=ids)
        self.beds = Beds(session, now=now, wall=wall, ids=ids)
        self.patients = Patients(session, now=now, wall=wall, ids=ids)
        self.encounters = Encounters(session, now=now, wall=wall, ids=ids)
        self.gateways = Gateways(session, now=now, wall=wall, ids=ids)
        self.devices = Devices(session, now=now, wall=wall, ids=ids, profiles=profiles)
        self.associations = Associations(session, now=now, wall=wall, ids=ids)
