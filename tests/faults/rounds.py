"""Rounds of faults in long-running systems: break, mend, provoke an alarm, account for every reading."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from click import echo

from tests.faults.books import Line
from tests.faults.disks import Disk, Ext4, Tmpfs, why_no_mounts
from tests.faults.faults import FAULTS, Fault
from tests.faults.parts import Broker, Victoria
from tests.faults.system import System

__all__ = [
    "ACCOUNT",
    "BROKERS",
    "TARGET_S",
    "Plan",
    "Round",
    "Session",
    "Turn",
    "left_out",
    "plan_of",
    "run_session",
    "selection",
]

ACCOUNT: Final = "whole session"
"""Under this name stands what is accounted for at a session's end."""

BROKERS: Final = ("nats", "mosquitto")
PER_SESSION: Final = 150
"""Rounds in one system at most: then a new one, and the whole account of the old one."""
TARGET_S: Final = 10.0
SETTLING_S: Final = 0.3
"""A receipt is on its way back for so long at most."""
EDGE_MB: Final = 24
CLOUD_MB: Final = 96


@dataclass(frozen=True, slots=True)
class Turn:
    """One round to be: the fault and which of its rounds."""

    fault: Fault
    number: int


@dataclass(frozen=True, slots=True)
class Session:
    """Rounds that share one running system."""

    broker: str
    disk: str
    turns: tuple[Turn, ...]
    store: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be run, and what cannot be, with the reason."""

    sessions: tuple[Session, ...]
    skipped: dict[str, str]


@dataclass(slots=True)
class Round:
    """What came of one round, in readings.

    ``alarm_s`` is the time to the alarm, None: none came; ``starved_s`` what of it does not count, as other
    programs had the processors meanwhile.
    """

    fault: str
    number: int
    seconds: float = 0.0
    alarm_s: float | None = None
    starved_s: float = 0.0
    lost: int = 0
    doubled: int = 0
    silent: int = 0
    counted: int = 0
    aside: int = 0
    unaccepted: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether the promises held, however long the alarm took."""
        return not (self.lost or self.doubled or self.silent or self.complaints)

    @property
    def late(self) -> bool:
        """Whether the alarm took too long."""
        return self.alarm_s is not None and self.alarm_s - self.starved_s > TARGET_S

    @property
    def good(self) -> bool:
        """Whether the promises held, and the alarm came in time."""
        return self.kept and not self.late


def left_out(plan: Plan, rounds: Sequence[Round]) -> list[str]:
    """What was planned and not made, and the sessions that were not accounted for at their end."""
    made = {(r.fault, r.number) for r in rounds}
    turns = [turn for session in plan.sessions for turn in session.turns]
    missing = [f"{t.fault.name} {t.number}" for t in turns if (t.fault.name, t.number) not in made]
    accounts = sum(r.fault == ACCOUNT for r in rounds)
    return missing + [ACCOUNT] * (len(plan.sessions) - accounts)


async def plan_of(seed: int, names: Sequence[str], most: int | None, folder: Path, only: int | None) -> Plan:
    """Share out the rounds: brokers in turn, disks as needed, in an order that the seed decides."""
    brokers = [kind for kind in BROKERS if await Broker.find(kind)]
    skipped = {f"broker {kind}": "not installed" for kind in BROKERS if kind not in brokers}
    reasons = _reasons(folder)
    turns: dict[tuple[str, str], list[Turn]] = {}
    for name in names:
        fault = FAULTS[name]
        reason = reasons.get(fault.needs)
        if reason:
            skipped[name] = reason
            continue
        own = fault.needs in {"ext4", "store", "tmpfs-cloud"}
        disk = fault.needs if own else "plain" if reasons["tmpfs"] else "tmpfs"
        numbers = range(fault.rounds if most is None else min(most, fault.rounds))
        for number in numbers if only is None else [only]:
            turns.setdefault((brokers[number % len(brokers)], disk), []).append(Turn(fault, number))
    sessions = []
    for (broker, disk), mine in sorted(turns.items()):
        random.Random(f"{seed}:{broker}:{disk}").shuffle(mine)
        sessions += [
            Session(broker, disk, tuple(mine[start : start + PER_SESSION]), store=disk == "store")
            for start in range(0, len(mine), PER_SESSION)
        ]
    return Plan(tuple(sessions), skipped)


