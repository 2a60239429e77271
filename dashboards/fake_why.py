"""The fake's answers to why and why not: by the same reasoning, over what was put in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from cloud_ingest.asof import InForce
from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.past import Past, Recorded
from cloud_ingest.past_reader import inputs_of, later_of
from cloud_ingest.records import AlarmHistory
from cloud_ingest.records.models import Alarm, DeliveryAttempt, Notification, RuleVersion, TransitionRow
from cloud_ingest.why import Case, why
from cloud_ingest.why_not import answer
from dashboards.backend import DirectoryError
from dashboards.models import AlarmDetail, AlarmTransition
from dashboards.patient_eyes import why_seen
from dashboards.why_models import Why, WhyNot
from hearthward.core.clock import SECOND, Clock, iso
from hearthward.core.model import Reading, ReadingBatch
from hearthward.trust.access import Scope
from rules import Rule, RuleSet
from rules.compiled import Compiled
from rules.context import Context, Limit
from rules.hindsight import look_back_s

__all__ = ["FakeWhy", "history_of"]


class FakeWhy(ABC):
    """The part of ``FakeBackend`` that says why."""

    clock: Clock

    @abstractmethod
    def _sees(self, scope: Scope, patient: str) -> bool:
        """Whether there is such a patient in scope."""

    @abstractmethod
    def _in_force(self, scope: Scope) -> RuleSet:
        """The rules in force."""

    @abstractmethod
    def _limits_of(self, scope: Scope, patient: str) -> tuple[Limit, ...]:
        """All limits ever set for a patient."""

    @abstractmethod
    def _readings_of(self, scope: Scope, patient: str) -> Sequence[Reading]:
        """All readings of a patient."""

    @abstractmethod
    def _alarms_of(self, scope: Scope, patient: str) -> Sequence[AlarmDetail]:
        """All alarms of a patient."""

    @abstractmethod
    def _names_for(self, scope: Scope) -> Mapping[str, str]:
        """Names by ids of users, as the scope may learn them."""

    @abstractmethod
    def _details(self, tenant: str) -> Sequence[AlarmDetail]:
        """All alarms."""

    @abstractmethod
    async def alarm(self, scope: Scope, key: str) -> AlarmDetail | None:
        """See the port."""

    async def why(self, scope: Scope, alarm: str) -> Why | None:
        """See the port."""
        found = await self.alarm(scope, alarm)
        if found is None:
            return None
        now = self._in_force(scope).by_id.get(found.rule)
        same = now is not None and now.hash == found.rule_hash
        version = _version(scope.tenant, now, found.onset) if same and now is not None else None
        history = history_of(scope.tenant, self._alarm_as_put(scope.tenant, alarm))
        return why_seen(scope, Why.of(why(Case(history, version, now=now, names=self._names_for(scope)))))

    def _alarm_as_put(self, tenant: str, key: str) -> AlarmDetail:
        return next(a for a in self._details(tenant) if a.id == key)

    async def why_not(self, scope: Scope, patient: str, rule: str, at: int) -> WhyNot | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        if at > self.clock.now_ns():
            raise DirectoryError(field="at", code="future", value=iso(at))
        known = self._in_force(scope).by_id.get(rule)
        if known is None:
            raise DirectoryError(field="rule", code="unknown", value=rule)
        start = at - round(look_back_s(known) * SECOND)
        batch = ReadingBatch.of(
            r
            for r in self._readings_of(scope, patient)
            if r.metric in known.looks_at and start <= r.corrected <= at + 600 * SECOND
        )
        rows = rows_to_judge(batch, [patient] * len(batch))
        past = Past(
            patient=patient,
            rule=rule,
            at=at,
            start=start,
            end=at + 600 * SECOND,
            rules=[InForce(start, known)],
            known=[(start, Context(limits=self._limits_of(scope, patient)))],
            measured=inputs_of(rows),
            later=later_of(rows, Compiled(known.resolved, "", {}), at),
            recorded=[_recorded(a) for a in self._alarms_of(scope, patient) if a.rule == rule],
            first_known=start,
        )
        return WhyNot.of(answer(past))


def _recorded(alarm: AlarmDetail) -> Recorded:
    started = None if alarm.worklist else alarm.started
    return Recorded(
        alarm.id, alarm.onset, started=started, told=started, ended=alarm.ended, worklist=alarm.worklist
    )


def _version(tenant: str, rule: Rule, at: int) -> RuleVersion:
    return RuleVersion(
        tenant=tenant,
        hash=rule.hash,
        rule=rule.id,
        version=rule.version,
        content=rule.content(),
        source=None,
        first_seen=at,
    )


def history_of(tenant: str, alarm: AlarmDetail) -> AlarmHistory:
    """What was put in as the records would have it."""
    row = Alarm(
        tenant=tenant,
        id=alarm.id,
        patient=alarm.patient,
        rule=alarm.rule,
        rule_hash=alarm.rule_hash,
        priority=alarm.priority,
        condition=alarm.condition,
        onset=alarm.onset,
        started=alarm.started,
        ended=alarm.ended,
        accepted_by=alarm.accepted_by,
        accepted_at=alarm.accepted_at,
        text_en=alarm.text.get("en", ""),
        text_zh=alarm.text.get("zh", alarm.text.get("en", "")),
        limit_text=alarm.limit,
        values_json=alarm.values,
        late=alarm.late,
        worklist=alarm.worklist,
        signalled=not alarm.worklist,
        shadow=False,
    )
    transitions = [_transition(tenant, alarm, i, t) for i, t in enumerate(alarm.transitions)]
    notes, attempts = _deliveries(tenant, alarm)
    return AlarmHistory(row, transitions, notes, attempts)


def _transition(tenant: str, alarm: AlarmDetail, number: int, t: AlarmTransition) -> TransitionRow:
    return TransitionRow(
        tenant=tenant,
        alarm=alarm.id,
        seq=number,
        ordinal=0,
        kind=t.kind,
        condition=t.condition,
        priority=t.priority or alarm.priority,
        rule_hash=t.rule_hash or alarm.rule_hash,
        at=t.at,
        onset=alarm.onset,
        recorded=t.at,
        values_json=t.values,
        limit_text=t.limit,
        text_en=alarm.text.get("en", ""),
        text_zh=alarm.text.get("zh", ""),
        inputs=[i.model_dump() for i in t.inputs],
        actor=t.actor,
        note=t.note,
        late=t.late,
        shadow=False,
        detail=dict(t.detail),
    )


def _deliveries(tenant: str, alarm: AlarmDetail) -> tuple[list[Notification], list[DeliveryAttempt]]:
    notes: dict[tuple[str, str], Notification] = {}
    attempts = []
    for d in alarm.deliveries:
        note = notes.setdefault(
            (d.channel, d.recipient),
            Notification(
                tenant=tenant,
                id=f"{d.channel} {d.recipient}",
                alarm=alarm.id,
                seq=0,
                ordinal=0,
                kind="start",
                channel=d.channel,
                who=d.recipient,
                target=d.recipient,
                state=d.state,
                created=alarm.started,
            ),
        )
        if d.attempt:
            attempts.append(
                DeliveryAttempt(
                    tenant=tenant,
                    notification=note.id,
                    at=d.at,
                    outcome=d.state,
                    detail=d.reason,
                    latency_ms=d.latency_ms or 0.0,
                )
            )
    return list(notes.values()), attempts
