from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import Notifier, Undelivered
from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import DeliveryAttempt, Notification, User
from cloud_ingest.telling.enqueue import enqueue
from cloud_ingest.telling.wording import Wording
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from rules import Transition
from tests.unit.cloud_ingest.made import transition

SYSTEM = Scope.system("main")
START = 1_800_000_020 * SECOND
Hops = tuple[tuple[str, str], ...]


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START, frozen_monotonic=True)


@pytest.fixture
def records(tmp_path: Path, clock: EventClock) -> Iterator[Records]:
    opened = Records.open(tmp_path / "records.db", clock=clock, wall=clock, ids=SeededIds())
    opened.run_now(lambda s: furnish(opened, s))
    yield opened
    opened.close_now()


def furnish(records: Records, session: Session) -> None:
    d = records.directory(session)
    d.wards.create(SYSTEM, name="Ward 3", ident="w1")
    d.beds.create(SYSTEM, ward="w1", label="07", ident="b1")
    d.patients.create(SYSTEM, name="Ada Lovelace", mrn="4711", birth_date="1948-03-27", ident="p1")
    d.patients.create(SYSTEM, name="Ben", ident="p2xyz")
    d.encounters.create(SYSTEM, patient="p1", kind="ward", bed="b1")
    d.encounters.create(SYSTEM, patient="p2xyz", kind="home", ward="w1")
    for login, phone, email, language in (
        ("amy", "+15005550006", "amy@ward.example", "en"),
        ("li", "+8613800138000", None, "zh"),
        ("joe", None, None, None),
    ):
        session.add(
            User(
                tenant="main",
                id=f"usr_{login}",
                login=login,
                name=login,
                roles=["nurse"],
                phone=phone,
                email=email,
                language=language,
                created=1,
            )
        )


def told(*hops: tuple[str, str], kind: str = "start", **values: object) -> Transition:
    return transition(kind, detail={"told": [list(hop) for hop in hops]}, **values)


def commit(records: Records, *transitions: Transition, wording: Wording | None = None) -> int:
    def within(session: Session) -> int:
        apply_transitions(session, "main", transitions, START)
        return len(enqueue(session, "main", transitions, START, wording))

    return records.run_now(within)


def rows(records: Records) -> list[Notification]:
    return records.read_now(
        lambda s: list(
            s.query(Notification).order_by(Notification.seq, Notification.channel, Notification.who)
        )
    )


def test_one_row_for_each_hop_however_often(records: Records) -> None:
    step = [
        told(("in_app", "wall"), ("sms", "usr_amy"), ("email", "@address-1"), kind="tell"),
        told(("in_app", "wall"), kind="end"),
        transition("update"),
    ]
    assert commit(records, *step) == 4
    assert commit(records, *step) == 0
    assert {(r.kind, r.channel, r.who) for r in rows(records)} == {
        ("tell", "in_app", "wall"),
        ("tell", "sms", "usr_amy"),
        ("tell", "email", "@address-1"),
        ("end", "in_app", "wall"),
    }
    assert {r.state for r in rows(records)} == {"queued"}


def test_people_are_told_at_their_addresses_in_their_language(records: Records) -> None:
    hops: Hops = (
        ("email", "usr_amy"),
        ("in_app", "usr_li"),
        ("push", "usr_joe"),
        ("sms", "@number-1"),
        ("sms", "usr_amy"),
        ("voice", "usr_li"),
    )
    commit(records, told(*hops), wording=Wording(language="zh"))
    assert [(r.channel, r.who, r.target, r.language) for r in rows(records)] == [
        ("email", "usr_amy", "amy@ward.example", "en"),
        ("in_app", "usr_li", "usr_li", "zh"),
        ("push", "usr_joe", "usr_joe", "zh"),
        ("sms", "@number-1", "@number-1", "zh"),
        ("sms", "usr_amy", "+15005550006", "en"),
        ("voice", "usr_li", "+8613800138000", "zh"),
    ]


