"""Trends: buckets, limits that held, alarms; the API, the stream of a table, and the page of one patient."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from cloud_ingest.records.limits import LimitDraft
from dashboards.charts import chart_of, charts_in, metrics_of
from dashboards.live.states import known_of
from dashboards.models import Value
from dashboards.trend_models import Trend, TrendPoint, step_for
from dashboards.trend_views import Drawn, limits_on
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Quality
from hearthward.trust.access import Role, Scope
from rules import Limit, load_rules
from rules.context import Context
from tests.unit.dashboards.webworld import SECRET, T0, S, World, alarm, reading, seeded, world

HOUR = 3600 * S
MEMORY = int(Quality.FROM_STORE | Quality.TIME_UNKNOWN)
NAMES = ("Oxygen saturation", "Pulse rate", "Temperature", "Perfusion index")


@pytest.fixture
async def made() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def measure(made: World, values: Sequence[float], *, every: int = 60, metric: str = "spo2") -> None:
    """Values up to two seconds before the world's present."""
    now = made.clock.now_ns() - 2 * S
    rows = [
        reading("main-oxi-A", metric, value, now - (len(values) - 1 - i) * every * S)
        for i, value in enumerate(values)
    ]
    made.backend.put_readings("main", rows)


@pytest.mark.parametrize(
    ("hours", "points", "step_s"),
    [
        (1, 600, 6),
        (24, 600, 180),
        (720, 600, 7200),
        (49, 600, 3600),
        (0.001, 600, 1),
        (24 * 400, 100, 345600),
    ],
)
def test_buckets_have_round_widths_and_are_hours_over_long_times(hours: float, points: int, step_s: int):
    assert step_for(0, round(hours * HOUR), points) == step_s * S


def test_the_limits_that_held_are_cut_where_they_changed():
    own = (
        Limit("spo2-low", "limit", 86, "Dr", T0 + HOUR, "COPD", expires=T0 + 3 * HOUR),
        Limit("spo2-low", "limit", 60, "Dr", T0, "outside of its bounds"),
    )
    about = Drawn("spo2", T0, T0 + 4 * HOUR, S)
    lines = [x for x in limits_on(about, list(load_rules()), Context(limits=own)) if x.rule == "spo2-low"]
    usual = lines[0].value
    assert [(x.value, x.own, (x.start - T0) // HOUR, (x.end - T0) // HOUR) for x in lines] == [
        (usual, False, 0, 1),
        (86.0, True, 1, 3),
        (usual, False, 3, 4),
    ]
    assert {x.side for x in lines} == {"low"}


def test_limits_of_some_hours_of_the_day_hold_at_those():
    night = Limit("spo2-low", "limit", 86, "Dr", T0, "", daily=(22 * 60, 6 * 60), timezone="UTC")
    about = Drawn("spo2", T0, T0 + 24 * HOUR, S)
    lines = [
        x for x in limits_on(about, list(load_rules()), Context(limits=(night,))) if x.rule == "spo2-low"
    ]
    assert [(x.own, (x.start - T0) // HOUR, (x.end - T0) // HOUR) for x in lines] == [
        (True, 0, 6),
        (False, 6, 22),
        (True, 22, 24),
    ]


def test_only_limits_that_alone_make_an_alarm_are_drawn():
    def drawn(metric: str, setting: str) -> set[tuple[str, float]]:
        known = Context(setting=setting)  # type: ignore[arg-type]
        return {
            (x.rule, x.value) for x in limits_on(Drawn(metric, T0, T0 + HOUR, S), list(load_rules()), known)
        }

    assert ("home-bp-high", 180.0) in drawn("nibp_systolic", "home")
    assert ("home-bp-high", 200.0) in drawn("nibp_systolic", "home")
    assert not any(rule.startswith("home-") for rule, _ in drawn("nibp_systolic", "ward"))
    assert not any(rule == "spo2-high-on-oxygen" for rule, _ in drawn("spo2", "ward"))
    assert any(rule == "pulse-rate-high" for rule, _ in drawn("pulse_rate", "ward"))


async def test_a_trend_sums_up_and_brings_limits_and_alarms(made: World):
    measure(made, [95, 96, 84, 97])
    made.clock.advance(30)  # since the limit was set
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE)) as client:
        found = (
            await client.get(f"/api/v1/patients/{patient}/trend", params={"metric": "spo2", "points": 2})
        ).json()
    assert found["unit"] == "%"
    assert found["step"] == 12 * HOUR
    assert sum(p["count"] for p in found["points"]) == 5  # the world has one already
    assert min(p["low"] for p in found["points"]) == 84
    assert {(x["rule"], x["value"], x["own"]) for x in found["limits"]} >= {("spo2-low", 88.0, True)}
    assert [a["id"] for a in found["alarms"]] == ["main-alm-A"]


