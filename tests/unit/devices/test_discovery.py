"""What is around a gateway, over fake surroundings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import DeviceConfig
from devices.discovery import MOST_KNOWN, Discovery, Finds
from devices.links.fake_surroundings import FakeSurroundings
from devices.links.ports import SerialPort
from devices.links.radio import Sighting as Heard
from firmware_profiles import load_catalog
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.device_states import Sighting
from hearthward.core.device_words import SEEN
from hearthward.core.errors import LinkError

CATALOG = load_catalog()
STRAP = Heard("c0:00:00:00:00:01", "strap", -60, frozenset({"0000180d-0000-1000-8000-00805f9b34fb"}))
PHONE = Heard("C0:00:00:00:00:02", None, -80, frozenset(), (76,))
FTDI = SerialPort("/dev/ttyUSB7", "0403:6001", "FT232R", "FTDI", "FT232R USB UART")
T0 = 1_000 * SECOND


def config(address: str, transport: str = "ble") -> DeviceConfig:
    return DeviceConfig("hr-1", transport, address)  # type: ignore[arg-type]


def test_one_that_fits_a_profile_is_told_with_it_and_a_stranger_with_what_was_seen():
    finds = Finds(CATALOG)
    assert finds.heard(STRAP, T0) == 2
    assert finds.heard(PHONE, T0 + 1) == 1
    strap, phone = finds.all()
    assert (strap.address, strap.name, strap.rssi, strap.profile, strap.why) == (
        "C0:00:00:00:00:01",
        "strap",
        -60,
        "sig-heart-rate",
        "",
    )
    assert (strap.services, strap.first, strap.last) == (("180d",), T0, T0)
    assert (phone.company_ids, phone.profile, phone.why, phone.name) == ((76,), "", "none", "")


def test_what_comes_in_several_advertisements_is_put_together_and_matched_again():
    finds = Finds(CATALOG)
    assert finds.heard(replace_heard(STRAP, services=frozenset(), name=None), T0) == 1
    assert finds.all()[0].why == "silent"
    assert finds.heard(replace_heard(STRAP, services=frozenset()), T0 + 1) == 1
    assert finds.all()[0].why == "none"
    assert finds.heard(replace_heard(STRAP, name=None), T0 + 2) == 2
    (strap,) = finds.all()
    assert (strap.name, strap.services, strap.profile) == ("strap", ("180d",), "sig-heart-rate")
    assert (strap.first, strap.last) == (T0, T0 + 2)


def replace_heard(one: Heard, **changes: object) -> Heard:
    return one._replace(**changes)


def test_that_several_profiles_fit_is_said_with_their_names():
    finds = Finds(CATALOG)
    both = frozenset({"1810", "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"})
    finds.heard(replace_heard(STRAP, services=both, name="BM85"), T0)
    assert finds.all()[0].why == "several:beurer-bm85, nonin-3230"


def test_one_with_two_standard_services_is_told_with_the_profile_joined_of_both():
    finds = Finds(CATALOG)
    finds.heard(replace_heard(STRAP, services=frozenset({"181b", "181d"})), T0)
    assert (finds.all()[0].profile, finds.all()[0].why) == ("sig-body-composition+sig-weight-scale", "")


def test_the_same_again_is_news_once_a_minute_only():
    finds = Finds(CATALOG)
    finds.heard(STRAP, T0)
    news = [finds.heard(replace_heard(STRAP, rssi=-60 - n), T0 + n * SECOND) for n in range(1, 121)]
    assert [n for n, word in enumerate(news, 1) if word] == [60, 120]
    assert finds.all()[0].last == T0 + 120 * SECOND


def test_configured_devices_are_marked_by_their_address_however_it_is_written():
    finds = Finds(CATALOG)
    finds.heard(STRAP, T0)
    assert finds.configure([config("C0:00:00:00:00:01")])
    assert finds.all()[0].device == "hr-1"
    assert not finds.configure([config("c0:00:00:00:00:01")])
    assert finds.configure([])
    assert finds.all()[0].device == ""
    finds.configure([config("C0:00:00:00:00:02")])
    assert finds.heard(PHONE, T0) == 2, "a configured one is news, whatever it is"
    assert finds.all()[-1].device == "hr-1"


def test_no_more_than_so_many_are_kept_and_the_oldest_are_forgotten():
    finds = Finds(CATALOG, most=3)
    for n in range(5):
        finds.heard(replace_heard(PHONE, address=f"C0:00:00:00:01:{n:02X}"), T0 + n)
        finds.heard(STRAP, T0 + n)
    assert [one.address[-2:] for one in finds.all()] == ["03", "04", "01"]
    assert len(Finds(CATALOG).all()) < MOST_KNOWN


def test_passers_by_are_forgotten_sooner_than_what_fits():
    finds = Finds(CATALOG)
    finds.heard(STRAP, T0)
    finds.heard(PHONE, T0)
    assert not finds.forget(T0 + 600 * SECOND)
    assert finds.forget(T0 + 601 * SECOND)
    assert [one.name for one in finds.all()] == ["strap"]
    assert finds.forget(T0 + 7 * 3600 * SECOND)
    assert finds.all() == ()


def test_ports_come_and_go_and_say_what_their_adapter_is():
    finds = Finds(CATALOG)
    bare = SerialPort("/dev/ttyS7", None, "ttyS7")
    assert finds.plugged([bare, FTDI], T0) == 2
    assert finds.plugged([bare, FTDI], T0 + 5) == 0
    first, second = finds.all()
    assert (first.address, first.usb, first.why, first.last) == ("/dev/ttyS7", "", "port", T0 + 5)
    assert (second.usb, second.name) == ("0403:6001", "FTDI FT232R USB UART")
    other = replace(FTDI, usb="10c4:ea60")
    assert finds.plugged([bare, other], T0 + 6) == 2, "another adapter at the same path"
    assert finds.plugged([bare], T0 + 7) == 2
    assert [one.address for one in finds.all()] == ["/dev/ttyS7"]
    assert finds.configure([config("/dev/../dev/ttyS7", "serial")])


def test_a_port_is_known_by_what_its_instrument_sends():
    finds = Finds(CATALOG)
    finds.configure([config("/dev/ttyS9", "serial")])
    finds.plugged([FTDI, replace(FTDI, path="/dev/ttyS9")], T0)
    assert finds.strangers() == ["/dev/ttyUSB7"]
    assert finds.sends("/dev/ttyUSB7", frozenset(), T0 + 1) == 0
    assert finds.sends("/dev/ttyUSB9", frozenset({"df2"}), T0 + 1) == 0
    assert finds.sends("/dev/ttyUSB7", frozenset({"df2"}), T0 + 1) == 2
    known = {one.address: one for one in finds.all()}["/dev/ttyUSB7"]
    assert (known.profile, known.why, known.last) == ("nonin-df2", "", T0 + 1)
    assert finds.strangers() == []
    finds.plugged([FTDI, replace(FTDI, path="/dev/ttyS9")], T0 + 2)
    assert {one.profile for one in finds.all()} == {"nonin-df2", ""}
    finds.plugged([], T0 + 3)  # another instrument may be plugged in there
    finds.plugged([FTDI], T0 + 4)
    assert finds.strangers() == ["/dev/ttyUSB7"]


def test_every_reason_that_is_given_has_words():
    finds = Finds(CATALOG)
    finds.heard(PHONE, T0)
    finds.heard(Heard("C0:00:00:00:00:03", None, -1, frozenset()), T0)
    finds.plugged([FTDI], T0)
    assert {one.why.partition(":")[0] for one in finds.all()} <= SEEN.keys()


class Rig:
    def __init__(self) -> None:
        self.around = FakeSurroundings()
        self.news: list[bool] = []
        self.changed = asyncio.Event()
        self.discovery = Discovery(CATALOG, self.around, EventClock(T0), self.on_change, ports_s=0.01)

    def on_change(self, urgent: bool) -> None:  # noqa: FBT001 - the callback's one argument
        self.news.append(urgent)
        self.changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.discovery.run())
        try:
            yield
        finally:
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])

    async def until_news(self) -> None:
        self.changed.clear()
        async with asyncio.timeout(5):
            await self.changed.wait()


async def test_it_hears_along_and_scans_only_when_asked():
    rig = Rig()
    rig.around.near = [STRAP]
    async with rig.running():
        await asyncio.sleep(0)
        rig.around.hear(PHONE)
        assert rig.news == [False]
        assert rig.around.scans == []
        rig.discovery.ask(7)
        rig.discovery.ask(5)
        await rig.until_news()
        assert [one.address[-1] for one in rig.discovery.sightings()] == ["2", "1"]
        while not rig.discovery.scans:
            await rig.until_news()
        assert (rig.around.scans, rig.discovery.scans, rig.discovery.trouble) == ([7], 1, "")
    assert not rig.around.listened


async def test_a_radio_that_cannot_scan_and_ports_that_cannot_be_listed_end_nothing(
    caplog: pytest.LogCaptureFixture,
):
    rig = Rig()
    rig.around.refusal = LinkError("no usable Bluetooth adapter")
    rig.around.broken = OSError("no /sys here")
    async with rig.running():
        rig.discovery.ask(5)
        await rig.until_news()
        assert rig.discovery.trouble == "no usable Bluetooth adapter"
        await asyncio.sleep(0.05)
        rig.around.refusal, rig.around.broken, rig.around.plugged = None, None, [FTDI]
        await rig.until_news()
        assert [one.address for one in rig.discovery.sightings()] == ["/dev/ttyUSB7"]
        rig.discovery.ask(5)
        await rig.until_news()
        assert rig.discovery.trouble == ""
    assert sum("cannot be listed" in record.message for record in caplog.records) == 1


async def test_a_scan_without_running_tells_ports_even_when_there_is_no_radio():
    rig = Rig()
    rig.around.plugged, rig.around.refusal = [FTDI], LinkError("off")
    with pytest.raises(LinkError):
        await rig.discovery.scan(1)
    assert [one.transport for one in rig.discovery.sightings()] == ["serial"]
    assert not rig.around.listened


async def test_a_scan_listens_to_the_ports_that_nobody_knows_and_a_busy_one_ends_nothing():
    rig = Rig()
    busy, mute, known = (replace(FTDI, path=f"/dev/ttyS{n}") for n in range(3))
    rig.around.plugged = [busy, FTDI, known, mute]
    rig.around.sends = {FTDI.path: frozenset({"ascii1"}), mute.path: frozenset()}
    rig.discovery.configure([config(known.path, "serial")])
    await rig.discovery.scan(1)
    assert sorted(rig.around.listened_to) == [busy.path, mute.path, FTDI.path]
    found = {one.address: (one.profile, one.why) for one in rig.discovery.sightings()}
    assert found == {
        FTDI.path: ("masimo-ascii1", ""),
        **dict.fromkeys((busy.path, mute.path, known.path), ("", "port")),
    }
    await rig.discovery.scan(1)
    assert rig.around.listened_to.count(FTDI.path) == 1


HEARD = st.builds(
    Heard,
    address=st.sampled_from([f"c0:00:00:00:00:{n:02x}" for n in range(6)]),
    name=st.none() | st.text(max_size=80) | st.sampled_from(["BM85", "MIBFS", "Nonin3230_x"]),
    rssi=st.integers(-127, 20),
    services=st.frozensets(st.sampled_from(["180d", "1810", "181b"]) | st.uuids().map(str), max_size=40),
    companies=st.lists(st.integers(0, 65_535), max_size=20).map(tuple),
)


@given(st.lists(st.tuples(HEARD, st.integers(-5, 2_000)), max_size=12), st.booleans())
def test_whatever_advertises_is_kept_within_bounds_and_can_be_told(
    steps: list[tuple[Heard, int]],
    known: bool,  # noqa: FBT001 - hypothesis gives it
):
    finds = Finds(CATALOG, most=4)
    if known:
        finds.configure([config("C0:00:00:00:00:01")])
    now = T0
    for one, seconds in steps:
        now += seconds * SECOND
        assert finds.heard(one, now) in {0, 1, 2}
        finds.forget(now)
        assert len(finds.all()) <= 4
    for found in finds.all():
        told = Sighting.unpacked(found.packed())
        assert (told.address, told.name, told.profile) == (found.address, found.name, found.profile)
        assert bool(found.profile) != bool(found.why)
        assert found.first <= found.last
        assert (found.device == "hr-1") == (known and found.address == "C0:00:00:00:00:01")
