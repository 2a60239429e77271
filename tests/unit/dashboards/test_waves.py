"""Waveforms on the web: the API, its refusals, the table, and who may see what."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

import pytest

from hearthward.core.clock import iso
from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Role
from tests.unit.cloud_ingest.waves.made import chunk
from tests.unit.dashboards.webworld import T0, S, World, world


@pytest.fixture
async def made() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def where(made: World, rest: str = "", patient: str = "patientA") -> str:
    return f"/api/v1/patients/{made.ids['main', patient]}/waves{rest}"


def span(start: float, end: float) -> dict[str, str]:
    return {"from": iso(T0 + round(start * S)), "to": iso(T0 + round(end * S))}


async def test_the_api_says_which_there_are_and_gives_the_samples_with_their_gaps(made: World):
    async with made.client(made.principal(Role.NURSE, wards="A")) as nurse:
        (held,) = (await nurse.get(where(made))).json()
        view = (await nurse.get(where(made, "/pleth"))).json()
        none = (await nurse.get(where(made, "/ecg"))).json()
        other = await nurse.get(where(made, "/pleth", "patientB"))
        nobody = await nurse.get("/api/v1/patients/none/waves")
    assert held == {
        "metric": "pleth",
        "device": "main-oxi-A",
        "first": iso(T0 + 50 * S),
        "newest": iso(chunk(58).corrected),
    }
    assert (view["start"], view["end"]) == (iso(T0 + 50 * S), iso(T0 + 60 * S))
    assert (view["unit"], view["envelope"], view["cut_off"]) == ("1", False, False)
    (piece,) = view["pieces"]
    assert piece["values"][:3] == list(chunk(50).samples[:3])
    assert len(piece["values"]) == 9 * 75
    assert piece["step"] == pytest.approx(S / 75)
    assert [gap["end"] for gap in view["gaps"]] == [iso(T0 + 60 * S)]
    assert (none["pieces"], len(none["gaps"])) == ([], 1)
    assert (other.status_code, nobody.status_code) == (404, 404)
    lines = [(a.kind, a.outcome) for a in made.backend._of("main").audit if a.actor == "usr_nurse"]
    assert lines == [("reading", "done")] * 3 + [("reading", "refused")] * 2


async def test_a_longer_time_is_an_envelope_and_a_too_long_one_is_refused(made: World):
    async with made.client(made.principal(Role.DOCTOR)) as doctor:
        view = (await doctor.get(where(made, "/pleth"), params={**span(0, 61), "points": 61})).json()
        long = await doctor.get(where(made, "/pleth"), params=span(0, 3601))
        behind = await doctor.get(where(made, "/pleth"), params=span(10, 10))
        word = await doctor.get(where(made, "/pleth"), params={"from": "yesterday"})
        early = await doctor.get(where(made, "/pleth"), params={"to": "1970-01-01T00:00:01Z"})
        metric = await doctor.get(where(made, "/spo2"))
        points = await doctor.get(where(made, "/pleth"), params={"points": 100_000})
        far = {"from": "9999-12-31T23:59:00Z", "to": "9999-12-31T23:59:30Z"}
        never = (await doctor.get(where(made, "/pleth"), params=far)).json()
    assert (never["pieces"], len(never["gaps"])) == ([], 1)
    assert view["envelope"]
    (piece,) = view["pieces"]
    assert (len(piece["low"]), piece["values"]) == (9, [])
    assert piece["low"][0] == min(chunk(50).samples)
    assert [x.status_code for x in (long, behind, word, early, points)] == [422] * 5
    assert "3600 s" in long.text
    assert metric.status_code == 404
    assert "spo2" in metric.text


async def test_the_table_has_every_sample(made: World):
    async with made.client(made.principal(Role.DOCTOR)) as doctor:
        answer = await doctor.get(where(made, "/pleth/samples.csv"), params=span(0, 60))
        empty = await doctor.get(where(made, "/ecg/samples.csv"), params=span(0, 60))
    async with made.client(made.principal(Role.DISPLAY)) as wall:
        assert (await wall.get(where(made, "/pleth/samples.csv"))).status_code == 403
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows[0] == ["time", "value", "unit", "device", "quality"]
    assert len(rows) == 1 + 9 * 75
    assert rows[1] == [iso(T0 + 50 * S), str(float(chunk(50).samples[0])), "1", "main-oxi-A", ""]
    assert len(empty.text.splitlines()) == 1


async def test_a_store_that_cannot_be_read_is_an_error_that_says_so(
    made: World, monkeypatch: pytest.MonkeyPatch
):
    async def away(*_: object, **__: object) -> None:
        msg = "the store of waveforms cannot be used now"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(made.backend.wave_store, "read", away)
    monkeypatch.setattr(made.backend.wave_store, "held", away)
    async with made.client(made.principal(Role.DOCTOR)) as doctor:
        for rest in ("", "/pleth", "/pleth/samples.csv"):
            answer = await doctor.get(where(made, rest))
            assert answer.status_code == 503, rest
