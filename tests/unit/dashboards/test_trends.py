"""Trends: buckets, limits that held, alarms; the API, the stream of a table, and the page of one patient."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Sequence

import pytest

from cloud_ingest.records.limits import LimitDraft
from dashboards.charts import chart_of, charts_in, metrics_of
from dashboards.models import Value
from dashboards.trend_models import Trend, TrendPoint, step_for
from dashboards.trend_views import Drawn, limits_on
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Quality
from hearthward.trust.access import Role, Scope
from rules import Limit, load_rules
from rules.context import Context
from tests.unit.dashboards.measured import HOUR, MEMORY, measure
from tests.unit.dashboards.webworld import SECRET, T0, S, World, reading


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
