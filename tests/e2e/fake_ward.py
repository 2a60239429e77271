"""A ward of 12 beds and 4 homes over the fake backend, as a server of its own, for browsers to look at.

    python tests/e2e/fake_ward.py PORT [BEDS HOMES]

PORT 0 picks one; it is printed. It can be frozen from outside (SIGSTOP). ``POST /_test/{what}`` changes what
it shows; this exists here only.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvicorn
from fastapi import FastAPI

from dashboards.app import build_app
from dashboards.fake_backend import FakeBackend
from dashboards.models import AlarmDetail, AlarmTransition, Gateway, ProfileChoice
from hearthward.core.clock import SystemClock
from hearthward.core.model import Quality, Reading
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role, Scope
from tests.e2e import (
    fake_answers,
    fake_around,
    fake_books,
    fake_family,
    fake_fleet,
    fake_history,
    fake_home,
    fake_risks,
    fake_staff_room,
    fake_waves,
)

S = 1_000_000_000
PASSWORD = "a short sentence"  # noqa: S105 - of the people here
KEPT = "kept"
"""A session of the nurse's that is there after each start, as the real records have it."""
NAMES = (
    "Rosa Lindqvist,李秀英,Tomás Rivera,王建国,Amara Okafor,Henrik Sørensen,陈桂兰,Fatima Haddad,"
    "Giulia Bianchi,赵志强,Marek Nowak,Aiko Tanaka,Walter Brandt,孙丽华,Nadia Petrova,Samuel Mensah"
)
PROFILES = (
    ProfileChoice(
        id="sig-heart-rate",
        title="Heart rate sensor (Bluetooth Heart Rate Service)",
        transport="ble",
        metrics=frozenset({"heart_rate", "rr_interval"}),
        interval_s=1,
    ),
    ProfileChoice(
        id="sig-pulse-oximeter",
        title="Pulse oximeter",
        transport="ble",
        metrics=frozenset({"spo2", "pulse_rate"}),
        interval_s=1,
    ),
    ProfileChoice(
        id="sig-blood-pressure",
        title="Blood pressure cuff (Bluetooth Blood Pressure Service)",
        transport="ble",
        metrics=frozenset({"nibp_systolic", "nibp_diastolic"}),
    ),
    ProfileChoice(id="masimo-ascii1", title="Bedside oximeter", transport="serial", interval_s=1),
)
ROLES = {"nurse": Role.NURSE, "doctor": Role.DOCTOR, "engineer": Role.ENGINEER, "admin": Role.ADMIN}


