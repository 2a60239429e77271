"""Twins of a ward plan, driven by a player or by invented vital signs; maybe as a process of their own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devices.twins.base import Twin
from devices.twins.world import TwinWorld
from hearthward.app.control import ControlServer
from hearthward.app.files import check_writable, make_folder, write_atomically
from hearthward.app.player import EPOCH_NS, Books, Player, route
from hearthward.app.recording import Recording, read_recording
from hearthward.app.tracker import Acknowledgements, Tracker
from hearthward.app.ward import TWINS, TwinKind, VitalSigns, WardPlan, plan_for_recording, virtual_ward
from hearthward.core.clock import SECOND, EventClock, SystemClock
from hearthward.core.errors import LinkError
from hearthward.core.settings import Settings

__all__ = ["Ward", "live_ward", "open_ward", "run_twins"]

log = logging.getLogger(__name__)
CUFF_FIRST_S: Final = 3.0
"""When the first cuff measures; the others follow a second apart."""


class Ward:
    """A plan whose twins exist: ``plan`` has their addresses."""

    def __init__(self, plan: WardPlan, world: TwinWorld, twins: dict[str, Twin]) -> None:
        self.world = world
        self.twins = twins
        self.plan = plan.with_addresses({t.id: t.address for t in twins.values()})

    def by_patient(self) -> dict[str, dict[str, Twin]]:
        """Patient's name -> metric -> the twin that carries it."""
        out = {}
        for patient in self.plan.patients:
            routes = route(self.twins[d.id] for d in patient.devices)
            carried = frozenset().union(*(TWINS[d.kind][2] for d in patient.devices))
            out[patient.name] = {m: t for m, t in routes.items() if m in carried}
        return out


@asynccontextmanager
async def open_ward(plan: WardPlan, *, ptys: Path | None = None) -> AsyncIterator[Ward]:
    """Make a twin for each planned device; ``ptys`` is a folder for stable links to serial ports."""
    async with TwinWorld() as world:
        twins: dict[str, Twin] = {}
        for _, device in plan.devices():
            twins[device.id] = _add(world, device.kind, device.id, ptys)
        await world.start()
        yield Ward(plan, world, twins)


def _add(world: TwinWorld, kind: TwinKind, device: str, ptys: Path | None) -> Twin:
    by_hand = {
        "heart-rate": world.add_heart_rate,
        "pulse-oximeter": world.add_pulse_oximeter,
        "blood-pressure": world.add_blood_pressure,
    }
    if kind in by_hand:
        return by_hand[kind](device)
    if kind == "beurer-bm85":
        return world.add_blood_pressure(device, variant="beurer-bm85")
    profile, transport, _ = TWINS[kind]
    link = ptys / device if ptys else None
    if kind == "masimo":
        return world.add_masimo(device, link_path=link)
    return world.add(profile, device, **({"link_path": link} if transport == "serial" else {}))


async def live_ward(
    ward: Ward,
    *,
    seconds: float | None,
    acks: Acknowledgements,
    tracker: Tracker,
    books: Books,
) -> None:
    """Let every twin of the virtual ward measure in real time, for ``seconds`` or until cancelled."""
    clock = SystemClock()
    started = clock.monotonic_ns()

    def elapsed() -> float:
        return (clock.monotonic_ns() - started) / SECOND

    async with asyncio.TaskGroup() as group:
        for n, patient in enumerate(ward.plan.patients):
            signs = VitalSigns(patient.id)
            for device in patient.devices:
                cuff = device.kind in {"blood-pressure", "beurer-bm85"}
                offset = CUFF_FIRST_S + n if cuff else n / len(ward.plan.patients)
                measuring = _Measuring(ward.twins[device.id], signs, patient.name, TWINS[device.kind][2])
                group.create_task(
                    _measure(
                        measuring,
                        times=(offset, device.interval_s, seconds),
                        elapsed=elapsed,
                        marks=(acks, tracker, books),
                    ),
                    name=f"twin {device.id}",
                )


