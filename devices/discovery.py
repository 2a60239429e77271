"""What is around a gateway: heard by its radio or plugged in, and which profile each may be for.

Passive: it hears along while devices are looked for, and lists the serial ports. A scan of its own runs only
when it is asked for; with it the ports that nobody knows are listened to, and nothing is sent to them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devices.session import DeviceConfig
from firmware_profiles import Catalog, DeviceFacts, short_uuid
from hearthward.core.clock import SECOND, Clock
from hearthward.core.device_states import MOST_NAME, Sighting
from hearthward.core.errors import LinkError, UnsupportedDevice
from hearthward.core.text import tidy

if TYPE_CHECKING:
    from devices.links.ports import SerialPort
    from devices.links.radio import Sighting as Heard
    from devices.links.surroundings import Surroundings

__all__ = ["MOST_KNOWN", "Discovery", "Finds"]

log = logging.getLogger(__name__)

MOST_KNOWN: Final = 512
STRANGER_S: Final = 600
"""One that fits no profile is forgotten when it was not heard for so long: most are passers-by."""
FITTING_S: Final = 6 * 3600
"""One that fits a profile: a cuff is heard for a minute after each measurement."""
REFRESH_S: Final = 60
"""That one is still there is news so often."""
PORTS_S: Final = 5.0
MOST_SERVICES: Final = 32
REMEMBERED: Final = 1024
"""Matches of what was said: most passers-by say the same."""
_NEWS, _STRANGE, _NOTHING = 2, 1, 0


class Finds:
    """All that was seen lately, bounded: the core of discovery, without I/O.

    ``heard`` and ``plugged`` return whether that is news: 2 of one that is configured or fits a profile, 1 of
    a stranger, 0 none.
    """

    def __init__(self, catalog: Catalog, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._found: dict[tuple[str, str], Sighting] = {}
        self._told: dict[tuple[str, str], int] = {}
        self._raw: dict[tuple[str, str], object] = {}
        self._match = lru_cache(REMEMBERED)(partial(_match, catalog))
        self._configured: dict[tuple[str, str], str] = {}

    def configure(self, configs: Iterable[DeviceConfig]) -> bool:
        """These devices are configured; returns whether that changes what is told."""
        self._configured = {_key(c.transport, c.address): c.id for c in configs}
        marked = {key: replace(s, device=self._configured.get(key, "")) for key, s in self._found.items()}
        changed = marked != self._found
        self._found = marked
        return changed

    def heard(self, one: Heard, now: int) -> int:
        """An advertisement came at ``now`` (UTC ns)."""
        key = _key("ble", one.address)
        before, raw = self._found.pop(key, None), one._replace(rssi=0)
        if before is not None and self._raw.get(key) == raw:
            found = replace(before, last=max(now, before.last), rssi=one.rssi)
            return self._keep(key, found, same=True)
        self._raw[key] = raw
        known = before or Sighting("ble", key[1], now, now, device=self._configured.get(key, ""))
        services = known.services
        if fresh := sorted({short_uuid(s) for s in one.services}.difference(services)):
            services = tuple(sorted((*services, *fresh))[:MOST_SERVICES])
        companies = known.company_ids
        if not set(one.companies) <= set(companies):
            companies = tuple(sorted({*companies, *one.companies})[:MOST_SERVICES])
        name = tidy(one.name or "", MOST_NAME) or known.name
        said = name, services, companies
        found = replace(known, last=max(now, known.last), rssi=one.rssi)
        if said != (known.name, known.services, known.company_ids) or before is None:
            found = replace(found, name=name, services=services, company_ids=companies)
            found = self._matched(found)
        return self._keep(key, found, same=replace(found, last=known.last, rssi=known.rssi) == known)

    def _keep(self, key: tuple[str, str], found: Sighting, *, same: bool) -> int:
        self._found[key] = found  # as the newest
        while len(self._found) > self._most:
            self._drop(next(iter(self._found)))
        if same and key in self._told and found.last - self._told[key] < REFRESH_S * SECOND:
            return _NOTHING
        self._told[key] = found.last
        return _NEWS if found.device or found.profile else _STRANGE

    def _drop(self, key: tuple[str, str]) -> None:
        del self._found[key]
        self._told.pop(key, None)
        self._raw.pop(key, None)

    def plugged(self, ports: Sequence[SerialPort], now: int) -> int:
        """These are all the serial ports there are at ``now`` (UTC ns)."""
        there = {_key("serial", port.path) for port in ports}
        gone = [key for key in self._found if key[0] == "serial" and key not in there]
        for key in gone:
            self._drop(key)
        news = _NEWS if gone else _NOTHING
        for port in ports:
            key = _key("serial", port.path)
            known = self._found.pop(key, None)
            if known is None or (known.usb, known.name) != (port.usb or "", _named(port)):
                known = Sighting("serial", port.path, now, now, device=self._configured.get(key, ""))
                known = self._matched(replace(known, usb=port.usb or "", name=_named(port)), port)
                news = _NEWS
            self._found[key] = replace(known, last=now)
            self._told[key] = now
        return news

    def strangers(self) -> list[str]:
        """The ports that are not configured and of whose instruments nothing is known."""
        return [
            s.address for s in self._found.values() if s.transport == "serial" and not (s.device or s.profile)
        ]

    def sends(self, path: str, sources: frozenset[str], now: int) -> int:
        """Frames of these sources came on the port; returns as ``plugged``."""
        key = _key("serial", path)
        one = self._found.get(key)
        if one is None or not sources:
            return _NOTHING
        found = self._matched(one, sources=sources)
        self._found[key] = replace(found, last=now)
        return _NOTHING if found == one else _NEWS

    def _matched(
        self, one: Sighting, port: SerialPort | None = None, sources: frozenset[str] = frozenset()
    ) -> Sighting:
        """The same with its profile, or why there is none (see ``core.device_words.SEEN``)."""
        why = "silent" if one.transport == "ble" else "port"
        for facts in _facts(one, port, sources):
            profile, several = self._match(facts)
            if profile or several:
                return replace(one, profile=profile, why=f"several:{several}" if several else "")
            why = "none" if one.transport == "ble" else why
        return replace(one, profile="", why=why)

    def forget(self, now: int) -> bool:
        """Drop what was not heard for long; returns whether anything was dropped."""
        gone = [
            key
            for key, s in self._found.items()
            if key[0] == "ble"
            and now - s.last > (FITTING_S if s.profile or s.device else STRANGER_S) * SECOND
        ]
        for key in gone:
            self._drop(key)
        return bool(gone)

    def all(self) -> tuple[Sighting, ...]:
        """What is known, the newest last."""
        return tuple(self._found.values())


def _match(catalog: Catalog, facts: DeviceFacts) -> tuple[str, str]:
    """The profile that fits, or else those among which it cannot be chosen."""
    try:
        return catalog.match(facts).id, ""
    except UnsupportedDevice as error:
        return "", str(error.details.get("profiles") or "")


def _key(transport: str, address: str) -> tuple[str, str]:
    """A Bluetooth address in capitals; a port by the device file that its path leads to."""
    return transport, address.upper() if transport == "ble" else str(Path(address).resolve())


def _named(port: SerialPort) -> str:
    named = " ".join(text for text in (port.manufacturer, port.product) if text)
    said = "" if port.description in {port.path, "n/a"} else port.description
    return tidy(named or said, MOST_NAME)


def _facts(one: Sighting, port: SerialPort | None, sources: frozenset[str]) -> Iterable[DeviceFacts]:
    """What a profile may match, once for each company that it sends data of; nothing when it says nothing."""
    if one.transport == "serial":
        if one.usb and port is not None:
            yield DeviceFacts("serial", usb=one.usb, manufacturer=port.manufacturer, model=port.product)
        if sources:
            yield DeviceFacts("serial", hears=sources)
        return
    if not (one.name or one.services or one.company_ids):
        return
    services = frozenset(one.services)
    for company in one.company_ids or (None,):
        yield DeviceFacts("ble", name=one.name or None, company_id=company, services=services)


class Discovery:
    """Collects what is around while ``run`` runs. ``on_change(urgent)`` is called when there is news.

    ``urgent``: of one that is configured or fits a profile, or a scan has ended; the rest are strangers.
    ``trouble`` says why the last scan that was asked for could not be made.
    """

    def __init__(
        self,
        catalog: Catalog,
        surroundings: Surroundings,
        clock: Clock,
        on_change: Callable[[bool], None] = lambda _urgent: None,
        *,
        ports_s: float = PORTS_S,
    ) -> None:
        self.on_change = on_change
        self.trouble = ""
        self._finds = Finds(catalog)
        self._known = tuple(catalog)
        self._around = surroundings
        self._clock = clock
        self._ports_s = ports_s
        self._asked_s = 0
        self._asked = asyncio.Event()
        self._scans = 0
        self._portless = False

    @property
    def scans(self) -> int:
        """How many scans that were asked for have ended."""
        return self._scans

    def sightings(self) -> tuple[Sighting, ...]:
        """All that was seen lately, the newest last."""
        return self._finds.all()

    def configure(self, configs: Iterable[DeviceConfig]) -> None:
        """These devices are configured."""
        if self._finds.configure(configs):
            self.on_change(True)

    def ask(self, seconds: int) -> None:
        """Have the radio listen for so long now; one that runs is made to last longer."""
        self._asked_s = max(self._asked_s, seconds)
        self._asked.set()

    async def run(self) -> None:
        """Look around until cancelled."""
        stop = self._around.overhear(self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._list_ports(), name="discovery-ports")
                group.create_task(self._scan_as_asked(), name="discovery-scan")
        finally:
            stop()

    async def scan(self, seconds: float) -> None:
        """Listen for so long, and look at the ports, now. Raises LinkError: the radio cannot be used."""
        stop = self._around.overhear(self._heard)
        try:
            await self._look_at_ports()
            await self._look_around(seconds)
        finally:
            stop()

    async def _look_around(self, seconds: float) -> None:
        """The radio and the unknown ports, at the same time. Raises LinkError: the radio cannot be used."""
        done = await asyncio.gather(
            self._around.scan(seconds),
            *(self._listen_to(path) for path in self._finds.strangers()),
            return_exceptions=True,
        )
        for error in done:
            if error is not None:
                raise error

    async def _listen_to(self, path: str) -> None:
        try:
            sources = await self._around.hears(path, self._known)
        except LinkError as error:
            log.debug("a port is not listened to: %s", error)
            return
        if self._finds.sends(path, sources, self._clock.now_ns()):
            self.on_change(True)

    def _heard(self, one: Heard) -> None:
        news = self._finds.heard(one, self._clock.now_ns())
        if news:
            self.on_change(news == _NEWS)

    async def _list_ports(self) -> None:
        while True:
            await self._look_at_ports()
            if self._finds.forget(self._clock.now_ns()):
                self.on_change(False)
            await asyncio.sleep(self._ports_s)

    async def _look_at_ports(self) -> None:
        try:
            news = self._finds.plugged(await self._around.ports(), self._clock.now_ns())
        except Exception as error:  # noqa: BLE001 - whatever the device tree holds, devices go on
            if not self._portless:
                log.warning("the serial ports cannot be listed: %s", error)
            self._portless = True
            return
        self._portless = False
        if news:
            self.on_change(True)

    async def _scan_as_asked(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            seconds, self._asked_s = self._asked_s, 0
            try:
                await self._look_around(seconds)
                self.trouble = ""
            except LinkError as error:
                self.trouble = str(error)
            except Exception as error:
                log.exception("a scan failed in a way nobody foresaw")
                self.trouble = f"internal error: {type(error).__name__}"
            self._scans += 1
            self.on_change(True)
