"""The burden of alarms, from facts; and the facts, from the transitions as the pipeline records them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from cloud_ingest.burden import AGAIN_NS, DAY, Asked, Burden, Fact, Figures, Stay, burden
from cloud_ingest.burden_record import read_burden
from cloud_ingest.records import Records
from cloud_ingest.records.models import (
    Alarm,
    Association,
    Bed,
    Device,
    Encounter,
    Gateway,
    Patient,
    TransitionRow,
    User,
    Ward,
)
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Scope

T0 = 1_767_225_600 * SECOND
MINUTE = 60 * SECOND
WEEK = Asked(T0, T0 + 7 * DAY)
FACT = Fact("alm_1", "pat_1", "spo2-low", "physiological", "high", "A", T0 + MINUTE)


def made(**more: Any) -> Fact:
    return replace(FACT, **more)


def rows(found: Burden) -> dict[str, Figures]:
    return {row.key: row.figures for row in found.rows}


# --- from facts -------------------------------------------------------------------------------------------


def test_every_figure_of_a_small_ward():
    facts = [
        made(alarm="1", accepted=T0 + 2 * MINUTE, acted=True, ended=T0 + 3 * MINUTE, audio_pauses=2),
        made(alarm="2", started=T0 + 6 * MINUTE, ended=T0 + 7 * MINUTE, step=1, doctor=True, undelivered=1),
        made(alarm="3", started=T0 + 20 * MINUTE, accepted=T0 + 25 * MINUTE, acted=True, priority="low"),
        made(alarm="4", started=T0 + 21 * MINUTE, subject="device:oxi", kind="technical", priority="medium"),
    ]
    stays = [Stay("pat_1", "A", T0 - DAY, T0 + DAY), Stay("pat_2", "A", T0 + DAY), Stay("pat_3", "B", 0, T0)]
    found = burden(facts, stays, WEEK)
    total = found.total
    assert (total.alarms, total.bed_days, total.per_bed_day) == (4, 7.0, 4 / 7)
    assert total.priorities == {"high": 2, "low": 1, "medium": 1}
    assert total.kinds == {"physiological": 3, "technical": 1}
    assert (total.acted, total.accepted, total.ended) == (2, 2, 2)
    assert (total.response_median_s, total.response_p90_s) == (180.0, 300.0)
    assert (total.duration_median_s, total.duration_p90_s) == (90.0, 120.0)
    assert (total.escalated, total.doctor, total.undelivered, total.audio_pauses) == (1, 1, 1, 2)
    assert total.again == 1, "the second began 3 min after the end of the first; the third 13 min later"
    assert [(s.rule, s.subject, s.alarms, s.share) for s in found.sources] == [
        ("spo2-low", "pat_1", 3, 0.75),
        ("spo2-low", "device:oxi", 1, 0.25),
    ]


def test_nothing_at_all_is_no_division_by_zero():
    found = burden([], [], WEEK)
    assert (found.rows, found.sources) == ((), ())
    assert (found.total.per_bed_day, found.total.response_p90_s) == (None, None)


def test_days_are_those_of_the_zone_and_a_quiet_day_is_a_row_too():
    """Midnight in Shanghai is 16:00 UTC; a patient who lies there makes a day a row."""
    asked = Asked(T0, T0 + 2 * DAY, "day", zone="Asia/Shanghai")
    facts = [made(started=T0 + 16 * 3600 * SECOND - 1), made(started=T0 + 16 * 3600 * SECOND)]
    found = rows(burden(facts, [Stay("pat_1", "A", 0)], asked))
    assert list(found) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [f.alarms for f in found.values()] == [1, 1, 0]
    by_ward = burden(facts, [], replace(asked, by="ward"))
    assert by_ward.days == {"2026-01-01": {"high": 1}, "2026-01-02": {"high": 1}}
    assert [round(f.bed_days * 24) for f in found.values()] == [16, 24, 8]


def test_hours_are_those_of_the_zone_and_share_the_bed_time():
    """In Shanghai the period begins at 08:00; an hour has a 24th of the bed time."""
    asked = Asked(T0, T0 + 2 * DAY, "hour", zone="Asia/Shanghai")
    facts = [made(started=T0 + n * DAY + 60 * MINUTE) for n in range(2)] + [made(started=T0 + DAY - MINUTE)]
    found = rows(burden(sorted(facts, key=lambda f: f.started), [Stay("pat_1", "A", 0)], asked))
    assert {hour: f.alarms for hour, f in found.items()} == {"07": 1, "09": 2}
    assert [round(f.bed_days * 24) for f in found.values()] == [2, 2]


def test_a_day_of_23_hours_is_short_of_one():
    start = 1_774_738_800 * SECOND  # 2026-03-29 00:00 in Berlin
    asked = Asked(start, start + 2 * DAY, "day", zone="Europe/Berlin")
    found = rows(burden([], [Stay("pat_1", "A", 0)], asked))
    assert [(day, round(f.bed_days * 24)) for day, f in found.items()] == [
        ("2026-03-29", 23),
        ("2026-03-30", 24),
        ("2026-03-31", 1),
    ]


def test_patients_who_are_not_to_be_seen_go_together():
    facts = [made(subject=f"pat_{n}") for n in range(3)] + [made(subject="device:oxi")]
    stays = [Stay(f"pat_{n}", "A", T0, T0 + DAY) for n in range(4)]
    found = burden(facts, stays, replace(WEEK, by="patient"), lambda s: s in {"pat_0", "device:oxi"})
    assert {key: f.alarms for key, f in rows(found).items()} == {"": 2, "device:oxi": 1, "pat_0": 1}
    assert rows(found)["pat_0"].bed_days == 1
    assert {s.subject for s in found.sources} == {"", "device:oxi", "pat_0"}
    assert "pat_1" not in repr(found)


FACTS = st.lists(
    st.builds(
        lambda started, length, accept, rule, subject, priority: made(
            started=T0 + started,
            ended=None if length is None else T0 + started + length,
            accepted=None if accept is None else T0 + started + accept,
            rule=rule,
            subject=subject,
            priority=priority,
        ),
        st.integers(0, DAY - 1),
        st.none() | st.integers(0, 10 * AGAIN_NS),
        st.none() | st.integers(-MINUTE, 10 * MINUTE),
        st.sampled_from("ab"),
        st.sampled_from(["p", "q"]),
        st.sampled_from(["high", "medium", "low"]),
    ),
    max_size=30,
).map(lambda facts: sorted(facts, key=lambda f: f.started))


@given(FACTS, st.sampled_from(["ward", "rule", "patient", "day", "hour"]))
def test_rows_add_up_to_the_total_however_they_are_cut(facts: list[Fact], by: Any):
    found = burden(facts, [Stay("p", "A", 0), Stay("q", None, 0)], Asked(T0, T0 + DAY, by))
    cut = [row.figures for row in found.rows]
    for name in ("alarms", "acted", "accepted", "ended", "escalated", "again", "audio_pauses"):
        assert sum(getattr(f, name) for f in cut) == getattr(found.total, name)
    assert sum(found.total.priorities.values()) == found.total.alarms == len(facts)
    assert sum(sum(counts.values()) for counts in found.days.values()) == len(facts)
    waits = [max(0, f.accepted - f.started) / SECOND for f in facts if f.accepted is not None]
    assert found.total.response_median_s == (median(waits) if waits else None)
    if waits:
        assert sum(w <= (found.total.response_p90_s or 0) for w in waits) >= 0.9 * len(waits)


# --- from the record --------------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path: Path) -> Any:
    opened = Records.open(tmp_path / "records.db", clock=EventClock(T0 + DAY), ids=SeededIds(1))
    yield opened
    opened.close_now()


def furnish(session: Session) -> None:
    """Wards A and B; pat_1 moved from A to B on day 3; an oximeter on pat_1, a gateway in B."""
    of = {"tenant": "main"}
    for ward in "AB":
        session.add(Ward(**of, id=ward, name=ward, created=0))
        session.flush()
        session.add(Bed(**of, id=f"bed{ward}", ward=ward, label="1", created=0))
    session.add(Patient(**of, id="pat_1", name="Rosa", language="en", created=0))
    session.add(Gateway(**of, id="gw", ward="B", label="", created=0))
    session.flush()
    moved = T0 + 3 * DAY
    for n, (ward, start, end) in enumerate((("A", T0, moved), ("B", moved, None))):
        session.add(
            Encounter(
                **of,
                id=f"e{n}",
                patient="pat_1",
                kind="ward",
                ward=ward,
                bed=f"bed{ward}",
                start=start,
                end=end,
            )
        )
    session.add(Device(**of, id="oxi", gateway="gw", transport="ble", address="C0", label="", created=0))
    session.flush()
    session.add(Association(**of, id="a", device="oxi", patient="pat_1", start=T0, end=T0 + DAY, created=0))
    for user, role in (("usr_n", "nurse"), ("usr_d", "doctor")):
        session.add(User(**of, id=user, login=user, name=user, roles=[role], created=0))
    session.flush()


def alarm(session: Session, ident: str, lines: list[tuple[Any, ...]], **more: Any) -> None:
    """An alarm with its transitions: (kind, minutes after its start, detail, actor)."""
    fields: dict[str, Any] = {
        "tenant": "main",
        "id": ident,
        "patient": "pat_1",
        "rule": "spo2-low",
        "rule_hash": "h",
        "priority": "high",
        "condition": "inactive",
        "onset": T0,
        "started": T0,
        "text_en": "",
        "text_zh": "",
        "limit_text": "",
        "values_json": {},
        "late": False,
        "worklist": False,
        "last_transition": "end",
        "last_seq": 1,
        **more,
    }
    session.add(Alarm(**fields))
    session.flush()
    for seq, (kind, minute, detail, actor) in enumerate(lines):
        session.add(
            TransitionRow(
                tenant="main",
                alarm=ident,
                seq=seq,
                ordinal=0,
                kind=kind,
                condition="active",
                priority=detail.pop("priority", fields["priority"]),
                rule_hash="h",
                at=fields["started"] + minute * MINUTE,
                onset=T0,
                recorded=0,
                values_json={},
                limit_text="",
                text_en="",
                text_zh="",
                inputs=[],
                actor=actor,
                note="",
                late=False,
                detail=detail,
            )
        )
    session.flush()


START: tuple[Any, ...] = ("start", 0, {"told": [["in_app", "wall"]], "axes": {"next_to": ["usr_d"]}}, None)


def read(records: Records, scope: Scope = Scope.system("main"), **more: Any) -> Burden:  # noqa: B008 - a value
    asked = replace(WEEK, **more)
    with Session(records._reader) as session:
        return read_burden(session, scope, asked, lambda _: True)


def test_what_people_did_is_read_from_the_transitions(records: Records):
    def fill(session: Session) -> None:
        furnish(session)
        pause = {"axes": {"signal": "audio_paused"}}
        alarm(
            session,
            "1",
            [
                ("start", 0, {"told": [["in_app", "wall"]], "priority": "medium"}, None),
                ("tell", 1, {"step": 1, "told": [["sms", "usr_n"]]}, None),
                ("tell", 2, {"step": 2, "told": [["voice", "usr_d"], ["sms", "usr_n"]]}, None),
                ("undelivered", 3, {}, "@notifier"),
                ("escalate", 3, {"priority": "high"}, None),
                ("signal", 4, dict(pause), "usr_n"),
                ("signal", 4, dict(pause), None),
                ("accept", 5, {}, "usr_d"),
                ("take_over", 6, {}, "usr_n"),
                ("end", 10, {"told": [["voice", "usr_d"]]}, None),
                ("reset", 20, {}, "usr_n"),
            ],
            started=T0 + MINUTE,
            priority="medium",
        )
        alarm(session, "2", [START, ("end", 1, {"told": [["in_app", "usr_d"]]}, None)], started=T0 + DAY)
        alarm(session, "3", [START, ("note", 1, {}, "usr_n")], started=T0 + 4 * DAY)

    records.run_now(fill)
    total = read(records).total
    assert (total.alarms, total.acted, total.accepted, total.ended) == (3, 2, 1, 2)
    assert total.priorities == {"high": 3}, "the highest that each had"
    assert (total.response_median_s, total.duration_p90_s) == (300.0, 600.0)
    assert (total.escalated, total.undelivered, total.audio_pauses) == (1, 1, 1)
    assert total.doctor == 1, "to be told next, or of the end only, is not to be told"
    by_ward = rows(read(records))
    assert {k: (f.alarms, f.bed_days) for k, f in by_ward.items()} == {"A": (2, 3.0), "B": (1, 4.0)}


def test_what_is_no_alarm_does_not_count(records: Records):
    def fill(session: Session) -> None:
        furnish(session)
        alarm(session, "1", [START], shadow=True)
        alarm(session, "2", [START], worklist=True, signalled=False)
        alarm(session, "3", [("ask", 0, {}, None)], signalled=False)
        alarm(session, "4", [START], started=T0 - 1)
        alarm(session, "5", [START], started=WEEK.end)
        alarm(session, "6", [START], rule="other")

    records.run_now(fill)
    assert read(records).total.alarms == 1
    assert read(records, rule="spo2-low").total.alarms == 0


def test_where_things_were_decides_who_sees_them(records: Records):
    subjects = ["pat_1", "device:oxi", "gateway:gw", "component:wall-A", "component:notifier", None]

    def fill(session: Session) -> None:
        furnish(session)
        for day in (0, 4):
            for n, subject in enumerate(subjects):
                alarm(session, f"{day}-{n}", [START], patient=subject, started=T0 + day * DAY)

    records.run_now(fill)
    found = {key: f.alarms for key, f in rows(read(records)).items()}
    # day 0: patient and oximeter in A; day 4: the patient moved to B, the oximeter is at B's gateway
    assert found == {"A": 4, "B": 4, "": 4}
    mine = read(records, Scope("main", frozenset({"B"})))
    assert {key: f.alarms for key, f in rows(mine).items()} == {"B": 4}
    assert mine.total.bed_days == 4
    assert read(records, Scope("main", frozenset({"A"})), ward="B").total.alarms == 0
    assert read(records, ward="B").total.alarms == 4
    assert read(records, Scope.system("other")).total.alarms == 0
