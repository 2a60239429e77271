"""Where one patient is now, without asking for everybody."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.access import Context
from dashboards.directory_port import AskedItems
from dashboards.models import Bed, Encounter, Ward

__all__ = ["StayPlace", "place_of"]


@dataclass(frozen=True, slots=True)
class StayPlace:
    """A present stay: the names of its ward and bed, as far as it has them."""

    stay: Encounter
    ward: str
    bed: str


async def place_of(context: Context, patient: str) -> StayPlace | None:
    """The place of a patient; None without a stay, or out of the caller's scope."""
    backend, scope = context.backend, context.scope
    found = await backend.item_page(scope, AskedItems("encounter", patient=patient, limit=1))
    stay = next((s for s in found.items if isinstance(s, Encounter)), None)
    if stay is None:
        return None
    ward = await backend.item(scope, "ward", stay.ward) if stay.ward else None
    bed = await backend.item(scope, "bed", stay.bed) if stay.bed else None
    return StayPlace(
        stay, ward.name if isinstance(ward, Ward) else "", bed.label if isinstance(bed, Bed) else ""
    )
