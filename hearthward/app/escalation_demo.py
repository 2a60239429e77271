"""``hearthward demo --escalation``: an alarm that nobody accepts, live, through every part.

Devices are twins; broker, gateway, rules, notifier and pages are the real ones. Twilio is not: a stand-in on
this machine takes messages and calls, so nobody is rung and nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from devices.twins.base import Twin
from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.demo import own_folder
from hearthward.app.edge import background, edge_running
from hearthward.app.files import check_writable, write_atomically
from hearthward.app.seed import STAFF, demo_logins, enter_plan, enter_policy, enter_staff
from hearthward.app.standin_twilio import SID, TOKEN, Call, TwilioStandIn
from hearthward.app.start import broker_running, show_logins
from hearthward.app.timeline import Event, Timeline
from hearthward.app.twins import Ward, open_ward
from hearthward.app.ward import PlannedDevice, PlannedPatient, WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.errors import LinkError
from hearthward.core.settings import (
    BrokerSettings,
    EmailSettings,
    HeartbeatSettings,
    MessageSettings,
    PushSettings,
    Settings,
    SmsSettings,
    VoiceSettings,
)
from hearthward.core.telemetry import Telemetry
from rules.response.policies import load_policies
from rules.response.policy import Policy, Step, Target, Timetable

__all__ = ["SHORT", "demo_settings", "run_escalation_demo", "short_policy"]

log = logging.getLogger(__name__)

PATIENCE_S: Final = 60.0
"""For so long the demonstration waits for its next event."""
LOOK_S: Final = 0.2
WELL: Final[Mapping[str, float]] = {"spo2": 97.0, "pulse_rate": 74.0, "perfusion_index": 3.0}
ILL: Final[Mapping[str, float]] = {**WELL, "spo2": 84.0, "pulse_rate": 96.0}
FROM_NUMBER: Final = "+12025550100"
SHORT: Final = Timetable(
    (
        Step(0.0, (Target("wall"), Target("assigned")), ("in_app", "push")),
        Step(4.0, (Target("assigned"),), ("sms",)),
        Step(14.0, (Target("on_duty", role="doctor"),), ("in_app", "voice")),
    ),
    repeat_s=60.0,
    remind_s=60.0,
    redirect_s=10.0,
)
"""The ward's timetable for harm within minutes, in seconds instead of minutes."""
NUMBERS: Final = {person.login: person.phone for person in STAFF}


def short_policy(shipped: Policy) -> Policy:
    """The shipped policy with ``SHORT`` for physiological alarms of high priority."""
    title = {"en": "Demonstration", "zh": "演示"}
    return replace(shipped, title=title, timetables={**shipped.timetables, "physiological.high": SHORT})


def demo_settings(settings: Settings, twilio_url: str, port: int) -> Settings:
    """Settings with which nothing is sent anywhere but to a stand-in at ``twilio_url``."""
    sms = SmsSettings.model_validate(
        {"account_sid": SID, "auth_token": TOKEN, "from_number": FROM_NUMBER, "base_url": twilio_url}
    )
    web = settings.web.model_copy(
        update={"host": "127.0.0.1", "port": port, "public_url": f"http://127.0.0.1:{port}"}
    )
    own: dict[str, Any] = {
        "web": web.model_copy(update={"tls_certificate": None, "tls_key": None}),
        "broker": BrokerSettings(),
        "sms": sms,
        "voice": VoiceSettings(from_number=FROM_NUMBER),
        "email": EmailSettings(),
        "push": PushSettings(),
        "webhooks": {},
        "apprise": {},
        "messages": MessageSettings(),
        "heartbeat": HeartbeatSettings(),
    }
    return settings.model_copy(update=own)


