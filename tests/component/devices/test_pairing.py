"""Pairing over real bleak: just works, by passkey, refused, and bonds that outlive the gateway's process."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bleak import BleakClient
from bleak.exc import BleakError
from bumble import hci
from bumble.device import Connection
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate

from devices.causes import cause_of
from devices.links.pairing import BondRefusedError, PairingError, Why
from devices.links.radio import Radio, open_radio
from devices.twins.ble import HeartRateTwin
from devices.twins.world import TwinWorld
from firmware_profiles import load_catalog
from hearthward.app.device_pair import pair_device
from hearthward.app.profile_record import record_device
from hearthward.core.clock import SystemClock
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError
from hearthward.core.settings import load_settings

DIGITS = 123456


class Digits(int):
    """Digits that are true also where they are zero: bumble asks."""

    def __bool__(self) -> bool:
        return True


class Display(PairingDelegate):
    """A device that shows six digits."""

    def __init__(self, shown: int = DIGITS) -> None:
        super().__init__(self.DISPLAY_OUTPUT_ONLY)
        self._shown = Digits(shown)

    async def generate_passkey(self) -> int:
        return self._shown

    async def display_number(self, number: int, digits: int) -> None:
        assert (number, digits) == (self._shown, 6)


class Refusing(PairingDelegate):
    """A device that is not in pairing mode."""

    async def accept(self) -> bool:
        return False


def let_pair(twin: HeartRateTwin, delegate: PairingDelegate) -> None:
    assert twin._device is not None
    shows = isinstance(delegate, Display)
    twin._device.pairing_config_factory = lambda _connection: PairingConfig(mitm=shows, delegate=delegate)


@pytest.fixture
async def twin(world: TwinWorld) -> HeartRateTwin:
    made = world.add_heart_rate("hr")
    await world.start()
    return made


@pytest.fixture
async def air(world: TwinWorld, twin: HeartRateTwin) -> str:
    """A radio that stays on while hosts come and go, as a real adapter does."""
    del twin
    return f"tcp-client:127.0.0.1:{await world.serve_hci('127.0.0.1', 0)}"


@asynccontextmanager
async def connected(radio: Radio, twin: HeartRateTwin) -> AsyncIterator[BleakClient]:
    async with BleakClient(twin.address, backend=radio.backend, **radio.backend_arguments) as client:
        yield client
    await twin.wait_free()


def telling(digits: int | None) -> Callable[[], Awaitable[int | None]]:
    async def tell() -> int | None:
        return digits

    return tell


async def test_a_bond_outlives_the_process(air: str, twin: HeartRateTwin, tmp_path: Path):
    bonds = tmp_path / "bonds.json"
    async with open_radio(air, bonds=bonds) as radio, connected(radio, twin) as client:
        assert not twin.encrypted
        await client.pair()
        assert twin.encrypted
    assert stat.S_IMODE(bonds.stat().st_mode) == 0o600
    async with open_radio(air, bonds=bonds) as radio, connected(radio, twin) as client:
        assert twin.encrypted
        await client.pair()


async def test_a_device_that_forgot_the_bond_is_told_apart_from_one_that_is_away(
    air: str, twin: HeartRateTwin, tmp_path: Path
):
    bonds = tmp_path / "bonds.json"
    async with open_radio(air, bonds=bonds) as radio, connected(radio, twin) as client:
        await client.pair()
    assert twin._device is not None
    twin._device.keystore = MemoryKeyStore()
    twin._device.smp_manager.sessions.clear()
    async with open_radio(air, bonds=bonds) as radio:
        with pytest.raises(BondRefusedError) as refused:
            async with connected(radio, twin):
                pass
        assert refused.value.why is Why.KEYS_LOST
        await twin.wait_free()


@pytest.mark.parametrize("shown", [DIGITS, 0, 1, 999999])
async def test_the_digits_on_the_display_pair(radio: Radio, twin: HeartRateTwin, shown: int):
    let_pair(twin, Display(shown))
    async with asyncio.timeout(10), connected(radio, twin) as client:
        await client.pair(ask=telling(shown))
        assert twin.encrypted


@pytest.mark.parametrize(
    ("delegate", "digits", "why"),
    [
        (Display(), telling(DIGITS + 1), Why.PASSKEY_WRONG),
        (Display(), telling(None), Why.PASSKEY_MISSING),
        (Refusing(), None, Why.REFUSED),
    ],
    ids=["wrong digits", "nobody knows the digits", "refused"],
)
async def test_why_a_pairing_failed_is_told(
    radio: Radio, twin: HeartRateTwin, delegate: PairingDelegate, digits: object, why: Why
):
    let_pair(twin, delegate)
    async with connected(radio, twin) as client:
        with pytest.raises(PairingError) as failed:
            await client.pair(ask=digits)
        assert failed.value.why is why
        assert not twin.encrypted


async def test_a_person_pairs_by_the_digits_and_the_bond_is_kept(
    air: str, twin: HeartRateTwin, tmp_path: Path
):
    let_pair(twin, Display())
    settings = load_settings(None, data=tmp_path)
    with pytest.raises(PairingError, match="not the six digits"):
        await pair_device(settings, twin.address, radio=air, passkey="000001", again=False)
    await pair_device(settings, twin.address, radio=air, passkey=f"{DIGITS}", again=False)
    await twin.wait_free()
    async with open_radio(air, bonds=tmp_path / "edge" / "bonds.json") as radio, connected(radio, twin):
        assert twin.encrypted


async def test_a_device_that_forgot_the_bond_is_paired_again(air: str, twin: HeartRateTwin, tmp_path: Path):
    settings = load_settings(None, data=tmp_path)
    await pair_device(settings, twin.address, radio=air, passkey=None, again=False)
    await twin.wait_free()
    assert twin._device is not None
    twin._device.keystore = MemoryKeyStore()
    twin._device.smp_manager.sessions.clear()
    with pytest.raises(BondRefusedError, match="--again"):
        await pair_device(settings, twin.address, radio=air, passkey=None, again=False)
    await twin.wait_free()
    await pair_device(settings, twin.address, radio=air, passkey=None, again=True)


async def test_pairing_again_costs_no_bond_that_is_good(
    air: str, twin: HeartRateTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Neither with a device that is away, nor with one that does not pair anew."""
    settings = load_settings(None, data=tmp_path)
    await pair_device(settings, twin.address, radio=air, passkey=None, again=False)
    await twin.wait_free()
    kept = (tmp_path / "edge" / "bonds.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("hearthward.app.device_pair.SECONDS", 0.3)
        with pytest.raises(LinkError, match="not heard"):
            await pair_device(settings, "F0:00:00:00:00:77", radio=air, passkey=None, again=True)
        await twin.close()
        with pytest.raises(LinkError, match="not heard"):
            await pair_device(settings, twin.address, radio=air, passkey=None, again=True)
    await twin.start()
    let_pair(twin, Refusing())
    with pytest.raises(PairingError, match="refuses to pair"):
        await pair_device(settings, twin.address, radio=air, passkey=None, again=True)
    await twin.wait_free()
    assert (tmp_path / "edge" / "bonds.json").read_bytes() == kept


async def test_a_bond_that_cannot_be_kept_is_no_pairing(air: str, twin: HeartRateTwin, tmp_path: Path):
    async with open_radio(air, bonds=tmp_path / "bonds.json") as radio, connected(radio, twin) as client:
        (tmp_path / "bonds.json").mkdir()
        with pytest.raises(OSError, match="the bond cannot be kept"):
            await client.pair()


@pytest.mark.parametrize(
    ("code", "refused", "cause"),
    [
        (0x05, True, Cause.PAIRED_ELSEWHERE),
        (0x06, True, Cause.PAIRED_ELSEWHERE),
        (0x3D, True, Cause.PAIRED_ELSEWHERE),
        (0x08, False, Cause.LINK_LOST),
        (0x13, False, Cause.LINK_LOST),
        (0x22, False, Cause.LINK_LOST),
        (0x25, False, Cause.PAIRED_ELSEWHERE),
    ],
)
async def test_a_link_that_is_lost_while_it_is_encrypted_is_no_forgotten_bond(
    air: str,
    twin: HeartRateTwin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    cause: Cause,
    *,
    refused: bool,
):
    bonds = tmp_path / "bonds.json"
    async with open_radio(air, bonds=bonds) as radio, connected(radio, twin) as client:
        await client.pair()

    async def encrypt(_connection: Connection) -> None:
        raise hci.HCI_Error(code)

    monkeypatch.setattr(Connection, "encrypt", encrypt)
    async with open_radio(air, bonds=bonds) as radio:
        with pytest.raises(LinkError) as failed:
            await radio.connect(twin.address, timeout=5, on_disconnect=lambda: None)
        await twin.wait_free()
    assert (isinstance(failed.value, BondRefusedError), cause_of(failed.value)) == (refused, cause)


@pytest.mark.parametrize(
    ("code", "cause"),
    [(0x06, Cause.PAIRED_ELSEWHERE), (0x3D, Cause.PAIRED_ELSEWHERE), (0x13, Cause.LINK_LOST)],
)
async def test_a_device_may_hang_up_for_want_of_the_key(
    air: str,
    twin: HeartRateTwin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    cause: Cause,
):
    bonds = tmp_path / "bonds.json"
    async with open_radio(air, bonds=bonds) as radio, connected(radio, twin) as client:
        await client.pair()

    async def encrypt(_connection: Connection) -> None:
        assert twin._connection is not None
        await twin._connection.disconnect(code)
        await asyncio.Event().wait()

    monkeypatch.setattr(Connection, "encrypt", encrypt)
    async with open_radio(air, bonds=bonds) as radio:
        with pytest.raises(LinkError) as failed:
            await radio.connect(twin.address, timeout=5, on_disconnect=lambda: None)
        await twin.wait_free()
    assert cause_of(failed.value) is cause


async def test_a_recording_keeps_the_gateways_bond(air: str, twin: HeartRateTwin, tmp_path: Path):
    settings = load_settings(None, data=tmp_path)
    await pair_device(settings, twin.address, radio=air, passkey=None, again=False)
    await twin.wait_free()
    found = []

    async def look() -> None:
        await twin.wait_ready()
        found.append(twin.encrypted)
        await twin.send({"heart_rate": 60})

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        recorded = await record_device(
            load_catalog().get("sig-heart-rate"),
            twin.address,
            settings=settings,
            radio=air,
            seconds=2,
            each=1,
            clock=SystemClock(),
        )
    assert found == [True]
    assert "2a37" in {frame.source for frame in recorded.frames}


async def test_a_bond_that_is_forgotten_here_is_made_anew(air: str, twin: HeartRateTwin, tmp_path: Path):
    bonds = tmp_path / "bonds.json"
    async with open_radio(air, bonds=bonds) as radio:
        async with connected(radio, twin) as client:
            await client.pair()
            await client.unpair()
        assert json.loads(bonds.read_bytes()) == {}
        async with connected(radio, twin) as client:
            assert not twin.encrypted
            await client.pair()
            assert twin.encrypted


async def test_a_file_of_bonds_that_cannot_be_read_ends_the_attempt(
    air: str, twin: HeartRateTwin, tmp_path: Path
):
    (tmp_path / "bonds.json").mkdir()
    async with open_radio(air, bonds=tmp_path / "bonds.json") as radio:
        with pytest.raises((BleakError, OSError)):
            async with connected(radio, twin):
                pass
