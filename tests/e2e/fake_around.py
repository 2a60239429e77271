"""What the fake ward's gateways have around them: what could be adopted, what is configured, passers-by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboards.models import Condition, Gateway
from hearthward.core.device_states import Sighting
from hearthward.core.sightings import Sightings

if TYPE_CHECKING:
    from tests.e2e.fake_ward import Ward

__all__ = ["CUFF", "WAITING", "furnish", "take_over"]

S = 1_000_000_000
CUFF = "D0:5F:B8:00:00:07"
WAITING = "strap-new"
ELSEWHERE = "D0:5F:B8:00:00:0B"
LOUD = "<b>WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"
LONG = tuple(f"6e4000{n:02x}-b5a3-f393-e0a9-e50e24dcca9e" for n in range(6))


def sightings(now: int) -> tuple[Sighting, ...]:
    """Of the corridor's gateway."""
    near, long = now - 2 * S, now - 900 * S
    cuff, strap, both = "sig-blood-pressure", "sig-heart-rate", "several:sig-heart-rate, sig-blood-pressure"

    def ble(address: str, name: str, rssi: int, *services: str, **more: Any) -> Sighting:
        return Sighting("ble", address, long, more.pop("last", near), name, rssi, services, **more)

    return (
        ble(CUFF, "BLESmart_0007", -58, "1810", "180f", company_ids=(526,), profile=cuff),
        ble("D0:5F:B8:00:00:08", "HRM-12", -81, "180d", last=now - 300 * S, profile=strap),
        Sighting("serial", "/dev/ttyUSB7", long, near, usb="0403:6001", why="port"),
        ble("C0:00:00:00:00:0E", "HRM", -71, "180d", device="heart-1", profile=strap),
        ble("5A:11:22:33:44:55", "", -90, company_ids=(76,), why="none"),
        ble("6B:11:22:33:44:56", "Buds", -77, "184e", "fe2c", "180f", company_ids=(117, 2042), why="none"),
        ble("D0:5F:B8:00:00:09", "Combo", -64, "180d", "1810", why=both),
        ble("7C:00:00:00:00:01", LOUD, -66, *LONG, company_ids=tuple(range(500, 508)), why="none"),
        ble(ELSEWHERE, "HRM-13", -52, "180d", profile=strap),
    )


async def furnish(ward: Ward) -> None:
    """Sightings of three gateways, of which one is away and one has no radio; and a strap that waits.

    Among them a loud stranger, and a strap of another gateway.
    """
    backend, now = ward.backend, ward.clock.now_ns()
    backend.put_sightings("main", Sightings("gw-1", "s", now, sightings(now), more=436))
    device = {"id": WAITING, "gateway": "gw-1", "transport": "ble", "address": "D0:5F:B8:00:00:0A"}
    await backend.create(ward.scope, "device", {**device, "profile": "sig-heart-rate"})
    for key, label in (("gw-2", "Day room"), ("gw-3", "Stairs")):
        await backend.create(ward.scope, "gateway", {"id": key, "label": label})
    there = {**device, "id": "strap-away", "gateway": "gw-2", "address": ELSEWHERE}
    await backend.create(ward.scope, "device", there)
    away = Gateway(id="gw-2", label="Day room", online=False, last_seen=now - 7200 * S)
    backend.put_gateway("main", away)
    backend.put_sightings("main", Sightings("gw-3", "s", now, (), hearing=False, trouble="no adapter hci0"))
    backend.put_gateway("main", Gateway(id="gw-3", label="Stairs", online=True, last_seen=now))
    tell(ward, WAITING, "connecting", "out_of_range")


def tell(ward: Ward, device: str, state: str, cause: str = "none") -> None:
    """The corridor's gateway tells how a device is."""
    known = ward.backend._of("main").items["gateway"]["gw-1"]
    told = Condition(state=state, cause=cause, since=ward.clock.now_ns() - 60 * S, next_s=8)
    conditions = {**known.conditions, device: told}
    ward.backend.put_gateway("main", known.model_copy(update={"conditions": conditions}))


def take_over(ward: Ward) -> None:
    """The gateway has got its configuration: what was adopted is connected and sends."""
    items = ward.backend._of("main").items["device"]
    for device in (d for d in items.values() if d.address == CUFF):
        tell(ward, device.id, "streaming")
        rows = [("nibp_systolic", 128), ("nibp_diastolic", 76)]
        ward.backend.put_readings("main", [ward._reading(device.id, m, v, group=99) for m, v in rows])
