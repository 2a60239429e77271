"""An alarm that nobody accepts, through every part: steps on time whatever is stopped or killed, until a key.

Twilio is a stand-in on this machine, because no test may ring anybody; its client is the real one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.edge import background, edge_running
from hearthward.app.escalation_demo import FROM_NUMBER, ILL, NUMBERS, SHORT, WELL, demo_settings
from hearthward.app.owner import read_owner
from hearthward.app.seed import WARD_ID, demo_logins, enter_plan, enter_policy, enter_staff
from hearthward.app.standin_twilio import SID, TOKEN, TwilioStandIn
from hearthward.app.twins import open_ward
from hearthward.app.ward import PlannedDevice, PlannedPatient, WardPlan
from hearthward.core.clock import SECOND, SystemClock, parse_iso
from hearthward.core.errors import LinkError
from hearthward.core.settings import Settings, load_settings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role, Scope
from rules.response.policies import load_policies
from rules.response.policy import Policy, Step, Target, Timetable
from tests.component.app.commands import command
from tests.component.edge_agent.brokers import Nats, free_port
from tests.e2e.test_kill import Parts, parts_in, until

STEPS = (
    Step(0.0, (Target("wall"), Target("assigned")), ("in_app",)),
    Step(3.0, (Target("assigned"),), ("sms",)),
    Step(18.0, (Target("on_duty", role="charge"),), ("sms",)),
    Step(33.0, (Target("on_duty", role="doctor"),), ("voice",)),
)
"""Far enough apart for a server to stop and start between two, on a busy machine, too."""


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HEARTHWARD_") and name != "HEARTHWARD_DATA":
            monkeypatch.delenv(name)


# -- the demonstration


@pytest.mark.timeout(300)
def test_the_demonstration_of_an_alarm_that_nobody_accepts(tmp_path: Path):
    report = tmp_path / "report.json"
    with command(tmp_path, "demo", "demo", "--escalation", "--report", report) as running:
        assert running.process.wait(240) == 0, running.out + running.err[-3000:]
        said = running.out
    assert "nobody is rung, and nothing\n  leaves the machine" in said
    told = json.loads(report.read_text())
    assert told["complete"]
    events = told["timeline"]
    one = [e for e in events if e.get("patient") == "pat-1"]
    assert [e["what"] for e in one] == ["ALARM", "STEP", "STEP", "ACCEPTED", "ENDED"]
    dues = [parse_iso(e["due"]) for e in one[:3]]
    assert [d - dues[0] for d in dues] == [round(s.after_s * SECOND) for s in SHORT.steps]
    (restart,) = [e for e in events if e["what"] == "RESTART"]
    assert one[1]["s"] < restart["s"] < one[2]["s"], "the server was away between two steps"
    assert one[3]["who"] == "Dr Li"
    channel = [e for e in events if e.get("patient") == "component:channel-sms"]
    assert [e["what"] for e in channel] == ["ALARM", "ACCEPTED", "ENDED"]
    two = [e for e in events if e.get("patient") == "pat-2"]
    assert [e["what"] for e in two] == ["ALARM", "STEP", "STEP", "ACCEPTED", "ENDED"]
    after = parse_iso(two[2]["due"]) - parse_iso(two[0]["due"])
    assert after < SHORT.steps[2].after_s * SECOND, "what could not be sent brought the next step forward"
    assert channel[0]["s"] <= two[2]["s"]
    handed = [e["message"] for e in events if e.get("outcome") == "handed_over"]
    assert len(handed) == len(set(handed)), "nobody was told twice by one message"
    by = {(e["alarm"], e["channel"], e["who"]) for e in events if e.get("outcome") == "handed_over"}
    assert {
        (one[0]["alarm"], "sms", "Nora (nurse)"),
        (one[0]["alarm"], "voice", "Dr Li"),
        (two[0]["alarm"], "voice", "Dr Li"),
        (channel[0]["alarm"], "voice", "Emre (engineer)"),
    } <= by


# -- stopped and killed in the middle


def plan_of(settings: Settings, *devices: PlannedDevice) -> WardPlan:
    patient = PlannedPatient("pat-1", "Ada Lindqvist", "1", devices)
    return WardPlan("Ward 1", settings.edge.gateway, (patient,), settings.cloud.tenant)


def policy() -> Policy:
    shipped = load_policies()["default"]
    tables = {"physiological.high": Timetable(STEPS, repeat_s=600.0)}
    return Policy("default", 1, shipped.title, {**shipped.timetables, **tables})


async def prepare(settings: Settings, plan: WardPlan, *, wall: bool = False) -> None:
    """Ward, staff and policy in the records, before any cloud runs."""
    start = SystemClock().now_ns() - SECOND
    async with open_records(settings) as records:
        await enter_plan(records, plan, start)
        await demo_logins(records, plan)
        await enter_staff(records, plan, start)
        await enter_policy(records, plan.tenant, policy(), after=load_policies()["default"].version)
        scope = Scope.system(plan.tenant)
        await records.run(lambda s: records.directory(s).wards.change(scope, WARD_ID, wall_expected=wall))


class Server:
    """The cloud as a process of its own, and what it has written."""

    def __init__(self, parts: Parts, settings: Settings, broker: str, twilio: str) -> None:
        self.parts, self.folder, self.port = parts, settings.data / "cloud", settings.web.port
        config = parts.folder / "hearthward.toml"
        config.write_text(
            f'[web]\npublic_url = "http://127.0.0.1:{self.port}"\n'
            f'[sms]\naccount_sid = "{SID}"\nauth_token = "{TOKEN}"\nfrom_number = "{FROM_NUMBER}"\n'
            f'base_url = "{twilio}"\n[voice]\nfrom_number = "{FROM_NUMBER}"\n'
        )
        self._arguments = (
            *("--config", str(config), "--data", str(settings.data)),
            *("cloud", "--port", str(self.port), "--broker", broker),
        )
        self.up: list[int] = []

    async def start(self) -> None:
        """Start it; returns when it serves, which is noted in ``up`` (UTC ns)."""
        before = read_owner(self.folder)
        self.parts.start("cloud", *self._arguments)

        async def there() -> bool:
            owner = read_owner(self.folder)
            return owner is not None and owner != before

        await until(self.parts, there)
        self.up.append(time.time_ns())

    def rows(self, sql: str) -> list[sqlite3.Row]:
        uri = f"file:{self.folder / 'records.db'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as db:
            db.row_factory = sqlite3.Row
            return db.execute(sql).fetchall()

    async def told(self, kind: str, n: int = 1) -> None:
        """Return when so many transitions of a kind are written."""

        async def enough() -> bool:
            return self.rows(f"SELECT count(*) FROM transitions WHERE kind = '{kind}'")[0][0] >= n  # noqa: S608

        await until(self.parts, enough)


@asynccontextmanager
async def measuring(settings: Settings, plan: WardPlan, broker: str) -> AsyncIterator[dict[str, Any]]:
    """A gateway and the patient's oximeter, which sends ``signs`` each second."""
    signs: dict[str, Any] = dict(WELL)
    async with AsyncExitStack() as stack:
        ward = await stack.enter_async_context(open_ward(plan))

        async def measure() -> None:
            twin = ward.twins["ox-1"]
            while True:
                if twin.ready():
                    with suppress(LinkError):
                        await twin.send(signs)
                await asyncio.sleep(1)

        await prepare(settings, ward.plan)
        await stack.enter_async_context(
            edge_running(
                settings,
                broker_url=broker,
                clock=SystemClock(),
                telemetry=Telemetry(),
                virtual=ward.world.virtual,
            )
        )
        await stack.enter_async_context(background(measure, "oximeter"))
        yield signs