async def test_sensor_off_and_the_future_are_no_values(made: World):
    now = made.clock.now_ns()
    rows = [
        reading("main-oxi-A", "spo2", 12, now - S, quality=int(Quality.SENSOR_OFF)),
        reading("main-oxi-A", "spo2", 13, now - S, quality=int(Quality.FUTURE)),
        reading("main-oxi-A", "spo2", 14, now - S, quality=MEMORY),
        reading("main-oxi-A", "spo2", 15, now - S, quality=int(Quality.INVALID)),
    ]
    made.backend.put_readings("main", rows)
    scope, patient = Scope.system("main"), made.ids["main", "patientA"]
    found = await made.backend.trend(scope, patient, "spo2", now - HOUR, now + 1)
    assert [p.low for p in found.points] == [97]


async def test_a_patient_elsewhere_is_not_there_and_own_trends_have_no_limits(made: World):
    theirs = made.ids["other", "patientA"]
    mine = made.ids["main", "patientA"]
    nurse_b = made.principal(Role.NURSE, wards="B")
    async with made.client(nurse_b) as client:
        for path in ("trend?metric=spo2", "readings.csv"):
            for patient in (theirs, mine):
                answer = await client.get(f"/api/v1/patients/{patient}/{path}")
                assert answer.status_code == 404
                assert SECRET not in answer.text
    async with made.client(made.principal(Role.PATIENT)) as client:
        found = (await client.get(f"/api/v1/patients/{mine}/trend?metric=spo2")).json()
        assert found["points"]
        assert found["limits"] == []
    scope = Scope("main", frozenset({made.ids["main", "wardB"]}))
    assert (await made.backend.trend(scope, mine, "spo2", 0, 2**62)).points == []
    assert await made.backend.measured(scope, mine) == []
    assert [batch async for batch in made.backend.export(scope, mine, (), 0, 2**62)] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("metric=nonsense", "metric"),
        ("metric=spo2&from=yesterday", "from"),
        ("metric=spo2&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("metric=spo2&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("metric=spo2&from=1969-12-31T00:00:00Z&to=1970-01-02T00:00:00Z", "from"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_its_name(made: World, query: str, field: str):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.DOCTOR)) as client:
        for path in ("trend", "readings.csv"):
            answer = await client.get(f"/api/v1/patients/{patient}/{path}?{query}")
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["field"] == field


async def test_readings_leave_as_a_table(made: World):
    measure(made, [95, 96])
    measure(made, [70], metric="pulse_rate")
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE)) as client:
        whole = await client.get(f"/api/v1/patients/{patient}/readings.csv")
        some = await client.get(f"/api/v1/patients/{patient}/readings.csv?metric=pulse_rate")
    assert whole.headers["content-type"].startswith("text/csv")
    assert "attachment" in whole.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(whole.text.removeprefix("\ufeff"))))
    assert [(r["metric"], r["value"], r["unit"]) for r in rows] == [
        ("spo2", "95", "%"),
        ("spo2", "96", "%"),
        ("pulse_rate", "70", "/min"),
        ("spo2", "97", "%"),
    ]
    assert len(some.text.splitlines()) == 2
    audit = await made.backend.audit_entries(Scope.system("main"))
    assert ("export_readings", patient) in {(e.action, e.target) for e in audit}


async def test_a_store_that_cannot_be_read_is_an_error_and_not_an_empty_table(made: World):
    async def away(*_: object) -> AsyncIterator[Sequence[Value]]:
        for _batch in (1,):
            msg = "away"
            raise StoreUnavailable(msg)
        yield []

    made.backend.export = away  # type: ignore[method-assign, assignment]
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE)) as client:
        assert (await client.get(f"/api/v1/patients/{patient}/readings.csv")).status_code == 503


