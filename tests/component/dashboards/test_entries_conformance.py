"""Entries of the directory: one suite over the port's fake and over the real records."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.backend import (
    AlarmQuery,
    DirectoryError,
    GatewayChanged,
    ReadingQuery,
)
from dashboards.models import Device, Gateway, Ward
from dashboards.response_models import Act
from hearthward.trust.access import Scope
from tests.component.dashboards.sides import SCOPE, T0, RealSide, S, Side, furnish, next_of


async def test_the_directory_is_kept_and_listed(side: Side):
    ids = await furnish(side)
    wards = await side.backend.items(SCOPE, "ward")
    assert [w.name for w in wards] == ["Ward A", "Ward B"]
    stay = await side.backend.item(SCOPE, "encounter", ids["stay"])
    assert stay is not None
    assert (stay.kind, stay.bed, stay.ward, stay.end) == ("ward", ids["bed"], ids["ward"], None)
    assert await side.backend.item(SCOPE, "ward", "none") is None
    assert await side.backend.change(SCOPE, "ward", "none", {"name": "x"}) is None
    assert await side.backend.end(SCOPE, "ward", "none") is None
    changed = await side.backend.change(SCOPE, "patient", ids["patient"], {"name": "Rosa L."})
    assert changed is not None
    assert (changed.name, changed.mrn) == ("Rosa L.", "1")
    assert await side.backend.ward_of(SCOPE, ids["patient"]) == ids["ward"]
    assert await side.backend.ward_of(SCOPE, ids["second"]) is None


async def test_a_ward_says_whether_it_has_a_wall(side: Side):
    backend = side.backend
    made = await backend.create(SCOPE, "ward", {"name": "Ward W", "wall_expected": True})
    without = await backend.create(SCOPE, "ward", {"name": "Ward X"})
    assert isinstance(made, Ward)
    assert isinstance(without, Ward)
    assert (made.wall_expected, without.wall_expected) == (True, False)
    if isinstance(side, RealSide):  # from then on a wall that nobody hears is noticed
        assert {made.id, without.id} & side.service.watch._walled == {made.id}
    changed = await backend.change(SCOPE, "ward", made.id, {"wall_expected": False})
    assert isinstance(changed, Ward)
    assert not changed.wall_expected
    if isinstance(side, RealSide):
        assert made.id not in side.service.watch._walled


@pytest.mark.parametrize(
    ("kind", "fields", "field", "code"),
    [
        ("ward", {"name": "Ward A"}, "name", "taken"),
        ("bed", {"ward": "none", "label": "1"}, "ward", "unknown"),
        ("encounter", {"patient": "$patient", "kind": "home"}, "patient", "taken"),
        ("encounter", {"patient": "$second", "kind": "ward", "bed": "$bed"}, "bed", "taken"),
        ("encounter", {"patient": "$second", "kind": "ward"}, "bed", "required"),
        ("association", {"device": "oxi", "patient": "$second"}, "device", "taken"),
        ("association", {"device": "none", "patient": "$second"}, "device", "unknown"),
        ("gateway", {"id": "gw-1"}, None, "taken"),
    ],
)
async def test_refusals_name_field_and_reason(
    side: Side, kind: Any, fields: dict[str, Any], field: str | None, code: str
):
    ids = await furnish(side)
    given = {k: ids[v[1:]] if str(v).startswith("$") else v for k, v in fields.items()}
    with pytest.raises(DirectoryError) as caught:
        await side.backend.create(SCOPE, kind, given)
    assert caught.value.code == code
    assert field is None or caught.value.field == field


async def test_frames_refused_at_the_edge_are_told_of_gateway_and_device(side: Side):
    await furnish(side)
    (device,) = await side.backend.items(SCOPE, "device")
    assert isinstance(device, Device)
    assert device.rejected == {}
    told = {"oxi": {"truncated": 2, "integrity": 1}, "gone": {"malformed": 3}}
    async with side.backend.subscribe() as events:
        await side.refuse(told)
        event = await next_of(events, GatewayChanged)
    assert event.gateway.rejected == told
    (gateway,) = await side.backend.items(SCOPE, "gateway")
    assert isinstance(gateway, Gateway)
    assert gateway.rejected == told
    found = await side.backend.item(SCOPE, "device", "oxi")
    assert isinstance(found, Device)
    assert found.rejected == {"truncated": 2, "integrity": 1}


async def test_an_optional_label_may_be_cleared(side: Side):
    await furnish(side)
    for kind, key in (("gateway", "gw-1"), ("device", "oxi")):
        for label in ("Named", ""):
            changed = await side.backend.change(SCOPE, kind, key, {"label": label})  # type: ignore[arg-type]
            assert changed is not None
            assert changed.label in {label, key}  # type: ignore[union-attr]


async def test_ending_twice_is_refused(side: Side):
    ids = await furnish(side)
    side.clock.advance(10)
    ended = await side.backend.end(SCOPE, "association", ids["worn"])
    assert ended is not None
    assert ended.end == side.clock.now_ns()
    side.clock.advance(10)
    with pytest.raises(DirectoryError) as caught:
        await side.backend.end(SCOPE, "association", ids["worn"])
    assert caught.value.code == "ended"
    assert ids["worn"] not in {a.id for a in await side.backend.items(SCOPE, "association")}


async def test_a_scope_covers_its_ward_and_nothing_else(side: Side):
    ids = await furnish(side)
    await side.measure("oxi", "spo2", 84, T0 + S)
    here = Scope("main", frozenset({ids["ward"]}))
    there = Scope("main", frozenset({ids["other"]}))
    for scope, count in ((here, 1), (there, 0)):
        assert len(await side.backend.items(scope, "patient")) == count
        assert len(await side.backend.readings(scope, ReadingQuery())) == count
        assert len(await side.backend.alarms(scope, AlarmQuery())) == count
        assert len(await side.backend.newest(scope, ids["patient"])) == count
    key = (await side.backend.alarms(here, AlarmQuery()))[0].id
    assert await side.backend.alarm(there, key) is None
    assert await side.backend.answer(there, key, Act("accept", "x")) is None
    other = Scope.system("other")
    assert await side.backend.items(other, "patient") == []
    assert list(await side.backend.readings(other, ReadingQuery())) == []
