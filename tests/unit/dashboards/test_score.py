"""NEWS2 on a tile: the same score as the rules make of the same values."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from dashboards.backend import RosterDevice, RosterEntry, VitalSample
from dashboards.live.board import Board
from dashboards.live.score import as_number, score_of
from hearthward.core.clock import parse_iso
from hearthward.core.model import Quality
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import PROFILES, T0, S, World, reading, seeded, world

COMPLETE = {
    "respiratory_rate": 21.0,
    "spo2": 95.0,
    "supplemental_oxygen": 1.0,
    "nibp_systolic": 110.0,
    "heart_rate": 90.0,
    "consciousness": 0.0,
    "body_temperature": 37.0,
}
"""2 + 1 + 2 + 1 points."""


def samples(values: dict[str, float], at: int = T0, **more: Any) -> list[VitalSample]:
    device = more.pop("device", "hand")
    return [VitalSample(device, m, v, at, at, more.get("quality", 0)) for m, v in values.items()]


def test_a_complete_score_is_a_number_and_lacks_nothing():
    assert score_of(samples(COMPLETE), T0) == [6, 2, [], T0 // 1_000_000, 1]


def test_what_is_not_known_makes_it_the_least_that_it_can_be():
    found = score_of(samples({"spo2": 90.0, "heart_rate": 70.0}), T0)
    assert found is not None
    assert found[:2] == [3, 3]
    assert found[2] == ["respiratory_rate", "supplemental_oxygen", "systolic", "consciousness", "temperature"]
    assert score_of([], T0) is None


@pytest.mark.parametrize(("age_s", "known"), [(3600, True), (3601, False)])
def test_a_value_that_is_too_old_for_the_rules_scores_nothing(age_s: int, known: bool):  # noqa: FBT001
    assert (score_of(samples({"spo2": 90.0}), T0 + age_s * S) is not None) is known


def test_the_worst_of_several_sources_counts_and_the_oldest_value_is_told():
    two = samples({"heart_rate": 70.0}) + samples({"pulse_rate": 131.0}, T0 - 60 * S, device="oxi")
    found = score_of(two, T0)
    assert found is not None
    assert (found[0], found[3]) == (3, (T0 - 60 * S) // 1_000_000)


def test_the_second_scale_judges_by_oxygen():
    low = samples({"spo2": 90.0})
    assert [score_of(low, T0, scale)[0] for scale in (1, 2)] == [3, 0]  # type: ignore[index, arg-type]
    much = samples({"spo2": 97.0, "supplemental_oxygen": 1.0})
    assert score_of(much, T0, 2)[0] == 5  # type: ignore[index]


def test_values_of_a_demonstration_count_only_alone():
    demo = samples({"spo2": 80.0}, quality=Quality.DEMO)
    assert score_of(demo, T0)[0] == 3  # type: ignore[index]
    assert score_of(demo + samples({"heart_rate": 70.0}), T0)[0] == 0  # type: ignore[index]
    for unfit in (
        Quality.SENSOR_OFF,
        Quality.FUTURE,
        Quality.INVALID,
        Quality.TIME_UNKNOWN | Quality.FROM_STORE,
    ):
        assert score_of(samples({"spo2": 80.0}, quality=unfit), T0) is None


def test_codes_count_as_the_rules_count_them():
    assert as_number("consciousness", None, "A") == 0
    assert as_number("consciousness", None, "V") == 2
    assert as_number("supplemental_oxygen", None, "oxygen") == 1
    assert as_number("consciousness", None, "?") is None
    assert as_number("spo2", 97.0, None) == 97.0


HAND = RosterDevice("hand", "", None, None, T0, manual=True)
OXI = RosterDevice("oxi", "gw", "sig-pulse-oximeter", None, T0)
ENTRY = RosterEntry("p1", "Rosa", "w1", "Ward A", "A-01", home=False, devices=(OXI, HAND))


def board(entry: RosterEntry = ENTRY) -> Board:
    made = Board(PROFILES)
    made.set_roster([entry])
    return made


def test_a_tile_scores_devices_and_what_was_entered_by_hand():
    made = board()
    made.take(samples({"spo2": 95.0}, device="oxi") + samples({"consciousness": 1.0}))
    assert made.refresh(T0) == {"p1"}
    assert made.tile("p1")["n"][:2] == [4, 3]
    assert made.refresh(T0) == set()
    made.take(samples({"body_temperature": 39.5}, T0 + S))
    assert made.refresh(T0 + S) == {"p1"}, "what no vital sign of the tile shows changes the score"
    assert made.tile("p1")["n"][0] == 6


def test_a_score_goes_when_its_values_are_too_old_though_nothing_comes():
    made = board()
    made.take(samples({"spo2": 80.0}, device="oxi"))
    made.refresh(T0)
    made.refresh(T0 + 3595 * S)
    assert made.tile("p1")["n"][0] == 3
    made.refresh(T0 + 3606 * S)
    assert made.tile("p1")["n"] is None


def test_values_of_the_patient_before_score_nothing():
    made = board()
    made.take(samples({"spo2": 80.0}, T0 - S, device="oxi"))
    made.refresh(T0)
    assert made.tile("p1")["n"] is None


def test_where_news2_is_not_meant_for_the_patient_there_is_none():
    made = board(replace(ENTRY, scored=False))
    made.take(samples(COMPLETE))
    made.refresh(T0)
    assert made.tile("p1")["n"] is False


async def shown(made: World, name: str = "Patient A") -> Any:
    hub = await seeded(made)
    return next(t for t in hub.snapshot(Scope.system("main"))["tiles"] if t["name"] == name)["n"]


async def test_an_order_changes_the_scale_on_the_wall():
    async with world() as made:
        scope, patient = Scope.system("main"), made.ids["main", "patientB"]
        (order,) = await made.backend.orders(scope, patient) or ()
        made.backend.put_readings("main", [reading("main-oxi-B", "spo2", 90, made.clock.now_ns())])
        assert (await shown(made, "Patient B"))[4] == 2
        await made.backend.end_order(scope, patient, order.id, reason="x", who=made.principal(Role.DOCTOR))
        async with asyncio.timeout(5):
            while (await shown(made, "Patient B"))[4] == 2:  # noqa: ASYNC110 - the hub has no event
                await asyncio.sleep(0)
        assert (await shown(made, "Patient B"))[0] == 3


async def chip(made: World, patient: str, language: str = "en") -> str:
    """NEWS2 on the patient's page, as text."""
    await seeded(made)
    who = made.principal(Role.NURSE)
    async with made.client(who, cookie=True, **{"accept-language": language}) as client:
        page = (await client.get(f"/patients/{patient}")).text
    found = re.search(r"<dt>NEWS2</dt>(.*?)</div>", page, re.DOTALL)
    return "" if found is None else " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


