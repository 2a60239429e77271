"""Looking things up in a directory of any size: searched, filtered, a page at a time, all by the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud_ingest.records.directory import Directory
from cloud_ingest.records.models import Association, Bed, Device, Encounter, Gateway, Patient, Ward
from hearthward.trust.access import Scope

__all__ = ["KINDS", "AskedItems", "EntryKind", "Lookup", "stays_now", "worn_devices"]

EntryKind = Literal["ward", "bed", "patient", "encounter", "gateway", "device", "association"]
KINDS: Final[dict[EntryKind, tuple[Any, str]]] = {
    "ward": (Ward, "wards"),
    "bed": (Bed, "beds"),
    "patient": (Patient, "patients"),
    "encounter": (Encounter, "encounters"),
    "gateway": (Gateway, "gateways"),
    "device": (Device, "devices"),
    "association": (Association, "associations"),
}
"""Kind of entry -> its table, and the directory's repository of it."""
ORDER: Final[dict[EntryKind, tuple[Any, ...]]] = {
    "ward": (Ward.name, Ward.id),
    "bed": (Bed.ward, func.length(Bed.label), Bed.label, Bed.id),
    "patient": (Patient.name, Patient.id),
    "encounter": (Encounter.start.desc(), Encounter.id),
    "gateway": (Gateway.id,),
    "device": (Device.id,),
    "association": (Association.start.desc(), Association.created.desc(), Association.id),
}
PERIODS: Final = (Encounter, Association)
Text = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]
CALLED: Final[dict[EntryKind, tuple[Text, ...]]] = {
    "ward": (Ward.id, Ward.name),
    "bed": (Bed.id, Bed.label),
    "patient": (Patient.id, Patient.mrn, Patient.name),
    "gateway": (Gateway.id, Gateway.label),
    "device": (Device.id, Device.address, Device.label),
}
"""By what people, and the codes that they scan, name an entry."""
SEARCHED: Final[dict[EntryKind, tuple[Text, ...]]] = {
    "ward": (Ward.name,),
    "bed": (Bed.label,),
    "patient": (Patient.mrn, Patient.name),
    "gateway": CALLED["gateway"],
    "device": CALLED["device"],
}
"""Where words are looked for; ids that are made by us hold them by chance."""


@dataclass(frozen=True, slots=True)
class AskedItems:
    """Which entries of a kind; every word must occur, ``offset`` and ``limit`` page.

    ``ended``: also those that are over, and associations that were corrected. The filters keep what belongs
    to that ward (a device: through its gateway), gateway, bed, device or patient; those that a kind does not
    have do not matter.
    """

    kind: EntryKind
    words: str = ""
    ended: bool = False
    ward: str | None = None
    gateway: str | None = None
    bed: str | None = None
    device: str | None = None
    patient: str | None = None
    offset: int = 0
    limit: int = 50


def stays_now(directory: Directory, scope: Scope) -> Sequence[Any]:
    """Present stays by start, as rows: patient, kind, ward, start, name, label of the bed, ward_name."""
    here = directory.encounters
    query = (
        select(
            Encounter.patient,
            Encounter.kind,
            Encounter.ward,
            Encounter.start,
            Patient.name,
            Bed.label,
            Ward.name.label("ward_name"),
        )
        .outerjoin(Patient, (Patient.tenant == Encounter.tenant) & (Patient.id == Encounter.patient))
        .outerjoin(Bed, (Bed.tenant == Encounter.tenant) & (Bed.id == Encounter.bed))
        .outerjoin(Ward, (Ward.tenant == Encounter.tenant) & (Ward.id == Encounter.ward))
        .where(*here.limits(scope), or_(Encounter.end.is_(None), Encounter.end > here.now))
    )
    return here.session.execute(query.order_by(Encounter.start, Encounter.id)).all()


def worn_devices(directory: Directory, scope: Scope) -> Sequence[Any]:
    """What is on patients now, by start, as rows: patient, start, id, gateway, profile, interval_s."""
    on = directory.associations
    query = (
        select(
            Association.patient,
            Association.start,
            Device.id,
            Device.gateway,
            Device.profile,
            Device.interval_s,
        )
        .join(Device, (Device.tenant == Association.tenant) & (Device.id == Association.device))
        .where(
            *on.limits(scope),
            Association.superseded_at.is_(None),
            or_(Association.end.is_(None), Association.end > on.now),
        )
    )
    return on.session.execute(query.order_by(Association.start, Association.id)).all()


