"""``hearthward devices scan``: what the gateways of the running cloud see, or this machine when none runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from devices.discovery import Discovery
from devices.links.radio import open_radio
from devices.links.surroundings import Machine, Surroundings
from firmware_profiles import load_catalog
from hearthward.app.desk import taken
from hearthward.app.device_tables import console, print_table, sightings_table
from hearthward.app.rest import Rest
from hearthward.core.clock import SECOND, SystemClock, iso, parse_iso
from hearthward.core.device_states import Sighting
from hearthward.core.errors import ConfigError, LinkError
from hearthward.core.settings import Settings

__all__ = ["Scan", "owner_of", "scanned", "see_here", "show", "sighting_of"]

SIGHTINGS: Final = "/api/v1/sightings"
TOLD_S: Final = 12.0
"""A gateway tells what it saw no more often than every ten seconds."""
POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Scan:
    """What was seen, as (gateway, sighting) pairs ("" is this machine), and what could not be asked."""

    seen: tuple[tuple[str, Sighting], ...]
    trouble: tuple[str, ...] = ()


async def scanned(
    settings: Settings, *, seconds: int, gateway: str | None = None, radio: str | None = None
) -> Scan:
    """Ask the running cloud's gateways; when none runs, or with a ``radio``, listen here.

    Raises HearthwardError.
    """
    if radio is not None:
        return await _here(radio, seconds)
    with owner_of(settings) as rest:
        if rest is not None:
            return await _ask(rest, seconds, gateway)
    if gateway is not None:
        msg = "--gateway needs the running cloud: none runs on this data folder; leave it out to listen here"
        raise ConfigError(msg, field="gateway")
    return await _here(settings.edge.radio, seconds)


async def _here(radio: str, seconds: int) -> Scan:
    async with open_radio(radio) as opened:
        return await see_here(Machine(opened), seconds)


async def see_here(around: Surroundings, seconds: float) -> Scan:
    """What this machine hears in so many seconds, and its serial ports."""
    discovery = Discovery(load_catalog(), around, SystemClock())
    trouble: tuple[str, ...] = ()
    try:
        await discovery.scan(seconds)
    except LinkError as error:
        trouble = (f"nothing was heard by Bluetooth: {error}",)
    return Scan(tuple(("", one) for one in discovery.sightings()), trouble)


@contextmanager
def owner_of(settings: Settings) -> Iterator[Rest | None]:
    """The way to the running cloud, None when there is none; a folder that is not there is not made."""
    if not (settings.data / "cloud").is_dir():
        yield None
        return
    with taken(settings) as rest:
        yield rest


async def _ask(rest: Rest, seconds: int, gateway: str | None) -> Scan:
    """Have the gateways listen, and give what they tell once they have, or have had the time to."""
    online = await rest.ask("GET", "/api/v1/gateways", lambda a: {g["id"]: g["online"] for g in a["items"]})
    if gateway is not None and gateway not in online:
        msg = f"there is no gateway {gateway!r}: the cloud knows {', '.join(sorted(online)) or 'none'}"
        raise ConfigError(msg, field="gateway")
    wanted = [gateway] if gateway is not None else sorted(online)
    asked, trouble = [], []
    began = SystemClock().now_ns()
    for one in wanted:
        if not online[one]:
            trouble.append(f"gateway {one} is offline: what it saw before is shown")
            continue
        await rest.ask("POST", f"/api/v1/gateways/{quote(one, safe='')}/scan", dict, {"seconds": seconds})
        asked.append(one)
    rows, told = await _answered(rest, asked, began, seconds)
    trouble += [f"gateway {one}: {said}" for one, said in sorted(told.items()) if one in wanted and said]
    return Scan(tuple(row for row in rows if row[0] in wanted), tuple(trouble))


async def _answered(
    rest: Rest, asked: Sequence[str], began: int, seconds: int
) -> tuple[list[tuple[str, Sighting]], dict[str, str]]:
    """What is told once each of them has told after listening; at the latest when it should have."""
    loop, listened = asyncio.get_running_loop(), began + seconds * SECOND
    until = loop.time() + (seconds + TOLD_S if asked else 0)
    while True:
        answer = await rest.ask("GET", SIGHTINGS, dict)
        told = {g["gateway"]: g for g in answer["gateways"]}
        late = [one for one in asked if one not in told or parse_iso(told[one]["told"]) < listened]
        if not late or loop.time() >= until:
            trouble = {one: g["trouble"] for one, g in told.items()}
            return [(row["gateway"], sighting_of(row)) for row in answer["items"]], trouble
        still = (listened - SystemClock().now_ns()) / SECOND
        await asyncio.sleep(max(POLL_S, min(still, until - loop.time())))


def sighting_of(row: dict[str, Any]) -> Sighting:
    """A row of the API. Raises LookupError, ValueError or TypeError: it is none."""
    fields = {name: row[name] for name in Sighting.__dataclass_fields__}
    fields |= {"first": parse_iso(row["first"]), "last": parse_iso(row["last"])}
    fields |= {"services": tuple(row["services"]), "company_ids": tuple(row["company_ids"])}
    return Sighting(**fields)


def _data(gateway: str, one: Sighting) -> dict[str, Any]:
    fields = {name: getattr(one, name) for name in Sighting.__dataclass_fields__}
    fields |= {"first": iso(one.first), "last": iso(one.last), "services": list(one.services)}
    return {"gateway": gateway or None, **fields, "company_ids": list(one.company_ids)}


def show(found: Scan, *, as_json: bool) -> None:
    """Print it."""
    out = console()
    if as_json:
        data = {"items": [_data(g, one) for g, one in found.seen], "trouble": list(found.trouble)}
        out.print(json.dumps(data, indent=2, ensure_ascii=False), markup=False, soft_wrap=True)
        return
    if not found.seen:
        out.print(
            "Nothing was seen. Is the device switched on and near? Many are heard only while they measure."
        )
        return
    print_table(out, sightings_table(out, found.seen, SystemClock().now_ns()))
    fits = next((one for _, one in found.seen if one.profile and not one.device), None)
    if fits is not None:
        out.print(f"To take one in: hearthward devices adopt {fits.address} --patient ID", markup=False)
