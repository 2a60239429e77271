"""The gateway's Bluetooth radio: which one, scanning, and connecting without one device blocking another."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

from devices.consents import Consents
from devices.links.backends import Backend, BumbleBackend, PlatformBackend, attach, open_transport
from devices.links.pairing import pairing_refused
from devices.links.radio_errors import radio_errors, stuck_cause
from devices.links.shared_scan import SILENT_S, STOP_S, OnHeard, SharedScan, loop_ns
from devices.links.watchdog import AdapterState, Remedy, Watchdog
from hearthward.core.device_states import Cause
from hearthward.core.errors import ConfigError, LinkError

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.client import BaseBleakClient
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

    from devices.links.pairing import AskPasskey
    from devices.twins.radio import VirtualRadio
    from hearthward.core.telemetry import Telemetry

__all__ = ["Introduction", "Radio", "Sighting", "open_radio"]

_log = logging.getLogger(__name__)

RADIO_SPECS: Final = "bluez, off, virtual, usb:0, serial:/dev/ttyX, tcp-client:HOST:PORT"
WATCH_S: Final = 5.0
"""The watchdog looks so often."""
RESET_S: Final = 60.0
"""How long a reset may take."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_ADDRESS: Final = re.compile(
    r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)
CONSENTS: Final = "consents.json"
"""Beside the bonds."""
_TRANSPORTS: Final = ("usb", "serial", "tcp-client")


class Sighting(NamedTuple):
    """A device that advertised: address, name, signal strength in dBm, 128-bit service UUIDs.

    Services are those it names and those it sends data of; ``companies`` whose data it sends, by Bluetooth
    number.
    """

    address: str
    name: str | None
    rssi: int
    services: frozenset[str]
    companies: tuple[int, ...] = ()

    @classmethod
    def of(cls, device: BLEDevice, said: AdvertisementData) -> Sighting:
        """What one advertisement tells."""
        services = frozenset(said.service_uuids) | frozenset(said.service_data)
        name, companies = said.local_name or device.name, tuple(said.manufacturer_data)
        return cls(device.address, name, said.rssi, services, companies)


class Introduction(NamedTuple):
    """What a device said before it was connected to: its name, and its maker's Bluetooth number."""

    name: str | None
    company_id: int | None


def _check_address(address: str) -> None:
    if not _ADDRESS.fullmatch(address):
        msg = f"{address!r} is no Bluetooth address such as C0:12:34:56:78:9A"
        raise ConfigError(msg, address=address)


