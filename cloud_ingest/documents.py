"""The bodies of configuration documents: devices, rules, and what these must know of the patients there.

A body depends on what is in force, not on when it is made: it changes only when something in it does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution, Span, load_attribution
from cloud_ingest.contexts import contexts, ended_stays, expected_by_gateway
from cloud_ingest.records.models import Bed, Device, Encounter, Gateway, Ward
from cloud_ingest.records.relearned import relearned
from firmware_profiles import Catalog
from hearthward.core.clock import SECOND
from rules.conditions import Unusual, leaves
from rules.rule import RuleSet
from rules.travelling import VERSION as DECISIONS

__all__ = ["RECENT_NS", "RulesToSend", "bodies"]

RECENT_NS: Final = 72 * 3600 * SECOND
"""Associations that ended so long ago are still told: an edge may have readings of then to decide on."""


@dataclass(frozen=True, slots=True)
class RulesToSend:
    """Those of a set that a gateway can decide by: about patients and devices, with their hash.

    ``learning`` are the ids by which an alarm goes that something unusual has a part in.
    """

    content: list[Any]
    hash: str
    learning: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rules: RuleSet) -> RulesToSend:
        """The rules of a set, also those in shadow."""
        sent = RuleSet(tuple(r for r in rules if r.subject in {"patient", "device"}))
        asking = {r.id for r in sent if any(isinstance(leaf, Unusual) for leaf in leaves(r.condition))}
        stages = {r.raises for r in sent if r.id in asking} | {r.id for r in sent if r.raises in asking}
        learning = frozenset(filter(None, asking | stages))
        return cls([[_plain(r.content()), r.shadow] for r in sent], sent.hash, learning)


def bodies(
    session: Session, tenant: str, now: int, catalog: Catalog, rules: RulesToSend
) -> dict[str, dict[str, Any]]:
    """Gateway -> the body of its document as of ``now`` (UTC ns), gateways out of use included."""
    attribution = load_attribution(session, tenant)
    devices: defaultdict[str, list[Device]] = defaultdict(list)
    present = select(Device).where(Device.tenant == tenant, Device.ended.is_(None)).order_by(Device.id)
    for device in session.scalars(present):
        devices[device.gateway].append(device)
    known = contexts(session, tenant, now, catalog)
    ended = ended_stays(session, tenant, sorted(known), now)
    known = {name: context for name, context in known.items() if name not in ended}
    expected = expected_by_gateway(session, tenant, now, catalog)
    places = _places(session, tenant, now)
    levels = relearned(session, tenant, rules.learning, now)
    out = {}
    for gateway in session.scalars(select(Gateway).where(Gateway.tenant == tenant).order_by(Gateway.id)):
        mine = devices[gateway.id] if gateway.ended is None else []
        spans = _recent(mine, attribution, now)
        people = {
            patient: replace(known[patient], expected=expected.get((gateway.id, patient), {}))
            for patient in sorted({span.patient for span in spans})
            if patient in known
        }
        out[gateway.id] = _body(gateway, mine, attribution, now) | {
            "rules": rules.content,
            "rules_hash": rules.hash,
            "contexts": {patient: _plain(context.content()) for patient, context in people.items()},
            "associations": [[s.device, s.patient, s.start, s.end] for s in spans],
            "decisions": DECISIONS,
            "relearned": {patient: levels[patient] for patient in people if patient in levels},
            "places": {patient: places[patient] for patient in people if patient in places},
            "issued": now,
        }
    return out


def _body(gateway: Gateway, devices: list[Device], attribution: Attribution, now: int) -> dict[str, Any]:
    return {
        "tenant": gateway.tenant,
        "timezone": gateway.timezone,
        "devices": [
            {
                "id": device.id,
                "transport": device.transport,
                "address": device.address,
                "profile": device.profile,
                "timezone": device.timezone,
                "interval_s": device.interval_s,
                "patient": attribution.patient(device.id, now),
            }
            for device in devices
        ],
    }


def _recent(devices: list[Device], attribution: Attribution, now: int) -> list[Span]:
    return [
        span
        for device in devices
        for span in attribution.of_device(device.id)
        if span.end is None or span.end > now - RECENT_NS
    ]


def _places(session: Session, tenant: str, now: int) -> dict[str, str]:
    """Patient -> the ward and bed they are in, as people call them."""
    query = (
        select(Encounter.patient, Ward.name, Bed.label)
        .join(Bed, (Bed.tenant == Encounter.tenant) & (Bed.id == Encounter.bed))
        .join(Ward, (Ward.tenant == Bed.tenant) & (Ward.id == Bed.ward))
        .where(
            Encounter.tenant == tenant,
            Encounter.start <= now,
            or_(Encounter.end.is_(None), Encounter.end > now),
        )
    )
    return {patient: f"{ward} / {bed}" for patient, ward, bed in session.execute(query)}


def _plain(value: Any) -> Any:
    """The same with lists for tuples: as it comes back from the records and from the wire."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