@pytest.mark.timeout(300)
async def test_a_timetable_goes_on_through_a_stop_and_a_kill(tmp_path: Path):
    (tmp_path / "broker").mkdir()
    with TwilioStandIn() as standin, parts_in(tmp_path) as parts:
        async with Nats(tmp_path / "broker") as broker:
            url = f"mqtt://127.0.0.1:{broker.port}"
            settings = demo_settings(load_settings(data=tmp_path / "data"), standin.url, free_port())
            plan = plan_of(settings, PlannedDevice("ox-1", "pulse-oximeter", 1.0))
            async with measuring(settings, plan, url) as signs:
                server = Server(parts, settings, url, standin.url)
                await server.start()
                signs.update(ILL)
                await server.told("start")
                await asyncio.to_thread(standin.wait_for_sms, 1)
                await asyncio.to_thread(parts.stop, "cloud")
                await server.start()
                await asyncio.to_thread(standin.wait_for_sms, 2)
                await asyncio.to_thread(parts.kill, "cloud")  # maybe before it has noted that this was sent
                await server.start()
                call = await asyncio.to_thread(standin.wait_for_call, 1, 90)
                said = await asyncio.to_thread(standin.press, call, "1")
                assert "accepted" in said
                await asyncio.to_thread(standin.end, call)
                signs.update(WELL)
                await server.told("end")
                await until(parts, lambda: all_sent(server))
            await asyncio.to_thread(parts.stop, "cloud")
        check_timetable(server)
        check_messages(server, standin)
        assert [call.to for call in standin.calls] == [NUMBERS["doctor"]]


async def all_sent(server: Server) -> bool:
    return server.rows("SELECT count(*) FROM notifications WHERE state = 'queued'")[0][0] == 0


