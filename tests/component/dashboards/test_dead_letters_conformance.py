"""Dead letters of the web's port: one suite over the fake and the real records and pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_ingest.dead_letters import write_dead
from cloud_ingest.intake import Dead
from cloud_ingest.records.dead_letters import Asked
from dashboards.dead_letter_models import DeadLetterDetail, RowView
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import encode_block
from hearthward.trust.access import Principal, Role, Scope
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    FakeSide,
    RealSide,
    S,
    furnish,
)
from tests.component.dashboards.sides import made_reading as reading

WHO = Principal("usr_eva", "Eva", "main", frozenset({Role.ENGINEER}))


class FakeLetters(FakeSide):
    """Letters put into the fake."""

    async def refused(self, ident: int, reason: str, gateway: str | None, value: float) -> None:
        """A letter with one reading of an oximeter, or bytes without a gateway."""
        row = RowView(
            number=ident,
            device="oxi",
            metric="spo2",
            value=value,
            code=None,
            measured=T0,
            received=T0,
            let_in=False,
        )
        self.backend.put_dead_letter(
            "main",
            DeadLetterDetail(
                id=str(ident),
                at=T0 + ident * S,
                gateway=gateway or "",
                boot="boot-1" if gateway else "",
                reason=reason,
                readings=1 if gateway else 0,
                rows=[row] if gateway else [],
                hex="000000  00",
                size=1,
            ),
        )


class RealLetters(RealSide):
    """Letters as the pipeline writes them."""

    async def refused(self, ident: int, reason: str, gateway: str | None, value: float) -> None:
        """The same."""
        payload = encode_block(ReadingBatch.of([reading("oxi", "spo2", value, T0)])) if gateway else b"\0"
        held = (1, "boot-1", [ident]) if gateway else (0, None, ())
        dead = Dead("hw/1/main/gw-1/frame", gateway, reason, "", payload, *held)
        await self.records.run(lambda s: write_dead(s, "main", [dead], T0 + ident * S))


Letters = FakeLetters | RealLetters


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Letters]:
    if request.param == "fake":
        fake = FakeLetters()
        await fill(fake)
        yield fake
        return
    real = RealLetters(tmp_path)
    running = asyncio.create_task(real.service.run(), name="service")
    await real.service.started.wait()
    try:
        await fill(real)
        yield real
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await real.records.close()


async def fill(side: Letters) -> None:
    await furnish(side)
    await side.refused(1, "future", "gw-1", 97.0)
    await side.refused(2, "implausible", "gw-1", 101.0)
    await side.refused(3, "malformed", None, 0.0)
    await side.refused(4, "future", "gw-1", 96.0)


async def test_letters_are_listed_counted_and_shown(side: Letters):
    book = await side.backend.dead_letters(SCOPE, Asked())
    assert [x.id for x in book.items] == ["4", "3", "2", "1"]
    assert [(r.reason, r.letters, r.open, r.readings) for r in book.reasons] == [
        ("future", 2, 2, 2),
        ("implausible", 1, 1, 1),
        ("malformed", 1, 1, 0),
    ]
    for asked, ids in (
        (Asked(reason="future"), ["4", "1"]),
        (Asked(gateway="gw-1", limit=2), ["4", "2"]),
        (Asked(since=T0 + 3 * S), ["4", "3"]),
        (Asked(before=3), ["2", "1"]),
        (Asked(state="replayed"), []),
    ):
        assert [x.id for x in (await side.backend.dead_letters(SCOPE, asked)).items] == ids
    shown = await side.backend.dead_letter(SCOPE, "1")
    assert shown is not None
    assert [(r.number, r.device, r.metric, r.value, r.let_in) for r in shown.rows] == [
        (1, "oxi", "spo2", 97.0, False)
    ]
    assert (await side.backend.dead_letter(SCOPE, "3")).hex.startswith("000000  00")  # type: ignore[union-attr]
    for strange in ("9", "x", "", "-1", "9" * 30):
        assert await side.backend.dead_letter(SCOPE, strange) is None


async def test_a_ward_s_scope_has_its_gateways_letters_only(side: Letters):
    wards = await side.backend.items(SCOPE, "ward")
    gateway = next(g for g in await side.backend.items(SCOPE, "gateway") if g.id == "gw-1")
    for ward in wards:
        scope = Scope("main", frozenset({ward.id}))
        mine = ward.id == getattr(gateway, "ward", None)
        book = await side.backend.dead_letters(scope, Asked())
        assert [x.id for x in book.items] == (["4", "2", "1"] if mine else [])
        assert {r.reason for r in book.reasons} == ({"future", "implausible"} if mine else set())
        assert await side.backend.dead_letter(scope, "3") is None
        who = Principal("usr_eva", "Eva", "main", frozenset({Role.ENGINEER}), wards=frozenset({ward.id}))
        assert await side.backend.replay_letter(who, "3", dry_run=True) is None


async def test_a_replay_lets_in_what_is_good_and_once(side: Letters):
    assert await side.backend.waiting_letters(SCOPE, "future", None) == ["1", "4"]
    tried = await side.backend.replay_letter(WHO, "1", dry_run=True)
    assert tried is not None
    assert (tried.state, tried.outcome) == ("replayed", {"stored": 1})
    assert await side.backend.waiting_letters(SCOPE, "future", None) == ["1", "4"]
    done = await side.backend.replay_letter(WHO, "1", dry_run=False)
    assert done == tried
    again = await side.backend.replay_letter(WHO, "1", dry_run=False)
    assert again is not None
    assert (again.state, again.changed) == ("replayed", False)
    bad = await side.backend.replay_letter(WHO, "2", dry_run=False)
    assert bad is not None
    assert (bad.state, bad.outcome) == ("refused", {"refused:implausible": 1})
    assert await side.backend.waiting_letters(SCOPE, "future", None) == ["4"]
    assert await side.backend.waiting_letters(SCOPE, "future", "4") == []
    letter = await side.backend.dead_letter(SCOPE, "1")
    assert letter is not None
    assert (letter.state, letter.replayed_by, letter.outcome) == ("replayed", "usr_eva", {"stored": 1})
    assert await side.backend.replay_letter(WHO, "99", dry_run=False) is None