class Ward:
    """The fake's content and how it goes on."""

    def __init__(self, beds: int = 12, homes: int = 4) -> None:
        self.clock = SystemClock()
        self.backend = FakeBackend(self.clock)
        self.scope = Scope.system("main")
        self.beds, self.homes = beds, homes
        self.patients: list[str] = []
        self.silent: set[str] = set()
        self.calm = False

    async def fill(self) -> None:
        """People, places and devices."""
        make = self.backend.create
        started = self.clock.now_ns() - 86_400 * S
        ward = await make(self.scope, "ward", {"name": "Ward A"})
        community = await make(self.scope, "ward", {"name": "Community team"})
        await make(self.scope, "gateway", {"id": "gw-1", "label": "Corridor", "ward": ward.id})
        for i in range(self.beds + self.homes):
            home = i >= self.beds
            patient = await make(
                self.scope, "patient", {"name": NAMES.split(",")[i % 16], "mrn": f"1002{i:02d}"}
            )
            self.patients.append(patient.id)
            stay = {"patient": patient.id, "kind": "home" if home else "ward", "start": started}
            if home:
                stay["ward"] = community.id
            else:
                bed = await make(self.scope, "bed", {"ward": ward.id, "label": f"A-{i + 1:02d}"})
                stay["bed"] = bed.id
            await make(self.scope, "encounter", stay)
            kinds = (
                ["sig-blood-pressure", "sig-heart-rate"] if home else ["sig-heart-rate", "sig-pulse-oximeter"]
            )
            if not home and i % 2 == 0:
                kinds.append("sig-blood-pressure")
            if not home and i % 3 == 0:
                kinds.append("masimo-ascii1")
            for profile in kinds:
                serial = profile == "masimo-ascii1"
                device = await make(
                    self.scope,
                    "device",
                    {
                        "id": f"{profile.split('-')[1]}-{i + 1}",
                        "gateway": "gw-1",
                        "transport": "serial" if serial else "ble",
                        "address": f"/dev/ttyUSB{i}" if serial else f"C0:00:00:00:{i:02X}:{len(profile):02X}",
                        "profile": profile,
                    },
                )
                await make(
                    self.scope,
                    "association",
                    {"device": device.id, "patient": patient.id, "start": started},
                )
        people = {**ROLES, "wall": Role.DISPLAY, "patient": Role.PATIENT}
        for login, role in people.items():
            who = Principal(
                user=f"usr_{login}",
                name={"nurse": "Li Na", "doctor": "Dr Weber"}.get(login, login.capitalize()),
                tenant="main",
                roles=frozenset({role}),
                patient=self.patients[-1] if role is Role.PATIENT else None,
                kind="display" if role is Role.DISPLAY else "user",
            )
            self.backend.add_person(login, PASSWORD, who)
            if login == "nurse":
                self.backend._sessions[KEPT] = who
        self.backend.badges["04A1B2"] = "nurse"
        self.backend.pins["doctor"] = "2580"
        self.gateway()
        self.pressures()
        fake_waves.begin(self)
        fake_risks.begin(self)

    def gateway(self, *, online: bool = True) -> None:
        """The gateway's status."""
        states = dict.fromkeys(self.backend._of("main").items["device"], "streaming")
        if not self.calm:
            states["heart-4"] = "backoff: out of range"
        self.backend.put_gateway(
            "main",
            Gateway(
                id="gw-1",
                label="Corridor",
                online=online,
                last_seen=self.clock.now_ns(),
                software="0.1.0",
                config_version=7,
                backlog=0,
                states=states,
            ),
        )

    def _reading(self, device: str, metric: str, value: float, **more: int) -> Reading:
        now = self.clock.now_ns() - more.get("ago", 0) * S
        return Reading(
            device,
            metric,
            value,
            None,
            None,
            now,
            now,
            quality=more.get("quality", 0),
            group=more.get("group", 0),
        )

    def pressures(self) -> None:
        """A blood pressure for everybody who has a cuff."""
        rows = []
        for i in range(self.beds + self.homes):
            device = f"blood-{i + 1}"
            if device in self.backend._of("main").items["device"]:
                systolic = 186 if i == self.beds and not self.calm else 108 + (i * 7) % 40
                for metric, value in (("nibp_systolic", systolic), ("nibp_diastolic", 60 + (i * 5) % 28)):
                    rows.append(self._reading(device, metric, value, ago=120 + i * 60, group=i + 1))
        self.backend.put_readings("main", rows)

    def second(self, t: int) -> None:
        """One second of values."""
        rows = []
        for i in range(self.beds + self.homes):
            pulse = round(66 + (i * 5) % 30 + 4 * math.sin(t / 7 + i))
            spo2 = 97 - (i % 3) if i != 2 or self.calm else 84
            off = Quality.SENSOR_OFF if i == 6 and not self.calm else 0
            if i == 8 and not self.calm and t > 4:
                continue
            if i != 3 or self.calm:
                demo = Quality.DEMO if i == 7 else 0
                rows.append(self._reading(f"heart-{i + 1}", "heart_rate", pulse, quality=demo))
            if i < self.beds:
                rows.append(self._reading(f"pulse-{i + 1}", "spo2", spo2, quality=int(off)))
                rows.append(self._reading(f"pulse-{i + 1}", "pulse_rate", pulse, quality=int(off)))
            if i < self.beds and i % 3 == 0:
                rate = 12 + i % 7
                rows.append(self._reading(f"ascii1-{i + 1}", "respiratory_rate", rate))
        self.backend.put_readings("main", [r for r in rows if r.device not in self.silent])
        del self.backend._of("main").readings[:-4000]

    def alarm(
        self,
        key: str,
        place: int,
        priority: str,
        en: str,
        zh: str,
        ago: int,
        by: str | None = None,
        **more: Any,
    ) -> None:
        """Put an alarm."""
        now = self.clock.now_ns()
        onset = now - ago * S
        line = {"axes": {"signal": "on"}, "told": [["in_app", "wall"]]}
        fields: dict[str, Any] = {
            "id": key,
            "patient": self.patients[place],
            "rule": "spo2-low",
            "rule_hash": "3f9a12bc44d0e871",
            "priority": priority,
            "condition": "active",
            "onset": onset,
            "started": onset + 10 * S,
            "accepted_by": by,
            "accepted_at": None if by is None else onset + 30 * S,
            "text": {"en": en, "zh": zh},
            "explanation": {
                "en": "Oxygen saturation stayed below the limit for longer than the rule's delay.",
                "zh": "血氧饱和度低于界限的时间超过了规则的延迟。",
            },
            "values": {"spo2": 84},
            "limit": "< 90",
            "policy": "ward",
            "transitions": [
                AlarmTransition(kind="start", condition="active", at=onset + 10 * S, detail=line)
            ],
        }
        self.backend.put_alarm("main", AlarmDetail(**{**fields, **more}))

    def scene(self) -> None:
        """Alarms of every priority."""
        self.alarm("alm_1", 2, "high", "SpO2 84 < 90", "血氧 84 < 90", 42)
        self.alarm("alm_2", self.beds, "high", "BP 186/92 >= 180", "血压 186/92 >= 180", 605, "Li Na")
        self.alarm("alm_3", 5, "medium", "Heart rate 128 > 120", "心率 128 > 120", 95)
        self.alarm("alm_4", 10, "low", "Respiratory rate 22 > 20", "呼吸 22 > 20", 310)

    async def run(self) -> None:
        """Go on for ever."""
        t = 0
        while True:
            self.second(t)
            fake_waves.go_on(self, t)
            t += 1
            await asyncio.sleep(1)