async def test_who_cannot_be_reached_is_a_failed_row_and_escalation_hears_of_it(
    records: Records, clock: EventClock
) -> None:
    commit(records, told(("sms", "usr_joe"), ("email", "usr_li"), ("voice", "usr_gone")))
    assert {(r.who, r.state) for r in rows(records)} == {
        ("usr_joe", "failed"),
        ("usr_li", "failed"),
        ("usr_gone", "failed"),
    }
    attempts = records.read_now(lambda s: [a.detail for a in s.query(DeliveryAttempt)])
    assert sorted(attempts) == [
        "the user has no e-mail address",
        "the user has no telephone number",
        "there is no such user",
    ]
    heard: list[Undelivered] = []

    async def undelivered(what: Undelivered) -> None:
        heard.append(what)

    notifier = Notifier(
        records, [FakeChannel("sms")], clock, SeededIds(), Telemetry(), undelivered=undelivered
    )
    assert await notifier.report() == 3
    assert {(u.channel, u.who) for u in heard} == {
        ("sms", "usr_joe"),
        ("email", "usr_li"),
        ("voice", "usr_gone"),
    }


def test_who_has_left_is_not_told(records: Records) -> None:
    records.run_now(lambda s: s.execute(update(User).where(User.id == "usr_amy").values(disabled=1)))
    commit(records, told(("sms", "usr_amy")))
    assert [(r.state, r.unreported) for r in rows(records)] == [("failed", "the user's account is disabled")]


def test_an_alarm_and_its_notifications_are_one_commit(records: Records) -> None:
    def half(session: Session) -> None:
        apply_transitions(session, "main", [told(("in_app", "wall"))], START)
        enqueue(session, "main", [told(("in_app", "wall"))], START)
        message = "power cut"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError):
        records.run_now(half)
    assert rows(records) == []


def test_nobody_is_told_of_what_a_rule_on_trial_decides(records: Records) -> None:
    assert commit(records, told(("in_app", "wall"), alarm="shd_1", shadow=True)) == 0


def test_nobody_is_told_of_what_is_about_no_alarm(records: Records) -> None:
    def within(session: Session) -> int:
        pause = told(("in_app", "wall"), kind="pause", alarm="")
        return len(enqueue(session, "main", [pause], START))

    assert records.run_now(within) == 0


def test_messages_say_where_and_nothing_of_the_person(records: Records) -> None:
    commit(records, told(("sms", "@a")))
    commit(records, told(("sms", "@a"), alarm="alm_home", seq=2, patient="p2xyz"))
    commit(records, told(("sms", "@a"), alarm="alm_none", seq=3, patient="p_unknown"))
    commit(records, told(("sms", "@a"), alarm="alm_gw", seq=4, patient="gateway:gw-1"))
    commit(records, told(("sms", "@a"), alarm="alm_wall", seq=5, patient="component:wall-w1"))
    commit(records, told(("sms", "@a"), alarm="alm_sms", seq=6, patient="component:channel-sms"))
    bodies = [r.body for r in rows(records)]
    assert [b.split(", ", 1)[1].rsplit(", ", 1)[0] for b in bodies] == [
        "Ward 3 bed 07",
        "at home, patient ..2xyz",
        "patient ..nown",
        "gateway gw-1",
        "walls of Ward 3",
        "channel sms",
    ]
    for body in bodies:
        assert not any(secret in body for secret in ("Ada", "Lovelace", "4711", "1948", "Ben"))


def test_only_the_ward_is_said_where_only_a_reference_may_be(records: Records) -> None:
    commit(records, told(("sms", "@a")), wording=Wording("reference"))
    commit(
        records, told(("sms", "@a"), alarm="alm_home", seq=2, patient="p2xyz"), wording=Wording("reference")
    )
    assert [r.body for r in rows(records)] == [
        "ALARM high: Ward 3, 08:00 UTC #abcdef",
        "ALARM high: Ward 3, 08:00 UTC #m_home",
    ]


