"""What there is to know of a patient and a rule around a past moment, read from the records and the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from cloud_ingest.asof import in_force, known_of
from cloud_ingest.attribution import Attribution, Span, load_attribution
from cloud_ingest.entry import manual_device
from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.past import Past, Recorded
from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm, DeadLetter, RuleRelease, TransitionRow
from cloud_ingest.records.rule_versions import versions_of
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.why import STAGED
from firmware_profiles import Catalog
from hearthward.core.clock import SECOND, iso
from hearthward.core.errors import DecodeError
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import decode_block
from rules.compiled import Compiled
from rules.hindsight import look_back_s, might_breach
from rules.model import Measured, Readings, Rows
from rules.rule import Rule

__all__ = ["AFTER_NS", "PastReader", "inputs_of", "later_of", "recorded_of"]

AFTER_NS: Final = 600 * SECOND
"""How long after the moment is looked at, besides the rule's own times, to tell what became of it."""
BEFORE_NS: Final = 3600 * SECOND
"""How far before the moment readings are named that could not be judged."""
ELSEWHERE_NS: Final = 600 * SECOND
REFUSED: Final = ("future", "implausible")
MOST: Final = 20
READINGS: Final = 300_000
"""So many readings of one device are looked at, the newest: 3.5 days of one a second."""
CHUNK: Final = 4096


