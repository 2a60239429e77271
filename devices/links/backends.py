"""What a radio needs of bleak: the system's own backend, or bumble's over an adapter or the virtual radio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bleak import BleakScanner
    from bleak.backends.client import BaseBleakClient
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import BaseBleakScanner

    from devices.links.bumble_host import BumbleHost, Opened
    from devices.links.pairing import AskPasskey
    from devices.twins.radio import VirtualRadio

__all__ = ["Backend", "BumbleBackend", "PlatformBackend", "attach", "open_transport"]

_ANY_SERVICE: Final = ["1801", "1800", "180a"]


class Backend(Protocol):
    """What a radio needs of bleak: its classes, their arguments, and what to close at the end."""

    @property
    def scanner(self) -> type[BaseBleakScanner] | None:
        """The ``backend=`` of bleak's scanners; None is bleak's own."""
        ...

    @property
    def client(self) -> type[BaseBleakClient] | None:
        """The ``backend=`` of bleak's clients; None is bleak's own."""
        ...

    @property
    def arguments(self) -> dict[str, Any]:
        """The further arguments of both."""
        ...

    def alive(self, scanner: BleakScanner) -> bool:
        """Whether a scan still runs."""
        ...

    async def connected(self, address: str) -> BLEDevice | None:
        """The device, if there is a connection to it already."""
        ...

    async def reset_adapter(self) -> None:
        """Reset the adapter; connections may end. Raises LinkError, BleakError or OSError."""
        ...

    async def reset_stack(self) -> None:
        """Restart what drives the adapter. Raises as ``reset_adapter``."""
        ...

    def asking(self, ask: AskPasskey, address: str) -> AbstractAsyncContextManager[None]:
        """While it is open, ``ask`` is asked for the digits that the device shows. Raises LinkError."""
        ...

    async def pair_anew(self, address: str) -> dict[str, Any]:
        """Make ready to pair with a device that there is a bond with; further arguments of the client.

        Raises as ``reset_adapter``.
        """
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class PlatformBackend:
    """bleak's own default: BlueZ on Linux."""

    scanner = None
    client = None
    arguments: dict[str, Any] = {}  # noqa: RUF012 - a constant of the class

    def alive(self, scanner: BleakScanner) -> bool:
        """Nobody says when BlueZ is restarted: silence is judged instead."""
        del scanner
        return True

    async def connected(self, address: str) -> BLEDevice | None:
        """The device, if the system holds a connection to it.

        BlueZ keeps the connections of a process that was killed, and a connected device does not advertise.
        """
        from bleak import BleakAdapter

        try:
            devices = await (await BleakAdapter.get()).get_connected_devices(_ANY_SERVICE)
        except NotImplementedError:
            return None
        return next((one for one in devices if one.address.upper() == address.upper()), None)

    async def reset_adapter(self) -> None:
        """Take the adapter's power away and give it back. Raises LinkError."""
        from devices.links.bluez import Bluez

        await Bluez().reset_adapter()

    async def reset_stack(self) -> None:
        """Restart the system's Bluetooth service. Raises LinkError, saying what to allow."""
        from devices.links.bluez import Bluez

        await Bluez().reset_stack()

    def asking(self, ask: AskPasskey, address: str) -> AbstractAsyncContextManager[None]:
        """While it is open, the system asks ``ask`` for the device's digits. Raises LinkError."""
        from devices.links.bluez import Bluez

        return Bluez().answering(ask, address)

    async def pair_anew(self, address: str) -> dict[str, Any]:
        """Have BlueZ remove the device: it pairs with none that it has a bond with. Raises LinkError."""
        from devices.links.bluez import Bluez

        await Bluez().forget(address)
        return {}

    async def close(self) -> None:
        """Nothing to close."""


class BumbleBackend:
    """bleak over a bumble controller; bumble is imported at the first use."""

    def __init__(
        self, name: str, open_controller: Callable[[], Awaitable[Opened]], bonds: Path | None
    ) -> None:
        self._name = name
        self._open_controller = open_controller
        self._bonds = bonds
        self._host: BumbleHost | None = None

    @property
    def scanner(self) -> type[BaseBleakScanner]:
        """Ours."""
        from devices.links.bumble_scanner import BumbleScanner

        return BumbleScanner

    @property
    def client(self) -> type[BaseBleakClient]:
        """Ours."""
        from devices.links.bumble_client import BumbleClient

        return BumbleClient

    @property
    def arguments(self) -> dict[str, Any]:
        """The host, made at the first use."""
        return {"host": self._the_host()}

    def _the_host(self) -> BumbleHost:
        if self._host is None:
            from devices.links.bonds import FileBonds
            from devices.links.bumble_host import BumbleHost

            bonds = None if self._bonds is None else FileBonds(self._bonds)
            self._host = BumbleHost(self._name, self._open_controller, bonds)
        return self._host

    def alive(self, scanner: BleakScanner) -> bool:
        """Whether the controller that scans is still there."""
        from devices.links.bumble_scanner import BumbleScanner

        inner = scanner._backend  # noqa: SLF001 - bleak has no public way to its backend
        return isinstance(inner, BumbleScanner) and inner.alive

    async def connected(self, address: str) -> BLEDevice | None:
        """None: the controller was reset when it was powered on."""
        del address
        return None

    async def reset_adapter(self) -> None:
        """Reset the controller: every connection ends, and the next use powers it on again."""
        if self._host is not None:
            await self._host.reset()

    async def reset_stack(self) -> None:
        """Let go of the controller altogether; the next use opens it anew."""
        if self._host is not None:
            await self._host.close()

    def asking(self, ask: AskPasskey, address: str) -> AbstractAsyncContextManager[None]:
        """Nothing to do: its clients are asked themselves (``pair(ask=)``)."""
        del ask, address
        return nullcontext()

    async def pair_anew(self, address: str) -> dict[str, Any]:
        """Leave the bond alone until there is a new one: a pairing that fails costs nothing."""
        del address
        return {"use_bond": False}

    async def close(self) -> None:
        """Let go of the controller."""
        if self._host is not None:
            await self._host.close()


async def attach(air: VirtualRadio) -> Opened:
    """A new controller on the virtual radio."""
    from devices.links.bumble_host import Opened
    from devices.links.bumble_lean import LeanHost

    controller = air.host_controller()

    async def close() -> None:
        air.remove(controller)

    return Opened(LeanHost(controller_source=controller, controller_sink=controller), close)


async def open_transport(spec: str) -> Opened:
    """A controller behind a bumble transport. Raises LinkError or OSError."""
    from bumble.core import BaseBumbleError
    from bumble.transport import open_transport as opened

    from devices.links.bumble_host import Opened
    from devices.links.bumble_lean import LeanHost

    try:
        transport = await opened(spec)
    except ImportError as error:
        msg = f"{spec}: the driver is missing ({error}); for USB adapters install the system's libusb-1.0"
        raise LinkError(msg, radio=spec) from error
    except (BaseBumbleError, ValueError) as error:
        msg = f"{spec}: no such adapter ({error})"
        raise LinkError(msg, radio=spec) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "usb1":  # loaded for USB only, with errors of its own
            raise
        msg = f"{spec}: no usable USB adapter ({error}); plugged in, and may this user open it (udev)?"
        raise LinkError(msg, radio=spec) from error
    return Opened(
        LeanHost(controller_source=transport.source, controller_sink=transport.sink), transport.close
    )