async def run_escalation_demo(settings: Settings, *, report: Path | None, keep: bool) -> None:
    """Run it to its end and write the report. Raises LinkError when it gets stuck."""
    if report is not None:
        check_writable(report)
    async with own_folder(settings, keep=keep) as own:
        with TwilioStandIn() as standin:
            port = own.web.port or _free_port()
            account = await _Show(demo_settings(own, standin.url, port), standin).run()
    if report is not None:
        write_atomically(report, json.dumps(account, indent=1, ensure_ascii=False).encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _plan(settings: Settings) -> WardPlan:
    patients = tuple(
        PlannedPatient(f"pat-{n}", name, f"{n}", (PlannedDevice(f"ox-{n}", "pulse-oximeter", 1.0),))
        for n, name in ((1, "Ada Lindqvist"), (2, "Benno Aschauer"))
    )
    return WardPlan("Ward 1", settings.edge.gateway, patients, settings.cloud.tenant)


class _Show:
    """The parts, the timeline of what happens, and the script."""

    def __init__(self, settings: Settings, standin: TwilioStandIn) -> None:
        self.settings, self.standin = settings, standin
        self.clock, self.telemetry = SystemClock(), Telemetry()
        self.timeline = Timeline(settings.cloud.tenant)
        self.started = self.clock.now_ns()
        self.signs = {"pat-1": WELL, "pat-2": WELL}
        self._stop, self._up = asyncio.Event(), asyncio.Event()
        self._grown = asyncio.Condition()

    async def run(self) -> dict[str, Any]:
        """From the start of all parts to the account."""
        settings, plan = self.settings, _plan(self.settings)
        begun = self.clock.now_ns() - SECOND
        async with AsyncExitStack() as stack:
            self.records = await stack.enter_async_context(open_records(settings))
            self.broker = await stack.enter_async_context(broker_running(settings, self.telemetry))
            ward = await stack.enter_async_context(open_ward(plan))
            await enter_plan(self.records, ward.plan, begun)
            self.logins = await demo_logins(self.records, plan)
            await enter_staff(self.records, plan, begun)
            shipped = load_policies()["default"]
            await enter_policy(self.records, plan.tenant, short_policy(shipped), after=shipped.version)
            await stack.enter_async_context(background(self._cloud, "cloud, again and again"))
            await self._is_up()
            self._introduce()
            await stack.enter_async_context(self._edge(ward))
            await stack.enter_async_context(background(lambda: self._measure(ward), "twins"))
            self.started = self.clock.now_ns()
            await stack.enter_async_context(background(self._watch, "timeline"))
            await self._play()
            await self._look()
            return self._account()

    # -- the parts

    async def _cloud(self) -> None:
        """Run the cloud; whenever it is told to stop, stop it in order and start it again."""
        while True:
            async with cloud_running(
                self.settings,
                self.records,
                broker_url=self.broker,
                clock=self.clock,
                telemetry=self.telemetry,
            ) as cloud:
                self.url = cloud.url
                self._up.set()
                await self._stop.wait()
                self._stop.clear()
            self._say("RESTART", "the server is stopped, and started again")

    async def _is_up(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._up.wait()

    def _edge(self, ward: Ward) -> Any:
        return edge_running(
            self.settings,
            broker_url=self.broker,
            clock=self.clock,
            telemetry=self.telemetry,
            virtual=ward.world.virtual,
        )

    async def _measure(self, ward: Ward) -> None:
        """Every second each patient's oximeter sends what holds then."""
        twins: dict[str, Twin] = {p.id: ward.twins[p.devices[0].id] for p in ward.plan.patients}
        while True:
            for patient, twin in twins.items():
                if twin.ready():
                    with suppress(LinkError):
                        await twin.send(self.signs[patient])
            await asyncio.sleep(1)

    async def _watch(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        """Print what is new, and wake who waits for it."""
        for event in await self.records.read(self.timeline.read):
            click.echo(event.line(self.started))
        async with self._grown:
            self._grown.notify_all()

    # -- the script

    async def _play(self) -> None:
        nurse, doctor, engineer = NUMBERS["nurse"], NUMBERS["doctor"], NUMBERS["engineer"]
        self._say("ACT 1", "a patient desaturates; nobody accepts")
        self.signs["pat-1"] = ILL
        await self._until("the alarm", lambda e: e.what == "ALARM" and e.patient == "pat-1")
        await self._until("the SMS to the nurse", lambda e: e.channel == "sms" and e.outcome == "handed_over")
        self._up.clear()
        self._stop.set()
        await self._is_up()
        await self._answer(doctor, "the doctor")
        accepted = await self._until("the acceptance", lambda e: e.what == "ACCEPTED")
        self.signs["pat-1"] = WELL
        await self._until("the end", lambda e: e.what == "ENDED" and e.alarm == accepted.alarm)
        self._say("ACT 2", "the SMS service stops; the next patient desaturates")
        self.standin.down.add("Messages")
        self.signs["pat-2"] = ILL
        await self._until(
            "the failing channel", lambda e: e.what == "ALARM" and e.patient == "component:channel-sms"
        )
        await self._answer(doctor, "the doctor", 2)
        await self._answer(engineer, "the engineer")
        await self._until("both acceptances", lambda e: e.what == "ACCEPTED", times=3)
        self._say(
            "ACT 3", f"the SMS service works again; the patient recovers; the nurse ({nurse}) hears of it"
        )
        self.standin.down.clear()
        self.signs["pat-2"] = WELL
        await self._until(
            "the channel's recovery", lambda e: e.what == "ENDED" and e.patient == "component:channel-sms"
        )

    async def _answer(self, number: str, who: str, n: int = 1) -> None:
        """Wait for the n-th call to a number, and press 1."""
        call = await self._call(number, n)
        spoken = call.text[: call.text.index(".", len(call.text) // 4) + 1]
        self._say("RINGS", f'{who}, {number}: "{spoken}.."')
        pressed = self.clock.now_ns()
        said = await asyncio.to_thread(self.standin.press, call, "1")
        self._say("KEY 1", f'{who} presses 1 and hears: "{said}"', pressed)
        await asyncio.to_thread(self.standin.end, call)

    async def _call(self, number: str, n: int) -> Call:
        """The n-th call to a number, as soon as it has come."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(found := self._calls(number)) < n:  # noqa: ASYNC110 - the stand-in is in a thread
                    await asyncio.sleep(LOOK_S / 2)
                return found[n - 1]
        except TimeoutError:
            what = f"a call to {number}"
            raise _stuck(what) from None

    def _calls(self, number: str) -> list[Call]:
        with self.standin.taken:
            return [call for call in self.standin.calls if call.to == number]

    async def _until(self, what: str, wanted: Callable[[Event], bool], *, times: int = 1) -> Event:
        """Return the event that is waited for (when there are so many, the last of them)."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._grown:
                while len(found := [e for e in self.timeline.events if wanted(e)]) < times:
                    await self._grown.wait()
                return found[times - 1]
        except TimeoutError:
            raise _stuck(what) from None

    def _say(self, what: str, text: str, at: int | None = None) -> None:
        now = self.clock.now_ns() if at is None else at
        click.echo(self.timeline.note(now, what, text).line(self.started))

    def _introduce(self) -> None:
        show_logins(self.url, self.logins)
        click.echo("  SMS and calls go to a stand-in for Twilio on this machine: nobody is rung, and nothing")
        click.echo("  leaves the machine. The timetable counts seconds where a ward's counts minutes:")
        for step in SHORT.steps:
            targets = ", ".join(t.role or t.kind for t in step.targets)
            click.echo(f"    after {step.after_s:4.0f} s  {targets} by {', '.join(step.channels)}")
        click.echo("")

    def _account(self) -> dict[str, Any]:
        events = [event.to_data(self.started) for event in self.timeline.events]
        steps = [e for e in self.timeline.events if e.step is not None and e.due is not None]
        sent = _first_tries(self.timeline.events)
        latest = max((e.late_ms or 0.0 for e in steps), default=0.0)
        slowest = max((e.after_ms or 0.0 for e in sent), default=0.0)
        click.echo(
            f"\n{len(steps)} steps were taken, at most {latest:.0f} ms after they were due; "
            f"{len(sent)} messages were handed over at the first try, "
            f"at most {slowest:.0f} ms after the decision"
        )
        return {
            "complete": True,
            "timetable": [
                [s.after_s, [t.role or t.kind for t in s.targets], list(s.channels)] for s in SHORT.steps
            ],
            "timeline": events,
            "steps": len(steps),
            "latest_step_ms": round(latest, 1),
            "handed_over_at_first": len(sent),
            "slowest_message_ms": round(slowest, 1),
        }


def _first_tries(events: Sequence[Event]) -> list[Event]:
    """The messages that went out when they were meant to: none failed before, or was held back by one."""
    tried: set[tuple[str, str, str]] = set()
    out = []
    for event in events:
        hop = event.alarm, event.channel, event.who
        if event.outcome == "handed_over" and event.after_ms is not None and hop not in tried:
            out.append(event)
        if event.outcome == "temporary":
            tried.add(hop)
    return out


def _stuck(what: str) -> LinkError:
    return LinkError(
        f"the demonstration waited {PATIENCE_S:.0f} s for {what}, which did not come; see the log"
    )
