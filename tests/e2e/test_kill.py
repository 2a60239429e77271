"""kill -9 of edge, broker and cloud in the middle of a played recording, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import pytest

from edge_agent.segments.books import BOOKS, read_books
from edge_agent.segments.files import FolderDisk
from hearthward.app.owner import read_owner
from hearthward.app.player import EPOCH_NS
from hearthward.app.recording import Recording
from hearthward.app.report import Api, alarms_of, stored_of
from hearthward.core.clock import SECOND, parse_iso
from hearthward.core.errors import StoreUnavailable
from tests.component.edge_agent.brokers import Mosquitto, Nats
from tests.e2e import oracle
from tests.e2e.recordings import ward_of
from tests.e2e.test_play import CARRIED
from tests.programs import ROOT, program

PATIENTS, MOMENTS = 2, 240


class Parts:
    """The processes, each restarted at will with the same arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = Popen(
                [sys.executable, "-m", "hearthward", *arguments],
                cwd=ROOT,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, self.log(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def alive(self) -> None:
        for name, process in self.running.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.log(name)}"


@contextmanager
def parts_in(folder: Path) -> Iterator[Parts]:
    parts = Parts(folder)
    try:
        yield parts
    finally:
        for process in parts.running.values():
            process.send_signal(signal.SIGTERM)
        for process in parts.running.values():
            try:
                process.wait(15)
            except Exception:
                process.kill()
                process.wait()
                raise


async def until(parts: Parts, condition: Any, seconds: float = 60) -> Any:
    """Wait for something that another process does."""
    async with asyncio.timeout(seconds):
        while True:
            parts.alive()
            found = await condition()
            if found:
                return found
            await asyncio.sleep(0.05)


def accepted(folder: Path) -> int:
    """How many readings the edge has ever accepted, by its own count: decisions have numbers, too."""
    disk = FolderDisk(folder / "edge/edge/outbox")
    size = disk.sizes()[BOOKS[0]]
    books = [book for book in (read_books(disk, name, size) for name in BOOKS) if book is not None]
    counts = max(books, key=lambda book: book.serial).state.counts
    return sum(n for _, _, kind, n in counts if kind == "accepted")


class Play:
    """A recording played through the parts, seen through the REST API."""

    def __init__(self, parts: Parts, recording: Path, port: int) -> None:
        folder = parts.folder
        self.parts = parts
        self.plan, self.books = folder / "plan.json", folder / "books.json"
        self._twins = (
            *("twins", "--plan", str(self.plan), "--play", str(recording)),
            *("--speed", "600", "--report", str(self.books)),
        )
        self._url = f"mqtt://127.0.0.1:{port}"
        self.names: dict[str, str] = {}

    async def begin(self) -> None:
        self.parts.start("twins", *self._twins)
        await until(self.parts, self._exists(self.plan))
        plan = json.loads(self.plan.read_text())
        self.names = {p["id"]: p["name"] for p in plan["patients"]}
        folder = self.parts.folder
        self.cloud = (
            *("--data", str(folder / "cloud"), "cloud", "--port", "0", "--broker", self._url),
            *("--event-clock", "--seed", str(self.plan)),
        )
        self.edge = (
            *("--data", str(folder / "edge"), "edge", "--broker", self._url),
            *("--radio", f"tcp-client:127.0.0.1:{plan['hci']}"),
            *("--event-clock", f"127.0.0.1:{plan['control']}"),
        )
        self.parts.start("cloud", *self.cloud)
        self.parts.start("edge", *self.edge)

    def again(self, name: str, *more: str) -> None:
        self.parts.kill(name)
        self.parts.start(name, *getattr(self, name), *more)

    async def ended(self) -> dict[str, Any]:
        await until(self.parts, self._exists(self.books), 120)
        return dict(json.loads(self.books.read_text()))

    def api(self) -> Api:
        owner = read_owner(self.parts.folder / "cloud" / "cloud")
        if owner is None:
            msg = "no cloud has started yet"
            raise StoreUnavailable(msg)
        return Api(owner.url, owner.token)

    async def stored(self) -> tuple[dict[str, Any], int]:
        return await stored_of(self.api(), self.names, frozenset(CARRIED))

    async def everything(self) -> list[dict[str, Any]]:
        """All readings, those of battery and device information too."""
        found: list[dict[str, Any]] = []
        api = self.api()
        for patient in self.names:
            start: str | None = None
            while True:
                page = await api.get("readings", patient=patient, limit=5000, **{"from": start})
                found += page["items"]
                start = page["next"]
                if start is None:
                    break
        return found

    async def reached(self, n: int, seconds: float = 60) -> None:
        async def enough() -> bool:
            try:
                return len(await self.everything()) >= n
            except StoreUnavailable:
                return False

        await until(self.parts, enough, seconds)

    @staticmethod
    def _exists(path: Path) -> Any:
        async def exists() -> bool:
            return await asyncio.to_thread(path.exists)

        return exists


def count(columns: dict[str, Any]) -> int:
    return sum(int(c["count"]) for metrics in columns.values() for c in metrics.values())


@pytest.mark.timeout(240)
@pytest.mark.parametrize("broker_kind", [Nats, Mosquitto])
async def test_nothing_accepted_is_lost_and_nothing_is_doubled(tmp_path: Path, broker_kind: Any):
    if broker_kind is Mosquitto:
        program("mosquitto")
    recording = ward_of(tmp_path / "ward.csv", patients=PATIENTS, moments=MOMENTS)
    total = sum(",gcs," not in line for line in recording.read_text().splitlines()[1:])
    (tmp_path / "broker").mkdir()
    async with broker_kind(tmp_path / "broker") as broker:
        with parts_in(tmp_path) as parts:
            play = Play(parts, recording, broker.port)
            await play.begin()
            await play.reached(total // 8, 90)
            play.again("edge")
            await play.reached(total // 4)
            await broker.kill()
            await play.reached(total // 2)
            play.again("cloud")
            outcome = await play.ended()
            parts.stop("edge")
            kept = accepted(tmp_path)
            parts.start("edge", *play.edge, "--radio", "off")  # it reads no more, it only sends the rest
            await play.reached(kept)
            everything = await play.everything()
            assert len(everything) == kept, "what the edge accepted is what is stored"
            final, twice = await play.stored()
            alarms = await alarms_of(play.api(), play.names)
            late = await alarms_of(play.api(), play.names, worklist=True)
    assert outcome["complete"]
    assert twice == 0
    sent, lost = count(outcome["sent"]), outcome["lost_before_acceptance"]
    assert sent - 3 * lost <= count(final) <= sent
    assert len({a["id"] for a in alarms}) == len(alarms)
    silent = [
        episode
        for episode in oracle.alarms_of(as_recording(everything, play.names))
        if not any(alarmed(episode, a) for a in alarms) and not any(listed(episode, a) for a in late)
    ]
    assert not silent, "what comes out of order after an outage is told late, but told"


def alarmed(episode: oracle.Alarm, alarm: dict[str, Any]) -> bool:
    """Whether the alarm is of this episode's rule and patient, and of its time."""
    rule, patient, onset, end = episode
    return (
        (alarm["rule"], alarm["patient"]) == (rule, patient)
        and (end is None or alarm["onset"] < end)
        and (alarm["end"] is None or alarm["end"] > onset)
    )


def listed(episode: oracle.Alarm, entry: dict[str, Any]) -> bool:
    """Whether the worklist has the episode; entries of ten minutes are one."""
    rule, patient, onset, end = episode
    same = (entry["rule"], entry["patient"]) == (rule, patient)
    return same and onset - 600 <= entry["onset"] and (end is None or entry["onset"] < end)


def as_recording(items: list[dict[str, Any]], names: dict[str, str]) -> Recording:
    """What is stored, as a recording: the payloads that died with the edge are not in it."""
    recording = Recording()
    for item in items:
        if item["metric"] in CARRIED:
            recording.time.append(round((parse_iso(item["time"]) - EPOCH_NS) / SECOND, 3))
            recording.patient.append(names[item["patient"]])
            recording.metric.append(item["metric"])
            recording.value.append(item["value"])
    return recording