class Lookup:
    """Reads the directory of a session; what a scope does not cover is not found."""

    def __init__(self, session: Session, directory: Directory, now: int) -> None:
        self._session = session
        self._directory = directory
        self._now = now

    def page(self, scope: Scope, asked: AskedItems) -> tuple[Sequence[Any], int]:
        """The rows of one page, and how many there are in all."""
        query = self._chosen(scope, asked)
        total = self._count(query)
        rows = query.order_by(*ORDER[asked.kind]).offset(asked.offset).limit(asked.limit)
        return self._session.scalars(rows).all(), total

    def counts(self, scope: Scope) -> dict[EntryKind, int]:
        """How many entries of each kind there are now."""
        return {kind: self._count(self._chosen(scope, AskedItems(kind))) for kind in KINDS}

    def named(self, scope: Scope, kind: EntryKind, text: str, limit: int) -> Sequence[Any]:
        """The present entries that are called exactly so (upper or lower case): one by its id alone.

        A patient is called by the bed, too.
        """
        model, _ = KINDS[kind]
        query = self._chosen(scope, AskedItems(kind))
        by_id = self._session.scalars(query.where(model.id == text)).one_or_none()
        if by_id is not None:
            return [by_id]
        same = [or_(column == text, func.lower(column) == text.lower()) for column in CALLED[kind][1:]]
        if kind == "patient":
            beds = select(Bed.id).where(
                *self._directory.beds.limits(scope), func.lower(Bed.label) == text.lower()
            )
            here = select(Encounter.patient).where(
                Encounter.tenant == scope.tenant, self._present(Encounter), Encounter.bed.in_(beds)
            )
            same.append(Patient.id.in_(here))
        return self._session.scalars(query.where(or_(*same)).order_by(*ORDER[kind]).limit(limit)).all()

    def called(self, scope: Scope, keys: Mapping[EntryKind, Collection[str]]) -> dict[EntryKind, list[Any]]:
        """The rows with these ids, ended ones too."""
        found: dict[EntryKind, list[Any]] = {}
        for kind, ids in keys.items():
            model, plural = KINDS[kind]
            limits = getattr(self._directory, plural).limits(scope)
            query = select(model).where(*limits, model.id.in_(sorted(ids)))
            found[kind] = list(self._session.scalars(query)) if ids else []
        return found

    def adrift(self, scope: Scope, limit: int) -> Sequence[Patient]:
        """Patients who wear a device but have no stay, so that they are on no wall."""
        worn = select(Association.patient).where(
            Association.tenant == scope.tenant, self._present(Association)
        )
        stay = exists().where(
            Encounter.tenant == scope.tenant, Encounter.patient == Patient.id, self._present(Encounter)
        )
        query = self._chosen(scope, AskedItems("patient")).where(Patient.id.in_(worn), ~stay)
        return self._session.scalars(query.order_by(Patient.name).limit(limit)).all()

    def _count(self, query: Select[Any]) -> int:
        return self._session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)) or 0

    # -- conditions
    def _chosen(self, scope: Scope, asked: AskedItems) -> Select[Any]:
        model, plural = KINDS[asked.kind]
        query = select(model).where(*getattr(self._directory, plural).limits(scope))
        if not asked.ended:
            query = query.where(self._present(model))
        for name in ("gateway", "bed", "device", "patient"):
            wanted = getattr(asked, name)
            if wanted is not None and name != asked.kind and hasattr(model, name):
                query = query.where(getattr(model, name) == wanted)
        if asked.ward is not None:
            query = query.where(*self._of_ward(scope, asked.kind, asked.ward))
        for word in asked.words.split():
            query = query.where(self._says(scope, asked.kind, word))
        return query

    def _present(self, model: Any) -> ColumnElement[bool]:
        if model not in PERIODS:
            return model.ended.is_(None)  # type: ignore[no-any-return]
        lasts = or_(model.end.is_(None), model.end > self._now)
        return and_(lasts, Association.superseded_at.is_(None)) if model is Association else lasts

    def _of_ward(self, scope: Scope, kind: EntryKind, ward: str) -> list[ColumnElement[bool]]:
        here = select(Encounter.patient).where(
            Encounter.tenant == scope.tenant, Encounter.ward == ward, self._present(Encounter)
        )
        near = select(Gateway.id).where(Gateway.tenant == scope.tenant, Gateway.ward == ward)
        conditions: dict[EntryKind, ColumnElement[bool]] = {
            "bed": Bed.ward == ward,
            "patient": Patient.id.in_(here),
            "encounter": Encounter.ward == ward,
            "gateway": Gateway.ward == ward,
            "device": Device.gateway.in_(near),
            "association": Association.patient.in_(here),
        }
        return [conditions[kind]] if kind in conditions else []

    def _says(self, scope: Scope, kind: EntryKind, word: str) -> ColumnElement[bool]:
        """Whether an entry, or what it is about, has the word in it."""
        own: dict[EntryKind, tuple[Text, ...]] = {
            **SEARCHED,
            "device": (*SEARCHED["device"], Device.profile, Device.gateway),
        }
        about: dict[EntryKind, tuple[tuple[EntryKind, Text], ...]] = {
            "bed": (("ward", Bed.ward),),
            "gateway": (("ward", Gateway.ward),),
            "encounter": (("patient", Encounter.patient), ("bed", Encounter.bed), ("ward", Encounter.ward)),
            "association": (("device", Association.device), ("patient", Association.patient)),
        }
        found = [KINDS[kind][0].id == word]
        found += [column.icontains(word, autoescape=True) for column in own.get(kind, ())]
        for other, column in about.get(kind, ()):
            model, _ = KINDS[other]
            says = or_(*(c.icontains(word, autoescape=True) for c in SEARCHED[other]))
            found.append(column.in_(select(model.id).where(model.tenant == scope.tenant, says)))
        return or_(*found)
