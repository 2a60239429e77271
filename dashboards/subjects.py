"""What an alarm is about, as people call it: a patient, or a gateway, device or component."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dashboards.backend import Backend
from dashboards.models import Device, Gateway, Kind, Patient
from hearthward.trust.access import Scope

__all__ = ["name_of", "names_of"]

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


async def names_of(backend: Backend, scope: Scope, subjects: Iterable[str]) -> dict[str, str]:
    """The same of many, with one question."""
    meant: dict[str, tuple[Kind, str]] = {}
    for subject in subjects:
        kind, colon, key = subject.partition(":")
        if not colon:
            meant[subject] = "patient", subject
        elif kind in EQUIPMENT:
            meant[subject] = EQUIPMENT[kind], key
        else:
            meant[subject] = "ward", ""  # a component: it has no other name
    keys: dict[Kind, set[str]] = {}
    for kind_of, key in meant.values():
        if key:
            keys.setdefault(kind_of, set()).add(key)
    found = await backend.item_names(scope, keys) if keys else {}
    return {subject: _shown(subject, found.get(entry)) for subject, entry in meant.items()}


def _shown(subject: str, name: str | None) -> str:
    _, colon, key = subject.partition(":")
    if not colon:
        return name or subject
    label = (name or key).removesuffix(f" ({key})")
    return key if label == key else f"{key} ({label})"
