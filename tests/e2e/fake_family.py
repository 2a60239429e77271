"""Relatives of the ward's patient with a login: one who may see the values, one who was just invited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_ingest.records.invitations import Invitee
from dashboards.consent_models import Consent
from hearthward.trust.access import Principal, Role

if TYPE_CHECKING:
    from tests.e2e.fake_ward import Ward

S = 1_000_000_000
DAY = 86_400 * S


async def furnish(ward: Ward, password: str) -> None:
    """Give the patient of the login ``patient`` a relative ``family``, an invited one, and some looks."""
    backend, patient, now = ward.backend, ward.patients[-1], ward.clock.now_ns()
    who = Principal("usr_family", "Grace Mensah", "main", frozenset({Role.FAMILY}), patient=patient)
    backend.add_person("family", password, who)
    given = Consent(
        id="con_1",
        patient=patient,
        person=who.user,
        person_name=who.name,
        sees=["values", "plan"],
        start=now - 2 * DAY,
        until=now + 28 * DAY,
        state="in_force",
    )
    backend.put_consent("main", given)
    nurse = backend._people["main", "nurse"].principal
    await backend.invite(nurse, patient, Invitee(relative=True, name="Kofi Mensah"))
    for actor, action in ((nurse, "view_readings"), (nurse, "view_alarms"), (who, "view_own_page")):
        await backend.audit(actor, action, "reading", target=patient)
