"""Two tenants over the fake backend, an application, and a client for each role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute

from cloud_ingest.balance import Book
from cloud_ingest.device_health.sums import DaySums, SignalDay, SignalName, day_of
from cloud_ingest.loss_ledger import Count, hour_of
from cloud_ingest.records.care import TaskDraft
from cloud_ingest.records.limits import LimitDraft
from dashboards.access import Guard, csrf_token
from dashboards.app import build_app
from dashboards.consent_models import PARTS, Consent
from dashboards.dead_letter_models import DeadLetterDetail
from dashboards.fake_backend import FakeBackend
from dashboards.fleet_models import FindingView, FrameValue, FrameView, OrderNote, WorkOrder
from dashboards.live.hub import LiveHub
from dashboards.models import AlarmDetail, ProfileChoice
from dashboards.people_port import HandOverDraft, ShiftDraft, TeamDraft
from hearthward.core.clock import EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.model import Reading
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import OF_ONE, Principal, Role, Scope
from rules import RuleSet
from tests.unit.cloud_ingest.made import made_rule
from tests.unit.cloud_ingest.waves.made import chunk

S = 1_000_000_000
T0 = 1_767_225_600 * S
SECRET = "Zebulon Otherhospital"  # noqa: S105 - a name that must not get out
BADGE = "0000"
"""What the badge of the second nurse says."""
RULE = """
id: spo2-low
version: 2
title: {en: Low oxygen saturation, zh: 血氧饱和度过低}
kind: physiological
priority: high
audience: [nurse, doctor]
inputs: {spo2: {max_age_s: 120}}
parameters: {limit: {value: 89, low: 80, high: 94}}
condition: {metric: spo2, op: below, value: limit, hysteresis: 1}
delay_s: 0
max_lateness_s: 3600
latching: false
escalation: default
explanation: {en: "SpO2 {spo2} {limit}", zh: "血氧 {spo2} {limit}"}
cleared: {en: "SpO2 {spo2}", zh: "血氧 {spo2}"}
clinical_source: test
examples:
  firing: [{readings: [{at: 0, values: {spo2: 84}}], until: 10, onset: 0}]
  silent: [{readings: [{at: 0, values: {spo2: 95}}], until: 10}]
"""
"""A site's own version of the rule in ``RULES``."""
RULES = RuleSet((made_rule(),))
PROFILES = (
    ProfileChoice(
        id="sig-pulse-oximeter",
        title="Pulse oximeter",
        transport="ble",
        metrics=frozenset({"spo2", "pulse_rate"}),
        interval_s=1,
    ),
    ProfileChoice(
        id="sig-heart-rate",
        title="Heart rate",
        transport="ble",
        metrics=frozenset({"heart_rate"}),
        interval_s=1,
    ),
    ProfileChoice(id="masimo-ascii1", title="Bedside oximeter", transport="serial", interval_s=1),
)


def reading(device: str, metric: str, value: float | None, at: int, **more: Any) -> Reading:
    return Reading(device, metric, value, None, None, at, at, **more)


def alarm(patient: str, key: str = "alm_1", **more: Any) -> AlarmDetail:
    fields: dict[str, Any] = {
        "id": key,
        "patient": patient,
        "rule": "spo2-low",
        "rule_hash": "0123456789abcdef",
        "priority": "high",
        "condition": "active",
        "onset": T0,
        "started": T0 + 10 * S,
        "text": {"en": "SpO2 84 < 90", "zh": "血氧 84 < 90"},
        "values": {"spo2": 84.0},
        "limit": "< 90",
    }
    return AlarmDetail(**{**fields, **more})