async def selection(seed: int, folder: Path) -> Plan:
    """Each fault once, in one system for each broker, on disks that suit all faults that can be made.

    The time-series server's come first: what it lacks then is sent again while the others are made.
    """
    brokers = [kind for kind in BROKERS if await Broker.find(kind)]
    reasons = _reasons(folder)
    disk = next((kind for kind in ("ext4", "tmpfs-cloud") if reasons[kind] is None), "plain")
    can = {"plain"} | ({"tmpfs", "tmpfs-cloud", disk} if disk != "plain" else set())
    can |= set() if reasons["store"] else {"store"}
    names = [name for name, fault in FAULTS.items() if fault.needs in can]
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: FAULTS[name].needs != "store")
    shares = [names[n :: len(brokers)] for n in range(len(brokers))]
    return Plan(
        tuple(
            Session(
                broker,
                disk,
                tuple(Turn(FAULTS[name], 0) for name in share),
                store=any(FAULTS[name].needs == "store" for name in share),
            )
            for broker, share in zip(brokers, shares, strict=True)
        ),
        {name: str(reasons[fault.needs]) for name, fault in FAULTS.items() if fault.needs not in can},
    )


def _reasons(folder: Path) -> dict[str, str | None]:
    """Why the places that some faults need cannot be had; None: they can."""
    reasons = {kind: why_no_mounts(kind, folder) for kind in ("tmpfs", "ext4")}
    store = None if Victoria.find() else "victoria-metrics is not installed"
    return reasons | {"tmpfs-cloud": reasons["tmpfs"], "store": store}


def _disks(kind: str, folder: Path) -> tuple[Disk, Disk]:
    """Where edge and cloud keep their data."""
    edge, cloud = folder / "edge-disk", folder / "cloud-disk"
    if kind == "ext4":
        return Ext4(edge, EDGE_MB), Ext4(cloud, CLOUD_MB)
    if kind == "tmpfs-cloud":
        return Tmpfs(edge, EDGE_MB), Tmpfs(cloud, CLOUD_MB)
    return (Tmpfs(edge, EDGE_MB) if kind == "tmpfs" else Disk(edge)), Disk(cloud)


async def run_session(
    session: Session, seed: int, folder: Path, deadline: float, *, busy: bool = False
) -> list[Round]:
    """Run its rounds until the deadline (monotonic seconds); the last entry is the whole account's.

    Where the machine is ``busy`` with other things, seconds in which edge or cloud waited for a processor are
    not counted, and a round that was nothing but late is made once more, and that one counts.
    """
    rounds: list[Round] = []
    edge_disk, cloud_disk = _disks(session.disk, folder)
    async with System(folder, session.broker, edge_disk, cloud_disk, session.store) as system:
        await _first_alarm(system)
        for turn in session.turns:
            if time.monotonic() > deadline:
                break
            result = await _round(system, turn, seed, busy=busy)
            if busy and result.late and result.kept:
                _say(result, session)
                result = await _round(system, turn, seed, busy=busy)
            rounds.append(result)
            _say(result, session)
        rounds.append(await _account(system, sum(r.counted for r in rounds)))
        _say(rounds[-1], session)
    return rounds


async def _first_alarm(system: System) -> None:
    """Nothing is broken before an alarm has come through whole."""
    breach = await system.breach()
    if await system.alarmed(breach) is None:
        msg = f"no alarm came through the unbroken system; see {system.folder}"
        raise RuntimeError(msg)


