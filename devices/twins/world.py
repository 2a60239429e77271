"""A world of twins: one virtual radio and serial ports, in one process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, TypeVar

from devices.twins.base import Twin
from firmware_profiles import Catalog, load_catalog
from hearthward.core.clock import Clock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import digest63

if TYPE_CHECKING:
    from devices.twins.advertising import AdvertisingTwin
    from devices.twins.ble import BloodPressureTwin, HeartRateTwin, PulseOximeterTwin
    from devices.twins.profile_serial import ProfileSerialTwin
    from devices.twins.profile_twin import ProfileTwin
    from devices.twins.radio import VirtualRadio
    from devices.twins.serial import MasimoTwin

__all__ = ["TwinWorld"]

_STATIC_RANDOM: Final = 0xC0_00_00_00_00_00
_ADDRESS_MASK: Final = 0x3F_FF_FF_FF_FF_FF


class _Startable(Twin, Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...


_T = TypeVar("_T", bound=_Startable)


class TwinWorld:
    """Twins by id, for an ``async with``; add some, then ``await world.start()``.

    Bluetooth addresses follow from ``seed`` and the twin's id alone, so that a configuration stays right
    when the world is made again. ``catalog`` is that of ``add``; the shipped one when not given.
    """

    def __init__(self, seed: int = 0, catalog: Catalog | None = None) -> None:
        self._seed = seed
        self._catalog = catalog
        self._virtual: VirtualRadio | None = None
        self._twins: dict[str, _Startable] = {}
        self._started: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def virtual(self) -> VirtualRadio:
        """The radio, for ``open_radio("virtual", virtual=...)`` in this process."""
        if self._virtual is None:
            from devices.twins.radio import VirtualRadio

            self._virtual = VirtualRadio()
        return self._virtual

    @property
    def twins(self) -> dict[str, Twin]:
        """All twins by id."""
        return dict(self._twins)

    def address_of(self, id: str) -> str:  # noqa: A002
        """The random static Bluetooth address of the twin with that id."""
        number = digest63(str(self._seed).encode(), id.encode()) & _ADDRESS_MASK | _STATIC_RANDOM
        return number.to_bytes(6, "big").hex(":").upper()

    def add(
        self,
        profile_id: str,
        id: str,  # noqa: A002
        **options: Any,
    ) -> ProfileTwin | AdvertisingTwin | ProfileSerialTwin:
        """A twin of any profile, made of its document.

        ``options`` are those of ``ProfileTwin``, ``AdvertisingTwin`` or ``ProfileSerialTwin``, by the
        profile's transport. Raises ConfigError for an unknown profile, or an id that is taken.
        """
        if self._catalog is None:
            self._catalog = load_catalog()
        profile = self._catalog.get(profile_id)
        if profile.transport == "serial":
            from devices.twins.profile_serial import ProfileSerialTwin

            return self._add(ProfileSerialTwin(self._new(id), profile, **options))
        if profile.transport == "advertisement":
            from devices.twins.advertising import AdvertisingTwin

            heard = AdvertisingTwin(self._new(id), self.address_of(id), self.virtual, profile, **options)
            return self._add(heard)
        from devices.twins.profile_twin import ProfileTwin

        return self._add(ProfileTwin(self._new(id), self.address_of(id), self.virtual, profile, **options))

    def add_heart_rate(self, id: str) -> HeartRateTwin:  # noqa: A002
        """A chest strap."""
        from devices.twins.ble import HeartRateTwin, Identity

        identity = Identity(f"HR {id}", "Hearthward", "Virtual heart rate strap")
        return self._add(HeartRateTwin(self._new(id), self.address_of(id), self.virtual, identity))

    def add_pulse_oximeter(self, id: str) -> PulseOximeterTwin:  # noqa: A002
        """A continuous pulse oximeter."""
        from devices.twins.ble import Identity, PulseOximeterTwin

        identity = Identity(f"PLX {id}", "Hearthward", "Virtual pulse oximeter")
        return self._add(PulseOximeterTwin(self._new(id), self.address_of(id), self.virtual, identity))

    def add_blood_pressure(
        self,
        id: str,  # noqa: A002
        variant: Literal["sig", "beurer-bm85"] = "sig",
    ) -> BloodPressureTwin:
        """A blood pressure cuff."""
        from devices.twins.ble import BloodPressureTwin, Identity

        if variant not in {"sig", "beurer-bm85"}:
            msg = f"unknown variant {variant!r} of a blood pressure twin: take sig or beurer-bm85"
            raise ConfigError(msg, variant=variant)
        identity = (
            Identity("BM85", "Beurer GmbH", "BM85")
            if variant == "beurer-bm85"
            else Identity(f"BP {id}", "Hearthward", "Virtual blood pressure cuff")
        )
        return self._add(
            BloodPressureTwin(self._new(id), self.address_of(id), self.virtual, identity, variant)
        )

    def add_masimo(
        self,
        id: str,  # noqa: A002
        *,
        clock: Clock | None = None,
        link_path: Path | None = None,
        timezone: str | None = None,
    ) -> MasimoTwin:
        """A Masimo Rad-8 on a serial port (a pty); see ``MasimoTwin``."""
        from devices.twins.serial import MasimoTwin

        new = self._new(id)
        return self._add(MasimoTwin(new, clock=clock, link_path=link_path, timezone=timezone))

    async def start(self) -> None:
        """Power on every twin that is not yet on."""
        fresh = [twin for id_, twin in self._twins.items() if id_ not in self._started]
        self._started.update(twin.id for twin in fresh)
        async with asyncio.TaskGroup() as group:
            for twin in fresh:
                group.create_task(twin.start(), name=f"start twin {twin.id}")

    async def serve_hci(self, host: str, port: int) -> int:
        """Serve a controller on this radio to a host in another process; see ``VirtualRadio.serve_hci``."""
        return await self.virtual.serve_hci(host, port)

    async def close(self) -> None:
        """Power everything off; harmless more than once."""
        twins = list(self._twins.values())
        self._twins.clear()
        self._started.clear()
        try:
            for twin in twins:
                await twin.close()
        finally:
            if self._virtual is not None:
                await self._virtual.close()

    def _new(self, id: str) -> str:  # noqa: A002
        if id in self._twins:
            msg = f"two twins with the id {id!r}"
            raise ConfigError(msg, device=id)
        return id

    def _add(self, twin: _T) -> _T:
        self._twins[twin.id] = twin
        return twin
