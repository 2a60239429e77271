"""How channels do, from the record of attempts as the notifier leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.channel_health import DAY, Try, health
from cloud_ingest.channel_record import ChannelRecord, add_test, read_channels, report_test
from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm, ChannelTest, DeliveryAttempt, Notification
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds

NOW = 1_767_225_600 * SECOND
HOUR = 3600 * SECOND


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records.open(tmp_path / "records.db", clock=EventClock(NOW), ids=SeededIds(1))
    opened.run_now(_alarm)
    yield opened
    opened.close_now()


def _alarm(session: Session) -> None:
    session.add(
        Alarm(
            tenant="main",
            id="a",
            patient="p",
            rule="r",
            rule_hash="h",
            priority="high",
            condition="active",
            onset=0,
            started=0,
            text_en="",
            text_zh="",
            limit_text="",
            values_json={},
            late=False,
            worklist=False,
            last_transition="start",
            last_seq=1,
        )
    )


class Told:
    """Adds notifications with their attempts: (outcome, at, detail, latency)."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.n = 0

    def __call__(
        self, channel: str, state: str, *attempts: tuple[Any, ...], tries: int | None = None
    ) -> None:
        self.n += 1
        ident, created = f"n{self.n}", min((a[1] for a in attempts), default=NOW - 60 * SECOND)

        def add(session: Session) -> None:
            session.add(
                Notification(
                    tenant="main",
                    id=ident,
                    alarm="a",
                    seq=self.n,
                    ordinal=0,
                    kind="start",
                    priority="high",
                    channel=channel,
                    who="u",
                    target="x",
                    language="en",
                    body="",
                    state=state,
                    reference="SM1" if any(a[0] == "handed_over" for a in attempts) else None,
                    attempts=len(attempts) if tries is None else tries,
                    next_at=0,
                    created=created,
                )
            )
            session.flush()
            for outcome, at, detail, latency in attempts:
                session.add(
                    DeliveryAttempt(
                        tenant="main",
                        notification=ident,
                        at=at,
                        outcome=outcome,
                        detail=detail,
                        latency_ms=latency,
                        after_ms=0.0,
                    )
                )

        self.records.run_now(add)


def read(records: Records, *channels: str) -> dict[str, ChannelRecord]:
    with Session(records._reader) as session:
        return read_channels(session, "main", channels, NOW)


def test_a_channel_that_was_well_long_ago_and_fails_since(records: Records):
    told = Told(records)
    told("sms", "handed_over", ("handed_over", NOW - 5 * DAY, "", 90.0))
    told(
        "sms", "abandoned", ("temporary", NOW - 3 * DAY, "503", 5.0), ("abandoned", NOW - 2 * DAY, "504", 5.0)
    )
    told("sms", "queued", ("temporary", NOW - HOUR, "505", 5.0))
    told("sms", "queued")
    found = read(records, "sms")["sms"]
    assert (found.health.state, found.health.since) == ("failing", NOW - 3 * DAY)
    assert (found.health.last_handover, found.health.last_failure) == (NOW - 5 * DAY, NOW - HOUR)
    assert (found.health.failure, found.health.failed, found.health.handed_over) == ("505", 1, 0)
    assert found.health.latency_p50_ms is None
    assert (found.queued, found.oldest) == (2, NOW - HOUR)


def test_a_wrong_number_or_none_is_not_a_channel_that_fails(records: Records):
    told = Told(records)
    told("sms", "failed", ("failed", NOW - 3 * HOUR, "the user has no telephone number", 0.0), tries=0)
    assert read(records, "sms")["sms"].health.state == "never_used"
    told(
        "sms",
        "failed",
        ("handed_over", NOW - 2 * HOUR, "", 120.0),
        ("failed", NOW - HOUR, "the number does not exist, error 30005", 0.0),
    )
    told("sms", "handed_over", ("handed_over", NOW - 4 * HOUR, "", 80.0))
    found = read(records, "sms")["sms"].health
    assert (found.state, found.failed, found.reported, found.handed_over) == ("well", 0, 1, 2)
    assert (found.latency_p50_ms, found.latency_p95_ms) == (80.0, 120.0)


def test_channels_do_not_answer_for_each_other(records: Records):
    told = Told(records)
    told("sms", "handed_over", ("handed_over", NOW - HOUR, "", 80.0))
    told("voice", "failed", ("failed", NOW - HOUR, "401", 80.0))
    found = read(records, "sms", "voice", "email")
    assert {name: r.health.state for name, r in found.items()} == {
        "sms": "well",
        "voice": "failing",
        "email": "never_used",
    }


def test_a_test_counts_for_the_state_and_may_be_confirmed_or_fail_after_all(records: Records):
    def test_of(ident: str, at: int) -> ChannelTest:
        return ChannelTest(
            tenant="main",
            id=ident,
            channel="voice",
            at=at,
            by="u",
            target="me",
            language="en",
            text="TEST",
            outcome="handed_over",
            detail="",
            latency_ms=1.0,
            confirmed=None,
        )

    Told(records)("voice", "failed", ("failed", NOW - HOUR, "401", 80.0))
    records.run_now(lambda s: add_test(s, test_of("tst_1", NOW - 60)))
    assert read(records, "voice")["voice"].health.state == "well"
    records.run_now(lambda s: report_test(s, "main", "tst_1", failed=False, detail="", now=NOW))
    records.run_now(lambda s: report_test(s, "main", "tst_1", failed=False, detail="", now=NOW + 5))
    records.run_now(lambda s: report_test(s, "main", "none", failed=False, detail="", now=NOW))
    assert read(records, "voice")["voice"].tests[0].confirmed == NOW
    records.run_now(lambda s: report_test(s, "main", "tst_1", failed=True, detail="busy", now=NOW))
    found = read(records, "voice")["voice"]
    assert (found.health.state, found.tests[0].detail) == ("failing", "busy")


def test_the_same_try_told_twice_counts_once():
    one = Try(NOW - HOUR, "handed_over", "", 10.0, 7)
    found = health([one, one, Try(NOW - HOUR, "handed_over", "", 10.0, 8)], NOW)
    assert found.handed_over == 2
