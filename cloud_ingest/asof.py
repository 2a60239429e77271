"""What held at a past moment, out of what the records keep: rules in force, limits, orders, stays, devices.

Nothing of that is deleted when it ends, so it can be read for any time. Not kept is when a patient was
entered as pregnant, and when a shipped rule left the library: for these the present stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.contexts import contexts, limit_of
from cloud_ingest.records.models import (
    Association,
    Encounter,
    PatientLimit,
    PatientOrder,
    RuleRelease,
    RuleVersion,
)
from firmware_profiles import Catalog
from hearthward.core.errors import ConfigError
from rules.context import Context, Limit
from rules.rule import Rule

__all__ = ["InForce", "in_force", "known_of", "limits_of", "rule_of"]

T = TypeVar("T", PatientLimit, PatientOrder, Encounter, Association)


@dataclass(frozen=True, slots=True)
class InForce:
    """What was decided by from ``since`` (UTC ns) on: the rule in force and the one on trial, if any."""

    since: int
    active: Rule | None
    trial: Rule | None = None


def rule_of(version: RuleVersion) -> Rule:
    """The rule as it was. Raises ConfigError when this software cannot read it any more."""
    try:
        return Rule.from_content(version.content)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        msg = f"rule {version.rule} version {version.version} ({version.hash}) is of another release: {error}"
        raise ConfigError(msg, rule=version.rule, hash=version.hash) from error


def in_force(
    releases: Sequence[RuleRelease], versions: Sequence[RuleVersion], start: int, end: int
) -> list[InForce]:
    """What was decided by at ``start``, and every change until ``end``, of one rule.

    A shipped rule counts as in force from when it was first decided by here. Raises ConfigError.
    """
    times = {start}
    for release in releases:
        times |= {t for t in (release.shadowed_at, release.activated_at, release.ended_at) if t is not None}
    times |= {v.first_seen for v in versions}
    return [_at(releases, versions, t) for t in sorted(t for t in times if start <= t <= end)]


def _at(releases: Sequence[RuleRelease], versions: Sequence[RuleVersion], at: int) -> InForce:
    contents = {v.hash: v for v in versions}
    released = {r.hash for r in releases}
    active = [r for r in releases if _within(r.activated_at, r.ended_at, at)]
    trials = [r for r in releases if _within(r.shadowed_at, r.activated_at or r.ended_at, at)]
    rule: Rule | None = None
    if active:
        newest = max(active, key=lambda r: r.activated_at or 0)
        rule = rule_of(contents[newest.hash]) if newest.hash in contents else None
    else:
        shipped = [v for v in versions if v.hash not in released and v.first_seen <= at]
        rule = rule_of(max(shipped, key=lambda v: (v.first_seen, v.version))) if shipped else None
    trial = rule_of(contents[trials[0].hash]) if trials and trials[0].hash in contents else None
    return InForce(at, rule, trial)


def _within(start: int | None, end: int | None, at: int) -> bool:
    return start is not None and start <= at and (end is None or at < end)


def limits_of(rows: Iterable[PatientLimit]) -> tuple[Limit, ...]:
    """Limits as the rules know them, each with the period in which it held."""
    found = []
    for row in rows:
        limit = limit_of(row)
        found.append(replace(limit, expires=_earliest(limit.expires, row.ended_at)))
    return tuple(found)


def known_of(
    session: Session, tenant: str, patient: str, start: int, end: int, catalog: Catalog
) -> list[tuple[int, Context]]:
    """What the rules knew of a patient at ``start`` and from every change until ``end`` on (UTC ns)."""
    limits = limits_of(_rows(session, PatientLimit, tenant, patient))
    orders = _rows(session, PatientOrder, tenant, patient)
    stays = _rows(session, Encounter, tenant, patient)
    worn = _rows(session, Association, tenant, patient)
    moments: list[int | None] = [start]
    for order in orders:
        moments += [order.given_at, order.expires, order.ended_at]
    for stay in stays:
        moments += [stay.start, stay.end]
    for association in worn:
        moments += [association.start, association.end]
    times = sorted({m for m in moments if m is not None and start <= m <= end})
    out: list[tuple[int, Context]] = []
    for at in times:
        found = contexts(session, tenant, at, catalog).get(patient, Context())
        scale = any(
            o.kind == "spo2_scale_2" and _within(o.given_at, _earliest(o.expires, o.ended_at), at)
            for o in orders
        )
        out.append((at, replace(found, limits=limits, spo2_scale=2 if scale else 1)))
    return out


def _earliest(*times: int | None) -> int | None:
    return min((t for t in times if t is not None), default=None)


def _rows(session: Session, model: type[T], tenant: str, patient: str) -> Sequence[T]:
    return session.scalars(
        select(model).where(model.tenant == tenant, model.patient == patient).order_by(model.id)
    ).all()
