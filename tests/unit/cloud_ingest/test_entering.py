"""Readings entered by hand through the pipeline: all or nothing, once, and judged like any others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.feed import AlarmChanged, ReadingsStored, TechnicalEvent
from cloud_ingest.manual import NotJudgedError
from cloud_ingest.records.models import Alarm, DeadLetter, JournalRow
from hearthward.core.clock import SECOND
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch, Source
from rules import RuleSet, load_rules
from tests.unit.cloud_ingest.test_deciding import agrees, broken_commit
from tests.unit.cloud_ingest.test_pipeline import fails_on
from tests.unit.cloud_ingest.ward import T0, Ward, block, frame, reading, rule

RULES = RuleSet((rule(), load_rules().by_id["consciousness-changed"]))


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db", rules=RULES).start()
    yield made
    await made.close()


def entered(metric: str, value: float | str, *, digest: int = 77, ordinal: int = 0, at: float = 0) -> Reading:
    given: dict[str, Any] = {"value": None, "code": value} if isinstance(value, str) else {"value": value}
    return reading(
        at,
        **given,
        device="manual:pat_1",
        metric=metric,
        digest=digest,
        ordinal=ordinal,
        source=int(Source.MANUAL),
        author="usr_1",
        profile="",
    )


def form(*readings: Reading) -> tuple[ReadingBatch, list[str]]:
    return ReadingBatch.of(readings), ["pat_1"] * len(readings)


async def stored(ward: Ward) -> list[Any]:
    return [r.code or r.value for r in await ward.stored("manual:pat_1")]


async def test_what_is_entered_is_stored_judged_and_told(ward: Ward):
    await ward.pipeline.enter(*form(entered("consciousness", "V"), entered("spo2", 85.0, ordinal=1)))
    assert sorted(map(str, await stored(ward))) == ["85.0", "V"]
    assert {(a.patient, a.rule) for a in await ward.rows(Alarm)} == {
        ("pat_1", "consciousness-changed"),
        ("pat_1", "spo2-low"),
    }
    events = ward.events()
    (told,) = [e for e in events if isinstance(e, ReadingsStored)]
    assert told.patient == ["pat_1", "pat_1"]
    assert sum(isinstance(e, AlarmChanged) for e in events) == 2
    (row,) = [j for j in await ward.rows(JournalRow) if j.gateway]
    assert (row.gateway, row.boot, row.kind) == ("manual", f"{77:016x}", "readings")
    await agrees(ward)


async def test_the_same_entry_again_changes_nothing(ward: Ward):
    await ward.pipeline.enter(*form(entered("spo2", 85.0)))
    before = len(await ward.rows(JournalRow))
    ward.events()
    ward.clock.advance(9)
    await ward.pipeline.enter(*form(entered("spo2", 85.0)))
    await ward.pipeline.enter(*form(entered("spo2", 85.0, at=9)))
    assert (len(await ward.rows(JournalRow)), await stored(ward), ward.events()) == (before, [85.0], [])
    await ward.restart()
    await ward.pipeline.enter(*form(entered("spo2", 85.0)))
    assert len(await ward.rows(JournalRow)) == before
    await ward.pipeline.enter(*form(entered("spo2", 86.0, digest=78, at=9)))
    assert await stored(ward) == [85.0, 86.0]


async def test_an_entry_that_was_stored_but_not_decided_is_decided_when_it_comes_again(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        broken_commit(patch, StoreUnavailable("disk full"), 1)
        with pytest.raises(StoreUnavailable):
            await ward.pipeline.enter(*form(entered("spo2", 85.0)))
    assert (await stored(ward), await ward.rows(Alarm)) == ([85.0], [])
    await ward.pipeline.enter(*form(entered("spo2", 85.0)))
    assert (await stored(ward), len(await ward.rows(Alarm))) == ([85.0], 1)
    await agrees(ward)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([entered("spo2", 101.0)], "spo2 101 is outside 0..100"),
        ([entered("mood", 1.0), entered("spo2", 97.0, ordinal=1)], "no metric 'mood'"),
        ([entered("spo2", 97.0, at=3600)], "measured 2026-01-01T01:00:00Z"),
        ([entered("spo2", 97.0), entered("pain", 3.0, digest=1)], "one digest"),
        ([], "nothing"),
    ],
)
async def test_what_is_wrong_is_refused_as_a_whole(ward: Ward, bad: list[Reading], says: str):
    with pytest.raises(StoreRejected, match=says):
        await ward.pipeline.enter(*form(*bad))
    assert (await stored(ward), len(await ward.rows(JournalRow))) == ([], 1)


async def test_every_reading_must_have_its_patient(ward: Ward):
    batch, _ = form(entered("spo2", 97.0), entered("pain", 3.0, ordinal=1))
    for patients in (["pat_1"], ["pat_1", ""]):
        with pytest.raises(StoreRejected, match="patients"):
            await ward.pipeline.enter(batch, patients)


async def test_rules_that_fail_on_an_entry_leave_it_stored_and_say_so(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    fails_on(monkeypatch, "pat_1")
    with pytest.raises(NotJudgedError, match="no alarm comes of this entry"):
        await ward.pipeline.enter(*form(entered("spo2", 85.0)))
    assert await stored(ward) == [85.0]
    assert [(d.reason, d.gateway) for d in await ward.rows(DeadLetter)] == [("undecided", "manual")]
    assert "rules_failed" in {e.kind for e in ward.events() if isinstance(e, TechnicalEvent)}
    await agrees(ward)


async def test_an_entry_that_the_rules_failed_on_is_judged_when_it_is_sent_again(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    batch, patients = form(entered("spo2", 80.0))
    with monkeypatch.context() as broken:
        fails_on(broken, "pat_1")
        with pytest.raises(NotJudgedError):
            await ward.pipeline.enter(batch, patients)
    assert await ward.rows(Alarm) == []
    await ward.pipeline.enter(batch, patients)
    assert [a.rule for a in await ward.rows(Alarm)] == ["spo2-low"]
    assert await stored(ward) == [80.0]


async def test_entries_hold_no_device_s_readings_back(ward: Ward):
    """The hand is a source like any other, which is not heard of for hours: it must not stop the clock."""
    await ward.pipeline.configure(RuleSet((rule(delay_s=3),)))
    await ward.pipeline.enter(*form(entered("pain", 3.0)))
    await ward.take(frame(block(1, *(reading(n, 84) for n in range(7, 12))), at=11))
    await ward.pipeline.tick()
    (alarm,) = await ward.rows(Alarm)
    assert alarm.onset == T0 + 7 * SECOND