async def _no_stay(ward: Ward) -> None:
    stays = ward.backend._of("main").items["encounter"].values()
    stay = next(e for e in stays if e.patient == ward.patients[0])
    await ward.backend.end(ward.scope, "encounter", stay.id)


CONTROLS: dict[str, Callable[[Ward], Any]] = {
    "scene": Ward.scene,
    "answers": fake_answers.furnish,
    "alarm": lambda ward: ward.alarm("alm_9", 0, "high", "SpO2 83 < 90", "血氧 83 < 90", 12),
    "no-stay": _no_stay,
    "link-lost": lambda ward: ward.gateway(online=False),
    "staff": lambda ward: fake_staff_room.furnish(ward.backend, ward.scope, ward.patients),
    "history": lambda ward: fake_history.remember(ward.backend, ward.patients),
    "family": lambda ward: fake_family.furnish(ward, PASSWORD),
    "home": fake_home.furnish,
    "measure-again": fake_home.ask,
    "books": fake_books.furnish,
    "risk": fake_risks.rise,
    "fleet": fake_fleet.furnish,
    "around": fake_around.furnish,
    "adopted": fake_around.take_over,
    "directory": lambda ward: ward.backend.create(ward.scope, "ward", {"name": "Ward B"}),
}
"""What the tests can make happen."""


def add_controls(app: FastAPI, ward: Ward, again: asyncio.Event, number: int) -> None:
    """``POST /_test/{what}`` for each of CONTROLS, and ``reset``: all begins anew, in this process.

    ``GET /_test/number`` says which ward it is, counted from 0.
    """

    @app.get("/_test/number")
    async def which() -> int:
        return number

    @app.post("/_test/{what}")
    async def control(what: str) -> dict[str, str]:
        if what == "reset":
            again.set()
            return {"did": what}
        done = CONTROLS[what](ward)
        if inspect.isawaitable(done):
            await done
        return {"did": what}


async def main(port: int, beds: int, homes: int, *, calm: bool) -> None:
    """Serve until killed."""
    listening = socket.create_server(("127.0.0.1", port))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    for number in itertools.count():
        ward = Ward(beds, homes)
        ward.calm = calm
        await ward.fill()
        if not await serve(ward, number, listening.dup()):
            return


async def serve(ward: Ward, number: int, listening: socket.socket) -> bool:
    """One ward, until killed or reset; says whether it was reset."""
    app, again = build_app(ward.backend, telemetry=Telemetry(), profiles=PROFILES), asyncio.Event()
    add_controls(app, ward, again, number)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    values = asyncio.create_task(ward.run(), name="values")
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="serving")
    asked = asyncio.create_task(again.wait(), name="reset")
    await asyncio.wait([values, serving, asked], return_when=asyncio.FIRST_COMPLETED)
    values.cancel()
    asked.cancel()
    if values.done() and not values.cancelled():
        values.result()
    app.state.hub.close()
    server.should_exit = True
    await serving
    return again.is_set()


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    asyncio.run(main(*(numbers + [8099, 12, 4][len(numbers) :]), calm="calm" in sys.argv))
