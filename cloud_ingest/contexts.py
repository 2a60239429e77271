"""What the rules are told of patients and gateways besides readings, out of the records.

Where somebody is, whether they are grown up or pregnant, which limits and orders hold, which signals must
come. It depends on the time too (a birthday, an expiry, a stay that ends): build it anew now and then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, cast

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.models import (
    Association,
    Device,
    Encounter,
    Gateway,
    Patient,
    PatientLimit,
    PatientOrder,
)
from firmware_profiles import Catalog, Profile
from hearthward.core.clock import SECOND
from hearthward.core.codes import BESIDE, METRICS
from rules.conditions import HEARTBEAT
from rules.context import Context, Limit
from rules.model import subject_key

__all__ = [
    "ADULT_YEARS",
    "contexts",
    "devices_heard",
    "ended_stays",
    "expected_by_gateway",
    "expected_of",
    "grown_up",
    "limit_of",
    "load_contexts",
    "scored_by",
]

ADULT_YEARS: Final = 16
"""From when on NEWS2 is meant for somebody."""
CONTINUOUS_S: Final = 120.0
"""A device that measures at least this often is watched for silence in everything that it measures."""
NOT_EXPECTED: Final = BESIDE
"""What comes with other values or now and then; its silence says nothing."""
NAMES_AT_ONCE: Final = 500
"""A database takes so many values in one question, and more."""
USUALLY: Final = 1, False, False
"""How most are scored: by scale 1 of SpO2, not known to be a child, not pregnant."""
Delivered = Mapping[str, Collection[str]]


async def load_contexts(
    records: Records, tenant: str, now: int, catalog: Catalog, delivered: Delivered | None = None
) -> dict[str, Context]:
    """``contexts`` read from the records. Raises StoreUnavailable."""
    return await records.read(lambda session: contexts(session, tenant, now, catalog, delivered))


def contexts(
    session: Session, tenant: str, now: int, catalog: Catalog, delivered: Delivered | None = None
) -> dict[str, Context]:
    """Subject -> what is known of it at ``now`` (UTC ns): patients in care, gateways in use.

    ``delivered`` maps devices to the metrics that have come from them: what a device is expected to deliver
    when the directory names no profile for it. Without it such a device makes its patient's expectations
    None: what once came is expected to go on.
    """
    stays = _stays(session, tenant, now)
    worn = _worn(session, tenant, now)
    limits = _by_patient(_open(session, PatientLimit, tenant, now))
    orders = _by_patient(_open(session, PatientOrder, tenant, now))
    people = {
        p.id: p
        for p in session.scalars(
            select(Patient).where(Patient.tenant == tenant, Patient.id.in_({*stays, *worn}))
        )
    }
    found = {
        key: Context(
            setting=stays.get(key),
            adult=grown_up(person.birth_date, now),
            pregnant=person.pregnant,
            spo2_scale=2 if any(o.kind == "spo2_scale_2" for o in orders.get(key, ())) else 1,
            limits=tuple(limit_of(row) for row in limits.get(key, ())),
            expected=_expected(worn.get(key, ()), catalog, delivered),
        )
        for key, person in sorted(people.items())
    }
    found |= _devices(worn, stays, catalog, delivered)
    gateways = select(Gateway).where(Gateway.tenant == tenant, Gateway.ended.is_(None)).order_by(Gateway.id)
    for gateway in session.scalars(gateways):
        found[subject_key("gateway", gateway.id)] = Context(expected={HEARTBEAT: gateway.created})
    return found


def expected_by_gateway(
    session: Session, tenant: str, now: int, catalog: Catalog
) -> dict[tuple[str, str], Mapping[str, int] | None]:
    """(gateway, patient) -> the signals that the patient's devices at that gateway alone must deliver.

    Another gateway's are none of its business: it would take them for missing.
    """
    found: defaultdict[tuple[str, str], list[tuple[Association, Device]]] = defaultdict(list)
    for patient, worn in _worn(session, tenant, now).items():
        for association, device in worn:
            found[device.gateway, patient].append((association, device))
    return {key: _expected(worn, catalog, None) for key, worn in found.items()}


def ended_stays(session: Session, tenant: str, names: Sequence[str], now: int) -> set[str]:
    """Those of these patients who had a stay and have none now; other subjects' names do not matter."""
    known: set[str] = set()
    present: set[str] = set()
    for n in range(0, len(names), NAMES_AT_ONCE):
        stays = select(Encounter.patient, Encounter.end).where(
            Encounter.tenant == tenant, Encounter.patient.in_(names[n : n + NAMES_AT_ONCE])
        )
        for patient, end in session.execute(stays):
            known.add(patient)
            if end is None or end > now:
                present.add(patient)
    return known - present