class Radio:
    """A Bluetooth radio, for an ``async with``; see ``open_radio``.

    Devices are connected to only once they were heard, by one scan that all who wait share: a device that is
    switched off costs the others nothing.
    """

    def __init__(self, spec: str, backend: Backend | None) -> None:
        self.spec = spec
        self._backend = backend
        self._closed = False
        self._connections: set[str] = set()
        self.watchdog = Watchdog()
        self._scan = SharedScan(spec, self.watchdog)
        self._connecting = asyncio.Lock()
        self.consents = Consents()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def backend(self) -> type[BaseBleakClient] | None:
        """The ``backend=`` of bleak's clients; None is bleak's default. Raises LinkError when off."""
        return self._working().client

    @property
    def backend_arguments(self) -> dict[str, Any]:
        """The further keyword arguments that go with ``backend=``. Raises LinkError when off."""
        return self._working().arguments

    def _working(self) -> Backend:
        if self._backend is None:
            msg = "the Bluetooth radio is off; start the gateway with --radio " + RADIO_SPECS
            raise LinkError(msg, radio=self.spec, cause=Cause.NO_RADIO.value)
        if self._closed:
            msg = "the Bluetooth radio has been closed"
            raise LinkError(msg, radio=self.spec, cause=Cause.NO_RADIO.value)
        return self._backend

    def _errors(self, address: str | None = None) -> AbstractContextManager[None]:
        return radio_errors(self.spec, self.watchdog, address)

    async def check(self) -> None:
        """Return if the radio can scan. Raises LinkError saying what is missing."""
        async with self._scan.running(self._working()):
            pass

    async def scan(self, timeout: float) -> list[Sighting]:  # noqa: ASYNC109 - how long to listen
        """Listen for ``timeout`` seconds; what was heard, strongest first. Raises LinkError."""
        seen: dict[str, Sighting] = {}

        def heard(one: Sighting) -> None:
            seen[one.address] = one

        stop = self.overhear(heard)
        try:
            async with self._scan.running(self._working()):
                await asyncio.sleep(timeout)
        finally:
            stop()
        return sorted(seen.values(), key=lambda one: (-one.rssi, one.address))

    def overhear(self, listener: Callable[[Sighting], None]) -> Callable[[], None]:
        """Hear along whatever is scanned for, starting no scan; returns what ends it."""

        def heard(device: BLEDevice, said: AdvertisementData) -> None:
            listener(Sighting.of(device, said))

        self._scan.listeners.add(heard)
        return lambda: self._scan.listeners.discard(heard)

    async def listen(self, listener: OnHeard) -> NoReturn:
        """Tell of every advertisement until cancelled; a scan that fell silent is started anew.

        Raises LinkError.
        """
        self._scan.listeners.add(listener)
        try:
            async with self._scan.running(self._working()):
                while True:
                    await asyncio.sleep(SILENT_S)
                    await self.check()
        finally:
            self._scan.listeners.discard(listener)

    async def connect(
        self,
        address: str,
        *,
        timeout: float,  # noqa: ASYNC109 - of the search and the connection together
        on_disconnect: Callable[[], None],
        further: Mapping[str, Any] = NOTHING,
    ) -> tuple[BleakClient, Introduction]:
        """Find a device and connect; it is the caller's to disconnect.

        ``on_disconnect`` is called once when the connection ends, for whatever reason; ``further`` are
        arguments for the backend's client.

        Raises:
            LinkError: no radio, not heard, or not connected within ``timeout`` seconds.
            ConfigError: ``address`` is none.
        """
        from bleak import BleakClient

        _check_address(address)
        backend = self._working()
        deadline = asyncio.get_running_loop().time() + timeout
        self.lost(address)
        device, introduction = await self._find(address, timeout)

        def gone(_client: BleakClient) -> None:
            self.lost(address)
            on_disconnect()

        client = BleakClient(
            device,
            gone,
            timeout=max(0.1, deadline - asyncio.get_running_loop().time()),
            backend=backend.client,
            **backend.arguments,
            **further,
        )
        with self._errors(address):
            await self._connect(client, address, alone=backend.client is None)
        return client, introduction

    async def _connect(self, client: BleakClient, address: str, *, alone: bool) -> None:
        """Connect, and tell the watchdog; ``alone``: BlueZ refuses a second connection while one is made."""
        from bleak.exc import BleakError

        try:
            async with self._connecting if alone else nullcontext():
                await client.connect()
        except (BleakError, TimeoutError, OSError):  # a refused bond is no fault of the adapter
            self.watchdog.connect_failed(address, loop_ns())
            raise
        if client.is_connected:  # else it has gone again already, and ``gone`` was called
            self._connections.add(address.upper())
        self.watchdog.connected(loop_ns())

    def lost(self, address: str) -> None:
        """There is no connection to that device any more, though the system may not have told.

        A stack that died tells of no disconnection: what is left of a connection would keep the adapter from
        being reset for ever.
        """
        self._connections.discard(address.upper())

    async def pair(self, address: str, ask: AskPasskey, *, again: bool, timeout: float) -> None:  # noqa: ASYNC109
        """Find, connect, pair and let go of a device; ``again``: anew, although there is a bond.

        A bond that there was is never given up for a device that is away. With an adapter of our own it lasts
        until the device has paired anew; BlueZ has to forget it before.

        Raises:
            PairingError: the device refused, or the digits were wrong; says what to do.
            LinkError: not heard, or not in time.
            ConfigError: ``address`` is none.
        """
        _check_address(address)
        further: dict[str, Any] = {}
        if again:
            await self._find(address, timeout)
            with self._errors():
                further = await self._working().pair_anew(address)
        async with self._working().asking(ask, address):
            client, _ = await self.connect(
                address, timeout=timeout, on_disconnect=lambda: None, further=further
            )
            try:
                with self._errors(address), pairing_refused(address):
                    async with asyncio.timeout(timeout):
                        await client.pair(ask=ask)
            finally:
                await self._hang_up(client, address)

    async def _hang_up(self, client: BleakClient, address: str) -> None:
        """Disconnect; what goes wrong there changes nothing of what was done before."""
        try:
            with self._errors(address):
                async with asyncio.timeout(STOP_S):
                    await client.disconnect()
        except LinkError as error:
            _log.debug("hanging up: %s", error)
        self.lost(address)

    @property
    def stuck(self) -> bool:
        """Whether the adapter is wedged and no reset helped."""
        return self.watchdog.state is AdapterState.STUCK

    async def watch(
        self, telemetry: Telemetry, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Look after the adapter until cancelled: reset it, then its stack, then say that it is stuck.

        Whatever a driver raises, it goes on: devices are read beside it. Counts ``radio_resets_total`` by
        kind; gauge ``radio_stuck``.
        """
        backend = self._backend
        if backend is None:
            return
        while True:
            await sleep(WATCH_S)
            remedy = self.watchdog.next(loop_ns(), connections=len(self._connections))
            if remedy is not Remedy.NONE:
                try:
                    await self._remedy(backend, remedy, telemetry)
                except Exception as error:  # noqa: BLE001 - devices go on
                    _log.exception("resetting the Bluetooth adapter failed in a way nobody foresaw")
                    self.watchdog.why += f"; internal error: {type(error).__name__}"
            telemetry.gauge("radio_stuck", self.stuck)

    async def _remedy(self, backend: Backend, remedy: Remedy, telemetry: Telemetry) -> None:
        why = self.watchdog.why
        if remedy is Remedy.TELL:
            _log.error("the Bluetooth adapter is stuck, and resetting it did not help: %s", why)
            return
        telemetry.count("radio_resets_total", kind=remedy.value)
        what = "adapter" if remedy is Remedy.RESET_ADAPTER else "stack"
        _log.warning("the Bluetooth %s is reset: %s", what, why)
        try:
            with self._errors():
                async with asyncio.timeout(RESET_S):
                    await (backend.reset_adapter() if what == "adapter" else backend.reset_stack())
        except LinkError as error:
            _log.warning("the Bluetooth %s could not be reset: %s", what, error)
            self.watchdog.why = f"{why}; {error}"

    async def _find(self, address: str, timeout: float) -> tuple[BLEDevice, Introduction]:  # noqa: ASYNC109
        """The device, once it is heard. Raises LinkError."""
        with self._errors():
            held = await self._working().connected(address)
        if held is not None:
            return held, Introduction(held.name, None)
        wanted = address.upper()
        found: asyncio.Future[tuple[BLEDevice, Introduction]] = asyncio.get_running_loop().create_future()

        def heard(device: BLEDevice, said: AdvertisementData) -> None:
            if device.address.upper() == wanted and not found.done():
                makers = tuple(said.manufacturer_data)
                introduction = Introduction(said.local_name or device.name, makers[0] if makers else None)
                found.set_result((device, introduction))

        self._scan.listeners.add(heard)
        try:
            async with asyncio.timeout(timeout), self._scan.running(self._working()):
                return await found
        except TimeoutError as error:
            msg = f"{address}: not heard for {timeout:g} s; is it on, near, and not connected elsewhere?"
            cause = {"cause": Cause.OUT_OF_RANGE.value, **stuck_cause(self.watchdog)}
            raise LinkError(msg, address=address, **cause) from error
        finally:
            self._scan.listeners.discard(heard)

    async def close(self) -> None:
        """Stop scanning, disconnect, let go of the controller; harmless more than once."""
        if self._closed:
            return
        self._closed = True
        await self._scan.close()
        if self._backend is not None:
            await self._backend.close()


def open_radio(spec: str, *, virtual: VirtualRadio | None = None, bonds: Path | None = None) -> Radio:
    """The radio that ``spec`` names; nothing is opened before its first use.

    ``bluez``: the system's own; ``off``: every use is a LinkError; ``virtual``: a ``TwinWorld``'s in this
    process; ``usb:0``, ``serial:/dev/ttyX``, ``tcp-client:HOST:PORT``: a controller driven by bumble.
    ``bonds`` is the file that keeps the pairings with bumble's controllers (None: until the radio is
    closed); BlueZ keeps its own. Users' consents are kept beside it.

    Raises:
        ConfigError: none of these, or ``virtual`` without a virtual radio.
    """
    radio = Radio(spec, _backend(spec, virtual, bonds))
    if bonds is not None:
        radio.consents = Consents(bonds.with_name(CONSENTS))
    return radio


def _backend(spec: str, virtual: VirtualRadio | None, bonds: Path | None) -> Backend | None:
    if spec == "bluez":
        return PlatformBackend()
    if spec == "off":
        return None
    if spec == "virtual":
        if virtual is None:
            msg = "--radio virtual needs twins in the same process; for twins elsewhere: tcp-client:HOST:PORT"
            raise ConfigError(msg, radio=spec)
        air = virtual
        return BumbleBackend(spec, lambda: attach(air), bonds)
    kind, _, place = spec.partition(":")
    if kind not in _TRANSPORTS or not place:
        msg = f"unknown radio {spec!r}: it is one of {RADIO_SPECS}"
        raise ConfigError(msg, radio=spec)
    if kind == "tcp-client" and not re.fullmatch(r".+:\d{1,5}", place):
        msg = f"radio {spec!r}: tcp-client needs HOST:PORT"
        raise ConfigError(msg, radio=spec)
    return BumbleBackend(spec, lambda: open_transport(spec), bonds)
