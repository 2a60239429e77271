"""Finding devices and taking them in, on the pages: what is said, to whom, and what is kept."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest

from dashboards.device_words import condition_of
from dashboards.models import Gateway
from dashboards.pages.find_devices import SHOWN
from dashboards.profiles import profile_choices
from firmware_profiles import load_catalog
from hearthward.core.device_states import Cause, DeviceWord, Sighting
from hearthward.core.sightings import Sightings
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import SECRET, T0, S, World, reading, world

NOW = T0 + 60 * S
EVIL = "<script>alert(1)</script>\"'><img src=x>"
TEXT = re.compile(r"<[^>]+>")
ADOPT = "/devices/find/adopt"


def shown(page: str) -> str:
    return " ".join(html.unescape(TEXT.sub(" ", page)).split())


def ble(n: int, **more: Any) -> Sighting:
    return Sighting("ble", f"D0:00:00:00:00:{n:02X}", T0, more.pop("last", NOW), **more)


def tell(made: World, *sightings: Sighting, place: str = "A", **more: Any) -> str:
    """A gateway tells what it sees; its id."""
    gateway = made.ids["main", f"gateway{place}"]
    made.backend.put_gateway("main", Gateway(id=gateway, online=True, last_seen=NOW))
    made.backend.put_sightings("main", Sightings(gateway, "s", NOW, sightings, **more))
    return gateway


async def look(
    made: World, path: str = "/devices/find", role: Role = Role.ENGINEER, **headers: str
) -> httpx.Response:
    async with made.client(made.principal(role), cookie=True, **headers) as client:
        return await client.get(path)


def order(page: str) -> list[str]:
    """The last parts of the addresses, as they stand in the table."""
    return list(dict.fromkeys(re.findall(r"D0:00:00:00:00:(\w\w)</span>", page)))


async def test_a_strangers_name_is_text_wherever_it_is_shown():
    async with world() as made:
        gateway = tell(
            made,
            ble(1, name=EVIL, rssi=-50, services=(EVIL[:36],), profile="sig-heart-rate"),
            ble(2, name=EVIL, why=EVIL),
            Sighting("serial", "/dev/" + EVIL, T0, NOW, usb=EVIL, why="port"),
            hearing=False,
            trouble=EVIL,
        )
        stranger = Sightings(EVIL, "s", NOW, ())
        made.backend.put_sightings("main", stranger)
        found = await look(made, f"/devices/find?q={EVIL[:8]}&gateway=")
        again = f"{ADOPT}?gateway={gateway}&address=D0:00:00:00:00:01"
        form = await look(made, again, Role.ADMIN)
        typed = await look(made, f"{ADOPT}?gateway={EVIL}&address={EVIL}&transport=serial", Role.ADMIN)
    for answer in (found, form, typed):
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert EVIL in shown(answer.text) or EVIL in html.unescape(answer.text)


async def test_what_can_be_adopted_comes_first_and_a_trembling_signal_changes_no_places():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        rows = [
            Sighting("ble", "C4:12:5D:00:AE:91", T0, NOW, "ours", -40, device=device),
            ble(1, name="passer-by", rssi=-50, why="none"),
            ble(2, name="far", rssi=-80, profile="sig-heart-rate"),
            ble(3, name="near", rssi=-61, profile="sig-heart-rate"),
            ble(4, name="near, too", rssi=-63, profile="sig-heart-rate"),
            ble(5, name="farther passer-by", rssi=-91, why="none"),
            Sighting("serial", "D0:00:00:00:00:99", T0, NOW, why="port"),
        ]
        tell(made, *rows)
        first = (await look(made)).text
        rows[3], rows[4] = (
            ble(3, rssi=-69, profile="sig-heart-rate"),
            ble(4, rssi=-62, profile="sig-heart-rate"),
        )
        tell(made, *rows)
        second = (await look(made)).text
    assert order(first) == order(second) == ["03", "04", "02", "99", "01", "05"]
    assert first.index("D0:00:00:00:00:99") < first.index("C4:12:5D:00:AE:91") < first.index("passer-by")


async def test_no_more_than_40_of_a_gateway_are_shown_and_a_search_finds_the_others():
    async with world() as made:
        tell(made, *(ble(n, name=f"n{n}", rssi=-50, why="none") for n in range(64)), more=436)
        page = (await look(made)).text
        found = (await look(made, "/devices/find?q=00:3F")).text
    assert len(order(page)) == SHOWN == 40
    assert "24 more: search for a name or an address." in shown(page)
    assert "It has seen 436 more that it does not tell of" in shown(page)
    assert order(found) == ["3F"]


@pytest.mark.parametrize(
    ("query", "language", "expected"),
    [
        ("strap", "en", ["01"]),
        ("STRAP d0:00", "en", ["01"]),
        ("heart sensor", "en", []),
        ("heart rate", "en", ["01", "02"]),
        ("Omron", "en", ["03"]),
        ("心率", "zh", ["02"]),
        ("sig-heart", "en", ["01"]),
        ("nowhere", "en", []),
    ],
)
async def test_a_search_is_for_what_the_page_says(query: str, language: str, expected: list[str]):
    async with world() as made:
        tell(
            made,
            ble(1, name="Strap", profile="sig-heart-rate"),
            ble(2, services=("180d",), why="none"),
            ble(3, company_ids=(526,), why="none"),
        )
        page = await look(made, f"/devices/find?q={query}", **{"accept-language": language})
    assert order(page.text) == expected


async def test_configured_ones_can_be_hidden_and_are_counted():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        tell(made, Sighting("ble", "C4:12:5D:00:AE:91", T0, NOW, device=device), ble(1, why="none"))
        page = (await look(made, "/devices/find?hide=1")).text
    assert "C4:12:5D:00:AE:91" not in page
    assert "1 configured ones are hidden." in shown(page)


async def test_a_device_of_another_gateway_is_said_to_be_there_and_not_offered():
    async with world() as made:
        here = tell(
            made, Sighting("ble", "D0:00:00:00:00:07", T0, NOW, "cuff", -50, profile="sig-heart-rate")
        )
        fields = {"id": "cuff", "gateway": made.ids["main", "gatewayB"], "transport": "ble"}
        await made.backend.create(Scope.system("main"), "device", {**fields, "address": "d0:00:00:00:00:07"})
        page = (await look(made)).text
        form = (await look(made, f"{ADOPT}?gateway={here}&address=D0:00:00:00:00:07")).text
    for said in (shown(page), shown(form)):
        assert "configured at another gateway" in said
        assert made.ids["main", "gatewayB"] in said
    assert ADOPT not in page


async def test_a_search_and_a_choice_of_gateway_look_at_all_pages_of_gateways():
    async with world() as made:
        for n in range(25):
            key = f"gx-{n}"
            await made.backend.create(Scope.system("main"), "gateway", {"id": key})
            made.backend.put_sightings("main", Sightings(key, "s", NOW, (ble(n, why="none"),)))
        one = (await look(made, "/devices/find?q=00:00:17")).text
        none = shown((await look(made, "/devices/find?gateway=gx-9999")).text)
        exact = (await look(made, "/devices/find?gateway=gx-1")).text
        every = (await look(made)).text
        third = (await look(made, "/devices/find?page=3")).text
    assert order(one) == ["17"]
    assert 'id="at-gx-23"' in one
    assert re.findall(r'<h2 id="at-([\w-]+)"', exact) == ["gx-1"], "and none whose id begins alike"
    assert "There is no such gateway here." in none
    assert "There is no gateway yet" not in none
    assert len(re.findall(r'<h2 id="at-', every)) == 10
    assert len(re.findall(r'<h2 id="at-', third)) == 7


@pytest.mark.parametrize(
    ("cause", "english", "chinese"),
    [
        (Cause.RADIO_STUCK, "radio gives no answer and is being reset", "网关的蓝牙无响应, 正在重置"),
        (Cause.OUT_OF_RANGE, "the gateway has no usable Bluetooth radio", "网关没有可用的蓝牙"),
    ],
)
async def test_why_a_radio_does_not_hear_is_said_and_not_that_nothing_is_near(
    cause: Cause, english: str, chinese: str
):
    async with world() as made:
        gateway = tell(made, hearing=False, trouble="hci0: no answer")
        told = {made.ids["main", "deviceA"]: condition_of(DeviceWord("backoff", cause, T0))}
        made.backend.put_gateway("main", Gateway(id=gateway, online=True, last_seen=NOW, conditions=told))
        en = shown((await look(made, f"/devices/find?gateway={gateway}")).text)
        zh = shown((await look(made, f"/devices/find?gateway={gateway}", **{"accept-language": "zh"})).text)
    assert english in en
    assert "hci0: no answer" in en
    assert chinese in zh
    assert "Nothing is heard" not in en


async def test_a_gateway_that_is_away_shows_what_it_told_and_is_not_asked_to_listen():
    async with world() as made:
        gateway = tell(made, ble(1, why="none"))
        made.backend.put_gateway("main", Gateway(id=gateway, online=False, last_seen=T0))
        page = (await look(made, f"/devices/find?gateway={gateway}")).text
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            answer = await client.post("/devices/find/listen", data={"listen": gateway})
            nowhere = await client.post("/devices/find/listen", data={"listen": "gw-none"})
    assert "This gateway is not connected: what is shown is what it told before." in shown(page)
    assert "Last seen 2026-01-01 00:00:00 UTC" in shown(page)
    assert re.search(r"<button disabled>Listen now", page)
    assert answer.status_code == nowhere.status_code == 409
    assert "The gateway cannot listen: it is not connected." in shown(answer.text)
    assert "There is no such gateway here." in shown(nowhere.text)
    assert made.backend.asked == []


async def test_who_may_not_adopt_sees_no_strangers_and_another_tenant_none_of_ours():
    async with world() as made:
        gateway = tell(made, ble(1, name="somebody's phone", why="none"))
        places = (
            "/devices/find",
            f"{ADOPT}?gateway={gateway}",
            f"/devices/{made.ids['main', 'deviceA']}/adopted",
        )
        for role in (Role.NURSE, Role.DOCTOR, Role.PATIENT, Role.FAMILY, Role.DISPLAY):
            for path in places:
                assert (await look(made, path, role)).status_code == 403
            async with made.client(made.principal(role)) as client:
                assert (await client.get("/api/v1/sightings")).status_code == 403
        async with made.client(made.principal(Role.ADMIN, tenant="other"), cookie=True) as client:
            assert "somebody's phone" not in html.unescape((await client.get("/devices/find")).text)
            assert (await client.get(places[2])).status_code == 404
        async with made.client(made.principal(Role.ENGINEER, wards="B"), cookie=True) as client:
            assert "somebody's phone" not in html.unescape((await client.get("/devices/find")).text)


async def test_an_engineer_takes_devices_in_without_a_patients_name():
    async with world() as made:
        gateway = tell(made, ble(1, name="Strap", profile="sig-heart-rate"))
        form = await look(made, f"{ADOPT}?gateway={gateway}&address=D0:00:00:00:00:01")
        worn = await look(made, f"/devices/{made.ids['main', 'deviceA']}/adopted")
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            body = {"transport": "ble", "address": "D0:00:00:00:00:01", "gateway": gateway, "id": "strap"}
            sly = await client.post(ADOPT, data={**body, "patient": made.ids["main", "patientA"]})
            done = await client.post(ADOPT, data=body)
        lines = [line for line in made.backend._of("main").audit if line.kind == "patient"]
    for page in (form, worn):
        assert page.status_code == 200
        for secret in ("Patient A", "Patient B", "A-01", made.ids["main", "patientA"], SECRET):
            assert secret not in page.text
    assert "on somebody" in shown(worn.text)
    assert "97" not in shown(worn.text).split("What is known")[0], "nor a value"
    assert sly.status_code == 403
    assert (done.status_code, done.headers["location"]) == (303, "/devices/strap/adopted")
    assert [line for line in lines if line.action == "view_patient"] == []


async def test_what_comes_of_an_adopted_device_is_one_look_however_often_it_renews_itself():
    async with world() as made:
        device = made.ids["main", "deviceA"]
        made.backend._of("main").readings.clear()
        begun = len(made.backend._of("main").audit)
        first = await look(made, f"/devices/{device}/adopted", Role.ADMIN)
        for _ in range(3):
            await look(made, f"/devices/{device}/adopted", Role.ADMIN, **{"hx-request": "true"})
        looks = [(line.action, line.target) for line in made.backend._of("main").audit[begun:]]
        made.backend.put_readings("main", [reading(device, "spo2", 93, T0 + 60 * S)])
        part = await look(made, f"/devices/{device}/adopted", Role.ADMIN, **{"hx-request": "true"})
        (read,) = made.backend._of("main").audit[begun + len(looks) :]
    patient = made.ids["main", "patientA"]
    assert "Patient A" in first.text
    assert looks == [("view_patient", patient)]
    assert "93 %" in shown(part.text)
    assert 'hx-trigger="every' not in part.text, "it is done"
    assert (read.action, read.target) == ("view_readings", patient)


REFUSED = [
    ({"gateway": ""}, "is required", "必填"),
    ({"gateway": "gw-none"}, "does not exist: gw-none", "不存在"),
    ({"address": "C4:12:5D:00:AE:91"}, "is in use already: main-oxi-A", "main-oxi-A"),
    ({"gateway": "main-gw-B", "address": "C4:12:5D:00:AE:91"}, "is in use already: main-oxi-B", "main-oxi-B"),
    ({"address": "x"}, "Address: is not valid: X", "地址"),
    ({"address": ""}, "Address: is required", "地址"),
    (
        {"profile": "masimo-ascii1"},
        "is not for a device with this connection: masimo-ascii1",
        "masimo-ascii1",
    ),
    ({"transport": "serial"}, "is required: a serial device cannot be identified when it connects", "串口"),
    ({"transport": "usb"}, "Connection: is not valid: usb", "usb"),
    ({"profile": "none-such"}, "does not exist: none-such", "none-such"),
    ({"timezone": "Mars/Base"}, "is not valid: Mars/Base", "Mars/Base"),
    ({"id": "a b"}, "is not valid: a b", "a b"),
    ({"id": "main-oxi-A"}, "is in use already: main-oxi-A", "main-oxi-A"),
    ({"patient": "pat-none"}, "does not exist: pat-none", "pat-none"),
    ({"bed": "empty"}, "nobody lies there now", "现在"),
    ({"patient": "{patientA}", "bed": "A-01"}, "choose a patient or a bed, not both", "不能"),
]


@pytest.mark.parametrize(
    ("changes", "english", "chinese"), REFUSED, ids=[str(n) for n in range(len(REFUSED))]
)
async def test_a_refused_form_says_why_keeps_what_was_typed_and_enters_nothing(
    changes: dict[str, str], english: str, chinese: str
):
    async with world() as made:
        scope = Scope.system("main")
        empty = await made.backend.create(scope, "bed", {"ward": made.ids["main", "wardA"], "label": "empty"})
        form = {
            "id": "new-1",
            "label": "a kept label",
            "gateway": made.ids["main", "gatewayA"],
            "transport": "ble",
            "address": "D0:00:00:00:00:01",
            "profile": "",
            "timezone": "",
            "patient": "",
            "bed": "",
            **{k: v.replace("{patientA}", made.ids["main", "patientA"]) for k, v in changes.items()},
        }
        before = len(await made.backend.items(scope, "device"))
        lines = len(made.backend._of("main").audit)
        for language, why in (("en", english), ("zh", chinese)):
            header = {"accept-language": language}
            async with made.client(made.principal(Role.ADMIN), cookie=True, **header) as client:
                answer = await client.post(ADOPT, data=form)
            assert answer.status_code == 422
            assert why in shown(answer.text)
            assert "a kept label" in answer.text
        assert empty.id
        assert len(await made.backend.items(scope, "device")) == before
        assert not [
            e for e in made.backend._of("main").audit[lines:] if e.detail.get("do") in {"adopt", "give"}
        ]


async def test_adopting_is_audited_once_and_so_is_giving_it():
    async with world() as made:
        gateway = tell(made, ble(1, profile="sig-heart-rate"))
        patient = made.ids["main", "patientA"]
        body = {"transport": "ble", "address": "d0:00:00:00:00:01", "gateway": gateway, "id": "strap"}
        async with made.client(made.principal(Role.ADMIN)) as client:
            first = await client.post("/api/v1/devices/adopt", json={**body, "bed": made.ids["main", "bedA"]})
            again = await client.post("/api/v1/devices/adopt", json={**body, "patient": patient})
            other = await client.post("/api/v1/devices/adopt", json={**body, "id": "strap-2"})
        lines = [e for e in made.backend._of("main").audit if e.detail.get("do") in {"adopt", "give"}]
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["device"]["address"] == "D0:00:00:00:00:01"
    assert other.json()["detail"] or other.json()["title"]
    assert [(e.action, e.target, e.actor, e.outcome) for e in lines] == [
        ("manage_devices", "strap", "usr_admin", "done"),
        ("assign_device", first.json()["association"]["id"], "usr_admin", "done"),
    ]
    assert lines[0].detail["fields"] == "address,gateway,id,label,transport"
    assert (lines[1].detail["device"], lines[1].detail["patient"]) == ("strap", patient)


SCALE = {"transport": "ble", "address": "d0:00:00:00:00:01", "id": "scale"}


async def test_a_scales_consent_goes_to_its_gateway_with_the_adoption_and_its_code_is_kept_nowhere():
    async with world() as made:
        gateway = tell(made, ble(1, profile="sig-weight-scale"))
        form = {**SCALE, "gateway": gateway, "user": "1", "code": "0471"}
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            page = await client.get(f"{ADOPT}?gateway={gateway}&address=D0:00:00:00:00:01")
            serial = await client.get(f"{ADOPT}?gateway={gateway}&address=/dev/a&transport=serial")
            done = await client.post(ADOPT, data=form)
        lines = [e for e in made.backend._of("main").audit if e.detail.get("do") in {"adopt", "consent"}]
        assert made.backend.user_codes == [(gateway, "D0:00:00:00:00:01", 1, 471)]
    assert 'name="code"' in page.text
    assert 'name="code"' not in serial.text
    assert done.status_code == 303
    assert [(e.target, e.detail["do"]) for e in lines] == [(gateway, "consent"), ("scale", "adopt")]
    assert lines[0].detail == {"do": "consent", "address": "D0:00:00:00:00:01", "user": 1}
    assert "code" not in lines[1].detail["fields"]


@pytest.mark.parametrize(
    ("changes", "online", "english", "chinese"),
    [
        ({"user": "1", "code": ""}, True, "is required", "必填"),
        ({"user": "", "code": "12"}, True, "is required", "必填"),
        ({"user": "255", "code": "12"}, True, "is not valid: 255", "255"),
        ({"user": "1", "code": "10000"}, True, "is not valid: 10000", "10000"),
        ({"user": "one", "code": "12"}, True, "is not valid: one", "one"),
        ({"user": "1", "code": "12"}, False, "is not connected now", "当前未连接"),
    ],
    ids=["no code", "no user", "user", "code", "no number", "offline"],
)
async def test_a_consent_that_cannot_be_given_is_refused_before_anything_is_entered(
    changes: dict[str, str],
    online: bool,  # noqa: FBT001 - a parameter of the table
    english: str,
    chinese: str,
):
    async with world() as made:
        gateway = tell(made, ble(1, profile="sig-weight-scale"))
        made.backend.put_gateway("main", Gateway(id=gateway, online=online, last_seen=NOW))
        form = {**SCALE, "gateway": gateway, **changes}
        for language, why in (("en", english), ("zh", chinese)):
            header = {"accept-language": language}
            async with made.client(made.principal(Role.ENGINEER), cookie=True, **header) as client:
                answer = await client.post(ADOPT, data=form)
            assert (answer.status_code, why in shown(answer.text)) == (422, True), shown(answer.text)
        assert made.backend.user_codes == []
        assert await made.backend.item(Scope.system("main"), "device", "scale") is None


async def test_a_consent_is_given_to_an_adopted_scale_by_page_and_api():
    async with world() as made:
        gateway = tell(made, ble(1, profile="sig-weight-scale"))
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            await client.post(ADOPT, data={**SCALE, "gateway": gateway})
            page = await client.get("/devices/scale/adopted")
            wrong = await client.post("/devices/scale/consent", data={"user": "1", "code": ""})
            given = await client.post("/devices/scale/consent", data={"user": "1", "code": "4711"})
            told = await client.get(given.headers["location"])
            nobody = await client.post("/devices/nothing/consent", data={"user": "1", "code": "4711"})
        async with made.client(made.principal(Role.ENGINEER)) as client:
            asked = await client.post("/api/v1/devices/scale/consent", json={"user": 2, "code": 12})
            half = await client.post("/api/v1/devices/scale/consent", json={"user": 2})
        assert made.backend.user_codes == [
            (gateway, "D0:00:00:00:00:01", 1, 4711),
            (gateway, "D0:00:00:00:00:01", 2, 12),
        ]
    assert 'action="/devices/scale/consent"' in page.text
    assert (wrong.status_code, "is required" in shown(wrong.text)) == (422, True)
    assert given.status_code == 303
    assert "it counts from the next connection on" in shown(told.text)
    assert "4711" not in told.text
    assert nobody.status_code == 404
    assert (asked.status_code, half.status_code) == (202, 422)
    assert asked.json() == {"device": "scale", "gateway": gateway, "user": 2}


@pytest.mark.parametrize(
    ("profile", "asks"),
    [
        ("sig-weight-scale", True),
        ("sig-body-composition+sig-user-data", True),
        ("", True),
        ("sig-heart-rate", False),
    ],
)
async def test_only_what_may_be_a_scale_is_asked_for_a_consent(profile: str, *, asks: bool):
    async with world() as made:
        made.app.state.profiles = profile_choices(load_catalog())
        gateway = tell(made, ble(1))
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            done = await client.post(ADOPT, data={**SCALE, "gateway": gateway, "profile": profile})
            assert done.status_code == 303, shown(done.text)
            page = await client.get("/devices/scale/adopted")
    assert ('action="/devices/scale/consent"' in page.text) is asks


async def test_looking_around_is_audited_once_a_look():
    async with world() as made:
        tell(made, ble(1))
        await look(made)
        await look(made, "/devices/find", Role.ENGINEER, **{"hx-request": "true"})
        lines = [e for e in made.backend._of("main").audit if e.detail.get("do") == "look around"]
        told = shown((await look(made, "/audit", Role.ADMIN)).text)
    assert [(e.action, e.actor) for e in lines] == [("manage_devices", "usr_engineer")]
    assert "looked for, or changed, gateways or devices" in told, "a look is not called a change"