async def _round(system: System, turn: Turn, seed: int, *, busy: bool) -> Round:
    rng = random.Random(f"{seed}:{turn.fault.name}:{turn.number}")
    result = Round(turn.fault.name, turn.number)
    started, declared, destroyed = time.monotonic(), system.declared, system.may_lose
    system.during.clear()
    system.complaints.clear()
    try:
        await turn.fault.inject(system, rng)
        breach, waited = await system.breach(), system.waited_s()
        result.alarm_s = await system.alarmed(breach)
        result.starved_s = system.waited_s() - waited if busy else 0.0
        if result.alarm_s is None and (kept := await system.still_open(breach)) is not None:
            result.complaints.append(f"the alarm {kept} of an earlier breach has not ended")
        during = [await _told(system, line) for line in system.during]
        result.silent = [result.alarm_s is not None, *during].count(False)
        most = system.may_lose - destroyed if turn.fault.may_lose else 0
        since = system.accounted  # what waited when the round began may be destroyed with it
        verdict = await system.settled(since, aside=turn.fault.ahead, declared=declared, most=most)
        result.lost, result.counted = verdict.lost, verdict.counted
        result.doubled = verdict.doubled + verdict.foreign
        result.aside, result.unaccepted = verdict.aside, verdict.unaccepted
        if turn.fault.ahead:
            await _right_again(system, result)
        if result.lost:
            result.complaints.append(f"lost: {_named(verdict.missing)}")
        if system.declared > max(declared, system.may_lose):
            result.complaints.append(
                f"{system.declared - declared} numbers declared lost, of {most} that could be"
            )
    except (AssertionError, TimeoutError) as error:
        result.complaints.append(f"{type(error).__name__}: {error}")
        system.accounted = time.monotonic()
        await system.revive()
    result.complaints += system.complaints
    system.heal()
    result.seconds = time.monotonic() - started
    return result


async def _told(system: System, breach: Line) -> bool:
    """Whether a breach under a wrong clock alarmed, or was held back with an alarm about that."""
    for _ in range(10):
        if await system.alarmed(breach, time.monotonic() - breach.sent + 1) is not None:
            return True
        if await system.held_back(breach):
            return True
    return await system.alarmed(breach) is not None


async def _right_again(system: System, result: Round) -> None:
    """Once clocks are right, readings must be.

    Then the edge starts anew, with nothing waiting: it may have begun under the wrong clock, which it then
    keeps for minutes, and the rounds to come are about something else.
    """
    started = time.monotonic()
    await asyncio.sleep(1)
    system.driver.paused = True
    try:
        verdict = await system.settled(started, aside=True, declared=system.declared)
        if verdict.aside:
            result.complaints.append(f"{verdict.aside} readings put aside after the clock was right again")
            result.aside += verdict.aside
        await asyncio.sleep(SETTLING_S)
        system.kill_edge()
        system.start_edge()
    finally:
        system.driver.paused = False


def _named(lines: Sequence[Line]) -> str:
    shown = ", ".join(f"{line.device}#{line.serial}" for line in lines[:8])
    return shown + (f" and {len(lines) - 8} more" if len(lines) > 8 else "")


async def _account(system: System, counted: int) -> Round:
    """At rest: all lines of the session, all breaches, the numbering; ``counted`` may be lost."""
    result = Round(ACCOUNT, 0)
    started = time.monotonic()
    await system.driver.stop()
    verdict = await system.settled(0.0, aside=True, most=counted)
    result.lost, result.counted = verdict.lost, verdict.counted
    result.doubled = verdict.doubled + verdict.foreign
    result.aside, result.unaccepted = verdict.aside, verdict.unaccepted
    result.silent, doubled, holes = await system.final()
    result.doubled += doubled
    if doubled:
        result.complaints.append(f"{doubled} alarms beyond the breaches")
    if system.store is not None:
        lacking, more = await system.server_account()
        result.lost += 3 * lacking
        result.doubled += 3 * more
        if lacking or more:
            result.complaints.append(f"the time-series server lacks {lacking} lines, has {more} twice")
    if holes:
        result.complaints.append(f"{holes} numbers that nobody accounts for")
    result.seconds = time.monotonic() - started
    return result


def _say(result: Round, session: Session) -> None:
    alarm = "no alarm" if result.alarm_s is None else f"{result.alarm_s:.2f} s to the alarm"
    counts = " ".join(
        f"{name} {value}"
        for name in ("lost", "doubled", "silent", "counted", "aside", "unaccepted")
        if (value := getattr(result, name))
    )
    word = "ok  " if result.good else "FAIL"
    what = f"{session.broker:9} {result.fault:18} {result.number:3} {result.seconds:6.1f} s, {alarm} {counts}"
    echo("\n     ".join([f"{word} {what}", *result.complaints]), err=True)


@contextlib.contextmanager
def kept_if_bad(folder: Path, rounds: list[Round]) -> Iterator[Path]:
    """A folder that goes away when all that was added to ``rounds`` is good."""
    folder.mkdir(parents=True)
    before = len(rounds)
    yield folder
    if all(result.good for result in rounds[before:]):
        shutil.rmtree(folder, ignore_errors=True)
