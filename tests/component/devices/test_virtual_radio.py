"""bleak over the virtual radio: everything real but the air."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from bumble import hci

from devices.causes import cause_of
from devices.links.ble import BleLink
from devices.links.radio import Radio, open_radio
from devices.links.serial import SerialLink
from devices.twins.ble import BlePeripheral
from devices.twins.radio import RadioController
from devices.twins.world import TwinWorld
from firmware_profiles import Step
from hearthward.core.device_states import Cause
from hearthward.core.errors import ConfigError, LinkError
from tests.component.devices.bluetooth import Listener, catalog, listen, listening

AT = datetime(2024, 6, 15, 17, 17, 27)  # noqa: DTZ001 - a device's clock has no zone
ABSENT = "C0:00:00:00:00:01"


class Impatient:
    """A profile as far as a link asks, with little patience."""

    class timings:  # noqa: N801 - stands in for an attribute
        connect_timeout_s = 0.3


def impatient(address: str, radio: Radio) -> BleLink:
    return BleLink(address, Impatient, radio)  # type: ignore[arg-type]


def values(profile_id: str, source: str, payload: bytes) -> dict[str, float | None]:
    decoded = catalog().get(profile_id).decode(source, payload)
    return {reading.metric: reading.value for reading in decoded}


async def test_scan_hears_who_advertises(world: TwinWorld, radio: Radio):
    twins = [world.add_heart_rate("a"), world.add_blood_pressure("b", "beurer-bm85")]
    await world.start()
    heard = {one.address: one for one in await radio.scan(0.2)}
    assert set(heard) == {twin.address for twin in twins}
    assert heard[twins[0].address].name == "HR a"
    assert heard[twins[1].address].name == "BM85"
    assert "0000180d-0000-1000-8000-00805f9b34fb" in heard[twins[0].address].services
    assert heard[twins[0].address].rssi < 0


async def test_addresses_follow_from_seed_and_id():
    one, same, other = TwinWorld(seed=7), TwinWorld(seed=7), TwinWorld(seed=8)
    assert one.address_of("a") == same.address_of("a") != other.address_of("a")
    assert one.address_of("a") != one.address_of("b")
    assert int(one.address_of("a")[:2], 16) & 0xC0 == 0xC0  # random static


async def test_notification_from_twin_to_decoded_reading(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    assert not twin.ready()
    async with listening(radio, twin.address, "sig-heart-rate") as listener:
        await twin.wait_ready()
        assert await twin.send({"heart_rate": 300.5}) == {"heart_rate": 301.0}
        assert await twin.send({"heart_rate": 61.49}) == {"heart_rate": 61.0}
        payloads = await listener.wait_for("2a37", 2)
        decoded = [values("sig-heart-rate", "2a37", payload) for payload in payloads]
        assert decoded == [{"heart_rate": 301.0}, {"heart_rate": 61.0}]
        facts = listener.facts
        assert (facts.manufacturer, facts.model) == ("Hearthward", "Virtual heart rate strap")
        assert (facts.firmware, facts.name) == ("1.0.0", "HR hr")
        assert {"180d", "180f", "180a"} <= facts.services
        assert catalog().match(facts).id == "sig-heart-rate"
        assert await listener.wait_for("2a19") == [b"\x64"]
        assert await listener.wait_for("2a25") == [b"hr"]


async def test_battery_level_is_notified(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with listening(radio, twin.address, "sig-heart-rate") as listener:
        await listener.wait_for("2a29")  # the last steps: everything is subscribed to
        await twin.set_battery(15)
        assert await listener.wait_for("2a19", 2) == [b"\x64", b"\x0f"]


async def test_oximeter(world: TwinWorld, radio: Radio):
    twin = world.add_pulse_oximeter("plx")
    await world.start()
    async with listening(radio, twin.address, "sig-pulse-oximeter") as listener:
        await twin.wait_ready()
        sent = await twin.send({"spo2": 97.65, "pulse_rate": 71, "perfusion_index": 3.61})
        assert sent == {"spo2": 97.7, "pulse_rate": 71.0, "perfusion_index": 3.61}
        only = await twin.send({"spo2": 90})
        payloads = await listener.wait_for("2a5f", 2)
        assert [values("sig-pulse-oximeter", "2a5f", one) for one in payloads] == [sent, only]


@pytest.mark.parametrize("variant", ["sig", "beurer-bm85"])
async def test_indication(world: TwinWorld, radio: Radio, variant: str):
    twin = world.add_blood_pressure("bp", variant)  # type: ignore[arg-type]
    await world.start()
    async with listening(radio, twin.address, twin.profile) as listener:
        await twin.wait_ready()
        sent = dict(await twin.send({"nibp_systolic": 124, "nibp_diastolic": 85.55}, device_time=AT))
        both = {"nibp_systolic": 130, "nibp_diastolic": 80, "pulse_rate": 63}
        if variant == "sig":
            both["nibp_mean"] = 97
        await twin.send(both)
        first, second = await listener.wait_for("2a35", 2)
        profile = catalog().get(twin.profile)
        decoded = profile.decode("2a35", first)
        assert (
            {one.metric: one.value for one in decoded}
            == sent
            == {
                "nibp_systolic": 124.0,
                "nibp_diastolic": 85.6,
            }
        )
        assert all(one.device_time is not None for one in decoded)
        assert values(twin.profile, "2a35", second) == both
        assert all(one.device_time is None for one in profile.decode("2a35", second))
        assert catalog().match(listener.facts).id == twin.profile


async def test_twin_refuses_what_it_cannot_carry(world: TwinWorld):
    twin = world.add_blood_pressure("bp", "beurer-bm85")
    with pytest.raises(ValueError, match="not 'nibp_mean'"):
        twin.express("nibp_mean", 90)
    with pytest.raises(ValueError, match="2045"):
        await twin.send({"nibp_systolic": 9999})
    with pytest.raises(ValueError, match="nothing to send"):
        await twin.send({})
    with pytest.raises(LinkError, match="no host is subscribed"):
        await twin.send({"nibp_systolic": 120})


async def test_disconnect_and_reconnect(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    for beat in (60, 70, 80):
        async with listening(radio, twin.address, "sig-heart-rate") as listener:
            await twin.wait_ready()
            await twin.send({"heart_rate": beat})
            assert await listener.wait_for("2a37") == [bytes((6, beat))]
            await twin.disconnect()
            with pytest.raises(LinkError, match="link lost"):
                await listener.task
            assert not twin.ready()


async def test_closing_the_link_frees_the_device(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    listener = await listen(radio, twin.address, "sig-heart-rate")
    await twin.wait_ready()
    await listener.close()
    assert not twin.ready()
    async with listening(radio, twin.address, "sig-heart-rate"):
        await twin.wait_ready()


async def test_switched_off_twin_is_a_lost_link(world: TwinWorld, radio: Radio):
    twin = world.add_blood_pressure("bp")
    await world.start()
    async with listening(radio, twin.address, "sig-blood-pressure") as listener:
        await twin.wait_ready()
        await twin.close()
        with pytest.raises(LinkError, match="link lost"):
            await listener.task
        assert not twin.ready()


async def test_absent_device_times_out_and_blocks_nobody(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    absent = asyncio.create_task(BleLink(ABSENT, None, radio).connect())
    async with listening(radio, twin.address, "sig-heart-rate"):
        await twin.wait_ready()
        assert not absent.done()
    absent.cancel()
    await asyncio.gather(absent, return_exceptions=True)
    with pytest.raises(LinkError, match=r"not heard for 0\.3 s"):
        await impatient(ABSENT, radio).connect()
    async with listening(radio, twin.address, "sig-heart-rate"):
        await twin.wait_ready()


async def test_device_that_advertises_but_takes_no_connection(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch
):
    """The pending connection is cancelled at the controller, and the next device connects."""
    deaf, twin = world.add_heart_rate("deaf"), world.add_heart_rate("hr")
    await world.start()
    taken = RadioController.create_le_connection

    def refuse(self: RadioController, peer_address: hci.Address) -> None:
        if peer_address != hci.Address(deaf.address):
            taken(self, peer_address)

    monkeypatch.setattr(RadioController, "create_le_connection", refuse)
    monkeypatch.setattr("devices.links.bumble_host.CONNECT_S", 0.2)
    with pytest.raises(LinkError, match="does not take the connection") as failed:
        await BleLink(deaf.address, None, radio).connect()
    assert cause_of(failed.value) is Cause.CONNECTED_ELSEWHERE
    async with listening(radio, twin.address, "sig-heart-rate"):
        await twin.wait_ready()


async def test_controller_that_never_confirms_a_cancelled_connection(
    world: TwinWorld, radio: Radio, monkeypatch: pytest.MonkeyPatch
):
    """As bumble's own virtual controller: it is reset, which costs the links but not the radio."""
    deaf, twin = world.add_heart_rate("deaf"), world.add_heart_rate("hr")
    await world.start()
    taken = RadioController.create_le_connection

    def refuse(self: RadioController, peer_address: hci.Address) -> None:
        if peer_address != hci.Address(deaf.address):
            taken(self, peer_address)

    def ignore(_self: RadioController, _command: hci.HCI_Command) -> hci.HCI_StatusReturnParameters:
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    monkeypatch.setattr(RadioController, "create_le_connection", refuse)
    monkeypatch.setattr(RadioController, "on_hci_le_create_connection_cancel_command", ignore)
    monkeypatch.setattr("devices.links.bumble_host.CONNECT_S", 0.1)
    monkeypatch.setattr("devices.links.bumble_host.CANCEL_S", 0.1)
    with pytest.raises(LinkError, match="controller at virtual does not answer") as failed:
        await BleLink(deaf.address, None, radio).connect()
    assert cause_of(failed.value) is Cause.RADIO_STUCK
    async with listening(radio, twin.address, "sig-heart-rate"):
        await twin.wait_ready()


