"""People of the fake ward: contacts, teams, a week's schedule with a hole, assignments and a hand-over."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Final

from dashboards.backend import DirectoryChanged
from dashboards.fake_backend import FakeBackend
from dashboards.people_port import HandOverDraft, ShiftDraft, TeamDraft
from dashboards.shift_times import at_local, day_of
from hearthward.core.clock import SECOND
from hearthward.trust.access import Principal, Role, Scope

__all__ = ["furnish"]

ZONE: Final = "Asia/Shanghai"
HOUR: Final = 3600 * SECOND
PASSWORD: Final = "a short sentence"  # noqa: S105 - of the people here
PEOPLE: Final = (
    ("chen", "Chen Mei"),
    ("okoro", "Grace Okoro"),
    ("brandt", "Jonas Brandt"),
)
REACHED: Final = {"usr_nurse": "li.na", "usr_doctor": "weber", "usr_chen": "chen.mei", "usr_okoro": "g.okoro"}
DAY_SHIFT: Final = ("usr_chen", "usr_okoro")
NIGHT_SHIFT: Final = ("usr_brandt", "usr_okoro")
ADMIN: Final = Principal("usr_admin", "Admin", "main", frozenset({Role.ADMIN}))
MINE: Final = 4
"""So many patients are Li Na's, as many Chen Mei's."""


async def furnish(backend: FakeBackend, scope: Scope, patients: list[str]) -> None:
    """Make them. Li Na (``nurse``) is on duty now; for the last hours of the next day no doctor is."""
    for login, name in PEOPLE:
        who = Principal(f"usr_{login}", name, scope.tenant, frozenset({Role.NURSE}))
        backend.add_person(login, PASSWORD, who)
    for number, (user, mail) in enumerate(REACHED.items()):
        phone, email = f"+861380013800{number}", f"{mail}@hospital.example"
        await backend.set_contacts(scope, user, phone=phone, email=email)
    await backend.set_pin(scope, "usr_chen", "4711")
    await backend.set_badge(scope, "usr_nurse", "04A2249C5F6180")
    wards = await backend.items(scope, "ward")
    ward = next(w.id for w in wards if getattr(w, "name", "") == "Ward A")
    team = await backend.add_team(scope, TeamDraft("Team east", ward, ("usr_nurse", "usr_chen", "usr_okoro")))
    await _schedule(backend, scope, ward)
    for place, patient in enumerate(patients[: 2 * MINE]):
        user = "usr_nurse" if place < MINE else "usr_chen"
        await backend.assign(scope, patient, user=user, team=None, who=ADMIN)
        await backend.assign(scope, patient, user=None, team=team.id, who=ADMIN)
    note = "Bed 3 waits for X-ray; the family of bed 2 comes at four."
    draft = HandOverDraft("usr_okoro", "usr_nurse", ward, note, tuple(patients[:2]), ())
    await backend.hand_over(scope, draft, who=ADMIN)
    backend._publish(DirectoryChanged(scope.tenant))


async def _schedule(backend: FakeBackend, scope: Scope, ward: str) -> None:
    now = backend.clock.now_ns() // HOUR * HOUR
    today = day_of(now, ZONE)

    async def add(user: str, role: str, where: str | None, start: int, hours: int, **more: bool) -> None:
        draft = ShiftDraft(user, role, where, start, start + hours * HOUR, ZONE, **more)
        await backend.add_shift(scope, draft, who=ADMIN)

    for i in range(-7, 0):
        day = today + timedelta(days=i)
        await add(DAY_SHIFT[i % 2], "nurse", ward, at_local(day, time(7), ZONE), 12, weekly=True)
        await add(NIGHT_SHIFT[i % 2], "nurse", ward, at_local(day, time(19), ZONE), 12, weekly=True)
        await add("usr_okoro", "charge", ward, at_local(day, time(8), ZONE), 24, weekly=True)
    await add("usr_nurse", "nurse", ward, now - HOUR, 8)
    await add("usr_nurse", "nurse", ward, now + 30 * HOUR, 8)
    await add("usr_doctor", "doctor", None, now - 4 * HOUR, 24)
