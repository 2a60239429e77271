from __future__ import annotations

from pathlib import Path

import pytest

from cloud_ingest.channels import FakeChannel
from cloud_ingest.pulse import Pulse
from cloud_ingest.records import Records
from cloud_ingest.walls import GONE_S, wards_with_walls
from cloud_ingest.watch import (
    CHECK_EVERY_S,
    FAILED_CHECKS,
    FAILED_HOPS,
    FLOOD_S,
    HOPS_KEPT_S,
    ChannelBoard,
    Watch,
)
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from rules import Engine, Readings, Rows, State, Tick, load_rules
from rules.response.duty import Duty, Person, Shift
from tests.unit.cloud_ingest.made import transition

T0 = 1_800_000_000 * SECOND
W1 = frozenset({"w1"})


@pytest.fixture
def clock() -> EventClock:
    return EventClock(T0, frozen_monotonic=True)


def beating(clock: EventClock, *parts: str) -> Pulse:
    pulse = Pulse(clock)
    for part in parts:
        pulse.expect(part, lambda: 0.0)
    return pulse


def values(rows: Rows | None) -> dict[tuple[str, str], float | None]:
    if rows is None:
        return {}
    subjects = [s.removeprefix("component:") for s in rows.patient]
    return dict(zip(zip(subjects, rows.metric, strict=True), rows.value, strict=True))


def test_everything_is_told_every_ten_seconds_and_what_changed_at_once(clock: EventClock) -> None:
    watch = Watch(clock, Telemetry(), [FakeChannel("sms")], pulse=beating(clock, "ingest", "notifier"))
    watch.expect_walls(W1)
    watch.walls.seen("a", W1, audible=True)
    assert values(watch.rows(clock.now_ns())) == {
        ("ingest", "heartbeat"): 1.0,
        ("notifier", "heartbeat"): 1.0,
        ("channel-sms", "delivery_failing"): 0.0,
        ("wall-w1", "walls_audible"): 1.0,
    }
    clock.advance(1)
    assert watch.rows(clock.now_ns()) is None
    watch.walls.seen("b", W1, audible=True)
    assert values(watch.rows(clock.now_ns())) == {("wall-w1", "walls_audible"): 2.0}
    clock.advance(9)
    assert len(values(watch.rows(clock.now_ns()))) == 4


def test_a_notifier_that_does_not_look_at_its_outbox_gives_no_sign_of_life(clock: EventClock) -> None:
    silent = 20.0
    pulse = beating(clock, "ingest")
    pulse.expect("notifier", lambda: silent)
    watch = Watch(clock, Telemetry(), pulse=pulse)
    assert values(watch.rows(T0)) == {("ingest", "heartbeat"): 1.0}
    assert watch.parts() == {"component:ingest", "component:notifier"}
    silent = 0.0
    clock.advance(10)
    assert ("notifier", "heartbeat") in values(watch.rows(T0))


def test_what_parts_have_noticed_is_told_at_once_and_with_all_else(clock: EventClock) -> None:
    watch = Watch(clock, Telemetry())
    assert watch.rows(clock.now_ns()) is None
    watch.facts.put("gateway:gw-1", "readings_lost", 7)
    clock.advance(1)
    assert values(watch.rows(clock.now_ns())) == {("gateway:gw-1", "readings_lost"): 7}
    clock.advance(1)
    assert watch.rows(clock.now_ns()) is None
    clock.advance(9)
    assert values(watch.rows(clock.now_ns())) == {("gateway:gw-1", "readings_lost"): 7}
    watch.facts.forget("gateway:gw-1")
    clock.advance(10)
    assert watch.rows(clock.now_ns()) is None


def test_a_lost_wall_is_dated_by_when_it_was_last_heard(clock: EventClock) -> None:
    watch = Watch(clock, Telemetry())
    watch.expect_walls(W1)
    watch.rows(clock.now_ns())
    clock.advance(1)
    watch.walls.seen("a", W1, audible=True)
    watch.rows(clock.now_ns())
    clock.advance(GONE_S)
    rows = watch.rows(clock.now_ns())
    assert rows is not None
    at = rows.time[rows.metric.index("walls_audible")]
    assert T0 + SECOND < at <= T0 + SECOND + 1000
    assert rows.patient[rows.metric.index("walls_audible")] == "component:wall-w1"


