"""What gateways see around them, as the web shows it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Association, Device, Instant
from hearthward.core.device_states import Sighting
from hearthward.core.sightings import Sightings

__all__ = ["Adopted", "Around", "GatewayEars", "SeenDevice"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SeenDevice(_View):
    """A device that a gateway heard or found plugged in, configured or not."""

    gateway: str
    transport: Literal["ble", "serial"]
    address: str = Field(description="a Bluetooth address, or a port's path")
    name: str = ""
    rssi: int | None = Field(None, description="strength of its last advertisement, dBm")
    services: list[str] = Field(default_factory=list, description="UUIDs, in four digits where they may be")
    company_ids: list[int] = Field(default_factory=list, description="Bluetooth numbers of makers")
    usb: str = Field("", description="vendor:product of a port's adapter")
    profile: str = Field("", description="what fits; empty: why says what is missing")
    why: str = Field("", description="none, silent, port, or several: and the profiles' ids")
    device: str = Field("", description="its id when it is configured at this gateway")
    elsewhere: str = Field(
        "", description="the gateway that it is configured at instead; ... is one that is none of yours"
    )
    first: Instant
    last: Instant

    @classmethod
    def of(cls, gateway: str, one: Sighting) -> SeenDevice:
        """As the gateway told."""
        fields = {name: getattr(one, name) for name in one.__dataclass_fields__}
        return cls(gateway=gateway, **fields)


class GatewayEars(_View):
    """When a gateway told last, and whether its radio can listen."""

    gateway: str
    told: Instant
    hearing: bool
    trouble: str = ""
    more: int = Field(0, description="how many it has seen besides, which found no room in what it told")


class Around(_View):
    """All that the gateways in scope told last."""

    items: list[SeenDevice]
    gateways: list[GatewayEars]
    listening: dict[str, Instant] = Field(
        default_factory=dict, description="gateway -> until when it listens, as it was asked to"
    )

    @classmethod
    def of(cls, told: Mapping[str, tuple[int, Sightings]], listening: Mapping[str, int]) -> Around:
        """Gateway -> (when its word came, its word); gateway -> until when it listens."""
        return cls(
            listening=dict(listening),
            items=[SeenDevice.of(g, one) for g, (_, seen) in sorted(told.items()) for one in seen.sightings],
            gateways=[
                GatewayEars(gateway=g, told=at, hearing=seen.hearing, trouble=seen.trouble, more=seen.more)
                for g, (at, seen) in sorted(told.items())
            ],
        )

    def configured(self, devices: Iterable[Device], visible: Container[str]) -> Around:
        """The same with what the directory says of each: it knows sooner than the gateways.

        ``devices`` are all of the tenant in use that might be meant, ``visible`` the gateways that may be
        named.
        """
        of, at = {}, {}
        for one in devices:
            of[one.id] = one.gateway
            at[one.gateway, one.transport, one.address.upper()] = one.id
        where = {address: gateway for gateway, kind, address in at if kind == "ble"}

        def told(one: SeenDevice) -> SeenDevice:
            place = one.gateway, one.transport, one.address.upper()
            said = one.device if of.get(one.device) == one.gateway else ""  # a port has several paths
            device, other = at.get(place, said), where.get(place[2], "") if one.transport == "ble" else ""
            elsewhere = "" if device or not other else other if other in visible else "..."
            return one.model_copy(update={"device": device, "elsewhere": elsewhere})

        return self.model_copy(update={"items": [told(one) for one in self.items]})


class Adopted(_View):
    """A device that was taken in, and whom it measures from now on; ``created``: it was not there before."""

    device: Device
    association: Association | None = None
    created: bool = True
