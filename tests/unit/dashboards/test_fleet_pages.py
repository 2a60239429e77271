"""The pages of the fleet: what needs attention, devices, quality, use, work orders, roles, audit."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, get_args

import httpx
import pytest

from cloud_ingest.device_health.asking import (
    DEVICE_STATES,
    FINDING_KINDS,
    FLEET_SORTS,
    ORDER_STATES,
    AskedFleet,
    OrderState,
)
from cloud_ingest.device_health.sums import DAY_NS, REASONS, DaySums, SignalDay, day_of
from dashboards import fleet_words
from dashboards.fleet_charts import histories
from dashboards.fleet_models import (
    DeviceDay,
    DeviceRow,
    FindingView,
    FleetPage,
    FrameValue,
    FrameView,
    Look,
    OrderDraft,
    OrderNote,
    WorkOrder,
)
from dashboards.fleet_words import advice_for, cause_in, grade
from dashboards.models import Gateway
from dashboards.zones import ZONE_COOKIE, local
from hearthward.core.device_states import Cause
from hearthward.core.raw_frames import FieldPart, RawFrame, RawFrames
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import SECRET, T0, World, world

DEVICE = "main-oxi-A"
FINDING = FindingView(
    id="fnd_1",
    device=DEVICE,
    kind="battery",
    evidence={"level": 12.0, "cause": "out_of_range", "metric": "spo2", "odd_thing": "x<y"},
    confidence=0.9,
    proposed=T0 + 3 * DAY_NS,
    text={"en": "Battery lasts 9 days", "zh": "电池可用 9 天"},
    opened=T0 - DAY_NS,
    seen=T0,
)


def furnish(made: World) -> None:
    """A finding, ten days and two frames of ward A's device."""
    backend = made.backend
    backend.put_finding("main", FINDING)
    backend.put_finding(
        "main", FINDING.model_copy(update={"id": "fnd_2", "kind": "link", "device": "main-oxi-B"})
    )
    one = SignalDay(3, 50.0, 40.0, 60.0, 45.0)
    for ago in range(10):
        sums = DaySums(
            DEVICE,
            day_of(T0) - ago,
            hours=0b1111,
            span=8,
            stored=90,
            rejected=10,
            dropouts=2,
            doubts={"suspect": 3, "implausible": 2, "jump": 2, "disagrees": 1},
            signals={"battery": one},
        )
        backend.put_device_day("main", sums)
    backend.put_device_facts(
        "main", DEVICE, firmware="1.0", rssi=-70.4, days_left=9.0, days_left_low=6.0, days_left_high=13.0
    )
    values = [
        FrameValue(metric="spo2", value=97, unit="%"),
        FrameValue(metric="battery_level", value=45, unit="%"),
    ]
    backend.put_frames("main", DEVICE, [FrameView(received=T0, measured=T0, hex="61 2d", values=values)])


@pytest.fixture
async def made() -> AsyncIterator[World]:
    async with world() as one:
        furnish(one)
        yield one


def engineer(made: World, *, wards: str | None = None, **more: str) -> httpx.AsyncClient:
    return made.client(made.principal(Role.ENGINEER, wards=wards), cookie=True, **more)


def told(made: World) -> list[tuple[str, str, str, Any]]:
    kinds = {"finding", "work_order", "device", "reading"}
    lines = made.backend._of("main").audit
    return [(a.action, a.kind, a.target, a.detail.get("do")) for a in lines if a.kind in kinds]


def flat(text: str) -> str:
    return " ".join(text.split())


async def test_what_needs_attention_comes_first_with_its_reason(made: World):
    async with engineer(made) as client:
        text = flat((await client.get("/fleet")).text)
        chinese = (await client.get("/fleet", headers={"accept-language": "zh"})).text
        links = (await client.get("/fleet?kind=link")).text
    assert text.index("Battery lasts 9 days") < text.index("Use and data") < text.index('id="devices"')
    assert "confidence 90 %" in text
    assert "2026-01-04" in text
    assert 'level: <span translate="no">12</span>' in text
    assert "x&lt;y" in text
    assert "out of range" in text
    assert "电池可用 9 天" in chinese
    assert "Battery lasts" not in chinese
    assert "/fleet/findings/fnd_2/acknowledge" in links
    assert "/fleet/findings/fnd_1/acknowledge" not in links
    assert "Patient" not in text.replace("No patient", "")