def test_no_wall_for_ten_seconds_is_an_alarm_by_the_shipped_rule(clock: EventClock) -> None:
    watch = Watch(clock, Telemetry())
    watch.expect_walls(W1)
    engine = Engine(State.empty("n", load_rules()))
    watch.walls.seen("a", W1, audible=True)
    started: list[float] = []
    seq = 0
    for second in range(40):
        if second < 15 and second % 5 == 0:
            watch.walls.seen("a", W1, audible=True)  # the last time at 10 s
        now = clock.now_ns()
        found = []
        if rows := watch.rows(now):
            seq += 1
            found += engine.step(Readings(seq, now, rows, "@cloud", now))
        seq += 1
        found += engine.step(Tick(seq, now))
        started += [second for t in found if t.kind == "start" and t.rule == "wall-missing"]
        clock.advance(1)
    assert started == [21], "ten seconds after it was last heard, and a tick"


def test_a_channel_fails_after_three_hops_in_a_row_until_one_succeeds(clock: EventClock) -> None:
    watch = Watch(clock, Telemetry(), [FakeChannel("sms"), FakeChannel("email")])
    for success in (False, False, True, False, False):
        watch.channels.hop("sms", success)
    watch.channels.hop("no such channel", False)
    assert watch.channels.failing() == {"sms": False, "email": False}
    watch.rows(clock.now_ns())
    watch.channels.hop("sms", False)
    assert values(watch.rows(clock.now_ns())) == {("channel-sms", "delivery_failing"): 1.0}
    watch.channels.hop("sms", True)
    assert values(watch.rows(clock.now_ns())) == {("channel-sms", "delivery_failing"): 0.0}


async def test_an_idle_channel_is_checked_and_fails_after_two_checks(clock: EventClock) -> None:
    sms, telemetry = FakeChannel("sms"), Telemetry()
    board = ChannelBoard([sms], clock, telemetry)
    sms.broken = DeliveryPermanent("wrong credentials")
    await board.check_idle()
    await board.check_idle()
    assert not board.failing()["sms"], "not twice at once"
    clock.advance(CHECK_EVERY_S)
    await board.check_idle()
    assert board.failing()["sms"]
    sms.broken = None
    clock.advance(CHECK_EVERY_S)
    await board.check_idle()
    assert not board.failing()["sms"]
    assert telemetry.value("channel_checks_total", channel="sms", outcome="failed") == 2
    assert telemetry.value("channel_checks_total", channel="sms", outcome="ok") == 1


async def test_a_good_check_is_no_message_that_was_taken(clock: EventClock) -> None:
    board = ChannelBoard([FakeChannel("sms")], clock, Telemetry())
    for _ in range(FAILED_HOPS):
        board.hop("sms", False)
    for _ in range(int(HOPS_KEPT_S / CHECK_EVERY_S) - 1):
        clock.advance(CHECK_EVERY_S)
        await board.check_idle()
        assert board.failing()["sms"], "no flapping while nothing goes out"
    clock.advance(CHECK_EVERY_S)
    assert not board.failing()["sms"]
    board.hop("sms", False)
    assert not board.failing()["sms"], "what was forgotten counts no more"


async def test_one_that_is_taken_makes_up_for_all_that_failed_and_a_failed_check_counts_besides(
    clock: EventClock,
) -> None:
    sms = FakeChannel("sms")
    board = ChannelBoard([sms], clock, Telemetry())
    for _ in range(FAILED_HOPS):
        board.hop("sms", False)
    board.hop("sms", True)
    assert not board.failing()["sms"]
    sms.broken = DeliveryPermanent("wrong credentials")
    for _ in range(FAILED_CHECKS):
        clock.advance(CHECK_EVERY_S)
        await board.check_idle()
    assert board.failing()["sms"]


async def test_a_channel_that_is_in_use_needs_no_check(clock: EventClock) -> None:
    sms = FakeChannel("sms")
    board = ChannelBoard([sms], clock, Telemetry())
    sms.broken = DeliveryTemporary("away")
    board.hop("sms", True)
    clock.advance(CHECK_EVERY_S - 1)
    await board.check_idle()
    assert not board.failing()["sms"]