async def test_a_table_of_a_time_without_readings_has_its_header_only(made: World):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.DOCTOR)) as client:
        answer = await client.get(
            f"/api/v1/patients/{patient}/readings.csv?from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z"
        )
    assert (answer.status_code, len(answer.text.splitlines())) == (200, 1)


async def test_the_page_of_a_patient_has_everything_on_it(made: World):
    measure(made, [95, 96, 84, 97])
    measure(made, [70, 71], metric="pulse_rate")
    patient = made.ids["main", "patientA"]
    made.backend.put_alarm(
        "main", alarm(patient, "old", condition="inactive", ended=T0 + S, text={"en": "OLD"})
    )
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        address = f"/patients/{patient}"
        form = {"note": "probe <slipped>", "next": f"{address}#notes"}
        done = await client.post("/alarms/main-alm-A/note", data=form)
        assert (done.status_code, done.headers["location"]) == (303, f"{address}#notes")
        text = (await client.get(address)).text
        for part in (
            "Patient A",
            "A-01",
            "SpO2 84 &lt; 90",
            "/alarms/main-alm-A/why",
            f'hx-get="/patients/{patient}/trends/spo2?window=1h"',
            f'hx-get="/patients/{patient}/trends/pulse_rate?window=1h"',
            "probe &lt;slipped&gt;",
            "Patient A has COPD",
            "main-oxi-A",
            "OLD",
            f"/patients/{patient}/limits",
            f"/patients/{patient}/entry",
            "/handover",
            "readings.csv?from=",
            'action="/alarms/main-alm-A/accept"',
            'action="/alarms/main-alm-A/note"',
            f"{address}/plan",
            f"{address}/messages",
        ):
            assert part in text, part
        other = await client.get(f"/patients/{made.ids['other', 'patientA']}")
        assert (other.status_code, SECRET in other.text) == (404, False)


async def test_a_value_that_cannot_be_relied_on_is_struck_through_and_says_why(made: World):
    patient = made.ids["main", "patientA"]
    await seeded(made)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        fresh = (await client.get(f"/patients/{patient}")).text
        made.clock.advance(600)
        old = (await client.get(f"/patients/{patient}")).text
    assert "<s>97" not in fresh
    assert "NEWS2" in fresh
    assert "not known: respiration" in fresh
    assert "<s>97" in old
    assert "? stale" in old or "? device offline" in old


async def test_what_was_measured_nobody_knows_when_stands_beside_the_values_of_now(made: World):
    await seeded(made)
    now, patient = made.clock.now_ns(), made.ids["main", "patientA"]
    made.backend.put_readings(
        "main",
        [
            reading("main-oxi-A", "spo2", 97, now - S),
            reading("main-oxi-A", "spo2", 71, now, quality=MEMORY),
            reading("main-oxi-A", "body_weight", 82, now, quality=MEMORY | int(Quality.CLOCK_UNSET)),
            reading("main-oxi-A", "body_temperature", 33.5, now - S, quality=MEMORY),
            reading("main-oxi-A", "blood_glucose", 41, now, quality=int(Quality.INVALID)),
            reading("main-oxi-A", "body_temperature", 36.6, now),
        ],
    )
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        pages = [
            (await client.get(path)).text for path in (f"/patients/{patient}", f"/ward/patient/{patient}")
        ]
        asked = {"patient": patient, "metric": "body_weight"}
        *_, weight = (await client.get("/api/v1/readings", params=asked)).json()["items"]
    for text in pages:
        newest, beside = text.split("No values of now, and no alarms. Look at them:")
        assert "97" in newest
        listed = beside.split("</ul>")[0]
        assert "Oxygen saturation 71" in listed
        assert "Weight 82" in listed
        assert listed.count("from the device's memory, time unknown") == 2
        assert listed.count("not valid, says the device") == 1
        assert "Temperature" not in listed, "a newer one is known"
        assert "body_temperature" not in listed
    assert weight["quality"] == ["clock_unset", "from_store", "time_unknown"]