async def test_acknowledging_takes_one_press_and_leads_back(made: World):
    async with engineer(made) as client:
        done = await client.post("/fleet/findings/fnd_1/acknowledge", data={"next": "/fleet?kind=battery"})
        gone = await client.post("/fleet/findings/fnd_9/acknowledge")
        away = await client.post("/fleet/findings/fnd_1/acknowledge", data={"next": "//evil.test"})
        text = flat((await client.get("/fleet?kind=battery")).text)
    assert (done.status_code, done.headers["location"]) == (303, "/fleet?kind=battery")
    assert (gone.status_code, away.headers["location"]) == (404, "/fleet")
    assert "seen by" in text
    assert "The engineer" in text
    assert "/fleet/findings/fnd_1/acknowledge" not in text
    assert told(made)[0] == ("maintain_device", "finding", "fnd_1", "acknowledge")


async def test_one_press_takes_the_work_on_and_a_second_order_for_it_is_refused(made: World):
    url, body = f"/fleet/devices/{DEVICE}/orders", {"finding": "fnd_1", "assignee": "me", "next": "/fleet"}
    made.backend.add_person("engineer", "right horse battery", made.principal(Role.ENGINEER))
    async with engineer(made) as client:
        done = await client.post(url, data=body)
        again = await client.post(url, data=body)
        text = flat((await client.get("/fleet/orders?assignee=me")).text)
    assert (done.status_code, done.headers["location"]) == (303, "/fleet")
    assert again.status_code == 422
    assert "There is a work order for it already." in again.text
    assert "Battery lasts 9 days" in text
    assert [line[1:2] + line[3:] for line in told(made)] == [("work_order", "open")]


async def test_an_order_is_opened_given_written_about_and_done(made: World):
    made.backend.add_person("admin", "right horse battery", made.principal(Role.ADMIN))
    async with engineer(made) as client:
        form = (await client.get(f"/fleet/devices/{DEVICE}?finding=fnd_1")).text
        made_one = await client.post(
            f"/fleet/devices/{DEVICE}/orders", data={"text": "<b>new strap</b>", "due": "2026-01-05"}
        )
        url = made_one.headers["location"]
        order = url.rsplit("/", 1)[1]
        given = await client.post(f"{url}/assign", data={"assignee": "usr_admin"})
        nobody = await client.post(f"{url}/assign", data={"assignee": "usr_none"})
        empty = await client.post(f"{url}/comment", data={"text": " "})
        await client.post(f"{url}/comment", data={"text": "ordered"})
        await client.post(f"{url}/done", data={"text": "put on", "next": "/fleet/orders"})
        twice = await client.post(f"{url}/done", data={})
        text = flat((await client.get(url)).text)
        missing = [
            await client.post(f"/fleet/orders/wo_x/{do}", data={"text": "x", "assignee": "usr_admin"})
            for do in ("assign", "done", "comment")
        ]
        lost = await client.get("/fleet/orders/wo_x")
        every = (await client.get("/fleet/orders?state=all")).text
        rest = (await client.get("/fleet/orders")).text
    assert 'name="finding" value="fnd_1"' in form
    assert 'name="assignee"' in form
    assert (given.status_code, nobody.status_code, empty.status_code, twice.status_code) == (
        303,
        422,
        422,
        422,
    )
    assert "There is nobody of that name here." in nobody.text
    assert "Write what is to be done." in empty.text
    assert "It is done already." in twice.text
    assert "&lt;b&gt;new strap" in text
    assert "<b>new strap" not in text
    assert text.index("opened") < text.index("ordered") < text.index("put on")
    assert [m.status_code for m in missing] == [404, 404, 404]
    assert lost.status_code == 404
    assert url in every
    assert url not in rest
    assert [(line[2], line[3]) for line in told(made)] == [
        (order, "open"),
        (order, "assign"),
        (order, "comment"),
        (order, "done"),
    ]


