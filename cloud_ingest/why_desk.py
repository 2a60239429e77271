"""Why an alarm fired and why a rule did not, read from the records and the store of one tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.asof import in_force, known_of, rule_of
from cloud_ingest.kept import explained_at, needs_past
from cloud_ingest.life_words import Unnamed
from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.past_reader import PastReader
from cloud_ingest.records import Records
from cloud_ingest.records.models import Patient, RuleRelease, User
from cloud_ingest.records.rule_versions import rule_version, versions_of
from cloud_ingest.records.scoping import Repository
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.why import Case, Why, opening, why
from cloud_ingest.why_not import WhyNot, answer
from firmware_profiles import Catalog
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope
from rules.evaluate import UNFIT
from rules.hindsight import look_back_s
from rules.rule import Rule

__all__ = ["WhyDesk"]


def _names(session: Session, scope: Scope) -> Mapping[str, str]:
    """Users' names by their ids; a patient learns nobody's but their own."""
    query = select(User).where(User.tenant == scope.tenant)
    if scope.patient is None:
        return {u.id: u.name for u in session.scalars(query)}
    return Unnamed({u.id: u.name for u in session.scalars(query.where(User.patient == scope.patient))})


class _Patients(Repository):
    """To see whether a patient may be asked about."""

    def visible(self, scope: Scope, patient: str) -> None:
        """Raise ConfigError (``not_found``) unless the scope covers the patient."""
        self._find(Patient, scope, patient, "patient", *self._patient_limit(Patient.id, scope))


class WhyDesk:
    """Answers both questions; it changes nothing."""

    def __init__(self, records: Records, store: TimeSeriesStore, tenant: str, catalog: Catalog) -> None:
        self._records, self._store, self._tenant, self._catalog = records, store, tenant, catalog
        self._reader = PastReader(records, store, tenant, catalog)

    async def why(self, scope: Scope, alarm: str) -> Why:
        """Why an alarm (or an entry of the worklist, or of a trial) is there.

        Raises ConfigError (``not_found``: there is none in scope) and StoreUnavailable.
        """
        case, rule = await self._records.read(lambda s: self._case(s, scope, alarm))
        first = opening(case.history)
        if rule is not None and first is not None and needs_past(rule):
            back = round(look_back_s(rule) * SECOND)
            at = explained_at(first)
            for seen in first.inputs:
                key = str(seen["metric"]), str(seen["device"])
                case.past[key] = await self._values(*key, at - back, int(seen["time"]))
        return why(case)

    async def why_not(self, scope: Scope, patient: str, rule: str, at: int) -> WhyNot:
        """Why a rule did not fire for a patient at ``at`` (UTC ns), or that it did.

        Raises ConfigError: no such patient in scope, or never such a rule (``not_found``), or a time that is
        still to come (``period``); and StoreUnavailable.
        """
        now = self._records.clock.now_ns()
        if at > now:
            msg = "the time asked about is still to come"
            raise ConfigError(msg, field="at", reason="period")
        await self._records.read(
            lambda s: _Patients(s, now=now, wall=self._records.wall.now_ns(), ids=self._records.ids).visible(
                scope, patient
            )
        )
        past = await self._reader.read(patient, rule, at)
        if past is None:
            msg = f"rule: there never was a rule {rule!r} here; `hearthward rules list` shows those that ship"
            raise ConfigError(msg, field="rule", reason="not_found")
        return await asyncio.to_thread(answer, past)

    def _case(self, session: Session, scope: Scope, alarm: str) -> tuple[Case, Rule | None]:
        history = self._records.alarms(session).get(scope, alarm)
        row, tenant = history.alarm, self._tenant
        version = rule_version(session, tenant, row.rule_hash)
        releases = session.scalars(
            select(RuleRelease).where(RuleRelease.tenant == tenant, RuleRelease.rule == row.rule)
        ).all()
        now = self._records.clock.now_ns()
        case = Case(
            history,
            version,
            now=in_force(releases, versions_of(session, tenant, row.rule), now, now)[0].active,
            release=next((r for r in releases if r.hash == row.rule_hash), None),
            names=_names(session, scope),
        )
        first = opening(history)
        if row.patient is not None and first is not None:
            at = first.recorded
            case.context = known_of(session, tenant, row.patient, at, at, self._catalog)[0][1]
        try:
            return case, None if version is None else rule_of(version)
        except ConfigError:
            return case, None

    async def _values(self, metric: str, device: str, start: int, end: int) -> Sequence[tuple[int, float]]:
        batch = await self._store.read(self._tenant, [device], [metric], max(0, start), end + 1)
        rows = rows_to_judge(batch, [None] * len(batch))
        return [
            (time, value)
            for time, value, quality in zip(rows.time, rows.value, rows.quality, strict=True)
            if value is not None and not quality & UNFIT
        ]