async def test_what_is_known_against_a_value_is_said_wherever_it_is_shown(made: World):
    hub, scope, now = await seeded(made), Scope.system("main"), made.clock.now_ns()
    patient, ward = made.ids["main", "patientA"], made.ids["main", "wardA"]
    off, demo = int(Quality.SENSOR_OFF | Quality.POOR_SIGNAL), int(Quality.DEMO)
    made.backend.put_readings(
        "main",
        [
            reading("main-oxi-A", "spo2", 97, now, quality=off),
            reading("main-oxi-A", "pulse_rate", 70, now, quality=demo),
            reading("main-oxi-A", "body_temperature", 36.6, now - HOUR // 2),
            reading("main-oxi-A", "perfusion_index", 3, now),
        ],
    )
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        pages = [
            (await client.get(path)).text
            for path in (f"/patients/{patient}", f"/ward/patient/{patient}", f"/handover?ward={ward}")
        ]
        sheet = (await client.get(f"/api/v1/handover?ward={ward}")).json()
    for text in pages:
        parts = {name: re.split("</div>|</tr>|</li>", text.split(name)[1])[0] for name in NAMES}
        assert "? sensor off" in parts["Oxygen saturation"], text
        assert "demo data" in parts["Pulse rate"]
        assert "? stale" in parts["Temperature"], "also what is on no tile"
        assert "?" not in parts["Perfusion index"]
    values = {v["metric"]: (v["state"], v["quality"]) for v in sheet["patients"][0]["values"]}
    assert values["spo2"] == ("sensor_off", ["sensor_off", "poor_signal"])
    assert values["pulse_rate"] == ("live", ["demo"])
    assert values["body_temperature"] == ("stale", [])
    await made.backend.end(scope, "association", made.ids["main", "associationA"])
    async with asyncio.timeout(10):
        while hub.states(scope, patient, await made.backend.newest(scope, patient))["spo2"] != "none":  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the hub has no event for it
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        assert "? no device" in (await client.get(f"/patients/{patient}")).text
    made.app.state.hub._trouble = "source"
    assert hub.states(scope, patient, await made.backend.newest(scope, patient)) == {}, (
        "not known is not live"
    )


async def test_how_far_a_time_may_be_off_stands_beside_it_where_it_is_no_trifle(made: World):
    now, patient = made.clock.now_ns(), made.ids["main", "patientA"]
    kept = reading("main-oxi-A", "body_temperature", 36.6, now - S)
    rows = [
        replace(kept, device_time=now - HOUR, error=90 * S),
        replace(kept, metric="pulse_rate", value=70, error=S // 2),
        replace(kept, metric="perfusion_index", value=3, error=None),
        replace(kept, metric="clock_skew", value=3600, quality=int(Quality.CLOCK_WRONG)),
    ]
    made.backend.put_readings("main", rows)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        for path in (f"/patients/{patient}", f"/ward/patient/{patient}"):
            text = (await client.get(path)).text
            assert text.count("±") == 1, path
            assert "± 2 min" in text
            assert "Clock ahead by" not in text, "an alarm says it; it is nothing of the patient's"
        table = (await client.get(f"/api/v1/patients/{patient}/readings.csv")).text
        found = (await client.get(f"/api/v1/readings?patient={patient}&metric=body_temperature")).json()
    errors = {
        r["metric"]: r["time_error_s"] for r in csv.DictReader(io.StringIO(table.removeprefix("\ufeff")))
    }
    assert errors == {
        "spo2": "",
        "body_temperature": "90.0",
        "pulse_rate": "0.5",
        "perfusion_index": "",
        "clock_skew": "",
    }
    assert found["items"][0]["time_error_s"] == 90


async def test_no_alarm_is_said_only_while_something_is_measured(made: World):
    hub = await seeded(made)
    patient, scope = made.ids["main", "patientA"], Scope.system("main")
    old = await made.backend.alarm(scope, "main-alm-A")
    assert old is not None
    made.backend.put_alarm("main", old.model_copy(update={"condition": "inactive", "ended": T0}))
    measure(made, [97, 97])
    measure(made, [70, 70], metric="pulse_rate")
    paths = f"/patients/{patient}", f"/ward/patient/{patient}"
    async with asyncio.timeout(10):
        while hub.known(scope, patient, await made.backend.newest(scope, patient)) != "all":  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the hub has no event for it
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        for path in paths:
            assert "No alarm of this patient is active." in (await client.get(path)).text
        made.clock.advance(3)
        measure(made, [97])
        made.backend.put_readings(
            "main", [reading("main-oxi-A", "pulse_rate", 70, made.clock.now_ns(), quality=int(Quality.DEMO))]
        )
        for path in paths:
            text = (await client.get(path)).text
            assert "No alarm of this patient is active." not in text, "demo values are not watched"
            assert "No alarm is known; not all is measured and watched now." in text
        made.clock.advance(3 * 3600)
        for path in paths:
            text = (await client.get(path)).text
            assert "No alarm of this patient is active." not in text
            assert "No alarm is known; nothing is measured now." in text


@pytest.mark.parametrize(
    ("shown", "states", "quality", "known"),
    [
        ([["97", "live", 1, 1, []]], {"spo2": "live"}, (), "all"),
        ([["97", "live", 1, 1, []], ["", "none", 0, 0, []]], {"spo2": "live"}, (), "all"),
        ([["97", "live", 1, 1, []], ["", "never", 0, 1, []]], {"spo2": "live"}, (), "part"),
        ([["97", "live", 1, 1, ["demo"]]], {"spo2": "live"}, ("demo",), "part"),
        ([], {"spo2": "live"}, ("test",), "part"),
        ([], {"spo2": "ageing"}, (), "part"),
        ([["97", "stale", 1, 1, []]], {"spo2": "stale"}, (), "nothing"),
        ([["", "none", 0, 0, []]], {"spo2": "none"}, (), "nothing"),
        ([], {}, (), "nothing"),
    ],
)
def test_how_much_is_known_is_what_is_live_and_watched_of_what_is_worn(
    shown: list[list[object]], states: dict[str, str], quality: tuple[str, ...], known: str
):
    newest = Value(device="main-oxi-A", metric="spo2", value=97, time=T0, received=T0, quality=list(quality))
    assert known_of(shown, [newest], states) == known


def test_a_battery_that_is_told_once_an_hour_takes_nothing_from_what_is_known():
    oxygen, battery = (
        Value(device="main-oxi-A", metric=metric, value=97, time=T0, received=T0)
        for metric in ("spo2", "battery_level")
    )
    states = {"spo2": "live", "battery_level": "stale"}
    assert known_of([["97", "live", 1, 1, []]], [oxygen, battery], states) == "all"


async def test_what_is_known_now_fetches_itself_and_says_how_old_it_is(made: World):
    await seeded(made)
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        whole = (await client.get(f"/patients/{patient}")).text
        part = (await client.get(f"/patients/{patient}", headers={"HX-Request": "true"})).text
        made.clock.advance(10)
        old = await made.backend.alarm(Scope.system("main"), "main-alm-A")
        assert old is not None
        made.backend.put_alarm("main", old.model_copy(update={"text": {"en": "SpO2 79 < 85"}}))
        later = (await client.get(f"/patients/{patient}", headers={"HX-Request": "true"})).text
    polled = f'<div id="now" hx-get="/patients/{patient}" hx-trigger="every 10s" hx-swap="outerMorph">'
    assert polled in whole
    assert part.strip().startswith(polled)
    assert "<html" not in part
    assert "Alarms now" in part
    assert "Newest values" in part
    assert "SpO2 79" in later
    for text, at in ((part, T0 + 60 * S), (later, T0 + 70 * S)):
        assert f'id="late-{at}"' in text, "another one each time: it appears when no other comes"
    assert "As of <time" in part
    assert 'id="note-main-alm-A"' in part, "what is typed stays with its alarm, whatever comes above it"


async def test_a_trend_that_begins_empty_looks_again(made: World):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        address = f"/patients/{patient}/trends/heart_rate"
        empty = (await client.get(address, headers={"HX-Request": "true"})).text
        past = (await client.get(f"{address}?end=2020-01-01T00:00:00Z", headers={"HX-Request": "true"})).text
        alone = (await client.get(address)).text
        measure(made, [70, 71], metric="heart_rate")
        full = (await client.get(address, headers={"HX-Request": "true"})).text
    asks = f'hx-get="{address}?window=1h" hx-trigger="every 10s" hx-swap="outerHTML"'
    assert "No value in this time." in empty
    assert asks in empty
    assert asks in alone
    assert "htmx.min.js" in alone
    assert "hx-get" not in past, "nothing comes any more"
    assert "hx-get" not in full, "trend.js asks for what is drawn"
    for part in (empty, full):
        assert '<ul class="drawn">' in part, "where an alarm can be put"


async def test_a_patient_is_shown_their_own_page_instead(made: World):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.PATIENT), cookie=True) as client:
        for path in (f"/patients/{patient}", f"/patients/{patient}/trends/spo2"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/me")


async def test_a_wall_shows_the_page_without_what_takes_a_person(made: World):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.DISPLAY), cookie=True) as client:
        text = (await client.get(f"/patients/{patient}")).text
    assert "/trends/spo2" in text
    assert f"/patients/{patient}/entry" not in text
    assert f"/patients/{patient}/limits" not in text
    assert "/assign" not in text
    assert "/note" not in text
    assert "readings.csv" not in text
    async with made.client(made.principal(Role.DISPLAY)) as client:
        refused = await client.get(f"/api/v1/patients/{patient}/readings.csv")
        looked = await client.get(f"/api/v1/patients/{patient}/trend?metric=spo2")
    assert (refused.status_code, looked.status_code) == (403, 200)
    entry = made.backend._of("main").audit[-2]
    assert (entry.action, entry.outcome, entry.target) == ("export_readings", "refused", patient)