async def test_the_work_of_another_is_taken_over_only_where_that_is_said(made: World):
    for login, role in (("admin", Role.ADMIN), ("engineer", Role.ENGINEER)):
        made.backend.add_person(login, "right horse battery", made.principal(role))
    async with engineer(made) as client:
        opened = await client.post(
            f"/fleet/devices/{DEVICE}/orders", data={"text": "new strap", "assignee": "usr_admin"}
        )
        url = opened.headers["location"]
        rows = flat((await client.get("/fleet/orders?assignee=usr_admin")).text)
        pressed = await client.post(f"{url}/assign", data={"assignee": "me", "next": "/fleet/orders"})
        chinese = await client.post(
            f"{url}/assign", data={"assignee": "me"}, headers={"accept-language": "zh"}
        )
        taken = await client.post(f"{url}/assign", data={"assignee": "me", "instead_of": "usr_admin"})
        text = flat((await client.get(url)).text)
        late = await client.post(f"{url}/assign", data={"assignee": "usr_admin", "instead_of": "usr_admin"})
    name = made.principal(Role.ADMIN).name
    assert "I do it" not in rows
    assert f"Take over from {name}" in rows
    assert 'name="instead_of" value="usr_admin"' in rows
    assert (pressed.status_code, chinese.status_code) == (409, 409)
    assert pressed.text.count("selected") == 1, "the form begins with whose it is"
    assert 'value="usr_admin" selected' in pressed.text
    assert "Somebody else has it: who, and since when, stands below." in pressed.text
    assert f'<dt>Given to</dt><dd><span translate="no">{name}</span> · since' in flat(pressed.text)
    assert "已由他人负责" in chinese.text
    assert taken.status_code == 303
    assert ": took it over (before: " in text
    assert f"(before: {name})" in text
    assert "Take over from" not in text
    assert late.status_code == 303  # one's own is handed on
    assert [line[3] for line in told(made)] == ["open", "take", "assign"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"text": ""}, "Write what is to be done."),
        ({"text": "x" * 501}, "This text is too long"),
        ({"text": "x", "due": "soon"}, "This is no date."),
        ({"text": "x", "assignee": "usr_none"}, "There is nobody of that name here."),
        ({"finding": "fnd_2"}, "It is no longer found."),
    ],
    ids=["empty", "long", "date", "nobody", "another's"],
)
async def test_an_order_that_cannot_be_says_why_and_nothing_is_made(
    made: World, body: dict[str, str], said: str
):
    async with engineer(made) as client:
        answer = await client.post(f"/fleet/devices/{DEVICE}/orders", data=body)
        orders = (await client.get("/fleet/orders?state=all")).text
    assert answer.status_code == 422
    assert said in answer.text
    assert "/fleet/orders/wo" not in orders
    assert told(made) == []


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "UTC"])
async def test_a_day_is_the_same_everywhere_and_over_when_it_has_ended_there(made: World, zone: str):
    today = local(T0, zone).date()
    async with engineer(made) as client:
        client.cookies.set(ZONE_COOKIE, zone)
        for ago in (0, 1):
            day = (today - timedelta(days=ago)).isoformat()
            order = await client.post(f"/fleet/devices/{DEVICE}/orders", data={"text": "x", "due": day})
            text = flat((await client.get(order.headers["location"])).text)
            found = text.partition("<dt>Due</dt><dd>")[2].partition("</dd>")[0]
            assert found == (day if ago == 0 else f'{day} <span class="chip bad">overdue</span>')
        listed = flat((await client.get("/fleet/orders")).text)
    assert listed.count("overdue") == 1
    assert f'data-label="Due">{today.isoformat()}</td>' in listed


@pytest.mark.parametrize(
    ("state", "steps", "said"),
    [
        ("open", ("gone",), True),
        ("assigned", ("gone", "comment"), True),
        ("open", ("gone", "again"), False),
        ("done", ("gone", "done"), False),
    ],
    ids=["gone", "gone and written about", "found again", "done"],
)
async def test_an_order_whose_finding_holds_no_longer_says_so_wherever_it_stands(
    made: World, state: OrderState, steps: tuple[Any, ...], *, said: bool
):
    notes = [OrderNote(at=T0 + n, by="", do=do) for n, do in enumerate(("open", *steps))]
    order = WorkOrder(
        id="wo_g", device=DEVICE, kind="battery", text={"en": "x"}, state=state, opened=T0, notes=notes
    )
    made.backend.put_work_order("main", order)
    async with engineer(made) as client:
        listed = (await client.get("/fleet/orders?state=all")).text.partition("/fleet/orders/wo_g")[2]
        own = (await client.get("/fleet/orders/wo_g")).text.partition("<dl")[0]
        device = (await client.get(f"/fleet/devices/{DEVICE}")).text
    chip = '<span class="chip">no longer found</span>'
    assert [chip in listed.partition("</tr>")[0], chip in own, chip in device] == [said] * 3


async def test_a_day_that_no_clock_reaches_and_an_id_that_is_none_are_refused(made: World):
    async with engineer(made) as client:
        far = await client.post(f"/fleet/devices/{DEVICE}/orders", data={"text": "x", "due": "9000-01-01"})
        none = await client.post(f"/fleet/devices/{'d' * 65}/orders", data={"text": "x"})
    assert (far.status_code, none.status_code) == (422, 404)
    assert "This is no date." in far.text