@dataclass(frozen=True, slots=True)
class _Measuring:
    """One device of one patient: what it measures and for whom."""

    twin: Twin
    signs: VitalSigns
    patient: str
    metrics: frozenset[str]

    def values(self, second: float) -> dict[str, float]:
        return {m: v for m, v in self.signs.at(second).items() if m in self.metrics}


async def _measure(
    measuring: _Measuring,
    *,
    times: tuple[float, float, float | None],
    elapsed: Callable[[], float],
    marks: tuple[Acknowledgements, Tracker, Books],
) -> None:
    """Send one payload each interval while somebody listens; a value nobody could hear was never sent."""
    due, interval, end = times
    acks, tracker, books = marks
    twin = measuring.twin
    while end is None or due < end:
        await asyncio.sleep(max(0.0, due - elapsed()))
        due = max(due + interval, elapsed())
        if not twin.ready():
            if interval > 1:
                due = elapsed() + 1
            continue
        tracker.sending(twin.id)
        acks.sent(twin.id)
        try:
            sent = await twin.send(measuring.values(elapsed()))
        except LinkError:
            tracker.unsend(twin.id)
            acks.unsend(twin.id)
            continue
        for metric, value in sent.items():
            books.enter(measuring.patient, metric, value)


async def run_twins(
    settings: Settings,
    *,
    hci: int,
    control: int,
    ptys: Path | None,
    plan: Path,
    play: Path | None,
    speed: float,
    report: Path | None,
) -> None:
    """``hearthward twins``: serve the radio and the control line, write the plan, then play or simulate."""
    recording = None if play is None else read_recording(play)
    gateway, tenant = settings.edge.gateway, settings.edge.tenant
    wanted = (
        virtual_ward(gateway, tenant) if recording is None else plan_for_recording(recording, gateway, tenant)
    )
    for path in (plan, report):
        if path is not None:
            check_writable(path)
    if ptys is not None:
        make_folder(ptys)
    tracker, acks = Tracker(SystemClock()), Acknowledgements()
    clock = EventClock(EPOCH_NS)

    def taken(device: str, n: int) -> None:
        acks.taken(device, n)
        for _ in range(n):
            tracker.refused(device)

    def edge_lost() -> None:
        acks.lose_outstanding()
        tracker.forget()

    async with open_ward(wanted, ptys=ptys) as ward:
        line = ControlServer(clock, taken, edge_lost)
        hci_port = await ward.world.serve_hci("127.0.0.1", hci)
        control_port = await line.start(control)
        try:
            about = {**ward.plan.to_data(), "hci": hci_port, "control": control_port}
            write_atomically(plan, json.dumps(about, indent=1).encode())
            log.info("virtual radio on tcp-client:127.0.0.1:%s, control on %s", hci_port, control_port)
            outcome = await _act(ward, recording, clock, line, speed, acks, tracker)
            if report is not None:
                outcome["lost_before_acceptance"] = acks.lost
                write_atomically(report, json.dumps(outcome, indent=1).encode())
            await asyncio.Event().wait()
        finally:
            await line.close()


async def _act(
    ward: Ward,
    recording: Recording | None,
    clock: EventClock,
    line: ControlServer,
    speed: float,
    acks: Acknowledgements,
    tracker: Tracker,
) -> dict[str, Any]:
    if recording is None:
        books = Books()
        await live_ward(ward, seconds=None, acks=acks, tracker=tracker, books=books)
        return {"sent": books.sent()}
    player = Player(
        recording,
        ward.by_patient(),
        clock=clock,
        speed=speed,
        acks=acks,
        tracker=tracker,
        on_step=line.step,
    )
    await player.play(None)
    return {
        "sent": player.books.sent(),
        "skipped": dict(player.books.skipped),
        "rejected": dict(player.books.rejected),
        "complete": player.complete,
    }