@pytest.mark.parametrize("role", [Role.NURSE, Role.PATIENT])
async def test_who_takes_values_away_is_written_down(made: World, role: Role):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(role)) as client:
        answer = await client.get(f"/api/v1/patients/{patient}/readings.csv?metric=spo2")
    assert answer.status_code == 200
    entry = made.backend._of("main").audit[-1]
    assert (entry.action, entry.outcome, entry.target) == ("export_readings", "done", patient)
    assert entry.detail["metric"] == "spo2"


async def test_one_picture_with_its_data_its_table_and_what_is_drawn(made: World):
    measure(made, [95, 96, 84, 97])
    made.clock.advance(30)  # since the limit was set
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        address = f"/patients/{patient}/trends/spo2"
        whole = (await client.get(address)).text
        part = (await client.get(address, headers={"HX-Request": "true"})).text
        assert "<html" in whole
        assert "<html" not in part
        data = json.loads(re.search(r'application/json">(.*?)</script>', part, re.DOTALL).group(1))  # type: ignore[union-attr]
        assert 84 in data["data"][1]
        assert {m["value"] for m in data["marks"]} >= {88.0, None}
        assert "set for this patient" in part
        assert "/alarms/main-alm-A/why" in part
        assert '<svg class="spark"' in part
        assert "84" in part.split("<tbody>")[1]
        assert (await client.get(f"/patients/{patient}/trends/nonsense")).status_code == 404
        empty = (await client.get(f"{address}?window=24h&end=2020-01-01T00:00:00Z")).text
        assert "No value in this time." in empty
        client.cookies.set("hearthward_lang", "zh_Hans")
        chinese = (await client.get(address)).text
        assert "低于 88" in chinese
        assert "below" not in chinese


