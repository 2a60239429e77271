"""Old rows go in batches and are counted; what an open alarm needs stays, and so does the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud_ingest import retention as retention_module
from cloud_ingest.records.models import (
    Alarm,
    AuditRow,
    DeadLetter,
    DeliveryAttempt,
    InactivationRow,
    JournalRow,
    Notification,
    Pruned,
)
from cloud_ingest.retention import Retention
from hearthward.core.clock import SECOND
from hearthward.core.retention_settings import RetentionSettings
from tests.unit.cloud_ingest.ward import T0, TENANT, Ward, block, frame, reading

DAY = 86_400 * SECOND
NOW = T0 + 1000 * DAY


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db").start()
    yield made
    await made.close()


def retention(ward: Ward, **settings: Any) -> Retention:
    return Retention(TENANT, ward.records, RetentionSettings(**settings), ward.telemetry)


async def counted(ward: Ward) -> dict[tuple[str, str], tuple[int, int]]:
    return {(p.what, p.reason): (p.rows, p.readings) for p in await ward.rows(Pruned)}


async def told(
    ward: Ward, alarm: str, *, state: str = "handed_over", age_days: int = 900, tried: int = 900
) -> None:
    """A message about an alarm, so many days before NOW, with an attempt."""

    def write(session: Session) -> None:
        n = session.scalar(select(func.count()).select_from(Notification)) or 0
        row = session.scalars(select(Notification).limit(1)).first()
        assert row is not None
        values = {c.name: getattr(row, c.name) for c in Notification.__table__.columns}
        values |= {"id": f"ntf_x{n}", "alarm": alarm, "ordinal": 100 + n, "state": state, "unreported": None}
        session.add(Notification(**{**values, "created": NOW - age_days * DAY}))
        session.flush()
        attempt = {
            "notification": f"ntf_x{n}",
            "at": NOW - tried * DAY,
            "outcome": "handed_over",
            "detail": "",
        }
        session.add(DeliveryAttempt(tenant=TENANT, latency_ms=1.0, after_ms=None, **attempt))

    await ward.records.run(write)


async def an_alarm(ward: Ward, *, over: bool) -> str:
    await ward.take(frame(block(1, reading(0, 84))))
    if over:
        await ward.take(frame(block(2, reading(10, 97)), at=10))
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.condition == "inactive") is over
    return str(alarm.id)


async def ours(ward: Ward) -> list[str]:
    return [n.id for n in await ward.rows(Notification) if n.id.startswith("ntf_x")]


async def test_messages_of_an_alarm_that_is_over_go_with_their_attempts(ward: Ward):
    alarm = await an_alarm(ward, over=True)
    await told(ward, alarm)
    await told(ward, alarm, age_days=100, tried=100)
    await told(ward, alarm, tried=100)  # old, but tried again lately
    await told(ward, alarm, state="queued")
    before = await ours(ward)
    await retention(ward).prune(NOW)
    assert await ours(ward) == before[1:]
    assert len(await ward.rows(DeliveryAttempt)) == 3
    pruned = await counted(ward)
    assert pruned["delivery_attempts", ""] == (1, 0)
    assert pruned["notifications", ""][0] >= 1
    await retention(ward).prune(NOW)
    assert await counted(ward) == pruned


async def test_what_an_open_alarm_needs_stays(ward: Ward):
    alarm = await an_alarm(ward, over=False)
    await told(ward, alarm)
    await retention(ward).prune(NOW)
    assert len(await ours(ward)) == 1
    assert len(await ward.rows(DeliveryAttempt)) == 1


async def test_nothing_is_dropped_where_it_is_kept_for_ever(ward: Ward):
    alarm = await an_alarm(ward, over=True)
    await told(ward, alarm)
    await retention(ward, notifications_days=0, inactivations_days=0).prune(NOW)
    assert len(await ours(ward)) == 1


async def test_young_attempts_cannot_be_deleted_by_anybody(ward: Ward):
    alarm = await an_alarm(ward, over=True)
    await told(ward, alarm, tried=1)
    for also in (False, True):
        if also:  # though old ones were dropped before
            await told(ward, alarm)
            await retention(ward).prune(NOW)
        with pytest.raises(IntegrityError, match="append-only"):
            await ward.records.run(lambda s: s.execute(delete(DeliveryAttempt)))


async def test_pauses_that_ended_long_ago_go(ward: Ward):
    def write(session: Session) -> None:
        for n, ended in enumerate((NOW - 500 * DAY, NOW - DAY, None)):
            session.add(
                InactivationRow(
                    tenant=TENANT,
                    id=f"ina_{n}",
                    subject="pat_1" if ended is None else f"pat_{n}",
                    kind="audio_off",
                    by="usr_1",
                    reason="",
                    start=T0,
                    until=T0 + DAY,
                    ended=ended,
                    ended_by=None,
                    replaced_by=None,
                    seq=1,
                )
            )

    await ward.records.run(write)
    await retention(ward).prune(NOW)
    assert [i.id for i in await ward.rows(InactivationRow)] == ["ina_1", "ina_2"]
    assert (await counted(ward))["inactivations", ""] == (1, 0)


async def refused(
    ward: Ward, *ages: float, size: int = 10, state: str = "kept", boot: str | None = "boot-1"
) -> None:
    """Dead letters so many days old at NOW, in this order."""

    def write(session: Session) -> None:
        for age in ages:
            session.add(
                DeadLetter(
                    tenant=TENANT,
                    at=NOW - round(age * DAY),
                    topic="",
                    reason="implausible",
                    detail="",
                    payload=b"x" * size,
                    size=size,
                    readings=3,
                    state=state,
                    boot=boot,
                )
            )

    await ward.records.run(write)


async def ages(ward: Ward) -> list[int]:
    return [round((NOW - d.at) / DAY) for d in await ward.rows(DeadLetter)]


async def test_old_dead_letters_go_and_are_counted(ward: Ward):
    await refused(ward, 100, 91, 89, 1)
    await refused(ward, 99, state="replayed")
    await retention(ward).prune(NOW)
    assert await ages(ward) == [89, 1]
    assert (await counted(ward))["dead_letter", "implausible"] == (2, 6)  # the one let in is no loss
    assert ward.telemetry.value("dead_letters_dropped_total", reason="implausible") == 3
    await refused(ward, 95)
    await retention(ward).prune(NOW)
    assert (await counted(ward))["dead_letter", "implausible"] == (3, 9)


async def test_dead_letters_are_bounded_by_number_the_oldest_go(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention_module, "BATCH", 7)
    await refused(ward, *range(120, 0, -1))
    await retention(ward, dead_letters=100, dead_letters_days=0).prune(NOW)
    assert await ages(ward) == list(range(100, 0, -1))
    assert (await counted(ward))["dead_letter", "implausible"] == (20, 60)


async def test_dead_letters_are_bounded_by_size(ward: Ward):
    await refused(ward, 5, 4, 3, 2, 1, size=400_000)
    await retention(ward, dead_letter_bytes=1 << 20).prune(NOW)
    assert await ages(ward) == [2, 1]
    await refused(ward, 1, size=2_000_000)
    await retention(ward, dead_letter_bytes=1 << 20).prune(NOW)
    assert await ages(ward) == []


async def test_letters_without_a_receipt_go_before_those_that_are_the_only_copy(ward: Ward):
    await refused(ward, *range(80, 20, -1))
    await refused(ward, 20, 19, 18, 17, state="replayed")
    await refused(ward, *range(16, 6, -1), size=500_000, boot=None)
    await refused(ward, *range(6, 0, -1))
    await retention(ward, dead_letter_bytes=3_000_000).prune(NOW)
    assert await ages(ward) == [*range(80, 20, -1), *range(11, 0, -1)]
    await refused(ward, *[0] * 39)
    await retention(ward, dead_letters=100).prune(NOW)
    assert await ages(ward) == [*range(75, 20, -1), *range(6, 0, -1), *[0] * 39]


async def test_inputs_go_after_a_day_and_the_audit_never(ward: Ward):
    await an_alarm(ward, over=True)
    for n in (3, 4):
        ward.snapshot_now()
        await ward.take(frame(block(n, reading(10 * n, 97)), at=10 * n))
    before = len(await ward.rows(JournalRow))
    audit = {"at": T0, "actor": "usr_1", "action": "login", "resource_kind": "session", "resource_id": ""}
    await ward.records.run(lambda s: s.add(AuditRow(tenant=TENANT, outcome="done", detail={}, **audit)))
    await retention(ward).prune(NOW)
    assert 0 < len(await ward.rows(JournalRow)) < before  # those since the older snapshot stay
    assert len(await ward.rows(AuditRow)) == 1
    assert len(await ward.rows(Alarm)) == 1
    await ward.restart()
    assert ward.pipeline.state.rules
