"""What gateways see around them, through the web's port: one suite over the fake and the real service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dashboards.around_models import Adopted
from dashboards.backend import DirectoryError
from dashboards.models import Device
from hearthward.core.device_states import Sighting
from hearthward.core.sightings import Ask, Sightings
from hearthward.core.wire import Status, topic
from hearthward.trust.access import Principal, Role, Scope, scope_of
from hearthward.trust.keys import verify
from tests.component.dashboards.sides import SCOPE, T0, FakeSide, RealSide, furnish, lived

CUFF = Sighting("ble", "C0:00:00:00:00:01", T0, T0 + 5, "cuff", -60, ("1810",), (77,), profile="sig-bp")
PHONE = Sighting("ble", "C0:00:00:00:00:02", T0, T0 + 5, why="none")


async def until(there: Callable[[], bool]) -> None:
    """The service has taken what was delivered."""
    async with asyncio.timeout(10):
        while not there():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)


class FakeEars(FakeSide):
    async def tell(self, seen: Sightings) -> None:
        self.backend.put_sightings("main", seen)

    async def online(self) -> None:
        await self.refuse({})

    async def asked(self) -> list[tuple[str, int]]:
        return self.backend.asked

    async def agreed(self) -> list[tuple[str, str, int, int]]:
        return self.backend.user_codes


class RealEars(RealSide):
    async def tell(self, seen: Sightings) -> None:
        self.source.deliver(topic("main", seen.gateway, "sightings"), seen.encode())
        await until(lambda: seen.gateway in self.service.around.all())

    async def online(self) -> None:
        self.source.deliver(topic("main", "gw-1", "status"), Status(online=True).encode())
        await until(lambda: self.service.gateways.online("gw-1"))

    async def asked(self) -> list[tuple[str, int]]:
        return [(a.gateway, a.seconds) for a in self._asks() if a.kind == "scan"]

    async def agreed(self) -> list[tuple[str, str, int, int]]:
        return [(a.gateway, *a.consent) for a in self._asks() if a.consent is not None]

    def _asks(self) -> list[Ask]:
        sent = [m for m in self.source.published if m.topic.endswith("/ask")]
        asks = [Ask.decode(m.payload) for m in sent]
        assert all(verify(self.service.key.public, a.signed_part(), a.signature) for a in asks)
        assert len({a.issued for a in asks}) == len(asks)
        assert all(m.topic == topic("main", a.gateway, "ask") for m, a in zip(sent, asks, strict=True))
        return asks


@pytest.fixture(params=["fake", "real"])
async def ears(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FakeEars | RealEars]:
    if request.param == "fake":
        yield FakeEars()
        return
    async with lived(RealEars(tmp_path)) as made:
        yield made


def seen(gateway: str = "gw-1", *sightings: Sighting, trouble: str = "") -> Sightings:
    return Sightings(gateway, "s", T0, sightings, hearing=not trouble, trouble=trouble)


async def test_what_gateways_tell_is_there_with_when_they_did(ears: FakeEars | RealEars):
    await furnish(ears)
    assert (await ears.backend.around(SCOPE)).items == []
    await ears.tell(seen("gw-1", CUFF, PHONE))
    await ears.tell(seen("gw-x", PHONE, trouble="the radio is off"))
    found = await ears.backend.around(SCOPE)
    assert [(one.gateway, one.address, one.profile, one.why) for one in found.items] == [
        ("gw-1", CUFF.address, "sig-bp", ""),
        ("gw-1", PHONE.address, "", "none"),
        ("gw-x", PHONE.address, "", "none"),
    ]
    first = found.items[0]
    assert (first.rssi, first.services, first.company_ids, first.last) == (-60, ["1810"], [77], T0 + 5)
    assert [(g.gateway, g.hearing, g.trouble) for g in found.gateways] == [
        ("gw-1", True, ""),
        ("gw-x", False, "the radio is off"),
    ]
    assert all(g.told > 0 for g in found.gateways)


async def test_somebody_of_one_ward_sees_that_wards_gateways_only(ears: FakeEars | RealEars):
    ids = await furnish(ears)
    await ears.tell(seen("gw-1", CUFF))
    await ears.tell(seen("gw-x", PHONE))

    def of(ward: str) -> Scope:
        return scope_of(Principal("usr_n", "N", "main", frozenset({Role.NURSE}), frozenset({ward})))

    mine, other = await ears.backend.around(of(ids["ward"])), await ears.backend.around(of(ids["other"]))
    assert {g.gateway for g in mine.gateways} == {one.gateway for one in mine.items} == {"gw-1"}
    assert (other.items, other.gateways) == ([], [])
    assert (await ears.backend.around(Scope.system("other"))).items == []


async def test_a_gateway_is_asked_to_listen_when_it_is_there(ears: FakeEars | RealEars):
    ids = await furnish(ears)
    for gateway, code in (("gw-x", "unknown"), ("gw-1", "state")):
        with pytest.raises(DirectoryError) as caught:
            await ears.backend.scan(SCOPE, gateway, 10)
        assert (caught.value.field, caught.value.code) == ("gateway", code)
    await ears.online()
    other = scope_of(Principal("usr_e", "E", "main", frozenset({Role.NURSE}), frozenset({ids["other"]})))
    with pytest.raises(DirectoryError):
        await ears.backend.scan(other, "gw-1", 10)
    await ears.backend.scan(SCOPE, "gw-1", 10)
    await ears.backend.scan(SCOPE, "gw-1", 20)
    assert await ears.asked() == [("gw-1", 10), ("gw-1", 20)]


async def test_a_consent_goes_to_the_gateway_when_it_is_there(ears: FakeEars | RealEars):
    ids = await furnish(ears)
    given = (CUFF.address, 1, 1234)
    for gateway, code in (("gw-x", "unknown"), ("gw-1", "state")):
        with pytest.raises(DirectoryError) as caught:
            await ears.backend.give_user_code(SCOPE, gateway, *given)
        assert (caught.value.field, caught.value.code) == ("gateway", code)
    await ears.online()
    other = scope_of(Principal("usr_e", "E", "main", frozenset({Role.NURSE}), frozenset({ids["other"]})))
    with pytest.raises(DirectoryError):
        await ears.backend.give_user_code(other, "gw-1", *given)
    await ears.backend.give_user_code(SCOPE, "gw-1", *given)
    assert await ears.agreed() == [("gw-1", *given)]


CUFF_FIELDS = {
    "id": "cuff-1",
    "gateway": "gw-1",
    "transport": "ble",
    "address": CUFF.address,
    "profile": "sig-blood-pressure",
}


async def entered(ears: FakeEars | RealEars, key: str = "cuff-1") -> bool:
    return await ears.backend.item(SCOPE, "device", key) is not None


async def refused(ears: FakeEars | RealEars, patient: str | None = None, **fields: str) -> tuple[str, str]:
    with pytest.raises(DirectoryError) as caught:
        await ears.backend.adopt(SCOPE, {**CUFF_FIELDS, **fields}, patient)
    return caught.value.field, caught.value.code


async def test_a_device_is_taken_in_with_its_patient_and_the_same_again_is_the_same(
    ears: FakeEars | RealEars,
):
    ids = await furnish(ears)
    done = await ears.backend.adopt(SCOPE, CUFF_FIELDS, ids["patient"])
    assert (done.created, done.device.id, done.device.address) == (True, "cuff-1", CUFF.address)
    assert done.association is not None
    assert (done.association.device, done.association.patient) == ("cuff-1", ids["patient"])
    again = await ears.backend.adopt(SCOPE, CUFF_FIELDS, ids["patient"])
    assert (again.created, again.device, again.association) == (False, done.device, done.association)
    with pytest.raises(DirectoryError) as caught:  # somebody else was faster, with a patient of theirs
        await ears.backend.adopt(SCOPE, {**CUFF_FIELDS, "id": "cuff-2"}, None)
    error = caught.value
    assert (error.field, error.code, error.value) == ("address", "taken", "cuff-1"), "it is named"
    assert await refused(ears) == ("address", "taken"), "it is on somebody"
    assert not await entered(ears, "cuff-2")


async def test_a_bluetooth_device_of_another_gateway_is_not_taken_from_it(ears: FakeEars | RealEars):
    ids = await furnish(ears)
    await ears.backend.create(SCOPE, "gateway", {"id": "gw-2", "ward": ids["other"]})
    await ears.backend.adopt(SCOPE, CUFF_FIELDS, None)
    with pytest.raises(DirectoryError) as caught:
        await ears.backend.adopt(SCOPE, {**CUFF_FIELDS, "id": "cuff-2", "gateway": "gw-2"}, None)
    error = caught.value
    assert (error.field, error.code, error.value) == ("address", "gateway", "gw-1")
    theirs = Scope("main", frozenset({ids["other"]}))
    with pytest.raises(DirectoryError) as caught:
        await ears.backend.adopt(theirs, {**CUFF_FIELDS, "id": "cuff-2", "gateway": "gw-2"}, None)
    assert caught.value.value == "...", "whose it is, is not theirs to know"
    port = {"transport": "serial", "address": "/dev/ttyUSB0", "profile": "masimo-ascii1"}
    for gateway in ("gw-1", "gw-2"):  # each has its own ports
        fields = {**port, "id": f"rad-{gateway}", "gateway": gateway}
        assert (await ears.backend.adopt(SCOPE, fields, None)).created


async def test_what_cannot_be_adopted_leaves_nothing(ears: FakeEars | RealEars):
    ids = await furnish(ears)
    assert await refused(ears, "nobody") == ("patient", "unknown")
    assert await refused(ears, gateway="gw-9") == ("gateway", "unknown")
    other = Scope("main", frozenset({ids["other"]}))
    with pytest.raises(DirectoryError) as caught:
        await ears.backend.adopt(other, CUFF_FIELDS, None)
    assert (caught.value.field, caught.value.code) == ("gateway", "unknown")
    gone = await ears.backend.create(SCOPE, "patient", {"name": "Gone"})
    await ears.backend.end(SCOPE, "patient", gone.id)
    assert await refused(ears, gone.id) == ("patient", "ended")
    await ears.backend.create(SCOPE, "gateway", {"id": "gw-3"})
    await ears.backend.end(SCOPE, "gateway", "gw-3")
    assert await refused(ears, gateway="gw-3") == ("gateway", "ended")
    assert not await entered(ears)


async def test_whom_was_asked_to_listen_is_known_until_it_has(ears: FakeEars | RealEars):
    await furnish(ears)
    await ears.online()
    assert (await ears.backend.around(SCOPE)).listening == {}
    await ears.backend.scan(SCOPE, "gw-1", 10)
    assert list((await ears.backend.around(SCOPE)).listening) == ["gw-1"]


async def places(ears: FakeEars | RealEars, scope: Scope = SCOPE) -> list[tuple[str, str, str]]:
    found = await ears.backend.around(scope)
    return [(one.gateway, one.device, one.elsewhere) for one in found.items]


async def test_where_a_device_is_configured_the_directory_knows_sooner_than_gateways(
    ears: FakeEars | RealEars,
):
    ids = await furnish(ears)
    await ears.backend.create(SCOPE, "gateway", {"id": "gw-2", "ward": ids["other"]})
    for gateway in ("gw-1", "gw-2"):
        await ears.tell(seen(gateway, CUFF))
    assert await places(ears) == [("gw-1", "", ""), ("gw-2", "", "")]
    entry = {k: v for k, v in CUFF_FIELDS.items() if k != "id"}
    await ears.backend.create(SCOPE, "device", {**entry, "id": "typed", "address": CUFF.address.lower()})
    assert await places(ears) == [("gw-1", "typed", ""), ("gw-2", "", "gw-1")]
    assert await refused(ears, gateway="gw-2") == ("address", "gateway")
    theirs = Scope("main", frozenset({ids["other"]}))
    assert await places(ears, theirs) == [("gw-2", "", "...")], "whose it is, is not theirs to know"
    await ears.backend.end(SCOPE, "device", "typed")
    assert await places(ears) == [("gw-1", "", ""), ("gw-2", "", "")]


async def test_a_port_by_another_path_is_whose_the_gateway_says_while_it_is_in_the_directory(
    ears: FakeEars | RealEars,
):
    await furnish(ears)
    port = {"gateway": "gw-1", "transport": "serial", "address": "/dev/serial/by-id/a-cable"}
    await ears.backend.create(SCOPE, "device", {**port, "id": "rad", "profile": "masimo-ascii1"})
    told = Sighting("serial", "/dev/ttyUSB0", T0, T0 + 5, device="rad")
    await ears.tell(seen("gw-1", told))
    assert await places(ears) == [("gw-1", "rad", "")]
    await ears.backend.end(SCOPE, "device", "rad")
    assert await places(ears) == [("gw-1", "", "")], (
        "it can be taken in again, also while the gateway is away"
    )


async def test_an_address_is_one_in_small_letters_and_in_capitals(ears: FakeEars | RealEars):
    await furnish(ears)
    made = await ears.backend.create(SCOPE, "device", {**CUFF_FIELDS, "address": CUFF.address.lower()})
    assert isinstance(made, Device)
    assert made.address == CUFF.address
    assert await refused(ears, id="cuff-2") == ("address", "taken")
    again = await ears.backend.adopt(SCOPE, CUFF_FIELDS, None)
    assert not again.created


async def test_how_many_found_no_room_is_told(ears: FakeEars | RealEars):
    await furnish(ears)
    crowd = tuple(Sighting("ble", f"5A:00:00:00:{n // 256:02X}:{n % 256:02X}", T0, T0) for n in range(500))
    await ears.tell(Sightings.decode(seen("gw-1", *crowd).encode()))
    (heard,) = (await ears.backend.around(SCOPE)).gateways
    assert heard.more + len((await ears.backend.around(SCOPE)).items) == 500


async def test_of_two_who_adopt_at_once_one_does_and_the_other_is_told(ears: FakeEars | RealEars):
    ids = await furnish(ears)
    tries = [
        ears.backend.adopt(SCOPE, {**CUFF_FIELDS, "id": "mine"}, ids["patient"]),
        ears.backend.adopt(SCOPE, {**CUFF_FIELDS, "id": "yours"}, None),
    ]
    done = await asyncio.gather(*tries, return_exceptions=True)
    won = [one for one in done if isinstance(one, Adopted)]
    lost = [one for one in done if isinstance(one, DirectoryError)]
    assert [one.created for one in won] == [True]
    assert [(e.field, e.code, e.value) for e in lost] == [("address", "taken", won[0].device.id)]
    known = [
        d.id for d in await ears.backend.items(SCOPE, "device") if getattr(d, "address", "") == CUFF.address
    ]
    assert known == [won[0].device.id]
