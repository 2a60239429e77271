"""Waveforms over the port's fake, and over the real source, pipeline, store and records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from dashboards.wave_models import WavePiece
from hearthward.core.model import Quality
from hearthward.trust.access import Scope
from tests.component.dashboards.sides import SCOPE, T0, FakeSide, S, Side, furnish, real
from tests.unit.cloud_ingest.waves.made import chunk

assert chunk().begins == T0
OXI = "oxi"


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made


async def samples(side: Side, patient: str, scope: Scope = SCOPE) -> list[WavePiece]:
    batches = side.backend.wave_samples(scope, patient, "pleth", T0, T0 + 600 * S)
    return [piece async for batch in batches for piece in batch]


async def test_the_samples_of_a_period_come_as_they_were_taken_with_their_gaps(side: Side):
    ids = await furnish(side)
    await side.sample(*(chunk(n, device=OXI, scale=0.5) for n in (0, 1, 2, 5)))
    view = await side.backend.wave(SCOPE, ids["patient"], "pleth", T0, T0 + 10 * S)
    assert (view.unit, view.envelope, view.cut_off) == ("1", False, False)
    first, second = view.pieces
    expected = [round(x * 0.5, 9) for n in (0, 1, 2) for x in chunk(n).samples]
    assert first.values == expected
    assert (first.start, first.device, first.quality) == (T0, OXI, [])
    assert first.end == pytest.approx(T0 + 224 * S / 75, abs=1000)
    assert second.start == T0 + 5 * S
    assert len(second.values) == 75
    assert [(g.start - T0, g.end - T0) for g in view.gaps] == [
        (pytest.approx(3 * S), 5 * S),
        (pytest.approx(6 * S), 10 * S),
    ]
    held = await side.backend.waves(SCOPE, ids["patient"])
    newest = chunk(5).corrected
    assert [(h.metric, h.device, h.first, h.newest) for h in held] == [("pleth", OXI, T0, newest)]


async def test_they_follow_the_patient_from_device_to_device_and_no_further(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    other = await backend.create(SCOPE, "patient", {"name": "Next"})
    await side.sample(*(chunk(n, device=OXI) for n in range(4)))
    moved = T0 + 4 * S + S // 2
    side.clock.follow(moved)
    await backend.end(SCOPE, "association", ids["worn"], moved)
    await backend.create(SCOPE, "association", {"device": OXI, "patient": other.id, "start": moved})
    await side.sample(chunk(4, device=OXI), chunk(5, device=OXI), chunk(6, device="stray"))
    (mine,) = await samples(side, patient)
    (theirs,) = await samples(side, other.id)
    assert len(mine.values) == 4 * 75 + 38
    assert mine.end < moved <= theirs.start
    assert len(mine.values) + len(theirs.values) == 6 * 75
    view = await backend.wave(SCOPE, patient, "pleth", T0, T0 + 10 * S)
    assert view.gaps[0].start < T0 + 5 * S
    assert view.pieces == [mine]
    (held,) = await backend.waves(SCOPE, patient)
    assert held.newest < moved
    (held,) = await backend.waves(SCOPE, other.id)
    assert held.first == moved
    for scope in (Scope("other"), Scope("main", frozenset({ids["other"]})), Scope("main", None, other.id)):
        assert await backend.waves(scope, patient) == []
        nothing = await backend.wave(scope, patient, "pleth", T0, T0 + 10 * S)
        assert nothing.pieces == []
        assert [(g.start, g.end) for g in nothing.gaps] == [(T0, T0 + 10 * S)]
        assert await samples(side, patient, scope) == []
    own = Scope("main", None, patient)
    assert await samples(side, patient, own) == [mine]


async def test_a_longer_time_is_the_lowest_and_highest_of_each_part(side: Side):
    ids = await furnish(side)
    ramp = [
        replace(chunk(n, device=OXI), samples=tuple(range(n, n + 75)), quality=Quality.MOTION * (n >= 90))
        for n in range(120)
        if n != 50
    ]
    await side.sample(*ramp[:60])
    await side.sample(*ramp[60:])
    view = await side.backend.wave(SCOPE, ids["patient"], "pleth", T0, T0 + 120 * S, 120)
    assert view.envelope
    assert [len(p.low) for p in view.pieces] == [50, 39, 30]
    assert [p.quality for p in view.pieces] == [[], [], ["motion"]]
    assert view.pieces[0].low[:3] == [0, 1, 2]
    assert view.pieces[0].high[:3] == [74, 75, 76]
    assert [(g.start - T0, g.end - T0) for g in view.gaps] == [(50 * S, 51 * S)]
    pieces = await samples(side, ids["patient"])
    assert sum(len(p.values) for p in pieces) == 119 * 75


async def test_what_came_late_or_twice_is_in_its_place_once(side: Side):
    ids = await furnish(side)
    on_time = [chunk(n, device=OXI) for n in range(4)]
    late = [
        replace(c, corrected=c.corrected + ms * S // 1000)
        for c, ms in zip(on_time, (40, 0, 90, 10), strict=True)
    ]
    await side.sample(late[2], late[3])
    await side.sample(late[0], late[1], late[2])
    (piece,) = await samples(side, ids["patient"])
    assert piece.values == [x for n in range(4) for x in chunk(n).samples]
    assert piece.start == T0, "evenly spaced from where the promptest chunk puts them"


async def test_a_sample_that_came_late_is_not_of_before_the_device_was_on_the_patient(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    other = await backend.create(SCOPE, "patient", {"name": "Next"})
    moved = T0 + 4 * S + S // 2
    side.clock.follow(moved)
    await backend.end(SCOPE, "association", ids["worn"], moved)
    await backend.create(SCOPE, "association", {"device": OXI, "patient": other.id, "start": moved})
    late = [
        replace(chunk(n, device=OXI), corrected=chunk(n).corrected + ms * S // 1000)
        for n, ms in ((3, 0), (4, 600), (5, 0), (6, 0))
    ]
    await side.sample(*late)
    mine, theirs = await samples(side, patient), await samples(side, other.id)
    assert all(piece.end < moved for piece in mine)
    assert all(piece.start >= moved for piece in theirs)
    view = await backend.wave(SCOPE, other.id, "pleth", T0, T0 + 10 * S)
    assert view.pieces == theirs
    assert view.gaps[0].end >= moved


async def test_nothing_lies_before_what_is_asked_for(side: Side):
    ids = await furnish(side)
    late = replace(chunk(0, device=OXI), corrected=chunk(0).corrected + S // 2)
    await side.sample(late, *(chunk(n, device=OXI) for n in (1, 2)))
    start = T0 + S // 2
    view = await side.backend.wave(SCOPE, ids["patient"], "pleth", start, T0 + 10 * S)
    assert [p.start >= start for p in view.pieces] == [True]
    assert view.pieces[0].values[-1] == chunk(2).samples[-1]
    assert view.pieces[0].start - start < 2 * S // 75


async def test_a_table_leaves_no_sample_out_however_many_there_are(
    side: Side, monkeypatch: pytest.MonkeyPatch
):
    ids = await furnish(side)
    await side.sample(*(chunk(n, device=OXI) for n in range(60)))
    store = side.backend._wave_store(SCOPE)
    monkeypatch.setattr(store, "read", partial(store.read, most=1000))
    monkeypatch.setattr("dashboards.wave_reads.MOST_SAMPLES", 1000)
    pieces = await samples(side, ids["patient"])
    assert [x for p in pieces for x in p.values] == [x for n in range(60) for x in chunk(n).samples]
    assert (await side.backend.wave(SCOPE, ids["patient"], "pleth", T0, T0 + 60 * S)).cut_off
