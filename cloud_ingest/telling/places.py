"""Where the subject of an alarm is, as people call it: ward and bed, at home, a gateway, a part of ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Bed, Encounter, Ward
from cloud_ingest.telling.clocks import zones_of
from cloud_ingest.telling.wording import Place
from rules.response.duty import ward_in

__all__ = ["places_of"]

_KINDS: Final = {
    "gateway": {"en": "gateway {}", "zh": "网关 {}"},
    "device": {"en": "device {}", "zh": "设备 {}"},
    "component": {"en": "component {}", "zh": "组件 {}"},
}
_OF_WARD: Final = {
    "wall-": {"en": "walls of {}", "zh": "{} 墙屏"},
    "duty-": {"en": "on-call of {}", "zh": "{} 值班"},
    "flood-": {"en": "{}", "zh": "{}"},
}
"""Components that are a ward's."""
_CHANNEL: Final = {"en": "channel {}", "zh": "通知渠道 {}"}
_HOME: Final = {"en": "at home", "zh": "居家"}
_TAIL: Final = 4


def places_of(session: Session, tenant: str, subjects: Iterable[str], now: int) -> dict[str, Place]:
    """The place of each subject at ``now`` (UTC ns)."""
    named = {s for s in subjects if s.partition(":")[0] in _KINDS and ":" in s}
    patients = set(subjects) - named
    wards = {w for s in named if (w := ward_in(s)) is not None}
    names = _ward_names(session, tenant, wards) if wards else {}
    found = {s: _named(s, names) for s in named}
    stays = _stays(session, tenant, patients, now) if patients else {}
    found |= {p: stays.get(p) or _unknown(p) for p in patients}
    zones = zones_of(session, tenant, found)
    return {subject: replace(place, zone=zones[subject]) for subject, place in found.items()}


def _named(subject: str, wards: dict[str, str]) -> Place:
    kind, _, name = subject.partition(":")
    words = _KINDS[kind]
    if (ward := ward_in(subject)) is not None:
        words = next(w for prefix, w in _OF_WARD.items() if name.startswith(prefix))
        name = wards.get(ward, ward)
    elif kind == "component" and name.startswith("channel-"):
        words, name = _CHANNEL, name.removeprefix("channel-")
    text = {language: word.format(name) for language, word in words.items()}
    return Place(text, text, private=False)


def _ward_names(session: Session, tenant: str, wards: set[str]) -> dict[str, str]:
    query = select(Ward.id, Ward.name).where(Ward.tenant == tenant, Ward.id.in_(sorted(wards)))
    return {ident: name for ident, name in session.execute(query)}  # noqa: C416 - rows are no pairs


def _stays(session: Session, tenant: str, patients: set[str], now: int) -> dict[str, Place]:
    """Where patients are; of several stays the latest counts."""
    query = (
        select(Encounter.patient, Encounter.kind, Ward.name, Bed.label)
        .outerjoin(Ward, (Ward.tenant == Encounter.tenant) & (Ward.id == Encounter.ward))
        .outerjoin(Bed, (Bed.tenant == Encounter.tenant) & (Bed.id == Encounter.bed))
        .where(
            Encounter.tenant == tenant,
            Encounter.patient.in_(sorted(patients)),
            Encounter.start <= now,
            or_(Encounter.end.is_(None), Encounter.end > now),
        )
        .order_by(Encounter.start)
    )
    return {patient: _place(patient, stay, ward, bed) for patient, stay, ward, bed in session.execute(query)}


def _place(patient: str, stay: str, ward: str | None, bed: str | None) -> Place:
    """A ward's bed, or home with the end of the patient's id."""
    if stay == "home":
        responsible = {language: ward or word for language, word in _HOME.items()}
        tail = _unknown(patient).full
        return Place(responsible, {language: f"{word}, {tail[language]}" for language, word in _HOME.items()})
    name = ward or ""
    return Place({"en": name, "zh": name}, {"en": f"{name} bed {bed}", "zh": f"{name} {bed}床"})


def _unknown(patient: str) -> Place:
    tail = patient[-_TAIL:]
    full = {"en": f"patient ..{tail}", "zh": f"患者 ..{tail}"}
    return Place({"en": "", "zh": ""}, full)
