"""An alarm that rises, over real records: one row, why, why not, burden, gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from cloud_ingest.burden import Asked as Period
from cloud_ingest.burden_record import read_burden
from cloud_ingest.records.edge_alarms import edge_alarms_of, write_edge_alarms
from cloud_ingest.records.models import Alarm, TransitionRow
from cloud_ingest.recovery import orphans
from dashboards.alarm_facts import fact_of
from dashboards.alarm_views import detail_of
from hearthward.core.clock import SECOND
from hearthward.core.errors import RuleError
from rules import RuleSet
from rules.conditions import Threshold
from rules.model import Adopt, Command
from rules.rule import Parameter
from tests.unit.cloud_ingest.asking import Asked, at
from tests.unit.cloud_ingest.ward import SCOPE, T0, TENANT
from tests.unit.rules.made import make

LOW = make(
    "spo2-low",
    Threshold("spo2", "below", "limit", 1.0),
    priority="medium",
    parameters={"limit": Parameter(90.0, 80.0, 94.0)},
    explanation={"en": "SpO2 {spo2} {limit}", "zh": "血氧 {spo2} {limit}"},
)
DEEP = make(
    "spo2-deep",
    Threshold("spo2", "below", 80.0, 2.0),
    raises="spo2-low",
    audience=("nurse", "doctor"),
    explanation={"en": "SpO2 very low {spo2} {limit}", "zh": "血氧很低 {spo2} {limit}"},
)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    made = await Asked.of(tmp_path / "records.db", LOW, DEEP)
    yield made
    await made.ward.close()


async def lines(asked: Asked) -> list[TransitionRow]:
    found: list[TransitionRow] = await asked.ward.rows(TransitionRow)
    return sorted(found, key=lambda t: (t.seq, t.ordinal))


async def test_it_is_one_row_that_shows_its_gravest_stage(asked: Asked):
    await asked.measure((0, 95), (10, 86))
    (before,) = await asked.alarms()
    assert (before.rule, before.priority, before.audience) == ("spo2-low", "medium", ["nurse"])
    await asked.measure((20, 78))
    (risen,) = await asked.alarms()
    assert risen.id == before.id
    assert (risen.rule, risen.rule_hash, risen.priority) == ("spo2-deep", DEEP.hash, "high")
    assert (risen.text_en, risen.limit_text) == ("SpO2 very low 78 < 80", "< 80")
    assert (risen.onset, risen.started, risen.ended) == (at(10), at(10), None)
    assert risen.audience == ["nurse", "doctor"]
    await asked.measure((30, 86))
    (fallen,) = await asked.alarms()
    assert (fallen.rule, fallen.rule_hash, fallen.priority) == ("spo2-low", LOW.hash, "medium")
    assert (fallen.condition, fallen.ended) == ("active", None)
    await asked.measure((40, 97))
    (over,) = await asked.alarms()
    assert (over.condition, over.ended) == ("inactive", at(40))
    assert [t.kind for t in await lines(asked)] == ["start", "escalate", "de-escalate", "end"]


async def test_what_rose_while_an_answer_waited_for_its_turn_is_not_taken_unseen(asked: Asked):
    await asked.measure((0, 95), (10, 86))
    (alarm,) = await asked.alarms()
    pipeline, accept = asked.ward.pipeline, Command(0, 0, "accept", alarm.id, "usr_1")
    await asked.measure((20, 78))  # whoever answers has looked before that
    for kind in ("accept", "take_over"):
        with pytest.raises(RuleError) as caught:
            await pipeline.act(replace(accept, kind=kind), "spo2-low")
        assert (caught.value.details["code"], caught.value.details["rule"]) == ("risen", "spo2-deep")
    assert (await asked.alarms())[0].accepted_by is None
    assert [t.kind for t in await lines(asked)] == ["start", "escalate"]
    for seen in ("spo2-deep", ""):
        await pipeline.act(accept, seen)
        assert (await asked.alarms())[0].accepted_by == "usr_1"
        await pipeline.act(replace(accept, kind="release"))
    await asked.measure((30, 86))
    await pipeline.act(accept, "spo2-deep")
    assert (await asked.alarms())[0].accepted_by == "usr_1", "what fell is no graver than what was seen"


async def test_why_explains_the_stage_that_it_is_in(asked: Asked):
    await asked.measure((0, 95), (10, 86), (20, 78))
    risen = await asked.why()
    assert (risen.rule.id, risen.rule.standing) == ("spo2-deep", "same")
    assert risen.explanation is not None
    assert risen.explanation.opens
    assert (risen.explanation.root.value, risen.explanation.root.limit) == (78, 80)
    assert risen.notes[0]["en"].startswith(
        "It began at 2026-01-01 00:00:10 UTC by another rule: SpO2 86 < 90."
    )
    assert (
        risen.life[1].text["en"] == "priority raised: a graver stage began: SpO2 very low 78 < 80 → ward wall"
    )
    assert "进入更严重阶段" in risen.life[1].text["zh"]
    assert "It is the graver stage of spo2-low" in " ".join(w["en"] for w in risen.rule.words)
    await asked.measure((30, 86))
    fallen = await asked.why()
    assert fallen.rule.id == "spo2-low"
    assert fallen.explanation is not None
    assert (fallen.explanation.root.value, fallen.explanation.root.limit) == (86, 90)
    assert [s.name for s in fallen.settings] == ["limit"]
    assert "the graver stage is over" in fallen.life[-1].text["en"]


async def test_why_not_knows_each_stage_with_its_own_times(asked: Asked):
    await asked.measure((0, 95), (10, 86), (20, 78), (30, 86), (40, 86))
    (alarm,) = await asked.alarms()
    deep = await asked.why_not(25, "spo2-deep")
    assert (deep.outcome, deep.alarm) == ("fired", alarm.id)
    assert "began at 2026-01-01 00:00:20 UTC" in deep.text["en"]
    low = await asked.why_not(25, "spo2-low")
    assert (low.outcome, low.alarm) == ("fired", alarm.id)
    assert "began at 2026-01-01 00:00:10 UTC" in low.text["en"]
    over = await asked.why_not(38, "spo2-deep")
    assert over.outcome == "blocked"
    assert (await asked.why_not(38, "spo2-low")).outcome == "fired"


async def test_the_lower_stage_that_joined_is_known_to_why_not(tmp_path: Path):
    slow = replace(LOW, delay_s=20.0)
    asked = await Asked.of(tmp_path / "slow.db", slow, DEEP)
    try:
        await asked.measure((0, 95), (10, 70), (20, 70), (30, 70), (40, 85))
        (alarm,) = await asked.alarms()
        assert (alarm.rule, alarm.priority) == ("spo2-low", "medium"), "what is left of it"
        low = await asked.why_not(45, "spo2-low")
        assert (low.outcome, low.alarm) == ("fired", alarm.id)
        assert "began at 2026-01-01 00:00:30 UTC" in low.text["en"]
        found = await asked.why()
        assert found.explanation is not None
        assert (found.rule.id, found.explanation.root.value) == ("spo2-low", 70)
        assert "the lower stage of it began, too: SpO2 70 < 90" in [m.text["en"] for m in found.life]
    finally:
        await asked.ward.close()


async def test_the_burden_counts_one_alarm_and_its_rises(asked: Asked):
    await asked.measure((0, 95), (10, 86), (20, 78), (30, 86), (40, 75), (50, 97))
    week = Period(T0 - 3600 * SECOND, T0 + 86_400 * SECOND, "rule")
    total = await asked.records.read(lambda s: read_burden(s, SCOPE, week, lambda _: True).total)
    assert (total.alarms, total.rises, total.priorities) == (1, 2, {"high": 1})
    (alarm,) = await asked.alarms()
    history = await asked.records.read(lambda s: asked.records.alarms(s).get(SCOPE, alarm.id))
    detail = detail_of(history, RuleSet((LOW, DEEP)), {})
    assert fact_of(detail, None).rises == 2
    assert (detail.priority_at_onset, detail.priority) == ("medium", "medium")
    assert [(r.rule, r.priority, r.at) for r in detail.rises] == [
        ("spo2-deep", "high", at(20)),
        ("spo2-deep", "high", at(40)),
    ]


async def test_what_nobody_accepted_after_it_rose_is_not_counted_as_accepted(asked: Asked):
    week = Period(T0 - 3600 * SECOND, T0 + 86_400 * SECOND, "rule")

    async def counted() -> tuple[int, float | None]:
        total = await asked.records.read(lambda s: read_burden(s, SCOPE, week, lambda _: True).total)
        history = await asked.records.read(lambda s: asked.records.alarms(s).get(SCOPE, alarm.id))
        fact = fact_of(detail_of(history, RuleSet((LOW, DEEP)), {}), None)
        assert (fact.accepted is not None) is bool(total.accepted)
        return total.accepted, total.response_median_s

    await asked.measure((0, 95), (10, 86))
    (alarm,) = await asked.alarms()
    await asked.ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_n"))
    taken = await counted()
    assert taken[0] == 1
    await asked.measure((20, 78))
    assert await counted() == (0, None), "the graver stage is anybody's"
    await asked.ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_n"))
    assert await counted() == taken


async def test_a_gateways_word_on_a_stage_is_kept_with_the_alarm_that_people_know(asked: Asked):
    await asked.measure((0, 95), (10, 86), (20, 78))
    (alarm,) = await asked.alarms()
    state = asked.ward.pipeline.state
    (part,) = [p.alarm for p in state.responses.open[alarm.id].parts if p.rule == "spo2-deep"]
    assert part != alarm.id
    assert state.responses.name_of(part) == alarm.id

    def keep(session: Session) -> list[str]:
        word = Adopt(1, at(21), "edge-1", "pat_1", "spo2-deep", at(20), at(20), source="gw")
        write_edge_alarms(session, TENANT, [(word, state.responses.name_of(part))])
        return [e.id for e in edge_alarms_of(session, TENANT, [alarm.id])[alarm.id]]

    assert await asked.records.run(keep) == ["edge-1"]


async def test_a_row_of_a_stages_own_that_an_earlier_build_left_is_ended(asked: Asked):
    """Stepped again the stage is part of the other row: nobody could answer its own, nor end it."""
    await asked.measure((0, 95), (10, 86), (20, 78))
    (row,) = await asked.alarms()
    state = asked.ward.pipeline.state
    (part,) = [p.alarm for p in state.responses.open[row.id].parts if p.rule == "spo2-deep"]

    def left(session: Session) -> None:
        values = {c.key: getattr(row, c.key) for c in inspect(Alarm).columns}
        session.add(Alarm(**{**values, "id": part}))

    await asked.records.run(left)
    found = await asked.records.read(lambda s: orphans(s, TENANT, state))
    assert [o.alarm.id for o in found] == [part]
    await asked.ward.restart()
    shown = {a.id: a.condition for a in await asked.ward.rows(Alarm)}
    assert shown == {row.id: "active", part: "inactive"}