async def test_what_came_too_late_is_an_entry_of_its_moment_and_not_still_present(made: World):
    patient, now = made.ids["main", "patientA"], made.clock.now_ns()
    measure(made, [95, 96])
    for key, onset in (("alm_old", now - 20 * 24 * HOUR), ("alm_late", now - HOUR // 2)):
        late = alarm(patient, key, condition="inactive", worklist=True, onset=onset, started=now)
        made.backend.put_alarm("main", late)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        part = (await client.get(f"/patients/{patient}/trends/spo2?window=1h")).text
        assert "/alarms/alm_old/why" not in part, "it was weeks before"
        line = part.split("/alarms/alm_late/why")[1].split("</li>")[0]
        assert "came too late" in line
        assert "still present" not in line
        drawn = (await client.get(f"/alarms?show=worklist&patient={patient}")).text
        widths = [
            float(w) for w in re.findall(r'<rect class="h" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', drawn)
        ]
        assert len(widths) == 2
        assert max(widths) < 10, "moments, no bars up to now"


async def test_the_newest_value_says_when_it_was_measured(made: World):
    patient, at = made.ids["main", "patientA"], made.clock.now_ns() - HOUR // 2
    rows = [reading("main-oxi-A", "pulse_rate", 80, at), reading("main-oxi-A", "pulse_rate", 70, at - 60 * S)]
    made.backend.put_readings("main", rows)
    scope = Scope.system("main")
    trend = await made.backend.trend(scope, patient, "pulse_rate", at - 24 * HOUR, made.clock.now_ns())
    assert (trend.points[-1].last, trend.newest) == (80, at)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        part = (await client.get(f"/patients/{patient}/trends/pulse_rate?window=24h")).text
        said = re.search(r"newest <b>80</b> \(<time[^>]*>", part)
        assert said is not None, part


async def test_windows_go_back_and_forward_and_stop_at_now(made: World):
    measure(made, [95, 96])
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        now = (await client.get(f"/patients/{patient}?window=24h")).text
        assert "Later" not in now
        assert "end=2025-12-31T00:01:00Z" in now  # a day before
        before = (await client.get(f"/patients/{patient}?window=24h&end=2025-12-31T00:01:00Z")).text
        assert "Later" in before
        assert (
            'data-poll="0"'
            in (await client.get(f"/patients/{patient}/trends/spo2?window=24h&end=2026-01-01T00:00:30Z")).text
        )
        assert (await client.get(f"/patients/{patient}?end=nonsense")).status_code == 422
        assert "Later" not in (await client.get(f"/patients/{patient}?end=2099-01-01T00:00:00Z")).text


def points(*at: tuple[int, float]) -> list[TrendPoint]:
    return [TrendPoint(time=t * S, low=v - 1, high=v + 1, mean=v, last=v, count=1) for t, v in at]


def test_a_line_stops_where_values_stop_and_two_metrics_share_a_picture():
    steady = [(i * 10, 120.0) for i in range(5)] + [(200, 118.0)]
    upper = Trend(metric="nibp_systolic", start=0, end=300 * S, step=10 * S, points=points(*steady))
    lower = Trend(metric="nibp_diastolic", start=0, end=300 * S, step=10 * S, points=points((0, 80.0)))
    told = chart_of([upper, lower]).told(["sys", "dia"], ["mmHg", "mmHg"], now=300 * S)
    times, low, _, mean, *_ = told["data"]
    assert times == [5, 15, 25, 35, 45, 55, 205]
    assert mean == [120, 120, 120, 120, 120, None, 118]
    assert low[5] is None
    assert told["data"][6] == [80, None, None, None, None, None, None]
    empty = Trend(metric="etco2", start=0, end=S, step=S, points=[])
    assert [t.metric for t in chart_of([empty, lower]).trends] == ["nibp_diastolic"]
    assert chart_of([empty]).told(["x"], [""], now=0)["data"] == [[], [], [], []]


def test_the_table_is_short_and_covers_everything():
    many = Trend(
        metric="spo2", start=0, end=3600 * S, step=6 * S, points=points(*((6 * i, i) for i in range(600)))
    )
    rows = chart_of([many]).table
    assert len(rows) == 30
    assert rows[0][0] > rows[-1][0]
    assert min(p.low for _, cells in rows for p in cells if p) == -1
    assert sum(p.count for _, cells in rows for p in cells if p) == 600


def test_pictures_come_in_the_order_of_the_page():
    assert charts_in(["rr_interval", "nibp_diastolic", "spo2", "nibp_systolic", "perfusion_index"]) == [
        ("spo2",),
        ("nibp_systolic", "nibp_diastolic"),
        ("perfusion_index",),
    ]
    assert metrics_of("nibp_diastolic") == ("nibp_systolic", "nibp_diastolic")
    assert metrics_of("rr_interval") is None
    assert metrics_of("nonsense") is None


async def test_a_limit_that_is_set_is_in_the_picture_at_once(made: World):
    patient = made.ids["main", "patientA"]
    scope = Scope.system("main")
    doctor = made.principal(Role.DOCTOR)
    await made.backend.set_limit(scope, patient, LimitDraft("spo2-low", "limit", 85, "test"), who=doctor)
    now = made.clock.now_ns()
    found = await made.backend.trend(scope, patient, "spo2", now - HOUR, now + S)
    assert [x.value for x in found.limits if x.rule == "spo2-low"][-1] == 85