def check_timetable(server: Server) -> None:
    """Every step once, exactly when it was due, and decided within a second of that or of the next start."""
    (alarm,) = server.rows("SELECT * FROM alarms WHERE rule = 'spo2-low' AND NOT worklist")
    of_it = f"WHERE alarm = '{alarm['id']}' ORDER BY seq, ordinal"
    rows = server.rows(f"SELECT * FROM transitions {of_it}")  # noqa: S608 - our own id
    # the gateway has decided the same: its name for the alarm is noted, when it comes
    merged = {row["seq"] for row in rows if json.loads(row["detail"]).get("why") == "merged"}
    kinds = [row["kind"] for row in rows if row["kind"] != "continue" and row["seq"] not in merged]
    assert kinds == ["start", "tell", "tell", "tell", "accept", "end"]
    steps = [(row, json.loads(row["detail"])) for row in rows if row["kind"] in {"start", "tell"}]
    assert [detail["step"] for _, detail in steps] == [0, 1, 2, 3]
    assert all(detail["why"] == "timetable" for _, detail in steps[1:])
    began = steps[0][1]["due"]
    for (row, detail), step in zip(steps, STEPS, strict=True):
        assert detail["due"] == began + round(step.after_s * SECOND)
        if row["kind"] == "tell":
            assert row["at"] == detail["due"]
        starts = [up for up in server.up if up > detail["due"]]
        late = row["recorded"] - detail["due"]
        assert 0 <= late < SECOND or (starts and row["recorded"] - min(starts) < SECOND)
    (doctor,) = server.rows("SELECT id FROM users WHERE login = 'doctor'")
    accepted = next(row for row in rows if row["kind"] == "accept")
    assert accepted["actor"] == doctor["id"]
    assert (alarm["condition"], alarm["accepted_by"], alarm["next_at"]) == ("inactive", doctor["id"], None)


def check_messages(server: Server, standin: TwilioStandIn) -> None:
    """Both nurses were told, and told of the end; what was sent again had the same identity."""
    of_it = "alarm IN (SELECT id FROM alarms WHERE rule = 'spo2-low' AND NOT worklist)"
    notes = server.rows(f"SELECT * FROM notifications WHERE channel = 'sms' AND {of_it}")  # noqa: S608
    meant = sorted((n["kind"], n["target"]) for n in notes)
    nurses = [NUMBERS["charge"], NUMBERS["nurse"]]
    assert meant == sorted((kind, number) for kind in ("tell", "end") for number in nurses)
    again = {
        row["notification"]
        for row in server.rows("SELECT * FROM delivery_attempts WHERE outcome = 'interrupted'")
    }
    got: dict[str, list[tuple[str, str]]] = {}
    for sms in standin.messages:
        token = sms.form["StatusCallback"].rsplit("/", 1)[1]
        got.setdefault(token.partition(".")[0], []).append((sms.to, sms.text))
    assert got.keys() >= {n["id"] for n in notes}
    for note in notes:
        assert len(set(got[note["id"]])) == 1
        assert len(got[note["id"]]) == 1 or note["id"] in again
    assert not server.rows("SELECT * FROM notifications WHERE channel = 'voice' AND kind = 'end'")


# -- a wall that disappears


async def test_a_wall_that_disappears_is_missed_and_told_elsewhere_at_once(tmp_path: Path):
    with TwilioStandIn() as standin:
        settings = demo_settings(load_settings(data=tmp_path), standin.url, free_port())
        await prepare(settings, plan_of(settings), wall=True)
        async with open_records(settings) as records:
            nowhere = f"mqtt://127.0.0.1:{free_port()}"
            async with cloud_running(
                settings, records, broker_url=nowhere, clock=SystemClock(), telemetry=Telemetry()
            ) as cloud:
                wall = Principal(
                    "usr_wall",
                    "Wall",
                    "main",
                    frozenset({Role.DISPLAY}),
                    frozenset({WARD_ID}),
                    kind="display",
                )
                cloud.app.state.services["the wall's token"] = wall
                heard = 0
                for _ in range(6):
                    await asyncio.to_thread(report_wall, cloud.url)
                    heard = time.time_ns()
                    await asyncio.sleep(2)
                assert cloud.service.walls.audible(WARD_ID) == 1
                found = await eventually(lambda: missing(cloud.service.pipeline.state.responses.open))
                noticed = time.time_ns()
                assert 10 * SECOND <= noticed - heard < 13 * SECOND
                assert abs(found.started - heard - 10 * SECOND) < SECOND, "since it was last heard"
                duty = cloud.service.duty
                names = {duty.people[who].name for channel, who in found.told if channel in {"sms", "voice"}}
                assert names == {"Nora (nurse)", "Chloe (nurse in charge)", "Emre (engineer)"}
                numbers = {NUMBERS[who] for who in ("nurse", "charge", "engineer")}
                await eventually(lambda: {sms.to for sms in standin.messages} >= numbers)
                await eventually(lambda: {call.to for call in standin.calls} >= numbers)
                sent = len(standin.messages)
                await asyncio.to_thread(report_wall, cloud.url)
                await eventually(lambda: missing(cloud.service.pipeline.state.responses.open) is None)
                await eventually(lambda: len(standin.messages) >= sent + len(numbers))
                assert {sms.to for sms in standin.messages[sent:]} == numbers, "that it is back is told, too"


def missing(found: Mapping[str, Any]) -> Any:
    return next((r for r in found.values() if r.rule == "wall-missing"), None)


async def eventually(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """What a condition gives as soon as it gives something: nobody tells of it."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)
        return found


def report_wall(url: str) -> None:
    """What the wall's page sends every few seconds."""
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/api/v1/live/wall",
        data=json.dumps({"wall": "page-1", "audible": True}).encode(),
        headers={"Authorization": "Bearer the wall's token", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - see above
        assert answer.status == 200