async def test_a_device_says_its_state_its_history_and_what_it_was_found_to_need(made: World):
    async with engineer(made) as client:
        text = flat((await client.get(f"/fleet/devices/{DEVICE}")).text)
        missing = [await client.get(f"/fleet/devices/nothing{part}") for part in ("", "/frames")]
        nothing = await client.post("/fleet/devices/nothing/orders", data={"text": "x"})
    assert "9 (6–13)" in text  # noqa: RUF001 - an interval
    assert 'role="img" aria-label="Battery: from 50 to 50 % on 10 days, last 50 %"' in text
    assert "Battery lasts 9 days" in text
    assert f"/ledger?gateway=main-gw-A&amp;device={DEVICE}" in text
    assert "/alarms?show=all&amp;patient=device%3A" in text
    assert [m.status_code for m in (*missing, nothing)] == [404, 404, 404]


async def test_frames_show_no_patients_value_to_an_engineer_and_to_others_only_when_asked(made: World):
    url = f"/fleet/devices/{DEVICE}/frames"
    async with engineer(made) as client:
        hidden = [flat((await client.get(url + more)).text) for more in ("", "?values=1")]
    async with made.client(made.principal(Role.ADMIN), cookie=True) as client:
        unasked = flat((await client.get(url)).text)
        before = told(made)
        shown = flat((await client.get(f"{url}?values=1")).text)
    for text in (*hidden, unasked):
        assert "<strong>97</strong>" not in text
        assert "61 2d" not in text
        assert "<strong>45</strong>" in text
        assert 'hx-trigger="every 3s"' in text
    assert before == []
    assert "<strong>97</strong>" in shown
    assert "61 2d" in shown
    assert "hx-trigger" not in shown  # each look at values is noted: it does not fetch itself
    assert told(made) == [("view_readings", "reading", DEVICE, None)]


def tells(made: World, *frames: RawFrame, **more: Any) -> bool:
    return made.backend.put_raw_frames("main", RawFrames("main-gw-A", "s", DEVICE, 1, 60, frames, **more))


RATE = RawFrame(
    7,
    T0,
    "2a37",
    b"\x00\x61",
    2,
    "sig-heart-rate",
    fields=(FieldPart("flags", 0, 1, "0"), FieldPart("rate", 1, 1, "97", "/min", "heart_rate")),
)
CUT = RawFrame(8, T0, "2a37", b"\x01", 1, "sig-heart-rate", "truncated", "one byte of three")


async def test_an_engineer_looks_at_the_bytes_for_a_while_and_that_is_noted(made: World):
    made.backend.put_gateway("main", Gateway(id="main-gw-A", online=True, software="0.9"))
    url, htmx = f"/fleet/devices/{DEVICE}/watch", {"hx-request": "true"}
    async with engineer(made) as client:
        before = flat((await client.get(url)).text)
        assert not tells(made, RATE), "nobody looks"
        asked = flat((await client.post(url, headers=htmx)).text)
        assert tells(made, RATE, CUT, missed=3)
        live = flat((await client.get(url)).text)
        whole = flat((await client.get(f"/fleet/devices/{DEVICE}")).text)
        chinese = (await client.get(url, headers={"accept-language": "zh"})).text
    assert "hx-trigger" not in before
    assert "Look at the bytes for two minutes" in before
    assert "waiting for its answer" in asked
    assert 'hx-trigger="every 2s"' in asked
    assert "3 frames found no room" in live
    assert "<code>00 61</code>" in live
    assert '<code>1</code> <span translate="no">rate</span> <strong>97</strong> /min' in live
    assert live.index("<code>01</code>") < live.index("<code>00 61</code>"), "the newest first"
    assert '<span class="chip bad">refused</span> too short <span class="small" lang="en">one byte' in live
    assert "Look at the bytes" not in live
    assert "<code>00 61</code>" in whole
    assert "各字节的解读" in chinese
    assert told(made) == [("watch_frames", "device", DEVICE, "watch")]
    (entry,) = [a for a in made.backend._of("main").audit if a.action == "watch_frames"]
    assert (entry.detail["read"], entry.detail["seconds"]) == (True, 120)


