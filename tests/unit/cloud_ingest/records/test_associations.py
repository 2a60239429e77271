"""However associations are made, corrected and ended, a device measures one patient at a time."""

from __future__ import annotations

import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.models import Association
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Scope

SYSTEM = Scope.system("main")
NOW = 1000
times = st.integers(0, NOW)
ends = st.none() | times
devices = st.sampled_from(["d1", "d2"])
patients = st.sampled_from(["p1", "p2"])
picks = st.integers(0, 10)


class Intervals(RuleBasedStateMachine):
    """A model beside the database: the present intervals by id."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        clock = EventClock(NOW)
        self.records = Records.open(Path(self.folder.name) / "r.db", clock=clock, wall=clock, ids=SeededIds())
        self.model: dict[str, tuple[str, str, int, int | None]] = {}
        self.superseded = 0

    def do(self, act: Any) -> Any:
        def within(session: Session) -> Any:
            return act(self.records.directory(session))

        return self.records.run_now(within)

    def free(self, wanted: tuple[str, str, int, int | None], but: str = "") -> bool:
        return all(not _overlap(wanted, row) for key, row in self.model.items() if key != but)

    @initialize()
    def furnish(self) -> None:
        def make(d: Directory) -> None:
            d.gateways.create(SYSTEM, ident="gw")
            for n in "12":
                d.devices.create(SYSTEM, gateway="gw", transport="ble", address=n, ident=f"d{n}")
                d.patients.create(SYSTEM, name=n, ident=f"p{n}")

        self.do(make)

    @rule(device=devices, patient=patients, start=times, end=ends)
    def create(self, device: str, patient: str, start: int, end: int | None) -> None:
        wanted = device, patient, start, end
        good = (end is None or end > start) and self.free(wanted)
        row = self.attempt(
            lambda d: d.associations.create(SYSTEM, device=device, patient=patient, start=start, end=end),
            good=good,
        )
        if row is not None:
            self.model[row.id] = wanted

    @rule(pick=picks, device=devices, patient=patients, start=times, end=ends)
    def correct(self, pick: int, device: str, patient: str, start: int, end: int | None) -> None:
        if not self.model:
            return
        key = sorted(self.model)[pick % len(self.model)]
        wanted = device, patient, start, end
        good = (end is None or end > start) and self.free(wanted, but=key)
        row = self.attempt(
            lambda d: d.associations.change(
                SYSTEM, key, device=device, patient=patient, start=start, end=end
            ),
            good=good,
        )
        if row is not None:
            del self.model[key]
            self.model[row.id] = wanted
            self.superseded += 1

    @rule(pick=picks, at=times)
    def end(self, pick: int, at: int) -> None:
        if not self.model:
            return
        key = sorted(self.model)[pick % len(self.model)]
        device, patient, start, end = self.model[key]
        good = at > start and (end is None or end > at)
        if self.attempt(lambda d: d.associations.end(SYSTEM, key, at=at), good=good) is not None:
            self.model[key] = device, patient, start, at

    def attempt(self, act: Any, *, good: bool) -> Any:
        try:
            row = self.do(act)
        except ConfigError:
            assert not good
            return None
        assert good
        return row

    @invariant()
    def one_patient_at_a_time(self) -> None:
        def every(session: Session) -> list[Association]:
            return list(session.query(Association))

        rows = self.records.read_now(every)
        present = {r.id: (r.device, r.patient, r.start, r.end) for r in rows if r.superseded_at is None}
        assert present == self.model
        assert not any(_overlap(a, b) for a, b in combinations(present.values(), 2))
        assert len(rows) == len(present) + self.superseded

    def teardown(self) -> None:
        self.records.close_now()
        self.folder.cleanup()


def _overlap(a: tuple[str, str, int, int | None], b: tuple[str, str, int, int | None]) -> bool:
    return a[0] == b[0] and (b[3] is None or a[2] < b[3]) and (a[3] is None or b[2] < a[3])


TestIntervals = Intervals.TestCase
TestIntervals.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