class PastReader:
    """Reads one tenant's past; it changes nothing."""

    def __init__(self, records: Records, store: TimeSeriesStore, tenant: str, catalog: Catalog) -> None:
        self._records, self._store, self._tenant, self._catalog = records, store, tenant, catalog

    async def read(self, patient: str, rule: str, at: int) -> Past | None:
        """The past around ``at`` (UTC ns); None when there never was a rule of that id.

        The patient must be known to exist and to be the asker's to see. Raises ConfigError for a rule whose
        content this software cannot read, and StoreUnavailable.
        """
        past = await self._records.read(lambda s: self._of_records(s, patient, rule, at))
        if past is None:
            return None
        rules = [r for now in past.rules for r in (now.active, now.trial) if r is not None]
        metrics = sorted({m for r in rules for m in r.looks_at})
        if not metrics:
            return past
        attribution = await self._records.read(lambda s: load_attribution(s, self._tenant))
        spans = [*attribution.spans(patient), Span(manual_device(patient), patient, 0)]
        rows, start = Rows(), past.start
        for span in spans:
            first, last = max(start, span.start), past.end + 1
            batch = await self._batch(span.device, metrics, first, min(last, span.end or last))
            if len(batch) == READINGS:
                past.start = max(past.start, batch.corrected[0])
            _extend(rows, rows_to_judge(batch, [patient] * len(batch)))
        past.measured = inputs_of(rows, at - BEFORE_NS)
        compiled = Compiled(rules[-1].resolved, "", {})
        past.later = later_of(rows, compiled, at)
        past.elsewhere = await self._elsewhere(spans[:-1], attribution, compiled, past)
        devices = {span.device for span in spans}
        past.refused = await self._records.read(lambda s: self._refused(s, devices, metrics, at))
        return past

    async def _batch(self, device: str, metrics: Sequence[str], start: int, end: int) -> ReadingBatch:
        if start >= end:
            return ReadingBatch()
        return await self._store.read(
            self._tenant, [device], metrics, start, end, limit=READINGS, newest=True
        )

    def _of_records(self, session: Session, patient: str, rule: str, at: int) -> Past | None:
        releases = session.scalars(
            select(RuleRelease).where(RuleRelease.tenant == self._tenant, RuleRelease.rule == rule)
        ).all()
        versions = versions_of(session, self._tenant, rule)
        if not releases and not versions:
            return None
        spans = [_spans(r.active or r.trial) for r in in_force(releases, versions, at, at)]
        before, after = spans[-1]
        now = self._records.clock.now_ns()
        start, end = at - before, min(at + after, now)
        hashes = {r.hash for r in releases} | {v.hash for v in versions}
        drafts = {r.hash for r in releases if r.shadowed_at is None}
        begun = [r.activated_at for r in releases if r.activated_at is not None]
        begun += [v.first_seen for v in versions if v.hash not in {r.hash for r in releases}]
        return Past(
            patient=patient,
            rule=rule,
            at=at,
            start=start,
            end=end,
            rules=in_force(releases, versions, start, end),
            known=known_of(session, self._tenant, patient, start, end, self._catalog),
            recorded=self._recorded(session, patient, rule, start, end, hashes),
            drafts=len(drafts),
            now=now,
            first_known=min(begun, default=None),
        )

    def _recorded(
        self, session: Session, patient: str, rule: str, start: int, end: int, hashes: Collection[str]
    ) -> list[Recorded]:
        staged = TransitionRow.detail["part", "rule"].as_string() == rule
        query = (
            select(Alarm)
            .where(
                Alarm.tenant == self._tenant,
                Alarm.patient == patient,
                or_(Alarm.rule == rule, self._line(staged)),
                Alarm.onset <= end,
                or_(Alarm.ended.is_(None), Alarm.ended >= start),
                or_(Alarm.worklist.is_(False), self._listed(start, end)),
            )
            .order_by(Alarm.onset.desc())
            .limit(100)
        )
        alarms = session.scalars(query).all()
        lines = select(TransitionRow).where(
            TransitionRow.tenant == self._tenant,
            TransitionRow.alarm.in_([a.id for a in alarms]),
            or_(
                TransitionRow.kind.in_(("ask", "start", "late")),
                TransitionRow.detail["part", "rule"].as_string().is_not(None),
            ),
        )
        told: defaultdict[str, list[TransitionRow]] = defaultdict(list)
        for row in session.scalars(lines.order_by(TransitionRow.seq, TransitionRow.ordinal)):
            told[row.alarm].append(row)
        return [found for a in alarms for found in recorded_of(a, told[a.id], rule, hashes)]

    @staticmethod
    def _line(which: ColumnElement[bool]) -> ColumnElement[bool]:
        """Alarms with such a line in their history."""
        return exists().where(TransitionRow.tenant == Alarm.tenant, TransitionRow.alarm == Alarm.id, which)

    def _listed(self, start: int, end: int) -> ColumnElement[bool]:
        """Entries of the worklist that were made then, however old what they tell of."""
        return exists().where(
            TransitionRow.tenant == self._tenant,
            TransitionRow.alarm == Alarm.id,
            TransitionRow.kind == "late",
            TransitionRow.recorded.between(start, end),
        )

    async def _elsewhere(
        self, spans: Iterable[Span], attribution: Attribution, compiled: Compiled, past: Past
    ) -> list[tuple[Measured, bool]]:
        """Readings of the patient's devices while they were not on the patient."""
        found: list[tuple[Measured, bool]] = []
        metrics = sorted(compiled.max_age)
        for device in sorted({span.device for span in spans}):
            batch = await self._batch(device, metrics, past.at - ELSEWHERE_NS, past.at + 1)
            rows = rows_to_judge(batch, [None] * len(batch))
            for m in _measured(rows):
                wearer = attribution.patient(device, m.time)
                if wearer != past.patient and might_breach(compiled, m):
                    found.append((m, wearer is not None))
        newest: dict[tuple[str, bool], tuple[Measured, bool]] = {(m.device, o): (m, o) for m, o in found}
        return list(newest.values())

    def _refused(
        self, session: Session, devices: Collection[str], metrics: Collection[str], at: int
    ) -> list[tuple[int, str, str]]:
        query = select(DeadLetter).where(
            DeadLetter.tenant == self._tenant,
            DeadLetter.reason.in_(REFUSED),
            DeadLetter.at >= at - BEFORE_NS,
            DeadLetter.at <= at,
        )
        out: list[tuple[int, str, str]] = []
        for letter in session.scalars(query.order_by(DeadLetter.id.desc()).limit(MOST * 10)):
            try:
                batch = decode_block(letter.payload)
            except DecodeError:
                continue
            out += [
                (r.received, letter.reason, f"{r.metric} {r.value:g}, {iso(r.corrected)}, {r.device}")
                for r in batch
                if r.device in devices and r.metric in metrics and r.value is not None
            ]
        return out[:MOST]