async def test_nobody_else_sees_the_bytes_that_somebody_looks_at(made: World):
    made.backend.put_gateway("main", Gateway(id="main-gw-A", online=True))
    url = f"/fleet/devices/{DEVICE}/watch"
    async with engineer(made) as client:
        posted = await client.post(url)
    assert (posted.status_code, posted.headers["location"]) == (303, f"/fleet/devices/{DEVICE}#watch")
    tells(made, RATE)
    async with made.client(made.principal(Role.ADMIN), cookie=True) as client:
        other = (await client.get(url)).text
    assert "00 61" not in other
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        assert (await client.post(url)).status_code == 403
        assert (await client.get(url)).status_code == 403
        page = (await client.get(f"/api/v1/fleet/devices/{DEVICE}/watch")).status_code
    assert page == 403


async def test_a_gateway_that_is_away_or_too_old_is_said_so(made: World):
    url, htmx = f"/fleet/devices/{DEVICE}/watch", {"hx-request": "true"}
    clock = made.backend.clock
    async with engineer(made) as client:
        away = flat((await client.post(url, headers=htmx)).text)
        plain = await client.post(url)
        made.backend.put_gateway("main", Gateway(id="main-gw-A", online=True, software="0.1"))
        await client.post(url, headers=htmx)
        clock.advance(11)
        old = flat((await client.get(url)).text)
        tells(made, known=False)
        unknown = flat((await client.get(url)).text)
        tells(made)
        empty = flat((await client.get(url)).text)
        clock.advance(16)
        quiet = flat((await client.get(url)).text)
        made.backend.put_gateway("main", Gateway(id="main-gw-A", online=False))
        gone = flat((await client.get(url)).text)
        clock.advance(95)
        over = flat((await client.get(url)).text)
        clock.advance(61)
        forgotten = flat((await client.get(url)).text)
    assert "The gateway is not connected: nothing can be asked of it." in away
    assert plain.status_code == 422
    assert "nothing can be asked of it" in plain.text
    assert "does not answer: its software may be older than this view" in old
    assert "main-gw-A 0.1" in old
    assert "does not have this device" in unknown
    assert "No frame has come" in empty
    assert "tells nothing any more" in quiet
    assert "The gateway is not connected." in gone
    assert "The time is over" in over
    assert "hx-trigger" not in over
    assert "Look at the bytes" in over
    assert "The time is over" not in forgotten


async def test_what_an_instruments_sensors_say_of_its_end_is_told_in_both_languages(made: World):
    text = {"en": "Fails in about 8 cycles (5 to 13) after 112", "zh": "预计约 8 次后失效"}
    evidence = {"cycles_left": 8.0, "cycles_left_low": 5.0, "cycles_a_day": 4.0, "units": 8}
    life = FINDING.model_copy(update={"id": "fnd_9", "kind": "life", "text": text, "evidence": evidence})
    made.backend.put_finding("main", life)
    async with engineer(made) as client:
        for path in ("/fleet", f"/fleet/devices/{DEVICE}"):
            english = flat((await client.get(path)).text)
            chinese = flat((await client.get(path, headers={"accept-language": "zh"})).text)
            for word in (text["en"], "risk of failure", "cycles left, at least", "instruments learned from"):
                assert word in english
            for word in (text["zh"], "剩余循环次数下限", "用于学习的仪器数量"):
                assert word in chinese


async def test_a_calibration_is_noted_and_a_wrong_one_refused(made: World):
    url = f"/fleet/devices/{DEVICE}/calibrated"
    async with engineer(made) as client:
        body = {"calibrated": "2025-12-01T15:04:00Z", "every_days": 365}
        await client.put(f"/api/v1/fleet/devices/{DEVICE}/calibration", json=body)
        good = await client.post(url, data={"day": "2025-12-01", "every_days": "180"})
        file = (await client.get(f"/api/v1/fleet/devices/{DEVICE}")).json()
        text = flat((await client.get(f"/fleet/devices/{DEVICE}")).text)
        wrong = [
            await client.post(url, data=data)
            for data in (
                {"day": "2027-01-01", "every_days": "9"},
                {"every_days": "0"},
                {"every_days": "x"},
                {"day": "now", "every_days": "9"},
            )
        ]
        missing = await client.post("/fleet/devices/nothing/calibrated", data={"every_days": "9"})
    assert good.status_code == 303
    assert "due every 180 days" in text
    assert (file["calibrated"], file["calibration_days"]) == ("2025-12-01T15:04:00Z", 180), (
        "another interval only"
    )
    assert re.search(r'id="day" name="day" type="date" required max="[-0-9]+" value=""', text)
    assert [w.status_code for w in wrong] == [422] * 4
    assert "This day is still to come." in wrong[0].text
    assert "1 to 3650" in wrong[1].text
    assert missing.status_code == 404
    assert told(made) == [("maintain_device", "device", DEVICE, "calibrate")] * 2


