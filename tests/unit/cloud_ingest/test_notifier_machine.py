"""Whatever channels answer and whenever the sender dies, each notification is told or visibly given up.

And of what is given up, or turns out not to have arrived, escalation hears in the end.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy.orm import Session

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import ATTEMPTS, LEASE_S, LONGEST_WAIT_S, Notifier, Undelivered, enqueue
from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import DeliveryAttempt, Notification
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.made import transition

FINAL = {"handed_over", "confirmed", "failed", "abandoned"}
answers = st.sampled_from(["take", "later", "taken, answer lost", "never"])


class Sending(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = EventClock(1_800_000_000 * SECOND, frozen_monotonic=True)
        self.records = Records.open(
            Path(self.folder.name) / "r.db", clock=self.clock, wall=self.clock, ids=SeededIds()
        )
        self.channel = FakeChannel()
        self.telemetry = Telemetry()
        self.seq = 0
        self.final: dict[str, str] = {}
        self.escalated: Counter[str] = Counter()
        self.dies = False

    def notifier(self) -> Notifier:
        return Notifier(
            self.records,
            [self.channel],
            self.clock,
            SeededIds(),
            self.telemetry,
            undelivered=self.undelivered,
        )

    async def undelivered(self, what: Undelivered) -> None:
        self.escalated[what.alarm] += 1
        if self.dies:
            raise asyncio.CancelledError

    @rule(
        kind=st.sampled_from(["start", "escalate", "end"]),
        alarms=st.sets(st.sampled_from([f"alm_{c}" for c in "abcdef"]), min_size=1),
        who=st.sampled_from(["@x", "@y", "usr_nobody"]),
    )
    def happen(self, kind: str, alarms: set[str], who: str) -> None:
        self.seq += 1
        told = {"told": [["fake", who]]}
        step = [transition(kind, alarm, self.seq, detail=told) for alarm in sorted(alarms)]

        def within(session: Session) -> None:
            apply_transitions(session, "main", step, self.clock.now_ns())
            enqueue(session, "main", step, self.clock.now_ns())

        self.records.run_now(within)
        self.records.run_now(within)

    @rule(how=st.lists(answers, max_size=4))
    def send(self, how: list[str]) -> None:
        for answer in how:
            if answer == "later":
                self.channel.fail(DeliveryTemporary("later"))
            elif answer == "taken, answer lost":
                self.channel.fail(DeliveryTemporary("lost"), after_taking=True)
            elif answer == "never":
                self.channel.fail(DeliveryPermanent("never"))
        asyncio.run(self.notifier().send_due())

    @rule()
    def die_in_mid_sending(self) -> None:
        async def die() -> None:
            self.channel.gate.clear()
            self.channel.reached.clear()
            sending = asyncio.create_task(self.notifier().send_due())
            reached = asyncio.create_task(self.channel.reached.wait())
            await asyncio.wait({sending, reached}, return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            reached.cancel()
            await asyncio.gather(sending, reached, return_exceptions=True)
            self.channel.gate.set()

        asyncio.run(die())

    @rule(dies=st.booleans())
    def report(self, *, dies: bool) -> None:
        self.dies = dies

        async def go() -> None:
            await asyncio.gather(self.notifier().report(), return_exceptions=True)

        asyncio.run(go())
        self.dies = False

    @rule(state=st.sampled_from(["confirmed", "failed"]))
    def hear_later(self, state: Literal["confirmed", "failed"]) -> None:
        handed = sorted((r for r in self.rows() if r.state == "handed_over"), key=lambda r: r.id)
        if handed:
            message = handed[0].message or handed[0].id
            assert asyncio.run(self.notifier().confirmed(message, state))

    @rule(seconds=st.sampled_from([1.0, 10.0, LEASE_S, LONGEST_WAIT_S]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def rows(self) -> list[Notification]:
        return self.records.read_now(lambda s: list(s.query(Notification)))

    @invariant()
    def what_is_final_stays(self) -> None:
        found = {r.id: r.state for r in self.rows()}
        for ident, state in self.final.items():
            later = {"confirmed", "failed"} if state == "handed_over" else set()
            assert found[ident] in {state} | later
        self.final = {ident: state for ident, state in found.items() if state in FINAL}

    @invariant()
    def states_are_what_happened(self) -> None:
        taken = Counter(m.id for m in self.channel.taken)
        attempts = Counter(
            (a.notification, a.outcome)
            for a in self.records.read_now(lambda s: list(s.query(DeliveryAttempt)))
        )
        for row in self.rows():
            assert row.attempts <= ATTEMPTS
            if row.state == "handed_over":
                assert taken[row.message or row.id] >= 1
                assert attempts[row.id, "handed_over"] == 1
            if row.state == "failed":
                assert attempts[row.id, "failed"] == 1
            if row.unreported is not None:
                assert row.state in {"failed", "abandoned"}

    def teardown(self) -> None:
        """In the end nothing is left queued, and no end was told before its start."""

        async def finish() -> None:
            for _ in range(3 * ATTEMPTS):
                self.clock.advance(LONGEST_WAIT_S)
                while await self.notifier().send_due():
                    pass
            while await self.notifier().report():
                pass

        asyncio.run(finish())
        found = self.rows()
        assert {r.state for r in found} <= FINAL
        superseded = {
            a.notification
            for a in self.records.read_now(lambda s: list(s.query(DeliveryAttempt)))
            if a.outcome == "superseded"
        }
        lost = Counter(
            r.alarm for r in found if r.state in {"failed", "abandoned"} and r.id not in superseded
        )
        assert all(self.escalated[alarm] >= n for alarm, n in lost.items())
        assert self.escalated.keys() <= lost.keys()
        assert not any(r.unreported for r in found)
        self.records.close_now()
        self.folder.cleanup()


TestSending = Sending.TestCase
TestSending.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)