async def test_a_check_that_breaks_its_contract_is_a_failed_check_and_stops_no_other(
    clock: EventClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.watch.CHECK_TIMEOUT_S", 0.01)
    bad, hung, good = FakeChannel("bad"), FakeChannel("hung"), FakeChannel("good")
    bad.broken = ZeroDivisionError("oops")

    async def hang() -> None:
        await hung.reached.wait()

    monkeypatch.setattr(hung, "check", hang)
    board = ChannelBoard([bad, hung, good], clock, Telemetry())
    for _ in range(2):
        await board.check_idle()
        clock.advance(CHECK_EVERY_S)
    assert board.failing() == {"bad": True, "hung": True, "good": False}


def person(user: str, *roles: str) -> Person:
    return Person(user, user, roles, None, ("in_app",))


def test_roles_that_nobody_holds_are_counted_in_every_ward_with_patients(clock: EventClock) -> None:
    duty = Duty(
        people={u: person(u, r) for u, r in (("amy", "nurse"), ("li", "doctor"))},
        shifts=(Shift("amy", "nurse", "w1", T0, T0 + 60 * SECOND),),
        scheduled=frozenset({"w1", "empty"}),
        patients={"p1": "w1", "p2": "w2", "p3": None},
    )
    watch = Watch(clock, Telemetry(), duty=lambda: duty)
    found = values(watch.rows(clock.now_ns()))
    assert {k: v for k, v in found.items() if k[1] == "duty_uncovered"} == {
        ("duty-w1", "duty_uncovered"): 1.0,
        ("duty-w2", "duty_uncovered"): 0.0,
    }
    clock.advance(60)
    assert values(watch.rows(clock.now_ns()))["duty-w1", "duty_uncovered"] == 2.0


@pytest.mark.parametrize(
    ("people", "uncovered"),
    [
        ((), 0.0),
        ((("root", "admin"),), 0.0),
        ((("root", "admin"), ("amy", "nurse")), 1.0),
        ((("emre", "engineer"),), 2.0),
        ((("amy", "nurse"), ("li", "doctor")), 0.0),
    ],
)
def test_a_ward_without_a_schedule_is_uncovered_when_nobody_at_all_has_the_role(
    clock: EventClock, people: tuple[tuple[str, str], ...], uncovered: float
) -> None:
    duty = Duty(people={u: person(u, r) for u, r in people}, patients={"p1": "w1"})
    watch = Watch(clock, Telemetry(), duty=lambda: duty)
    assert values(watch.rows(clock.now_ns()))["duty-w1", "duty_uncovered"] == uncovered


def test_staff_of_another_ward_do_not_cover_this_one(clock: EventClock) -> None:
    amy = Person("amy", "amy", ("nurse", "doctor"), ("w2",), ("in_app",))
    duty = Duty(people={"amy": amy}, patients={"p1": "w1", "p2": "w2"})
    found = values(Watch(clock, Telemetry(), duty=lambda: duty).rows(clock.now_ns()))
    assert found["duty-w1", "duty_uncovered"] == 0.0, "w1 has no staff yet"
    assert found["duty-w2", "duty_uncovered"] == 0.0


def test_alarms_of_ten_minutes_are_counted_by_ward(clock: EventClock) -> None:
    duty = Duty(patients={"p1": "w1", "p2": "w2"})
    watch = Watch(clock, Telemetry(), duty=lambda: duty)
    assert values(watch.rows(clock.now_ns()))["flood-w1", "alarms_in_10_min"] == 0.0
    watch.began(
        [
            transition(patient="p1"),
            transition(patient="p1"),
            transition("end", patient="p1"),
            transition(patient="p1", shadow=True),
            transition(patient="p2"),
            transition(patient="component:wall-w1"),
            transition(patient="p_unknown"),
        ]
    )
    clock.advance(1)
    assert values(watch.rows(clock.now_ns())) == {
        ("flood-w1", "alarms_in_10_min"): 2.0,
        ("flood-w2", "alarms_in_10_min"): 1.0,
    }
    clock.advance(FLOOD_S - 1)
    assert values(watch.rows(clock.now_ns()))["flood-w1", "alarms_in_10_min"] == 0.0


def test_the_url_outside_that_is_not_reached_is_told(clock: EventClock) -> None:
    watch = Watch(clock, Telemetry(), heartbeat_failing=lambda: True)
    assert values(watch.rows(T0))["heartbeat-url", "delivery_failing"] == 1.0


def test_what_is_watched_is_known(clock: EventClock) -> None:
    duty = Duty(patients={"p1": "w1"}, scheduled=W1)
    pulse = beating(clock, "ingest", "notifier")
    watch = Watch(clock, Telemetry(), [FakeChannel("sms")], duty=lambda: duty, pulse=pulse)
    watch.expect_walls(W1)
    assert {s.removeprefix("component:") for s in watch.subjects()} == {
        "ingest",
        "notifier",
        "channel-sms",
        "wall-w1",
        "duty-w1",
        "flood-w1",
    }


def test_the_wards_that_expect_a_wall_come_from_the_records(tmp_path: Path, clock: EventClock) -> None:
    records = Records.open(tmp_path / "r.db", clock=clock, wall=clock, ids=SeededIds())
    system = Scope.system("main")

    def furnish(session):  # noqa: ANN001, ANN202 - SQLAlchemy's
        wards = records.directory(session).wards
        for name in ("w1", "w2"):
            wards.create(system, name=name, ident=name)
        session.flush()
        wards.get(system, "w2").wall_expected = True

    records.run_now(furnish)
    assert records.read_now(lambda s: wards_with_walls(s, "main")) == {"w2"}
    records.close_now()