class World:
    """Tenant main: wards A and B with a patient each; tenant other: the same, with SECRET in every name."""

    def __init__(self) -> None:
        self.clock = EventClock(T0 + 60 * S)
        self.backend = FakeBackend(self.clock, ids=SeededIds(4))
        self.backend.shipped = RULES
        self.telemetry = Telemetry()
        self.app: FastAPI = build_app(
            self.backend, telemetry=self.telemetry, profiles=PROFILES, ids=SeededIds(5)
        )
        self.ids: dict[tuple[str, str], str] = {}

    async def fill(self) -> World:
        for tenant, prefix in (("main", ""), ("other", SECRET)):
            for place in "AB":
                await self._ward(tenant, place, prefix)
            self.backend.put_dead_letter(
                tenant, DeadLetterDetail(id="1", at=T0, reason="malformed", detail=prefix)
            )
            nurse = replace(self.principal(Role.NURSE, tenant=tenant), name=f"{prefix}Nurse")
            self.backend.add_person(f"{tenant}-nurse", "right horse battery", nurse)
            await self._room(tenant, prefix)
            self._ledger(tenant, prefix)
            who = self.principal(Role.ADMIN, tenant=tenant)
            await self.backend.audit(who, "login", "session", target=prefix)
        return self

    async def _ward(self, tenant: str, place: str, prefix: str) -> None:
        scope, make = Scope.system(tenant), self.backend.create
        start = T0 - 3600 * S
        keep = self.ids
        ward = keep[tenant, f"ward{place}"] = (
            await make(scope, "ward", {"name": f"{prefix}Ward {place}"})
        ).id
        bed = (await make(scope, "bed", {"ward": ward, "label": f"{prefix}{place}-01"})).id
        patient = (await make(scope, "patient", {"name": f"{prefix}Patient {place}"})).id
        stay = await make(
            scope, "encounter", {"patient": patient, "kind": "ward", "bed": bed, "start": start}
        )
        gateway = (await make(scope, "gateway", {"id": f"{tenant}-gw-{place}", "ward": ward})).id
        device = await make(
            scope,
            "device",
            {
                "id": f"{tenant}-oxi-{place}",
                "gateway": gateway,
                "transport": "ble",
                "address": "C4:12:5D:00:AE:91",
                "profile": "sig-pulse-oximeter",
                "label": prefix,
            },
        )
        worn = await make(scope, "association", {"device": device.id, "patient": patient, "start": start})
        keep.update(
            {
                (tenant, f"bed{place}"): bed,
                (tenant, f"patient{place}"): patient,
                (tenant, f"encounter{place}"): stay.id,
                (tenant, f"gateway{place}"): gateway,
                (tenant, f"device{place}"): device.id,
                (tenant, f"association{place}"): worn.id,
                (tenant, f"alarm{place}"): f"{tenant}-alm-{place}",
            }
        )
        await self._care(tenant, place, prefix)
        self._health(tenant, place, prefix)
        self.backend.put_readings(tenant, [reading(device.id, "spo2", 97, T0 + 59 * S)])
        self.backend.put_waves(tenant, [chunk(n, device=device.id) for n in range(50, 59)])
        self.backend.put_alarm(
            tenant, alarm(patient, f"{tenant}-alm-{place}", text={"en": f"{prefix}SpO2 84 < 90"})
        )

    def _ledger(self, tenant: str, prefix: str) -> None:
        """Each ward's gateway has accepted five readings of its device, and three have come."""
        for place in "AB":
            gateway, device = self.ids[tenant, f"gateway{place}"], self.ids[tenant, f"device{place}"]
            book = Book(gateway, "boot-1", accepted=5, settled=5, told=T0, heard=T0)
            book.committed.add(1, 3)
            counts = [
                Count(gateway, "boot-1", f"{prefix}{device}", hour_of(T0), kind, n)
                for kind, n in (
                    ("read", 6),
                    ("rejected:truncated", 1),
                    ("accepted", 5),
                    ("stored", 3),
                    ("late", 1),
                )
            ]
            self.backend.put_ledger(tenant, book, counts)

    def _health(self, tenant: str, place: str, prefix: str) -> None:
        """A day of the ward's device, a frame, a finding about its battery and a work order for it."""
        device, text = (
            self.ids[tenant, f"device{place}"],
            {"en": f"{prefix}Battery at 12 %", "zh": "电池 12%"},
        )
        backend, key = self.backend, f"{tenant}-fnd-{place}"
        order = WorkOrder(
            id=f"{tenant}-wo-{place}",
            device=device,
            kind="battery",
            finding=key,
            text=text,
            state="open",
            due=T0 + 86_400 * S,
            opened=T0,
            notes=[OrderNote(at=T0, by="", do="open")],
        )
        backend.put_work_order(tenant, order)
        backend.put_finding(
            tenant,
            FindingView(
                id=key,
                device=device,
                kind="battery",
                evidence={"level": 12.0},
                confidence=0.99,
                proposed=T0 + 86_400 * S,
                text=text,
                opened=T0,
                seen=T0,
                work_order=order.id,
            ),
        )
        signals: dict[SignalName, SignalDay] = {"battery": SignalDay(2, 12.0, 11.0, 13.0, 12.0)}
        backend.put_device_day(
            tenant,
            DaySums(
                device, day_of(T0), hours=0b1011, span=4, stored=90, rejected=10, late=9, signals=signals
            ),
        )
        backend.put_device_facts(tenant, device, firmware="1.2", battery=12.0, last_seen=T0)
        values = [
            FrameValue(metric="battery_level", value=12.0, unit="%"),
            FrameValue(metric="spo2", value=97.0, unit="%"),
        ]
        backend.put_frames(tenant, device, [FrameView(received=T0, measured=T0, hex="0a61", values=values)])

    async def _care(self, tenant: str, place: str, prefix: str) -> None:
        """A limit and an order for the ward's patient, and in ward A a draft of a rule."""
        scope, backend = Scope.system(tenant), self.backend
        patient = self.ids[tenant, f"patient{place}"]
        doctor = replace(self.principal(Role.DOCTOR, tenant=tenant), name=f"{prefix}Doctor")
        draft = LimitDraft("spo2-low", "limit", 88, f"{prefix}Patient {place} has COPD")
        given = Consent(
            id=f"{tenant}-con-{place}",
            patient=patient,
            person="usr_family" if place == "A" else "usr_other",
            person_name=f"{prefix}Relative",
            sees=list(PARTS),
            start=T0,
            state="in_force",
        )
        backend.put_consent(tenant, given)
        self.ids[tenant, f"consent{place}"] = given.id
        limit = await backend.set_limit(scope, patient, draft, who=doctor)
        order = await backend.give_order(
            scope, patient, "spo2_scale_2", reason=f"{prefix}Patient {place}", expires=None, who=doctor
        )
        assert limit is not None
        assert order is not None
        self.ids[tenant, f"limit{place}"] = limit.id
        self.ids[tenant, f"order{place}"] = order.id
        await self._home(tenant, place, prefix)
        if place == "A":
            text = RULE if tenant == "main" else RULE.replace("delay_s: 0", "delay_s: 5")
            made = await backend.draft_rule(scope, text, note=f"{prefix}note", who=doctor)
            self.ids[tenant, "releaseA"] = made.id

    async def _home(self, tenant: str, place: str, prefix: str) -> None:
        """A task of the ward's patient, who has written and was answered; and a note about them."""
        patient = self.ids[tenant, f"patient{place}"]
        nurse = replace(self.principal(Role.NURSE, tenant=tenant), name=f"{prefix}Nurse")
        own = Principal(
            f"{tenant}-own-{place}", f"{prefix}Own", tenant, frozenset({Role.PATIENT}), patient=patient
        )
        draft = TaskDraft("medicine", None, f"{prefix}Pill {place}", ("00:05", "08:00"), None, "UTC")
        task = await self.backend.add_task(nurse, patient, draft)
        assert task is not None
        self.ids[tenant, f"task{place}"] = task.id
        for who, text in ((own, "writes"), (nurse, "is answered")):
            await self.backend.write_message(who, patient, f"{prefix}Patient {place} {text}", client=place)
        note = await self.backend.write_note(nurse, patient, f"{prefix}Patient {place} hears badly")
        assert note is not None
        self.ids[tenant, f"note{place}"] = note.id

    async def _room(self, tenant: str, prefix: str) -> None:
        """A second nurse with PIN and badge; for each ward a team, a shift, an assignment, a hand-over."""
        scope, backend = Scope.system(tenant), self.backend
        admin = self.principal(Role.ADMIN, tenant=tenant)
        other = Principal(f"{tenant}-second", f"{prefix}Second", tenant, frozenset({Role.NURSE}))
        backend.add_person(f"{tenant}-second", "right horse battery", other)
        self.ids[tenant, "second"] = other.user
        await backend.set_contacts(scope, other.user, phone="+8613800138000", email=None)
        await backend.set_pin(scope, other.user, "2580")
        if tenant == backend.tenant:
            await backend.set_badge(scope, other.user, BADGE)
        for place in "AB":
            ward, patient = self.ids[tenant, f"ward{place}"], self.ids[tenant, f"patient{place}"]
            team = await backend.add_team(
                scope, TeamDraft(f"{prefix}Team {place}", ward, ("usr_nurse", other.user))
            )
            shift = await backend.add_shift(
                scope, ShiftDraft("usr_nurse", "nurse", ward, T0, T0 + 8 * 3600 * S, "UTC"), who=admin
            )
            given = await backend.assign(scope, patient, user="usr_nurse", team=None, who=admin)
            assert given is not None
            draft = HandOverDraft(other.user, "usr_nurse", ward, f"{prefix}Patient {place}", (patient,), ())
            await backend.hand_over(scope, draft, who=admin)
            keep = {"team": team.id, "shift": shift.id, "assignment": given.id}
            self.ids.update({(tenant, f"{name}{place}"): key for name, key in keep.items()})

    def principal(self, role: Role, *, tenant: str = "main", wards: str | None = None) -> Principal:
        return Principal(
            user=f"usr_{role}",
            name=f"The {role}",
            tenant=tenant,
            roles=frozenset({role}),
            wards=None if wards is None else frozenset({self.ids[tenant, f"ward{w}"] for w in wards}),
            patient=self.ids[tenant, "patientA"] if role in OF_ONE else None,
            kind="display" if role is Role.DISPLAY else "user",
        )

    def client(
        self, who: Principal | None = None, *, cookie: bool = False, **headers: str
    ) -> httpx.AsyncClient:
        """A client; with ``cookie`` as a browser that sends the page's security token."""
        token = self.backend.open_session(who) if who else ""
        cookies = {}
        if who and cookie:
            cookies["hearthward_session"] = token
            headers.setdefault("x-csrf-token", csrf_token(token))
            headers.setdefault("accept", "text/html")
        elif who:
            headers["authorization"] = f"Bearer {token}"
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://ward.test",
            headers=headers,
            cookies=cookies,
        )


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A filled world with its hub running."""
    made = await World().fill()
    async with made.app.router.lifespan_context(made.app):
        yield made


async def seeded(made: World) -> LiveHub:
    """The hub once its board is filled."""
    hub: LiveHub = made.app.state.hub
    async with asyncio.timeout(5):
        while hub.snapshot(Scope.system("main"))["why"]:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
    return hub


def routes(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    """Every API route of the application with its full path, however routers are nested."""
    stack: list[tuple[str, Any]] = [("", r) for r in app.routes]
    while stack:
        prefix, route = stack.pop()
        if isinstance(route, APIRoute):
            yield prefix + route.path, route
        elif (inner := getattr(route, "original_router", None)) is not None:
            stack += [(prefix, r) for r in inner.routes]


def guards(route: APIRoute) -> list[Guard]:
    """The guards in a route's dependencies."""
    found, stack = [], [route.dependant]
    while stack:
        node = stack.pop()
        if isinstance(node.call, Guard):
            found.append(node.call)
        stack += node.dependencies
    return found