async def test_a_service_is_noted_with_its_profiles_interval_or_its_own(made: World):
    url, page = f"/fleet/devices/{DEVICE}/serviced", f"/fleet/devices/{DEVICE}"
    profile = (await made.backend.fleet_device(Scope("main"), DEVICE)).row.profile  # type: ignore[union-attr]
    made.backend.service_hours[profile or ""] = 2000
    async with engineer(made) as client:
        first = flat((await client.get(page)).text)
        own = await client.post(url, data={"day": "2025-12-25", "every_hours": "1500"})
        text = flat((await client.get(page)).text)
        chinese = flat((await client.get(page, headers={"accept-language": "zh"})).text)
        at = T0 - 7 * DAY_NS + 5
        await made.backend.service_device(made.principal(Role.ENGINEER), DEVICE, at, 1500)
        await client.post(url, data={"day": "2025-12-25", "every_hours": "1600"})
        same = await made.backend.fleet_device(Scope("main"), DEVICE)
        nobody = await client.post(url, data={"day": "", "every_hours": ""})
        again = flat((await client.get(page)).text)
        wrong = [
            await client.post(url, data=data)
            for data in ({"day": "2027-01-01"}, {"every_hours": "0"}, {"every_hours": "x"}, {"day": "now"})
        ]
        missing = await client.post("/fleet/devices/nothing/serviced", data={})
        both = await client.post(
            f"/fleet/devices/{DEVICE}/calibrated", data={"every_days": "90", "every_hours": "300"}
        )
        calibrated = flat((await client.get(page)).text)
    assert "nobody has said · due every 2,000 h of use, as its profile" in first
    assert (own.status_code, nobody.status_code, both.status_code) == (303, 303, 303)
    assert "h of use since · due every 1,500 h of use" in text
    assert 'id="service-day" name="day" type="date" max="2026-01-01" value="2025-12-25"' in text
    assert 'max="2026-01-01" value=""' in first, "who only sets an interval says nothing of a service"
    assert same is not None
    assert (same.serviced, same.service_hours) == (at, 1600), "the day stays, and so does the hour"
    assert "每使用 1,500 小时保养" in chinese
    assert "due every 2,000 h of use, as its profile" in again
    assert [w.status_code for w in wrong] == [422] * 4
    assert "This day is still to come." in wrong[0].text
    assert "1 to 100000, or leave it empty" in wrong[1].text
    assert missing.status_code == 404
    assert "due every 90 days or 300 h of use; " in calibrated
    assert [line[3] for line in told(made)] == ["service", "service", "service", "calibrate"]


async def test_work_for_a_service_asks_whether_it_was_serviced(made: World):
    finding = FINDING.model_copy(update={"id": "fnd_s", "kind": "service"})
    made.backend.put_finding("main", finding)
    async with engineer(made) as client:
        opened = await client.post(f"/fleet/devices/{DEVICE}/orders", data={"finding": "fnd_s"})
        url = opened.headers["location"]
        asked = flat((await client.get(url)).text)
        row = flat((await client.get("/fleet/orders")).text)
        await client.post(f"{url}/done", data={"text": "given away"})  # the box is not ticked
    file = await made.backend.fleet_device(Scope("main"), DEVICE)
    assert file is not None
    assert file.serviced is None
    assert '<input type="checkbox" name="serviced" value="1" checked>' in asked
    assert 'type="hidden" name="serviced" value="1"' in row


async def test_quality_and_use_by_device_and_ward(made: World):
    async with engineer(made) as client:
        quality = flat((await client.get("/fleet/quality")).text)
        wards = flat((await client.get("/fleet/quality?by=ward&days=30")).text)
        use = flat((await client.get("/fleet/use?by=device")).text)
        odd = await client.get("/fleet/use?by=moon&days=x&page=-3&ward=nowhere")
        chinese = flat((await client.get("/fleet/quality", headers={"accept-language": "zh"})).text)
    assert quality.index("main-oxi-A") < quality.index("main-oxi-B")  # of B nothing can be judged
    assert 'class="chip bad">50.0 %' in quality
    assert "88.0 %" in quality  # of 100 readings ten were refused, two jump
    assert (
        'sudden jump <b>16</b></span> <span class="nowrap">another signal says otherwise <b>8</b>' in quality
    )
    assert "refused <b>80</b>" in quality
    assert "数值突变 <b>16</b>" in chinese
    assert 'href="/fleet/devices/main-oxi-A"' in quality
    assert "Ward A" in wards
    assert "by=device" in wards
    assert use.index("main-oxi-B") < use.index("main-oxi-A")
    assert odd.status_code == 200


