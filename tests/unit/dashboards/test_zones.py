"""Times as people in a place say them: axes, lists, filters, sentences; on days of 23 and 25 hours, too."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from dashboards.zones import ZONE_COOKIE, day_label, known_zone, local_iso, moment_in, ticks
from hearthward.core.clock import iso, parse_iso
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import T0, S, World, alarm, world

HOUR = 3600 * S
DAY = 24 * HOUR
ZONES = ("UTC", "Asia/Shanghai", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
SPRING = parse_iso("2026-03-28T23:00:00Z")
"""Midnight in Berlin before the day of 23 hours; at 01:00 UTC it is 03:00 there."""
AUTUMN = parse_iso("2026-10-24T22:00:00Z")
"""Midnight in Berlin before the day of 25 hours; from 01:00 UTC on it is 02:00 again."""


def said(start: int, end: int, zone: str, language: str = "en") -> list[str]:
    return [label for _, label in ticks(start, end, zone, language)]


def test_an_axis_has_the_hours_of_the_place_and_names_its_midnights():
    assert said(T0, T0 + DAY, "UTC") == ["Jan 1", *(f"{h:02d}:00" for h in range(3, 24, 3))]
    assert said(T0, T0 + DAY, "Asia/Shanghai")[:6] == ["09:00", "12:00", "15:00", "18:00", "21:00", "Jan 2"]
    assert said(T0, T0 + DAY, "Asia/Shanghai", "zh_Hans")[5] == "1月2日"
    assert said(T0, T0 + 20 * 60 * S, "Asia/Kathmandu") == ["05:45", "05:50", "05:55", "06:00"]
    assert said(T0, T0 + 7 * DAY, "Asia/Shanghai") == [f"Jan {d}" for d in range(2, 9)]


def test_an_axis_over_a_change_of_the_clock_stays_even_on_the_clock():
    spring = ticks(SPRING, SPRING + 23 * HOUR, "Europe/Berlin", "en")
    assert [label for _, label in spring] == ["Mar 29", *(f"{h:02d}:00" for h in range(3, 24, 3))]
    assert [b - a for (a, _), (b, _) in pairwise(spring)] == [2 * HOUR, *[3 * HOUR] * 6]
    autumn = ticks(AUTUMN, AUTUMN + 25 * HOUR, "Europe/Berlin", "en")
    assert "03:00" in [label for _, label in autumn]
    assert autumn[0] == (AUTUMN, "Oct 25")
    days = ticks(SPRING, SPRING + 4 * DAY, "Europe/Berlin", "en")
    midnights = [at for at, label in days if label.startswith(("Mar", "Apr"))]
    assert [b - a for a, b in pairwise(midnights)] == [23 * HOUR, DAY, DAY, DAY]


@given(
    st.integers(0, 4_000_000_000),
    st.integers(60, 500 * 86_400),
    st.sampled_from(ZONES),
)
def test_ticks_lie_on_the_axis_in_order_few_and_say_the_truth(at: int, length: int, zone: str):
    start, end = at * S, (at + length) * S
    found = ticks(start, end, zone, "en")
    assert len(found) <= 11
    assert [t for t, _ in found] == sorted({t for t, _ in found})
    for moment, label in found:
        assert start <= moment < end
        there = datetime.fromtimestamp(moment // S, UTC).astimezone(ZoneInfo(zone))
        assert label in {f"{there:%H:%M}", day_label(there.date(), "en")}


@given(st.integers(0, 4_000_000_000), st.sampled_from(ZONES))
def test_a_field_of_a_form_gives_back_the_time_it_was_given(at: int, zone: str):
    assert moment_in(local_iso(at * S, zone), zone) == at * S
    assert moment_in(iso(at * S), zone) == at * S, "what says its zone is not of the page's"


def test_what_is_no_zone_is_none():
    assert known_zone("Asia/Shanghai") == "Asia/Shanghai"
    for name in (None, "", "Mars/Olympus", "../../etc/passwd", "Asia"):
        assert known_zone(name) is None


async def place(made: World, zone: str) -> None:
    """The wards' gateways are in that zone."""
    for gateway in list(made.backend._of("main").items["gateway"].values()):
        made.backend._of("main").items["gateway"][gateway.id] = gateway.model_copy(update={"timezone": zone})


async def test_pages_say_times_of_the_place_until_the_browser_says_its_own():
    async with world() as made:
        await place(made, "Asia/Shanghai")
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            listed = (await client.get("/alarms?show=all")).text
            client.cookies.set(ZONE_COOKIE, "Europe/Berlin")
            own = (await client.get("/alarms?show=all")).text
            client.cookies.set(ZONE_COOKIE, "Mars/Olympus")
            unknown = (await client.get("/alarms?show=all")).text
    assert '<time datetime="2026-01-01T00:00:00Z">2026-01-01 08:00:00</time>' in listed
    assert "Times are of the zone Asia/Shanghai." in listed
    assert "2026-01-01 01:00:00" in own
    assert "Asia/Shanghai" in unknown
    assert "UTC" not in listed


async def test_where_nobody_has_said_the_zone_it_is_utc_and_says_so():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        text = (await client.get("/alarms?show=all")).text
    assert "2026-01-01 00:00:00 UTC</time>" in text
    assert "Times are of the zone UTC." in text


