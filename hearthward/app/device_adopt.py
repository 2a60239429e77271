"""``hearthward devices adopt``: a device into the directory and onto a patient, through the running cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from firmware_profiles import load_catalog
from hearthward.app.device_scan import owner_of, sighting_of
from hearthward.app.rest import Rest
from hearthward.app.ward import VIRTUAL
from hearthward.core.device_states import Sighting
from hearthward.core.device_words import why_unmatched
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings

__all__ = ["Adoption", "adopt", "must_run"]

API: Final = "/api/v1"
BLUETOOTH: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Adoption:
    """What was asked for on the command line; None: to be found out."""

    address: str
    id: str | None = None
    name: str = ""
    gateway: str | None = None
    profile: str | None = None
    timezone: str | None = None
    patient: str | None = None
    bed: str | None = None
    user: int | None = None
    code: int | None = None

    @property
    def transport(self) -> str:
        """A Bluetooth address is none of a port."""
        return "ble" if BLUETOOTH.fullmatch(self.address) else "serial"

    @property
    def key(self) -> str:
        """The address as it is compared."""
        return self.address.upper() if self.transport == "ble" else self.address


def must_run(rest: Rest | None, settings: Settings, what: str) -> Rest:
    """The running cloud. Raises ConfigError saying what to do when there is none."""
    if rest is None:
        virtual = settings.data / VIRTUAL
        folder = f"--data {virtual} (the virtual ward's)" if virtual.exists() else "its folder with --data"
        msg = (
            f"{what} goes through the running cloud, and none runs on {settings.data}: start it with "
            f"`hearthward run` (or `hearthward cloud`), or name {folder}"
        )
        raise ConfigError(msg)
    return rest


async def adopt(settings: Settings, wish: Adoption) -> Mapping[str, Any]:
    """Enter the device and put it on the patient, both or nothing; the new entries, as the API tells them.

    ``heard`` is added: whether a gateway has seen it lately. Raises HearthwardError.
    """
    with owner_of(settings) as found:
        rest = must_run(found, settings, "adopting a device")
        seen = await _seen(rest, wish)
        if not seen:
            _check_address(wish)
        gateway = await _gateway(rest, wish, seen)
        fields = {
            "id": wish.id,
            "gateway": gateway,
            "transport": wish.transport,
            "address": wish.key,
            "profile": _profile(wish, [one for g, one in seen if g == gateway]),
            "timezone": wish.timezone,
            "label": wish.name,
            "patient": wish.patient,
            "bed": wish.bed,
            "user": wish.user,
            "code": wish.code,
        }
        made = await rest.ask(
            "POST", f"{API}/devices/adopt", dict, {k: v for k, v in fields.items() if v not in {None, ""}}
        )
        return {**made, "heard": bool(seen)}


def _check_address(wish: Adoption) -> None:
    """Raises ConfigError for what is no place of a device."""
    if wish.transport == "serial" and not wish.address.startswith("/"):
        msg = (
            f"{wish.address!r} is neither a Bluetooth address such as C0:12:34:56:78:9A nor a port's path "
            "such as /dev/ttyUSB0; `hearthward devices scan` shows them"
        )
        raise ConfigError(msg, field="address")


async def _seen(rest: Rest, wish: Adoption) -> list[tuple[str, Sighting]]:
    """Which gateways have seen it lately, the strongest first."""
    answer = await rest.ask("GET", f"{API}/sightings", dict)
    rows = [(row["gateway"], sighting_of(row)) for row in answer["items"]]
    there = [(g, one) for g, one in rows if (one.transport, one.address) == (wish.transport, wish.key)]
    return sorted(there, key=lambda row: -(row[1].rssi or -999))


async def _gateway(rest: Rest, wish: Adoption, seen: Sequence[tuple[str, Sighting]]) -> str:
    """The gateway to read it: named, who hears it best, or the only one. Raises ConfigError."""
    if wish.gateway is not None:
        return wish.gateway
    if seen:
        return seen[0][0]
    known = await rest.ask("GET", f"{API}/gateways", lambda a: [g["id"] for g in a["items"]])
    if len(known) == 1:
        return str(known[0])
    names = ", ".join(known) or "none yet"
    msg = f"no gateway has seen {wish.address} lately: name one with --gateway ({names})"
    raise ConfigError(msg, field="gateway")


def _profile(wish: Adoption, seen: Sequence[Sighting]) -> str | None:
    """The profile to enter; None: matched when it is connected. Raises ConfigError: it has to be named."""
    if wish.profile is not None:
        load_catalog().get(wish.profile)  # with the nearest name when there is none
        return wish.profile
    if seen and seen[0].profile:
        return seen[0].profile
    if wish.transport == "ble" and not (seen and seen[0].why.startswith("several")):
        return None
    fitting = seen[0].why.partition(":")[2] if seen else ""
    names = fitting or ", ".join(sorted(p.id for p in load_catalog() if p.transport == wish.transport))
    why = why_unmatched("several:" + fitting if fitting else "port", "en")
    msg = f"{why}, with --profile" + ("" if fitting else f" ({names})")
    raise ConfigError(msg, field="profile")
