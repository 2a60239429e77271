from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Scope

T = TypeVar("T")
START = 1_800_000_000 * SECOND
SYSTEM = Scope.system("main")


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START, frozen_monotonic=True)


@pytest.fixture
def records(tmp_path: Path, clock: EventClock) -> Iterator[Records]:
    opened = Records.open(
        tmp_path / "records.db",
        clock=clock,
        wall=clock,
        ids=SeededIds(1),
        profiles=frozenset({"sig-heart-rate", "masimo-ascii1"}),
    )
    yield opened
    opened.close_now()


@pytest.fixture
def change(records: Records) -> Callable[[Callable[[Directory], T]], T]:
    """Do something with the directory in one transaction."""

    def do(fn: Callable[[Directory], T]) -> T:
        def within(session: Session) -> T:
            return fn(records.directory(session))

        return records.run_now(within)

    return do


@pytest.fixture
def furnished(change: Callable[[Callable[[Directory], None]], None]) -> None:
    """Two wards of two beds, three patients (the third at home), a gateway a ward, a device each."""

    def furnish(d: Directory) -> None:
        for ward in ("w1", "w2"):
            d.wards.create(SYSTEM, name=f"Ward {ward}", ident=ward)
            d.gateways.create(SYSTEM, ident=f"gw-{ward}", ward=ward)
            d.devices.create(
                SYSTEM, gateway=f"gw-{ward}", transport="ble", address="AA:01", ident=f"d-{ward}"
            )
            for bed in ("a", "b"):
                d.beds.create(SYSTEM, ward=ward, label=bed, ident=f"{ward}-{bed}")
        for i, name in enumerate(("Ada", "Ben", "Cleo"), 1):
            d.patients.create(SYSTEM, name=name, ident=f"p{i}")
        d.encounters.create(SYSTEM, patient="p1", kind="ward", bed="w1-a", ident="e1")
        d.encounters.create(SYSTEM, patient="p2", kind="ward", bed="w2-a", ident="e2")
        d.encounters.create(SYSTEM, patient="p3", kind="home", ident="e3")

    change(furnish)


@pytest.fixture
def staffed(records: Records, furnished: None) -> None:  # noqa: ARG001 - the wards come first
    """Nurses Nora and Nick of w1, Wanda of w2, a doctor and an engineer of all wards, a wall, a patient."""

    def staff(session: Session) -> None:
        users = records.users(session)
        for login, role, wards, patient in (
            ("nora", "nurse", ["w1"], None),
            ("nick", "nurse", ["w1"], None),
            ("wanda", "nurse", ["w2"], None),
            ("dora", "doctor", None, None),
            ("emil", "engineer", None, None),
            ("wall", "display", ["w1"], None),
            ("ada", "patient", None, "p1"),
        ):
            users.add(
                SYSTEM,
                login=login,
                name=login.title(),
                roles=[role],
                wards=wards,
                patient=patient,
                ident=login,
            )

    records.run_now(staff)
