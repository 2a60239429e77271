"""The whole system as separate processes, with a proxy on each of the broker's links."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlencode
from urllib.request import urlopen

from hearthward.core.errors import LinkError
from tests.faults.api import Away, Rest
from tests.faults.books import Line
from tests.faults.checker import (
    Stored,
    Verdict,
    alarm_account,
    allowing,
    compare,
    dead_letters,
    lines_in_export,
    numbers_of,
)
from tests.faults.disks import Disk
from tests.faults.driver import EVERY_S, Driver, plan_of
from tests.faults.parts import Broker, Part, Python, Victoria
from tests.faults.proxy import PUBLISH, Behaviour, Packet, Proxy, Way
from tests.faults.sight import lines_in, lines_of

__all__ = ["RULE", "System"]

RULE: Final = "fault-probe"
CLOCK_RULE: Final = "clock-wrong"
RULES: Final = Path(__file__).parent / "rules"
INSTRUMENTS: Final = 6
SAFETY_S: Final = 20
"""What the time-series server still has after so long is on its disk."""
UP_S: Final = 60.0
LOOK_S: Final = 0.05
SETTLE_S: Final = 40.0
MOST_S: Final = 45.0
"""An alarm that takes longer is silent."""
UNSURE_S: Final = 1.0
"""So long before its death the gateway may have read a line and not committed it yet."""
MARGIN_S: Final = 30.0
"""Readings are looked up from so long before the first line in question."""


@dataclass(slots=True)
class System:
    """Edge, cloud, broker, instruments. ``disk`` holds the edge's data, ``cloud_disk`` the cloud's."""

    folder: Path
    broker_kind: str
    disk: Disk
    cloud_disk: Disk
    with_store: bool = False
    instruments: int = INSTRUMENTS
    every_s: float = EVERY_S
    outbox_bytes: int = 8 << 20
    edge: Python = field(init=False)
    cloud: Python = field(init=False)
    broker: Broker = field(init=False)
    store: Victoria | None = field(default=None, init=False)
    edge_link: Proxy = field(init=False)
    cloud_link: Proxy = field(init=False)
    driver: Driver = field(init=False)
    api: Rest = field(init=False)
    stored: Stored = field(default_factory=Stored, init=False)
    frames: list[bytes] = field(default_factory=list, init=False)
    kept_frames: list[bytes] = field(default_factory=list, init=False)
    on_frame: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    receipts: list[bytes] = field(default_factory=list, init=False)
    breaches: list[Line] = field(default_factory=list, init=False)
    told: dict[str, str] = field(default_factory=dict, init=False)
    """Alarms and entries of the worklist seen so far, with their patient."""
    declared: int = field(default=0, init=False)
    last_letter: int = field(default=0, init=False)
    refused: Counter[str] = field(default_factory=Counter, init=False)
    put_aside: set[tuple[str, int]] = field(default_factory=set, init=False)
    during: list[Line] = field(default_factory=list, init=False)
    """Breaches that a fault has provoked while it lasted."""
    complaints: list[str] = field(default_factory=list, init=False)
    """What else a fault has to say against us."""
    may_lose: int = field(default=0, init=False)
    """Numbers in all that faults have destroyed of the outbox: so many the gateway may declare lost."""
    accounted: float = field(default=0.0, init=False)
    """Lines sent before this (monotonic seconds) were accounted for; later ones a fault may still hit."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)
    _turn: int = field(default=0, init=False)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            executable = await Broker.find(self.broker_kind)
            assert executable, f"{self.broker_kind} is not installed"
            stack.enter_context(self.disk)
            stack.enter_context(self.cloud_disk)
            (self.folder / "broker").mkdir(parents=True)
            self.broker = Broker(self.broker_kind, self.folder / "broker", executable)
            stack.callback(self.broker.stop)
            self.broker.start()
            self.edge_link = await stack.enter_async_context(Proxy(self.broker.port, self._see))
            self.cloud_link = await stack.enter_async_context(Proxy(self.broker.port))
            self.driver = Driver(self.folder / "ptys", self.instruments, self.every_s)
            if self.with_store:
                self.store = Victoria(self.folder, str(Victoria.find()))
                stack.callback(self.store.stop)
                self.store.start()
            self._make_parts()
            self.api = Rest(self.cloud_disk.folder / "cloud")
            stack.callback(self.api.close)
            await self.broker.answers()
            for part in (self.cloud, self.edge):
                part.start()
                stack.push_async_callback(asyncio.to_thread, part.stop)
            await stack.enter_async_context(self.driver)
            async with asyncio.timeout(UP_S):
                await self.driver.all_ready()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._stack.aclose()

    def _make_parts(self) -> None:
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps(plan_of(self.driver.paths)))
        env = {"HEARTHWARD_CLOUD__RULES_PATH": str(RULES)}
        if self.store is not None:
            settings = {"KIND": "victoriametrics", "URL": self.store.url, "SAFETY_S": str(SAFETY_S)}
            env |= {f"HEARTHWARD_CLOUD__STORE__{key}": value for key, value in settings.items()}
        self.cloud = Python(
            "cloud",
            self.folder,
            *("--data", str(self.cloud_disk.folder), "cloud", "--port", "0", "--seed", str(plan)),
            *("--broker", f"mqtt://127.0.0.1:{self.cloud_link.port}"),
            env=env,
        )
        self.edge = Python(
            "edge",
            self.folder,
            *("--data", str(self.disk.folder), "edge", "--radio", "off"),
            *("--broker", f"mqtt://127.0.0.1:{self.edge_link.port}"),
            env={"HEARTHWARD_EDGE__OUTBOX_BYTES": str(self.outbox_bytes), "HEARTHWARD_EDGE__PAGE_PORT": "0"},
        )

    def _see(self, way: Way, packet: Packet) -> None:
        if packet.kind != PUBLISH:
            return
        if way is Way.UP and packet.topic.endswith("/frame"):
            self.frames.append(packet.payload)
            self.kept_frames.append(packet.payload)
            del self.kept_frames[:-500]
            self.on_frame.set()
        elif way is Way.DOWN and packet.topic.endswith("/receipt"):
            self.receipts.append(packet.payload)
            del self.receipts[:-500]

    # -- what a fault may do

    async def frame_seen(self, seconds: float = 10) -> None:
        """Return when the edge's next frame is on the wire, or after ``seconds``."""
        self.on_frame.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.on_frame.wait()

    def kill_edge(self) -> None:
        """kill -9; what it had not committed yet is nobody's promise."""
        self._note_death()
        self.edge.kill()

    def start_edge(self) -> None:
        """Start it again; lines count from when it reads."""
        self.edge.start()

    def _note_death(self) -> None:
        now = time.monotonic()
        self.driver.books.unsure.append((now - UNSURE_S, now + 0.05))

    def blocked(self, start: float) -> None:
        """Between then (monotonic seconds) and now the edge could accept nothing."""
        self.driver.books.unsure.append((start - UNSURE_S, time.monotonic()))

    def links(self) -> tuple[Proxy, Proxy]:
        """The edge's link and the cloud's."""
        return self.edge_link, self.cloud_link

    async def until(self, condition: Callable[[], bool], complaint: str, within_s: float = 10.0) -> None:
        """Wait for a counter or a log line; when it does not come, that is a complaint."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            with suppress(sqlite3.OperationalError):
                await asyncio.to_thread(self._look)
            if condition():
                return
            await asyncio.sleep(LOOK_S)
        self.complaints.append(complaint)

    async def revive(self) -> None:
        """Start again whatever has died by itself, so that the rounds to come mean something."""
        for part in self._parts():
            if not part.running:
                part.kill()
                part.start()

    def heal(self) -> None:
        """Both links work again."""
        for link in self.links():
            link.behaviour = Behaviour()

    # -- what is looked at

    def alive(self) -> None:
        """Raises AssertionError when a process has ended by itself."""
        for part in self._parts():
            died = part.died()
            assert died is None, died

    def _parts(self) -> list[Part]:
        parts: list[Part] = [self.edge, self.cloud, self.broker]
        return parts if self.store is None else [*parts, self.store]

    def waited_s(self) -> float:
        """Seconds that edge or cloud, whichever more, has waited for a processor in all."""
        return max(self.edge.waited_s, self.cloud.waited_s)

    async def breach(self) -> Line:
        """Have the next instrument in turn say something that must alarm."""
        device = f"ox{self._turn % self.instruments}"
        self._turn += 1
        async with asyncio.timeout(UP_S):
            while True:
                await self.driver.ready(device)
                with suppress(LinkError):
                    line = await self.driver.send(device, breach=True)
                    break
        self.breaches.append(line)
        return line

    async def alarmed(self, breach: Line, within_s: float = MOST_S) -> float | None:
        """Seconds from the reading to the alarm (or entry of the worklist); None: there is none."""
        patient = f"pat-{breach.device}"
        while (passed := time.monotonic() - breach.sent) < within_s:
            with suppress(Away):
                news = [a for a in await self.api.alarms(RULE, patient) if a["id"] not in self.told]
                passed = time.monotonic() - breach.sent
                self.told |= {a["id"]: patient for a in news}
                if news:
                    return passed
            self.alive()
            await asyncio.sleep(LOOK_S)
        return None

    async def still_open(self, breach: Line) -> str | None:
        """The alarm of an earlier breach of that instrument that has never ended, if there is one."""
        with suppress(Away):
            for alarm in await self.api.alarms(RULE, f"pat-{breach.device}"):
                if alarm["condition"] == "active" and alarm["id"] in self.told:
                    return str(alarm["id"])
        return None

    async def held_back(self, line: Line) -> bool:
        """Whether a line was put aside for its date, and people were told that of its instrument."""
        with suppress(Away, sqlite3.OperationalError):
            await asyncio.to_thread(self._look)
            if (line.device, line.serial) in self.put_aside:
                told = await self.api.alarms(CLOCK_RULE, f"device:{line.device}")
                return any(alarm["condition"] != "inactive" for alarm in told)
        return False

    async def settled(self, since: float, *, aside: bool, declared: int = 0, most: int = 0) -> Verdict:
        """Account for all lines from ``since`` (monotonic) to now, once all of them have arrived.

        Up to ``most`` readings that the gateway has declared lost beyond ``declared`` are not waited for;
        nor, where ``aside``, what is dated in the future and therefore stands in the dead letters.
        """
        until = time.monotonic()
        lines = list(self.driver.books.between(since, until))
        start = datetime.fromtimestamp(min((line.wall for line in lines), default=0) - MARGIN_S, UTC)
        while True:
            with suppress(Away, sqlite3.OperationalError):
                self.stored.take(await self.api.readings(list(self.driver.paths), start.isoformat()))
                await asyncio.to_thread(self._look)
            verdict = compare(self.driver.books, self.stored, lines, self.put_aside if aside else frozenset())
            verdict = allowing(verdict, self.declared - declared, most)
            if not verdict.lost or time.monotonic() - until > SETTLE_S:
                self.accounted = until
                return verdict
            self.alive()
            await asyncio.sleep(4 * LOOK_S)

    def _look(self) -> None:
        """Read what was on the wire (it was accepted), what was refused and what was declared lost."""
        frames, self.frames = self.frames, []
        self.driver.books.on_wire |= lines_of(frames)
        records = self.cloud_disk.folder / "cloud" / "records.db"
        for number, reason, payload in dead_letters(records, self.last_letter):
            self.last_letter = number
            self.refused[reason] += 1
            if reason == "future":
                self.put_aside |= lines_in(payload)
        self.declared = numbers_of(records).declared

    async def final(self) -> tuple[int, int, int]:
        """At the end: (silent, doubled alarms, holes in the numbering)."""
        alarms = await self.api.alarms(RULE)
        by_line = self.stored.by_line()
        stored = Counter(
            f"pat-{line.device}" for line in self.breaches if (line.device, line.serial) in by_line
        )
        records = self.cloud_disk.folder / "cloud" / "records.db"
        return *alarm_account(stored, alarms), numbers_of(records).holes

    async def server_account(self) -> tuple[int, int]:
        """Of the lines that are stored, how many the time-series server lacks, and has too often.

        It gets them after the file has them, and again where a kill took them: that is waited for.
        """
        assert self.store is not None
        stored = {key for key in self.stored.by_line() if key in self.driver.books.lines}
        end = time.monotonic() + SAFETY_S + SETTLE_S
        while True:
            with suppress(OSError):
                found = lines_in_export(await asyncio.to_thread(self._export))
                lacking = len(stored - found.keys())
                if not lacking or time.monotonic() > end:
                    return lacking, sum(times - 1 for times in found.values())
            await asyncio.sleep(1)

    def _export(self) -> str:
        assert self.store is not None
        chosen = '{__name__="hearthward_value",metric="perfusion_index"}'
        query = urlencode({"match[]": chosen, "start": "0", "reduce_mem_usage": "0"})
        with urlopen(f"{self.store.url}/api/v1/export?{query}", timeout=20) as answer:  # noqa: S310 - our own child
            return str(answer.read().decode())
