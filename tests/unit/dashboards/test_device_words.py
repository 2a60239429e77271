"""Where devices stand and why, on the pages and in the API; what gateways see; and asking one to listen."""

from __future__ import annotations

import html
import re

import pytest
from markupsafe import Markup

from dashboards.device_words import condition_of, reason_of, state_of, well
from dashboards.models import Condition, Gateway
from hearthward.core.device_states import Cause, DeviceWord, Sighting
from hearthward.core.sightings import Sightings
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import T0, S, World, world

AWAY = DeviceWord("connecting", Cause.OUT_OF_RANGE, T0, "C0:01: not heard <b>", 12)
TEXT = re.compile(r"<[^>]+>")


def shown(page: str) -> str:
    return " ".join(html.unescape(TEXT.sub(" ", page)).split())


def tell(made: World, word: DeviceWord, *, online: bool = True) -> None:
    gateway, device = made.ids["main", "gatewayA"], made.ids["main", "deviceA"]
    conditions = {device: condition_of(word)}
    told = Gateway(id=gateway, online=online, last_seen=T0 + 9 * S, conditions=conditions)
    made.backend.put_gateway("main", told)


def test_a_condition_keeps_what_was_told():
    told = condition_of(AWAY)
    assert told == Condition(
        state="connecting",
        cause="out_of_range",
        since=T0,
        reason="out of range",
        detail="C0:01: not heard <b>",
        next_s=12,
    )
    assert state_of(told, "zh_Hans") == "离线, 正在重试"
    assert str(reason_of(told, "en", lambda at: Markup("<i>{}</i>").format(at // S))) == (
        f"out of range since <i>{T0 // S}</i>"
    )
    assert not well(told)
    assert well(condition_of(DeviceWord("streaming")))


def test_what_nobody_told_is_unknown_and_a_cause_of_a_later_release_is_another_one():
    assert (state_of(None, "en"), str(reason_of(None, "en", str)), well(None)) == ("unknown", "", False)
    strange = Condition(state="backoff", cause="struck_by_lightning")
    assert str(reason_of(strange, "en", str)) == "cannot be connected"
    assert str(reason_of(condition_of(DeviceWord("<x>", Cause.OTHER)), "en", str)) == "cannot be connected"


@pytest.mark.parametrize(
    ("language", "state", "before", "after"),
    [
        ("en", "offline, trying again", "out of range since", ""),
        ("zh-CN", "离线, 正在重试", "自", "起超出范围"),
    ],
)
async def test_both_pages_say_since_when_in_the_readers_language(
    language: str, state: str, before: str, after: str
):
    async with world() as made:
        tell(made, AWAY)
        header = {"accept-language": language}
        who = made.principal(Role.ENGINEER)
        async with made.client(who, cookie=True, **header) as client:
            devices = (await client.get("/devices")).text
        async with made.client(made.principal(Role.NURSE), cookie=True, **header) as client:
            patient = (await client.get(f"/patients/{made.ids['main', 'patientA']}")).text
    for page in (devices, patient):
        assert re.search(rf"{state} {before} 2026-01-01 00:00:00 UTC {after}".strip(), shown(page))
    assert "C0:01: not heard &lt;b&gt;" in devices
    assert "not heard" not in patient, "the gateway's own sentence is for engineers"


async def test_of_a_gateway_that_is_offline_nobody_knows_how_its_devices_are():
    async with world() as made:
        tell(made, DeviceWord("streaming", since=T0), online=False)
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            page = shown((await client.get(f"/patients/{made.ids['main', 'patientA']}")).text)
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            devices = shown((await client.get("/devices")).text)
    for text in (page, devices):
        assert "offline its gateway is offline since 2026-01-01 00:00:09 UTC" in text


async def test_the_api_tells_conditions_of_devices_and_of_gateways():
    async with world() as made, made.client(made.principal(Role.ENGINEER)) as client:
        tell(made, AWAY)
        device = (await client.get(f"/api/v1/devices/{made.ids['main', 'deviceA']}")).json()
        gateway = (await client.get(f"/api/v1/gateways/{made.ids['main', 'gatewayA']}")).json()
    assert device["condition"]["since"] == "2026-01-01T00:00:00Z"
    assert (device["condition"]["cause"], device["condition"]["reason"]) == ("out_of_range", "out of range")
    assert gateway["conditions"] == {device["id"]: device["condition"]}


async def test_sightings_are_told_and_a_gateway_is_asked_to_listen_and_that_is_audited():
    async with world() as made, made.client(made.principal(Role.ENGINEER)) as client:
        gateway = made.ids["main", "gatewayA"]
        seen = Sighting("ble", "C0:00:00:00:00:01", T0, T0 + S, "cuff", -60, ("1810",), profile="sig-bp")
        made.backend.put_sightings("main", Sightings(gateway, "s", T0, (seen,)))
        answer = (await client.get("/api/v1/sightings")).json()
        assert [g["gateway"] for g in answer["gateways"]] == [gateway]
        assert answer["items"][0] | {"first": "", "last": ""} == {
            "gateway": gateway,
            "transport": "ble",
            "address": "C0:00:00:00:00:01",
            "name": "cuff",
            "rssi": -60,
            "services": ["1810"],
            "company_ids": [],
            "usb": "",
            "profile": "sig-bp",
            "why": "",
            "device": "",
            "elsewhere": "",
            "first": "",
            "last": "",
        }
        made.backend.put_gateway("main", Gateway(id=gateway, online=False))
        assert (await client.post(f"/api/v1/gateways/{gateway}/scan", json={})).status_code == 409
        made.backend.put_gateway("main", Gateway(id=gateway, online=True))
        asked = await client.post(f"/api/v1/gateways/{gateway}/scan", json={"seconds": 20})
        assert (asked.status_code, asked.json()) == (202, {"gateway": gateway, "seconds": 20})
        for seconds in (0, 61, "x"):
            answer = await client.post(f"/api/v1/gateways/{gateway}/scan", json={"seconds": seconds})
            assert answer.status_code == 422
    assert made.backend.asked == [(gateway, 20)]
    lines = [line for line in made.backend._of("main").audit if line.detail.get("do") == "scan"]
    assert [(line.action, line.target, line.detail["seconds"]) for line in lines] == [
        ("manage_devices", gateway, 20)
    ]


async def test_who_may_not_manage_devices_has_no_gateway_listen():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        answer = await client.post(f"/api/v1/gateways/{made.ids['main', 'gatewayA']}/scan", json={})
    assert answer.status_code == 403
    assert made.backend.asked == []