def _spans(rule: Rule | None) -> tuple[int, int]:
    """How far before and after the moment is looked at (ns)."""
    if rule is None:
        return BEFORE_NS, AFTER_NS
    before = round(look_back_s(rule) * SECOND)
    timeout = float(getattr(rule.condition, "timeout_s", 0.0))
    return before, round((rule.delay_s + timeout) * SECOND) + AFTER_NS


def recorded_of(
    alarm: Alarm, told: Sequence[TransitionRow], rule: str, hashes: Collection[str]
) -> list[Recorded]:
    """What was decided of a rule, whose ``hashes`` these are: an alarm's row with the lines that open it.

    Of an alarm of several stages those of the rule, each as it began and ended.
    """
    if any("part" in t.detail for t in told):
        return list(_stages(alarm, told, rule, hashes))
    asked = next((t for t in told if t.kind == "ask"), None)
    started = next((t for t in told if t.kind in {"start", "late"}), None)
    return [
        Recorded(
            id=alarm.id,
            onset=alarm.onset,
            asked=None if asked is None else asked.at,
            started=alarm.started if alarm.signalled else None,
            told=None if started is None else started.recorded,
            ended=alarm.ended,
            shadow=alarm.shadow,
            worklist=alarm.worklist,
        )
    ]


def _stages(
    alarm: Alarm, told: Sequence[TransitionRow], rule: str, hashes: Collection[str]
) -> Iterator[Recorded]:
    now: Recorded | None = None
    for t in told:
        part = t.detail.get("part", {})
        if t.kind == "start" and t.rule_hash in hashes:
            now = Recorded(alarm.id, t.onset, None, t.at, t.recorded)
        elif part.get("rule") != rule:
            continue
        elif t.detail.get("why") in STAGED:
            now = Recorded(alarm.id, part["onset"], None, t.at, t.recorded)
        elif now is not None and (part["state"] != "active" or t.detail.get("why") == "part_over"):
            yield replace(now, ended=t.at)
            now = None
    if now is not None:
        yield replace(now, ended=alarm.ended)


def inputs_of(rows: Rows, exactly_from: int = 0) -> list[Readings]:
    """Inputs in the order in which they were received: from ``exactly_from`` on one a measurement.

    What came before is put together as long as it came in the order of measurement.
    """
    order = sorted(range(len(rows)), key=lambda i: (rows.received[i], rows.time[i], rows.device[i]))
    out: list[Readings] = []
    part, last = Rows(), (0, 0, "")
    for i in order:
        mark = rows.received[i], rows.time[i], rows.device[i]
        in_order = mark[1] >= last[1] and mark[0] < exactly_from and len(part) < CHUNK
        if len(part) and mark != last and not in_order:
            out.append(Readings(0, last[0], part))
            part = Rows()
        part.append(
            rows.patient[i],
            rows.device[i],
            rows.metric[i],
            rows.value[i],
            rows.time[i],
            rows.received[i],
            rows.quality[i],
        )
        last = mark
    if len(part):
        out.append(Readings(0, last[0], part))
    return out


def later_of(rows: Rows, compiled: Compiled, at: int) -> list[Measured]:
    """What was measured shortly before ``at``, received after it, that could have mattered."""
    found = [
        m
        for m in _measured(rows)
        if at - BEFORE_NS <= m.time <= at < m.received
        and m.metric in compiled.max_age
        and might_breach(compiled, m)
    ]
    return sorted(found, key=lambda m: m.time)[-MOST:]


def _measured(rows: Rows) -> Iterable[Measured]:
    columns = (rows.metric, rows.device, rows.time, rows.value, rows.received)
    return [Measured(m, d, t, v, r) for m, d, t, v, r in zip(*columns, strict=True) if v is not None]


def _extend(rows: Rows, more: Rows) -> None:
    for name in ("patient", "device", "metric", "value", "time", "received", "quality"):
        getattr(rows, name).extend(getattr(more, name))