def grown_up(birth_date: str | None, now: int) -> bool | None:
    """Whether somebody born then is ``ADULT_YEARS`` old at ``now`` (UTC ns); None: not known."""
    if birth_date is None:
        return None
    born, today = date.fromisoformat(birth_date), datetime.fromtimestamp(now // SECOND, UTC).date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return years >= ADULT_YEARS


def expected_of(profile: Profile, interval_s: float | None) -> frozenset[str]:
    """The metrics whose silence means something on a device of that profile.

    Frame by frame: what comes at least every ``CONTINUOUS_S`` (``interval_s`` is the directory's word, then
    the profile's, then that of the frame's slowest metric), or as often as the metric comes anywhere. So a
    cuff is expected to give blood pressure, but not the pulse that comes along with it.
    """
    found: set[str] = set()
    for source, frame in profile.document.frames.items():
        metrics = {spec.metric for spec in frame.fields if spec.metric} - NOT_EXPECTED
        rows = [METRICS[m] for m in metrics if METRICS[m].kind == "numeric"]
        slowest = max((row.interval_s for row in rows), default=0.0)
        interval = interval_s or profile.interval_s(source) or slowest
        found |= {row.key for row in rows if interval <= max(row.interval_s, CONTINUOUS_S)}
    return frozenset(found)


def _expected(
    worn: Iterable[tuple[Association, Device]], catalog: Catalog, delivered: Delivered | None
) -> Mapping[str, int] | None:
    """Metric -> since when some device on the patient must deliver it."""
    found: dict[str, int] = {}
    for association, device in worn:
        metrics = _delivers(device, catalog, delivered)
        if metrics is None:
            return None
        for metric in metrics:
            found[metric] = min(association.start, found.get(metric, association.start))
    return found


def _delivers(device: Device, catalog: Catalog, delivered: Delivered | None) -> Collection[str] | None:
    """The metrics whose silence means something on a device; None: nobody can say.

    A device may have other standard services than its profile is for: what it has told of them counts, too.
    """
    if device.profile is not None and device.profile in catalog:
        profile = catalog.get(device.profile)
        found = expected_of(profile, device.interval_s)
        if not profile.document.composes or delivered is None:
            return found
        own = {spec.metric for frame in profile.document.frames.values() for spec in frame.fields}
        return found.union(_watched(set(delivered.get(device.id, ())) - own, device.interval_s))
    if delivered is None:
        return None
    return _watched(delivered.get(device.id, ()), device.interval_s)


def _devices(
    worn: Mapping[str, Iterable[tuple[Association, Device]]],
    stays: Mapping[str, str],
    catalog: Catalog,
    delivered: Delivered | None,
) -> dict[str, Context]:
    """The devices on patients: those that measure continuously in a ward have to be heard of."""
    found = {}
    for patient, pairs in worn.items():
        for association, device in pairs:
            metrics = _delivers(device, catalog, delivered) or ()
            continuous = any(METRICS[m].interval_s <= CONTINUOUS_S for m in metrics)
            heard = continuous and stays.get(patient) == "ward"
            expected = {HEARTBEAT: association.start} if heard else {}
            found[subject_key("device", device.id)] = Context(expected=expected)
    return found


def scored_by(known: Mapping[str, Context]) -> dict[str, tuple[object, ...]]:
    """What decides how somebody is scored, of those who are not scored as most are."""
    found = {name: (c.spo2_scale, c.adult is False, c.pregnant) for name, c in known.items()}
    return {name: how for name, how in found.items() if how != USUALLY}


def devices_heard(known: Mapping[str, Context]) -> frozenset[str]:
    """The devices of which signs of life are expected."""
    head = subject_key("device", "")
    return frozenset(
        name.removeprefix(head)
        for name, context in known.items()
        if name.startswith(head) and HEARTBEAT in (context.expected or {})
    )


def _watched(metrics: Collection[str], interval_s: float | None) -> Collection[str]:
    rows = [METRICS[m] for m in metrics if m in METRICS and m not in NOT_EXPECTED]
    numeric = [row for row in rows if row.kind == "numeric"]
    interval = interval_s or max((row.interval_s for row in numeric), default=0.0)
    return [row.key for row in numeric if interval <= max(row.interval_s, CONTINUOUS_S)]


def _stays(session: Session, tenant: str, now: int) -> dict[str, Literal["ward", "home"]]:
    query = select(Encounter.patient, Encounter.kind).where(
        Encounter.tenant == tenant,
        Encounter.start <= now,
        or_(Encounter.end.is_(None), Encounter.end > now),
    )
    return {p: cast('Literal["ward", "home"]', kind) for p, kind in session.execute(query).all()}


def _worn(session: Session, tenant: str, now: int) -> dict[str, list[tuple[Association, Device]]]:
    query = (
        select(Association, Device)
        .join(Device, (Device.tenant == Association.tenant) & (Device.id == Association.device))
        .where(
            Association.tenant == tenant,
            Association.superseded_at.is_(None),
            Association.start <= now,
            or_(Association.end.is_(None), Association.end > now),
        )
        .order_by(Association.start, Association.id)
    )
    found: defaultdict[str, list[tuple[Association, Device]]] = defaultdict(list)
    for association, device in session.execute(query).all():
        found[association.patient].append((association, device))
    return dict(found)


def _open(session: Session, model: Any, tenant: str, now: int) -> Iterable[Any]:
    query = select(model).where(
        model.tenant == tenant,
        model.ended_at.is_(None),
        or_(model.expires.is_(None), model.expires > now),
    )
    return session.scalars(query.order_by(model.id)).all()


def _by_patient(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.patient].append(row)
    return dict(found)


def limit_of(row: PatientLimit) -> Limit:
    """A limit as the rules know it."""
    daily = None if row.daily_from is None or row.daily_to is None else (row.daily_from, row.daily_to)
    return Limit(
        rule=row.rule,
        parameter=row.parameter,
        value=row.value,
        by=row.set_by_name,
        start=row.starts,
        reason=row.reason,
        expires=row.expires,
        daily=daily,
        timezone=row.timezone,
    )