async def test_the_timeline_and_the_filters_of_the_list_go_by_the_place():
    async with world() as made:
        await place(made, "Asia/Shanghai")
        patient = made.ids["main", "patientA"]
        for n in range(24):
            at = T0 - n * HOUR
            made.backend.put_alarm("main", alarm(patient, f"old-{n}", onset=at, started=at, ended=at + S))
        async with made.client(
            made.principal(Role.NURSE), cookie=True, **{"accept-language": "zh"}
        ) as client:
            page = (await client.get("/alarms?show=all")).text
            some = (await client.get("/alarms?show=all&from=2026-01-01T07:30&to=2026-01-01T08:00:30")).text
            exact = (await client.get("/alarms?show=all&from=2026-01-01T00:00:00Z")).text
            wrong = await client.get("/alarms?show=all&from=yesterday")
    chart = page.split('<svg class="chart"')[1].split("</svg>")[0]
    axis = re.findall(r'<text class="mid"[^>]*>([^<]+)<', chart)
    assert axis == ["09:00", "12:00", "15:00", "18:00", "21:00", "1月1日", "03:00", "06:00"]
    assert set(re.findall(r'href="/alarms/(old-\d+)"', some)) == {"old-0"}
    assert set(re.findall(r'href="/alarms/(old-\d+)"', exact)) == {"old-0"}
    assert 'value="2026-01-01T08:00:00"' in exact, "in the form it is the place's time"
    assert wrong.status_code == 422
    assert 'value="yesterday"' in wrong.text


async def test_a_day_of_the_burden_leads_to_all_its_alarms_and_no_other():
    """The 25th of October has 25 hours in Berlin; the 29th of March 23."""
    for first, hours in ((AUTUMN, 25), (SPRING, 23)):
        async with world() as made:
            await place(made, "Europe/Berlin")
            made.clock.advance((first + 3 * DAY - made.clock.now_ns()) // S)
            patient = made.ids["main", "patientA"]
            for name, at in (
                ("before", first - S),
                ("first", first),
                ("last", first + hours * HOUR - S),
                ("after", first + hours * HOUR),
            ):
                made.backend.put_alarm(
                    "main",
                    alarm(patient, f"day-{name}", onset=at, started=at, ended=at + S, condition="inactive"),
                )
            day = local_iso(first, "Europe/Berlin")[:10]
            async with made.client(made.principal(Role.NURSE), cookie=True) as client:
                page = (await client.get(f"/burden?by=day&from={day}&to={day}")).text
                rows = re.findall(rf'<th scope="row">{day}.*?<td><a href="(/alarms[^"]+)">(\d+)</a>', page)
                ((link, count),) = rows
                listed = (await client.get(link.replace("&amp;", "&"))).text
        assert int(count) == 2
        assert set(re.findall(r'href="/alarms/day-(\w+)"', listed)) == {"first", "last"}


async def test_why_says_its_times_as_times_and_asks_for_one_of_the_place():
    async with world() as made:
        await place(made, "Asia/Shanghai")
        key = made.ids["main", "alarmA"]
        patient = made.ids["main", "patientA"]
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            why = (await client.get(f"/alarms/{key}/why")).text
            form = (await client.get(f"/patients/{patient}/why-not")).text
            asked = await client.get(f"/patients/{patient}/why-not?rule=spo2-low&at=2026-01-01T08:00:30")
            wrong = await client.get(f"/patients/{patient}/why-not?rule=spo2-low&at=noon")
    assert not re.search(r"\d\d:\d\d:\d\d UTC", why)
    assert 'value="2026-01-01T08:01:00"' in form
    assert '<time datetime="2026-01-01T00:00:30Z">' in asked.text
    assert 'value="2026-01-01T08:00:30"' in asked.text
    assert wrong.status_code == 422
    assert 'value="noon"' in wrong.text


async def test_the_audit_is_asked_for_by_days_of_the_place():
    """In Shanghai the world's first minute is of 08:00 on the first of January."""
    async with world() as made:
        await place(made, "Asia/Shanghai")
        lines = made.backend._of("main").audit
        for key, at in (
            ("eve", -8 * HOUR - S),
            ("first", -8 * HOUR),
            ("last", 16 * HOUR - S),
            ("next", 16 * HOUR),
        ):
            lines.append(lines[0].model_copy(update={"at": T0 + at, "target": f"told-{key}", "kind": "ward"}))
        async with made.client(made.principal(Role.ADMIN), cookie=True) as client:
            day = (await client.get("/audit?from=2026-01-01&to=2026-01-01")).text
            hours = (await client.get("/audit?from=2026-01-01 00:00&to=2026-01-01T23:59:59%2B08:00")).text
            wrong = await client.get("/audit?from=soon")
    assert set(re.findall(r"told-(\w+)", day)) == {"first", "last"}
    assert set(re.findall(r"told-(\w+)", hours)) == {"first"}
    assert wrong.status_code == 422
    assert 'value="soon"' in wrong.text


async def test_an_association_is_corrected_by_the_clock_of_the_place():
    """What was shown and left alone stays exact; what is typed is meant there."""
    async with world() as made:
        await place(made, "Asia/Shanghai")
        key, other = made.ids["main", "associationA"], made.ids["main", "patientB"]
        items = made.backend._of("main").items["association"]
        began = items[key].start + 123
        items[key] = items[key].model_copy(update={"start": began})
        shown = local_iso(began, "Asia/Shanghai")
        async with made.client(made.principal(Role.ADMIN), cookie=True) as client:
            page = (await client.get(f"/admin/association/{key}")).text
            form = {"patient": other, "start": shown, "end": ""}
            done = await client.post(f"/admin/association/{key}", data=form)
            kept = items[key]
            late = {**form, "start": local_iso(began + 60 * S, "Asia/Shanghai").replace("T", " ")}
            moved = await client.post(f"/admin/association/{key}", data=late)
    assert f'value="{shown}"' in page
    assert (done.status_code, moved.status_code) == (303, 303)
    assert (kept.patient, kept.start) == (other, began)
    assert items[key].start == (began + 60 * S) // S * S
