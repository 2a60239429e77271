"""A small cloud that is asked why and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloud_ingest.contexts import load_contexts
from cloud_ingest.records.limits import LimitDraft, Limits
from cloud_ingest.records.models import Alarm
from cloud_ingest.records.releases import Releases
from cloud_ingest.why import Why
from cloud_ingest.why_desk import WhyDesk
from cloud_ingest.why_not import WhyNot
from firmware_profiles import Catalog, load_catalog
from hearthward.core.clock import SECOND
from hearthward.core.model import Reading
from hearthward.trust.access import Principal, Role
from rules import Rule, RuleSet
from tests.unit.cloud_ingest.ward import SCOPE, T0, TENANT, HandClock, Ward, block, live, reading

__all__ = ["DOCTOR", "Asked", "at", "doctor"]


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def doctor(name: str) -> Principal:
    return Principal(f"usr_{name}", f"Dr {name}", TENANT, frozenset({Role.DOCTOR}))


DOCTOR = doctor("Li")


class Asked:
    """A ward whose clock is stepped; ``dev_1`` is on ``pat_1``, ``dev_2`` on ``pat_2``."""

    def __init__(self, ward: Ward) -> None:
        self.ward = ward
        self.records = ward.records
        self.desk = WhyDesk(ward.records, ward.store, TENANT, self.catalog())
        self._seq = 0

    @classmethod
    async def of(cls, path: Path, *rules: Rule) -> Asked:
        return cls(await Ward(path, clock=HandClock(T0), rules=RuleSet(rules)).start())

    @staticmethod
    def catalog() -> Catalog:
        return load_catalog()

    async def come(self, *readings: Reading, ingested: float | None = None) -> None:
        """Readings arrive as one frame when the last of them was received, or at ``ingested``."""
        now = max((r.received - T0) / SECOND for r in readings) if ingested is None else ingested
        self.ward.clock.follow(at(now))
        first = self._seq + 1
        self._seq += len(readings)
        await self.ward.take(live(block(first, *readings), at=now))

    async def measure(self, *values: tuple[float, float], **more: Any) -> None:
        """SpO2 (or ``metric``) of ``dev_1``: (measured and received at, value) each in a frame of its own."""
        for when, value in values:
            await self.come(reading(when, value, **more))

    async def wait(self, until: float) -> None:
        """Time passes."""
        self.ward.clock.follow(at(until))
        await self.ward.pipeline.tick()

    async def know(self) -> None:
        """The rules are told what the records have."""
        now = self.ward.clock.now_ns()
        found = await load_contexts(self.records, TENANT, now, self.catalog())
        await self.ward.pipeline.know(found)
        await self.ward.pipeline.reload_attribution()

    async def limit(self, value: float, rule: Rule, **more: Any) -> str:
        """Dr Li sets ``limit`` of a rule for ``pat_1``; returns its id."""
        draft = LimitDraft(rule.id, "limit", value, "COPD", **more)
        now, ids = self.ward.clock.now_ns(), self.records.ids

        def write(session: Any) -> str:
            rules = RuleSet((rule,))
            return Limits(session, now=now, ids=ids).set(SCOPE, "pat_1", draft, rules=rules, who=DOCTOR).id

        made = await self.records.run(write)
        await self.know()
        return made

    async def release(self, rule: Rule, *acts: str) -> str:
        """A site's own rule, written by Dr Li and brought forward by Dr Wu."""
        now, ids = self.ward.clock.now_ns(), self.records.ids

        def write(session: Any) -> str:
            releases = Releases(session, now=now, ids=ids)
            row = releases.draft(SCOPE, rule, f"id: {rule.id} # as written", note="", who=DOCTOR)
            for act in acts:
                releases.advance(SCOPE, row.id, act, who=doctor("Wu"))  # type: ignore[arg-type]
            return row.id

        return await self.records.run(write)

    async def alarms(self, **wanted: Any) -> list[Alarm]:
        found: list[Alarm] = await self.ward.rows(Alarm)
        return [a for a in found if all(getattr(a, k) == v for k, v in wanted.items())]

    async def why(self, alarm: str | None = None) -> Why:
        """Why the alarm, or the only one there is."""
        if alarm is None:
            (only,) = await self.alarms()
            alarm = only.id
        return await self.desk.why(SCOPE, alarm)

    async def why_not(self, when: float, rule: str = "spo2-low", patient: str = "pat_1") -> WhyNot:
        """Asked when that time has come."""
        self.ward.clock.follow(at(when))
        return await self.desk.why_not(SCOPE, patient, rule, at(when))
