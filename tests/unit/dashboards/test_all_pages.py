"""No page is missing in the list of all pages, and each opens for just the people that it names."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_ingest.records.invitations import Invitee
from dashboards.fleet_models import OrderDraft
from dashboards.i18n import translations
from hearthward.trust.access import Role
from rules import RuleSet
from rules.loader import load_rule
from tests.e2e.all_pages import NO_PAGES, PAGES, PEOPLE, filled
from tests.unit.dashboards.webworld import RULE, World, routes, world

KINDS = ("ward", "bed", "patient", "encounter", "gateway", "device", "association", "alarm", "shift")
TEXT = RULE.replace("version: 2", "version: 1").replace("value: 89", "value: 90")
SEE_OTHER = 303
REFUSALS = {403: "Not allowed", 404: "Not found"}
ELSEWHERE = {
    "/patients/{patient}": "/me",
    "/patients/{patient}/trends/{metric}": "/me",
    "/patients/{patient}/waves": "/me",
    "/patients/{patient}/waves/{wave}": "/me",
    "/me/logins": "/account#logins",
}
"""Who has another page of the same kind is led there."""


def test_every_page_of_the_application_is_in_the_list():
    got = {path for path, route in routes(World().app) if "GET" in (route.methods or ())}
    files = {p for p in got if p.startswith(("/api/", "/admin/choices/")) or p.endswith(".csv")}
    listed = [page.route.replace("{trial}", "{key}") for page in PAGES]
    assert len(listed) == len(set(listed)) == len(PAGES)
    assert got - files == set(listed) | NO_PAGES.keys()


async def known_of(made: World) -> dict[str, str]:
    """What stands in addresses: things of ward A."""
    known = {kind: made.ids["main", f"{kind}A"] for kind in KINDS}
    nurse = made.principal(Role.NURSE)
    link = await made.backend.invite(nurse, known["patient"], Invitee(relative=True, name="Ann"))
    assert link is not None
    fixed = {"letter": "1", "policy": "default", "rule": "spo2-low", "metric": "spo2", "login": "main-nurse"}
    draft = OrderDraft(device=known["device"], text="strap is torn")
    order = await made.backend.open_work_order(made.principal(Role.ENGINEER), draft)
    return {**known, **fixed, "wave": "pleth", "token": link.secret, "order": order.id}


async def statuses(made: World, role: Role) -> dict[str, Any]:
    """Page -> what it answers to somebody in that role."""
    who, known, found = made.principal(role), await known_of(made), {}
    async with made.client(who, accept="text/html") as client:
        tried = {}
        body = {"moved": {"parameters/limit/value": 86}, "days": 1}
        begun = await client.post("/api/v1/rules/spo2-low/tries", json=body)
        tried["trial"] = begun.json()["id"] if begun.status_code == 202 else "none"
        for page in PAGES:
            found[page.route] = await client.get(filled(page.route, {**known, **tried}))
    return found


@pytest.fixture
def letters() -> dict[Role, str]:
    names = {name: letter for letter, name in PEOPLE.items()}
    return {role: names.get(role, "W") for role in Role}


@pytest.mark.parametrize("role", list(Role))
async def test_each_page_opens_for_whom_it_is_and_says_so_to_others(role: Role, letters: dict[Role, str]):
    async with world() as made:
        made.backend.shipped = RuleSet((load_rule(TEXT, "rule").rule,))
        made.backend.texts["spo2-low"] = TEXT
        answers = await statuses(made, role)
    wrong = []
    for page in PAGES:
        answer = answers[page.route]
        if letters[role] in page.opens:
            right = answer.status_code == 200 and "<h1" in answer.text
        elif answer.status_code == SEE_OTHER:
            right = answer.headers["location"] == ELSEWHERE.get(page.route)
        else:
            right = REFUSALS.get(answer.status_code, "?") in answer.text and 'href="/"' in answer.text
        if not right:
            wrong.append((page.route, answer.status_code, answer.headers.get("location")))
    assert not wrong


@pytest.mark.parametrize("path", ["/users", "/patients/nobody"])
async def test_a_refusal_is_said_in_chinese_too(path: str):
    async with (
        world() as made,
        made.client(made.principal(Role.NURSE), **{"accept": "text/html", "accept-language": "zh"}) as client,
    ):
        answer = await client.get(path)
    text = REFUSALS[answer.status_code]
    assert translations("zh_Hans").gettext(text) in answer.text
    assert text not in answer.text
