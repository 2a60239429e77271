"""Which radio, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from bleak.backends.device import BLEDevice

from devices.links.bluez import Bluez
from devices.links.radio import Introduction, Radio, open_radio
from hearthward.core.errors import ConfigError, LinkError


@pytest.mark.parametrize(
    "spec", ["", "usb", "usb:", "wifi:1", "tcp-client:host", "tcp-client:host:x", "BLUEZ"]
)
def test_unknown_specs_list_the_known_ones(spec: str):
    with pytest.raises(ConfigError, match=r"tcp-client:?\S*HOST:PORT|needs HOST:PORT"):
        open_radio(spec)


def test_virtual_needs_a_virtual_radio():
    with pytest.raises(ConfigError, match="twins in the same process"):
        open_radio("virtual")


async def test_off_says_so_at_every_use():
    async with open_radio("off") as radio:
        with pytest.raises(LinkError, match="radio is off"):
            await radio.scan(1)
        with pytest.raises(LinkError, match="radio is off"):
            await radio.connect("C0:00:00:00:00:01", timeout=1, on_disconnect=lambda: None)
        with pytest.raises(LinkError, match="radio is off"):
            _ = radio.backend


async def test_without_bluez(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    async with open_radio("bluez") as radio:
        assert radio.backend is None
        with pytest.raises(LinkError, match=r"bluetooth\.service"):
            await radio.check()
        with pytest.raises(LinkError, match=r"bluetooth\.service"):
            await radio.connect("C0:00:00:00:00:01", timeout=1, on_disconnect=lambda: None)


async def test_serial_adapter_that_is_not_there():
    async with open_radio("serial:/dev/nonexistent") as radio:
        with pytest.raises(
            LinkError, match=r"serial:/dev/nonexistent: .*(nobody there|No such file|could not)"
        ):
            await radio.check()


async def test_usb_adapter_that_is_not_there():
    async with open_radio("usb:99") as radio:
        with pytest.raises(LinkError, match=r"usb:99: "):
            await radio.check()


async def test_nobody_serves_hci(unused_tcp_port: int):
    async with open_radio(f"tcp-client:127.0.0.1:{unused_tcp_port}") as radio:
        with pytest.raises(LinkError, match="nobody there"):
            await radio.check()


def test_bumble_and_bleak_are_imported_at_first_use():
    code = (
        "import sys, devices.links.ble, devices.links.radio, devices.twins.world\n"
        "devices.links.radio.open_radio('bluez'); devices.links.radio.open_radio('off')\n"
        "devices.links.radio.open_radio('tcp-client:127.0.0.1:1')\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('bumble', 'bleak')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_connection_that_the_system_still_holds_is_used(monkeypatch: pytest.MonkeyPatch):
    """Such a device does not advertise. BlueZ cannot run here, so bleak's adapter is replaced."""
    held = BLEDevice("C0:00:00:00:00:01", "strap", None)

    class Adapter:
        async def get_connected_devices(self, _services: list[str]) -> list[BLEDevice]:
            return [BLEDevice("C0:00:00:00:00:02", None, None), held]

    async def get() -> Adapter:
        return Adapter()

    monkeypatch.setattr("bleak.BleakAdapter.get", get)
    async with open_radio("bluez") as radio:
        device, introduction = await radio._find("c0:00:00:00:00:01", 1)
    assert device is held
    assert introduction.name == "strap"


async def test_pairing_again_gives_up_no_bond_of_a_device_that_is_not_found(monkeypatch: pytest.MonkeyPatch):
    """Over BlueZ, which has to forget a bond before it makes a new one."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    forgotten: list[str] = []

    async def forget(_bluez: Bluez, address: str) -> None:
        forgotten.append(address)

    async def found(_radio: Radio, address: str, _timeout: float) -> tuple[BLEDevice, Introduction]:
        return BLEDevice(address, None, None), Introduction(None, None)

    monkeypatch.setattr(Bluez, "forget", forget)
    async with open_radio("bluez") as radio:
        with pytest.raises(LinkError, match=r"bluetooth\.service"):
            await radio.pair("C0:00:00:00:00:01", nobody, again=True, timeout=1)
        assert forgotten == []
        monkeypatch.setattr(Radio, "_find", found)
        with pytest.raises(LinkError, match="D-Bus cannot be reached"):
            await radio.pair("C0:00:00:00:00:01", nobody, again=True, timeout=1)
        assert forgotten == ["C0:00:00:00:00:01"]
        with pytest.raises(ConfigError, match="no Bluetooth address"):
            await radio.pair("C0", nobody, again=True, timeout=1)


async def nobody() -> int | None:
    return None