async def test_two_hosts_want_one_device(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with open_radio("virtual", virtual=world.virtual) as second:
        results = await asyncio.gather(
            impatient(twin.address, radio).connect(),
            impatient(twin.address, second).connect(),
            return_exceptions=True,
        )
        assert sum(isinstance(one, LinkError) for one in results) == 1


async def test_missing_mandatory_characteristic_is_named_and_optional_skipped(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    link = BleLink(twin.address, None, radio)
    facts = await link.connect()
    steps = [Step("subscribe", "2a5f", "notify", optional=True), Step("subscribe", "2a35", "indicate")]
    listener = Listener(link, facts, steps)
    with pytest.raises(LinkError, match="no characteristic 2a35"):
        await listener.task
    await listener.close()


async def test_a_consumer_that_fails_ends_the_run_and_not_the_radio(world: TwinWorld, radio: Radio):
    twin = world.add_heart_rate("hr")
    await world.start()
    link = BleLink(twin.address, None, radio)
    await link.connect()

    def fails(_source: str, _payload: bytes) -> None:
        raise ZeroDivisionError

    run = asyncio.create_task(link.run([Step("subscribe", "2a37", "notify")], fails))
    await twin.wait_ready()
    await twin.send({"heart_rate": 60})
    with pytest.raises(ZeroDivisionError):
        await run
    await link.close()
    async with listening(radio, twin.address, "sig-heart-rate"):
        await twin.wait_ready()


async def test_fifty_peripherals_at_once(world: TwinWorld, radio: Radio):
    twins: list[BlePeripheral] = [world.add_heart_rate(f"hr{i}") for i in range(25)]
    twins += [world.add_pulse_oximeter(f"plx{i}") for i in range(20)]
    twins += [world.add_blood_pressure(f"bp{i}") for i in range(5)]
    await world.start()
    listeners = await asyncio.gather(*(listen(radio, twin.address, twin.profile) for twin in twins))
    await asyncio.gather(*(twin.wait_ready() for twin in twins))

    async def exchange(twin: BlePeripheral, listener: Listener) -> None:
        for i in range(3):
            sent = await twin.send(dict.fromkeys(twin.metrics, 60 + i))
            payloads = await listener.wait_for(twin.profile_source, i + 1)
            assert values(twin.profile, twin.profile_source, payloads[-1]) == sent
            assert len(payloads) == i + 1

    await asyncio.gather(*map(exchange, twins, listeners))
    await asyncio.gather(*(listener.close() for listener in listeners))
    assert not any(twin.ready() for twin in twins)


async def test_closed_radio_says_so(world: TwinWorld):
    async with open_radio("virtual", virtual=world.virtual) as radio:
        pass
    with pytest.raises(LinkError, match="closed"):
        await radio.scan(0.1)


async def test_bad_address_is_a_configuration_error(radio: Radio):
    with pytest.raises(ConfigError, match="no Bluetooth address"):
        await BleLink("hr1", None, radio).connect()


async def test_closing_the_radio_ends_the_links(world: TwinWorld):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with open_radio("virtual", virtual=world.virtual) as radio:
        listener = await listen(radio, twin.address, "sig-heart-rate")
        await twin.wait_ready()
    with pytest.raises(LinkError, match="link lost"):
        await listener.task
    assert not twin.ready()
    await listener.close()


async def test_fifty_peripherals_and_twenty_serial_ports_in_one_process(world: TwinWorld, radio: Radio):
    straps = [world.add_heart_rate(f"hr{i}") for i in range(50)]
    monitors = [world.add_masimo(f"masimo{i}") for i in range(20)]
    await world.start()
    serial = catalog().get("masimo-ascii1")
    links = [SerialLink(monitor.address, serial) for monitor in monitors]
    ports = [Listener(link, await link.connect(), serial.session) for link in links]
    radios = await asyncio.gather(*(listen(radio, one.address, one.profile) for one in straps))
    await asyncio.gather(*(twin.wait_ready() for twin in (*straps, *monitors)))
    await asyncio.gather(
        *(one.send({"heart_rate": 60 + i}) for i, one in enumerate(straps)),
        *(one.send({"spo2": 80 + i}, device_time=AT) for i, one in enumerate(monitors)),
    )
    for i, listener in enumerate(radios):
        assert await listener.wait_for("2a37") == [bytes((6, 60 + i))]
    for i, listener in enumerate(ports):
        (payload,) = await listener.wait_for("ascii1")
        assert values("masimo-ascii1", "ascii1", payload) == {"spo2": 80 + i}
    await asyncio.gather(*(listener.close() for listener in (*radios, *ports)))
