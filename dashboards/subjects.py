"""What an alarm is about, as people call it: a patient, or a gateway, device or component."""

from __future__ import annotations

from typing import Final

from dashboards.backend import Backend
from dashboards.models import Device, Gateway, Kind, Patient
from hearthward.trust.access import Scope

__all__ = ["name_of"]

EQUIPMENT: Final[dict[str, Kind]] = {"gateway": "gateway", "device": "device"}


async def name_of(backend: Backend, scope: Scope, subject: str) -> str:
    """A patient's name; a gateway or device as ``id (label)``; anything else by its own id."""
    kind, colon, key = subject.partition(":")
    if not colon:
        patient = await backend.item(scope, "patient", subject)
        return patient.name if isinstance(patient, Patient) else subject
    found = await backend.item(scope, EQUIPMENT[kind], key) if kind in EQUIPMENT else None
    if isinstance(found, Gateway | Device) and found.label and found.label != key:
        return f"{key} ({found.label})"
    return key