async def until(made: World, patient: str, text: str) -> None:
    """The hub has taken it in: it has no event for that."""
    async with asyncio.timeout(10):
        while not (shown := await chip(made, patient)).startswith(text or "-") and shown != text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def put(made: World, values: dict[str, float], ago_s: int = 1) -> None:
    at = made.clock.now_ns() - ago_s * S
    rows = [reading("main-oxi-A", metric, value, at) for metric, value in values.items()]
    made.backend.put_readings("main", rows)


async def test_the_patients_page_says_a_whole_score_or_the_least_that_it_can_be():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        seen = await chip(made, patient)
        assert seen.startswith(
            "≥0 oldest value 2026-01-01 00:00:59 UTC at least so much; not known: respiration,"
        )
        assert seen.endswith("SpO2 scale 2")
        numbers = {k: v for k, v in COMPLETE.items() if k not in {"supplemental_oxygen", "consciousness"}}
        put(made, numbers)
        await until(made, patient, "≥3")
        seen = await chip(made, patient)
        assert "not known: air or oxygen, consciousness SpO2 scale 2" in seen
        assert "3 points for one value" not in seen
        assert "吸氧情况, 意识" in await chip(made, patient, "zh")
        put(made, {**numbers, "respiratory_rate": 30.0}, ago_s=0)
        await until(made, patient, "≥4")
        assert "3 points for one value" in await chip(made, patient), "as the chip of a tile is marked"


async def test_a_score_on_the_patients_page_is_of_ages_over_midnight_and_the_change_of_the_clock():
    """It is of ages, not of days: it goes after an hour, whatever the clock on the wall says then."""
    for moment in ("2026-01-01T23:59:30Z", "2026-03-29T00:59:30Z", "2026-10-25T00:59:30Z"):
        async with world() as made:
            patient = made.ids["main", "patientA"]
            made.clock.advance((parse_iso(moment) - made.clock.now_ns()) // S)
            put(made, {"spo2": 83.0}, ago_s=0)
            await until(made, patient, "≥3")
            made.clock.advance(3606)
            await until(made, patient, "\N{EN DASH}")
            assert await chip(made, patient) == "\N{EN DASH} nothing known to score"


async def test_who_news2_is_not_meant_for_has_no_chip():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        items = made.backend._of("main").items["patient"]
        items[patient] = items[patient].model_copy(update={"pregnant": True})
        assert await chip(made, patient) == ""