def test_times_are_those_of_what_measures_the_subject(records: Records) -> None:
    """Most gateways are in Berlin, where it is one hour later than UTC; one is in Shanghai."""

    def within(session: Session) -> None:
        d = records.directory(session)
        for name, zone in (("gw-1", "Europe/Berlin"), ("gw-2", "Europe/Berlin"), ("gw-3", "Asia/Shanghai")):
            d.gateways.create(SYSTEM, ident=name, ward="w1", timezone=zone)
        d.gateways.create(SYSTEM, ident="gw-4", ward="w1")
        d.devices.create(SYSTEM, ident="oxi", gateway="gw-3", transport="ble", address="C4:12:5D:00:AE:91")
        d.associations.create(SYSTEM, device="oxi", patient="p1")

    records.run_now(within)
    subjects = ("p1", "p2xyz", "gateway:gw-3", "gateway:gw-4", "device:oxi", "component:channel-sms")
    for seq, subject in enumerate(subjects, 1):
        commit(records, told(("sms", "@a"), alarm=f"alm_{seq}", seq=seq, patient=subject))
    times = [r.body.rsplit(", ", 1)[1].split(" ")[0] for r in rows(records)]
    assert times == ["16:00", "09:00", "16:00", "09:00", "16:00", "09:00"]


def test_delays_are_counted_in_real_time_while_a_recording_is_played(records: Records) -> None:
    def within(session: Session) -> None:
        apply_transitions(session, "main", [told(("in_app", "wall"))], 5 * SECOND)
        enqueue(session, "main", [told(("in_app", "wall"))], 5 * SECOND, wall=START)

    records.run_now(within)
    assert rows(records)[0].created == START


def test_a_hundred_alarms_take_a_handful_of_statements(records: Records) -> None:
    step = [
        told(("in_app", "wall"), ("sms", "usr_amy"), ("push", "usr_li"), alarm=f"alm_{n}") for n in range(100)
    ]
    records.run_now(lambda s: apply_transitions(s, "main", step, START))
    statements: list[str] = []

    def within(session: Session) -> int:
        listen = session.get_bind()

        def heard(_c: object, _cursor: object, statement: str, *_more: object) -> None:
            if not statement.startswith(("PRAGMA", "BEGIN")):
                statements.append(statement)

        event.listen(listen, "before_cursor_execute", heard)
        try:
            return len(enqueue(session, "main", step, START))
        finally:
            event.remove(listen, "before_cursor_execute", heard)

    assert records.run_now(within) == 300
    assert len(statements) <= 5, statements


async def test_a_flood_to_one_phone_is_one_message_and_each_row_is_handed_over(
    records: Records, clock: EventClock
) -> None:
    hops: Hops = (("in_app", "wall"), ("sms", "usr_amy"), ("sms", "usr_li"), ("voice", "usr_amy"))
    step = [told(*hops, alarm=f"alm_{n:06}", kind="tell") for n in range(5)]
    commit(records, *step)
    commit(records, told(*hops, alarm="alm_worst0", seq=2, kind="tell", priority="high"))
    channels = {name: FakeChannel(name) for name in ("in_app", "sms", "voice")}
    notifier = Notifier(records, list(channels.values()), clock, SeededIds(), Telemetry())
    assert await notifier.send_due() == 24
    assert len(channels["in_app"].taken) == 6
    assert len(channels["sms"].taken) == 2
    (call,) = channels["voice"].taken
    assert call.text.endswith("And 5 more.")
    english = next(m for m in channels["sms"].taken if m.target == "+15005550006")
    assert english.text.startswith("6 MESSAGES, the worst: ALARM high: SpO2 84 < 90")
    for n in range(1, 5):
        assert f"#{n:06}" in english.text
    found = rows(records)
    assert {r.state for r in found} == {"handed_over"}
    assert len({r.reference for r in found if r.channel == "sms"}) == 2
    attempts = records.read_now(lambda s: s.query(DeliveryAttempt).count())
    assert attempts == 24
    voice = [r for r in found if r.channel == "voice"]
    assert call.id in {r.id for r in voice}, "who answers the call answers for the one that was read out"
    assert await notifier.confirmed(call.id, "failed", "the line was busy")
    assert {r.state for r in rows(records) if r.channel == "voice"} == {"failed"}