@pytest.mark.parametrize(
    ("page", "api"),
    [
        ("/fleet/quality.csv?by=device&days=7", "fleet/quality.csv?by=device"),
        ("/fleet/quality.csv?by=ward&days=30", "fleet/quality.csv?days=30"),
        ("/fleet/use.csv?by=device&days=7", "fleet/utilisation.csv?by=device"),
    ],
    ids=["quality by device", "quality by ward", "use"],
)
async def test_boards_leave_as_tables_the_same_over_the_api(
    made: World, monkeypatch: pytest.MonkeyPatch, page: str, api: str
):
    monkeypatch.setattr("dashboards.fleet_csv.PIECE", 1)
    async with engineer(made) as client:
        answer = await client.get(page)
        same = await client.get(f"/api/v1/{api}")
        board = (await client.get(f"/api/v1/{api.replace('.csv', '')}")).json()["items"]
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == same.text
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert [row["key"] for row in rows] == [item["key"] for item in board]
    for row, item in zip(rows, board, strict=True):
        for name, value in item.items():
            if name == "reasons":
                assert {k: n for k in REASONS if (n := int(row[k]))} == value
            else:
                assert row[name] == ("" if value is None else str(value))


async def test_filters_sorts_and_pages_stand_in_the_address(made: World):
    async with engineer(made) as client:
        found = (await client.get("/fleet?q=oxi-b&sort=battery")).text
        odd = await client.get("/fleet?state=lost&kind=x&sort=colour&down=9&page=x&findings=-1")
        none = (await client.get("/fleet?q=nowhere")).text
    assert "/fleet/devices/main-oxi-B" in found
    assert 'href="/fleet/devices/main-oxi-A"' not in found.split('id="devices"')[1]
    assert 'aria-sort="ascending"' in found
    assert "/fleet?q=oxi-b&amp;sort=battery&amp;down=1#devices" in found
    assert "/fleet.csv?q=oxi-b&amp;sort=battery" in found
    assert odd.status_code == 200
    assert none.count("Nothing of that is here.") == 2


async def test_another_wards_and_another_tenants_devices_are_not_there(made: World):
    await made.backend.open_work_order(
        made.principal(Role.ENGINEER), OrderDraft(device="main-oxi-B", text="x")
    )
    async with engineer(made, wards="A") as client:
        texts = [
            (await client.get(path)).text
            for path in (
                "/fleet",
                "/fleet.csv",
                "/fleet/orders?state=all",
                "/fleet/quality",
                "/fleet/use?by=device",
            )
        ]
        device = await client.get("/fleet/devices/main-oxi-B")
        finding = await client.post("/fleet/findings/fnd_2/acknowledge")
        other = await client.get("/fleet/devices/other-oxi-A")
    assert all("oxi-B" not in text and SECRET not in text for text in texts)
    assert DEVICE in texts[0]
    assert [device.status_code, finding.status_code, other.status_code] == [404, 404, 404]


@pytest.mark.parametrize("role", [Role.NURSE, Role.DOCTOR, Role.PATIENT, Role.FAMILY, Role.DISPLAY])
async def test_only_engineers_and_administrators_look_and_act(made: World, role: Role):
    async with made.client(made.principal(role), cookie=True) as client:
        answers = [
            await client.get("/fleet.csv"),
            await client.get(f"/fleet/devices/{DEVICE}/frames?values=1"),
            await client.post("/fleet/findings/fnd_1/acknowledge"),
            await client.post(f"/fleet/devices/{DEVICE}/orders", data={"text": "x"}),
            await client.post(f"/fleet/devices/{DEVICE}/calibrated", data={"every_days": "9"}),
            await client.post("/fleet/orders/wo_1/done"),
        ]
    assert {a.status_code for a in answers} == {403}


