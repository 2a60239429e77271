"""Dead letters over the API and their pages: filters, what is in one, replay, audit."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.dead_letter_models import DeadLetterDetail, Dropped
from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import T0, S, World, world

URL = "/api/v1/dead-letters"


def refused(made: World) -> None:
    """Letter 1 is the world's own; 2 to 4 are these."""
    for ident, reason in ((2, "future"), (3, "future"), (4, "implausible")):
        letter = DeadLetterDetail(
            id=str(ident),
            at=T0 + ident * S,
            gateway="main-gw-A",
            reason=reason,
            readings=2,
            size=5,
            detail="spo2 <b>101</b>",
            hex="000000  68 65",
        )
        made.backend.put_dead_letter("main", letter)


def audited(made: World) -> list[Any]:
    return [(a.action, a.target) for a in made.backend._of("main").audit if a.kind == "dead_letter"]


async def test_list_show_and_replay():
    async with world() as made:
        refused(made)
        async with made.client(made.principal(Role.ENGINEER)) as client:
            found = (await client.get(URL, params={"reason": "future"})).json()
            one = (await client.get(f"{URL}/2")).json()
            tried = await client.post(f"{URL}/replay", json={"ids": ["2", "4"], "dry_run": True})
            done = (await client.post(f"{URL}/replay", json={"reason": "future"})).json()
            again = (await client.post(f"{URL}/replay", json={"ids": ["2"]})).json()
            missing = await client.get(f"{URL}/77")
            gone = await client.post(f"{URL}/replay", json={"ids": ["77"]})
    assert [x["id"] for x in found["items"]] == ["3", "2"]
    assert {"reason": "implausible", "letters": 1, "open": 1, "readings": 2} in found["reasons"]
    assert one["hex"] == "000000  68 65"
    assert [r["state"] for r in tried.json()["items"]] == ["replayed", "refused"]
    assert [(r["id"], r["outcome"]) for r in done["items"]] == [("2", {"stored": 2}), ("3", {"stored": 2})]
    assert done["next"] is None
    assert again["items"][0]["changed"] is False
    assert (missing.status_code, gone.status_code) == (404, 404)
    assert audited(made) == [
        ("view_system", "2"),
        ("replay_dead_letter", "2"),
        ("replay_dead_letter", "3"),
        ("replay_dead_letter", "2"),
    ]


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": ["1"], "reason": "x"}, {"ids": ["x"]}, {"ids": ["1"] * 101}]
)
async def test_what_cannot_be_meant_is_refused(body: dict[str, Any]):
    async with world() as made, made.client(made.principal(Role.ADMIN)) as client:
        assert (await client.post(f"{URL}/replay", json=body)).status_code == 422


@pytest.mark.parametrize("query", ["since=yesterday", "before=x", "state=lost", "limit=0"])
async def test_a_query_that_means_nothing_is_refused(query: str):
    async with world() as made, made.client(made.principal(Role.ADMIN)) as client:
        assert (await client.get(f"{URL}?{query}")).status_code == 422


async def test_the_pages_filter_show_and_replay():
    async with world() as made:
        refused(made)
        made.backend.dropped_letters["main"].append(
            Dropped(reason="implausible", letters=7, readings=21, at=T0)
        )
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            page = await client.get("/deadletters")
            future = await client.get("/deadletters?reason=future&gateway=main-gw-A&state=kept")
            one = await client.get("/deadletters/4")
            tried = await client.post("/deadletters/replay", data={"reason": "future", "dry_run": "1"})
            done = await client.post("/deadletters/replay", data={"reason": "future"})
            bad = await client.post("/deadletters/4/replay", data={})
            closed = await client.get("/deadletters/2")
    assert page.status_code == 200
    assert "dated in the future" in page.text
    assert "Dropped for their age or number" in page.text
    assert "<b>101</b>" not in page.text
    assert 'href="/deadletters/4"' not in future.text
    assert "000000  68 65" in one.text
    assert "Tried, nothing was changed: 2 letters" in " ".join(tried.text.split())
    assert "Replayed: 2 letters" in " ".join(done.text.split())
    assert "refused 2 (implausible)" in bad.text
    assert "/deadletters/2/replay" not in closed.text  # let in: nothing to press any more


async def test_a_store_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        refused(made)

        async def away(*_: Any, **__: Any) -> None:
            msg = "the disk is full"
            raise StoreUnavailable(msg)

        monkeypatch.setattr(made.backend, "replay_letter", away)
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            every = await client.post("/deadletters/replay", data={"reason": "future"})
            one = await client.post("/deadletters/2/replay", data={})
    for answer in (every, one):
        assert answer.status_code == 503
        assert "the disk is full" in answer.text
        assert 'role="alert"' in answer.text


async def test_the_pages_are_chinese_for_who_reads_chinese():
    async with world() as made:
        refused(made)
        who = made.principal(Role.ADMIN)
        async with made.client(who, cookie=True, **{"accept-language": "zh-CN"}) as client:
            page = await client.get("/deadletters")
            one = await client.get("/deadletters/2")
    assert "死信" in page.text
    assert "重放" in one.text


async def test_nurses_see_nothing_of_it():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        assert (await client.get(URL)).status_code == 403
        assert (await client.post(f"{URL}/replay", json={"ids": ["1"]})).status_code == 403
