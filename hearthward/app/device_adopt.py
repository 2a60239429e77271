"""``hearthward devices adopt``: a device into the directory and onto a patient, through the running cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from firmware_profiles import load_catalog
from hearthward.app.device_scan import owner_of, sighting_of
from hearthward.app.rest import Rest
from hearthward.app.ward import VIRTUAL
from hearthward.core.device_states import Sighting
from hearthward.core.device_words import why_unmatched
from hearthward.core.errors import ConfigError, HearthwardError
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
    """Enter the device and put it on the patient; the new entries, as the API tells them.

    All is looked up before anything is made; should the patient's side fail then, the device is ended again.
    Raises HearthwardError.
    """
    with owner_of(settings) as found:
        rest = must_run(found, settings, "adopting a device")
        patient = await _patient(rest, wish)
        seen = await _seen(rest, wish)
        gateway = await _gateway(rest, wish, seen)
        fields = {
            "id": wish.id,
            "gateway": gateway,
            "transport": wish.transport,
            "address": wish.key,
            "profile": _profile(wish, [one for g, one in seen if g == gateway]),
            "timezone": wish.timezone,
            "label": wish.name,
        }
        device = await rest.ask("POST", f"{API}/devices", dict, {k: v for k, v in fields.items() if v})
        made: dict[str, Any] = {"device": device, "association": None}
        if patient is not None:
            given = {"device": device["id"], "patient": patient}
            try:
                made["association"] = await rest.ask("POST", f"{API}/associations", dict, given)
            except HearthwardError as error:
                await rest.ask("POST", f"{API}/devices/{quote(device['id'], safe='')}/end", dict, {})
                msg = f"the device was not adopted: it cannot be put on patient {patient}: {error}"
                raise ConfigError(msg, field="patient") from error
        return made


async def _patient(rest: Rest, wish: Adoption) -> str | None:
    """Whom it is to measure: named, or who lies in the bed. Raises ConfigError: there is none."""
    if wish.patient is not None:
        known = await rest.ask("GET", f"{API}/patients/{quote(wish.patient, safe='')}", dict)
        if known["ended"] is not None:
            msg = f"patient {wish.patient} has left"
            raise ConfigError(msg, field="patient")
        return str(known["id"])
    if wish.bed is None:
        return None
    stays = await rest.ask("GET", f"{API}/encounters", lambda a: list(a["items"]))
    lying = [stay["patient"] for stay in stays if stay["bed"] == wish.bed and stay["end"] is None]
    if not lying:
        await rest.ask(
            "GET", f"{API}/beds/{quote(wish.bed, safe='')}", dict
        )  # says so when there is no such bed
        msg = f"nobody lies in bed {wish.bed}: name a --patient, or leave both out and assign it later"
        raise ConfigError(msg, field="bed")
    return str(lying[0])


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