async def test_the_table_leaves_whole_and_in_pages(made: World, monkeypatch: pytest.MonkeyPatch):
    asked: list[AskedFleet] = []

    async def fleet(scope: Scope, query: AskedFleet) -> FleetPage:
        del scope
        asked.append(query)
        rows = range(query.offset, min(query.offset + query.limit, 10_000))
        items = [DeviceRow(id=f"d{n:05d}", gateway="=gw", state="idle", last_seen=T0) for n in rows]
        return FleetPage(items=items, total=10_000)

    monkeypatch.setattr(made.backend, "fleet", fleet)
    async with engineer(made) as client:
        answer = await client.get("/fleet.csv?sort=rssi&down=1&state=idle")
        one = await client.get("/fleet?page=200")
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert len(rows) == 10_000
    assert (rows[0]["id"], rows[-1]["id"]) == ("d00000", "d09999")
    assert rows[0]["last_seen"].startswith("2026-01-01T00:00:00")
    assert rows[0]["gateway"] == "'=gw"  # no formula
    assert {q.limit for q in asked[:-1]} == {1000}
    assert {(q.sort, q.down, q.state) for q in asked[:-1]} == {("rssi", True, "idle")}
    assert (asked[-1].limit, asked[-1].offset) == (50, 9950)
    assert "9,951–10,000 of 10,000" in one.text  # noqa: RUF001 - an interval


async def test_ten_thousand_devices_are_asked_for_a_page_at_a_time(
    made: World, monkeypatch: pytest.MonkeyPatch
):
    """The number of questions and of rows does not grow with the fleet."""
    limits: dict[str, list[int]] = {}
    for name in ("needs_attention", "fleet", "utilisation", "data_quality", "ledger", "items"):
        real = getattr(made.backend, name)

        def spy(scope: Scope, query: Any, *, _name: str = name, _real: Any = real) -> Any:
            limits.setdefault(_name, []).append(getattr(query, "limit", 0))
            return _real(scope, query)

        monkeypatch.setattr(made.backend, name, spy)
    async with engineer(made) as client:
        page = (await client.get("/fleet")).text
        assert limits == {"needs_attention": [10], "fleet": [50], "items": [0]}
        sums = flat((await client.get("/fleet/sums")).text)
    assert 'hx-get="/fleet/sums" hx-trigger="load"' in page  # the sums come after what comes first
    assert "of 2" in sums
    assert "50.0 %" in sums
    assert limits == {
        "needs_attention": [10],
        "fleet": [50],
        "utilisation": [200],
        "data_quality": [3],
        "ledger": [0],
        "items": [0],
    }


@pytest.mark.parametrize("path", ["/fleet", f"/fleet/devices/{DEVICE}"])
async def test_a_page_with_parts_that_fetch_themselves_has_what_fetches_them(made: World, path: str):
    async with engineer(made) as client:
        text = (await client.get(path)).text
    assert "hx-get=" in text
    assert "/vendor/htmx.min.js" in text


def test_everything_that_can_be_asked_for_has_a_name():
    assert {*FINDING_KINDS, "other"} == set(fleet_words.FINDINGS)
    assert set(DEVICE_STATES) == set(fleet_words.DEVICE_STATES)
    assert set(ORDER_STATES) == set(fleet_words.ORDER_STATES)
    assert set(get_args(OrderNote.model_fields["do"].annotation)) == set(fleet_words.NOTES)
    assert set(FLEET_SORTS) == set(fleet_words.COLUMNS)


def test_grades_and_causes():
    assert [grade(v) for v in (None, 0.0, 0.899, 0.9, 0.979, 0.98, 1.0)] == [
        *("weak", "bad", "bad", "warn", "warn", "good", "good")
    ]
    assert cause_in("en", "none") == ""
    assert cause_in("zh_Hans", Cause.OUT_OF_RANGE) == "超出范围"
    assert cause_in("en", "of another version") == cause_in("en", Cause.OTHER)
    assert "battery" in advice_for("en", Cause.OUT_OF_RANGE)
    assert advice_for("en", "none") == ""


def test_histories_leave_out_what_there_is_nothing_of_and_say_what_they_draw():
    look = Look(mean=80.0, low=79.0, high=81.0, count=4)
    days = [
        DeviceDay(day=T0, readings=5, dropouts=1, battery=look),
        DeviceDay(day=T0 + DAY_NS),
        DeviceDay(day=T0 + 2 * DAY_NS, readings=5, battery=look.model_copy(update={"mean": 60.0})),
    ]
    found = histories(days, "en")
    assert [h.name for h in found] == ["Battery", "Drop-outs a day", "Readings in doubt"]
    assert found[0].said == "Battery: from 60 to 80 % on 2 days, last 60 %"
    assert "<svg" in found[0].drawn
    assert histories([], "en") == []
    assert [h.name for h in histories(days, "zh_Hans")] == ["电池", "每日中断", "可疑读数"]
