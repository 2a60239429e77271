"""Rows of the records and the store as the web's shapes: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cloud_ingest.attribution import Attribution
from cloud_ingest.entry import manual_patient
from cloud_ingest.feed import GatewayState
from cloud_ingest.records import models as rows
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.lookup import stays_now, worn_devices
from dashboards.backend import DirectoryError, RosterDevice, RosterEntry, VitalSample, by_hand
from dashboards.device_words import condition_of
from dashboards.live.score import as_number
from dashboards.models import (
    Association,
    Bed,
    Condition,
    Device,
    Encounter,
    Gateway,
    Item,
    Kind,
    Patient,
    Value,
    Ward,
)
from hearthward.core.clock import SECOND, naive_iso
from hearthward.core.codes import METRICS
from hearthward.core.device_states import DeviceWord
from hearthward.core.errors import ConfigError
from hearthward.core.model import ReadingBatch, Source, quality_names
from hearthward.core.text import natural
from hearthward.trust.access import Scope
from rules import Context

__all__ = [
    "device_of",
    "directory_error",
    "gateway_of",
    "item_of",
    "patients_of",
    "roster_of",
    "samples_of",
    "scored",
    "values_of",
]

SHAPES: Final[dict[Kind, type[Any]]] = {
    "ward": Ward,
    "bed": Bed,
    "patient": Patient,
    "encounter": Encounter,
    "association": Association,
}
CODES: Final = {
    "conflict": "taken",
    "not_found": "unknown",
    "ended": "ended",
    "elsewhere": "gateway",
    "here": "taken",
}


def item_of(kind: Kind, row: Any) -> Item:
    """A directory row, of any kind but a gateway or a device."""
    shape = SHAPES[kind]
    item: Item = shape(**{name: getattr(row, name) for name in shape.model_fields})
    return item


def gateway_of(
    row: rows.Gateway | None,
    state: GatewayState | None,
    applied: tuple[int, int] | None,
    issued: int | None,
) -> Gateway:
    """A gateway's row with what is known of it now; without a row, one that only reports itself.

    ``applied`` is the configuration version that it says it runs and since when, ``issued`` the newest one.
    """
    if row is not None and row.config_version_applied is not None:
        kept = row.config_version_applied, row.config_applied_at
        applied_now: tuple[int | None, int | None] = (
            kept if applied is None or applied[0] == kept[0] else applied
        )
    else:
        applied_now = applied or (None, None)
    seen = max((state.last_seen if state else 0), (row.last_seen or 0) if row else 0) or None
    key = row.id if row is not None else state.gateway if state is not None else ""
    return Gateway(
        id=key,
        label=row.label if row else "",
        ward=row.ward if row else None,
        timezone=row.timezone if row else None,
        online=None if state is None and seen is None else bool(state and state.online),
        last_seen=seen,
        software=state.version if state else "",
        config_version=applied_now[0],
        config_since=applied_now[1],
        config_issued=issued,
        backlog=state.backlog if state else None,
        states={device: str(word) for device, word in state.devices.items()} if state else {},
        conditions={device: _told(word, state) for device, word in state.devices.items()} if state else {},
        rejected={d: dict(reasons) for d, reasons in state.rejected.items()} if state else {},
        trouble=dict(state.trouble) if state else {},
        ended=row.ended if row else None,
    )


def _told(word: DeviceWord, state: GatewayState) -> Condition:
    return condition_of(word, online=state.online, last_seen=state.last_seen)


def device_of(row: rows.Device, state: GatewayState | None) -> Device:
    """A device's row with what its gateway tells of it now."""
    told = {"rejected", "state", "condition"}
    kept = {name: getattr(row, name) for name in Device.model_fields if name not in told}
    if state is None:
        return Device(**kept)
    word = state.devices.get(row.id)
    return Device(
        **kept,
        state="" if word is None else str(word),
        condition=None if word is None else _told(word, state),
        rejected=dict(state.rejected.get(row.id, {})),
    )


def directory_error(error: ConfigError, values: Mapping[str, Any]) -> ConfigError:
    """The records' refusal as the web's; one that names no input stays as it is."""
    name = error.details.get("field")
    if not isinstance(name, str):
        return error
    named = error.details.get("reason") in {"elsewhere", "here"}
    value = error.details.get("value") if named else values.get(name, "")
    code = CODES.get(str(error.details.get("reason")), "invalid")
    if code == "invalid" and name == "end":
        code = "period"
    elif code == "invalid" and not value:
        code = "required"
    elif code == "taken" and "end" in values:
        code = "ended" if "ended already" in error.message else "in_use"
    own = {"gateway", "device", "association", "encounter"}
    refusal = DirectoryError(
        field="id" if name in own and name not in values else name, code=code, value=value
    )
    refusal.message = error.message
    refusal.args = (error.message,)
    return refusal


def roster_of(directory: Directory, scope: Scope) -> list[RosterEntry]:
    """Everybody with an open stay, and what measures them now."""
    worn: dict[str, list[RosterDevice]] = {}
    for on in worn_devices(directory, scope):
        device = RosterDevice(on.id, on.gateway, on.profile, on.interval_s, on.start)
        worn.setdefault(on.patient, []).append(device)
    entries = [
        RosterEntry(
            patient=stay.patient,
            name=stay.name or stay.patient,
            ward=stay.ward,
            ward_name=stay.ward_name or "",
            bed_label=stay.label or "",
            home=stay.kind == "home",
            devices=(*worn.get(stay.patient, ()), by_hand(stay.patient, stay.start)),
        )
        for stay in stays_now(directory, scope)
    ]
    return sorted(entries, key=lambda e: (e.home, e.ward_name, natural(e.bed_label), e.name))


def scored(entries: Iterable[RosterEntry], known: Callable[[str], Context]) -> list[RosterEntry]:
    """With what the rules know of each patient: whether NEWS2 is meant for them, and by which scale."""
    found = ((entry, known(entry.patient)) for entry in entries)
    return [
        replace(entry, scored=context.adult is not False and not context.pregnant, scale=context.spo2_scale)
        for entry, context in found
    ]


def samples_of(batch: ReadingBatch) -> list[VitalSample]:
    """What the wall needs of stored readings; a code as the number that rules look at."""
    columns = (
        batch.device,
        batch.metric,
        map(as_number, batch.metric, batch.value, batch.code),
        batch.corrected,
        batch.received,
        batch.quality,
        batch.group,
    )
    return list(map(VitalSample, *columns))


def patients_of(batch: ReadingBatch, attribution: Attribution) -> list[str | None]:
    """Whose readings they are: by association, or by hand."""
    return [
        manual_patient(d) or attribution.patient(d, at)
        for d, at in zip(batch.device, batch.corrected, strict=True)
    ]


def values_of(
    batch: ReadingBatch, patients: Sequence[str | None], names: Mapping[str, str] | None = None
) -> list[Value]:
    """Stored readings with everything known about them; ``names`` are those of authors, by user id."""
    known = names or {}
    return [
        Value(
            patient=patient,
            device=r.device,
            metric=r.metric,
            value=r.value,
            code=r.code,
            unit=METRICS[r.metric].unit if r.metric in METRICS else None,
            time=r.corrected,
            received=r.received,
            device_time=None if r.device_time is None else naive_iso(r.device_time),
            time_error_s=None if r.error is None else r.error / SECOND,
            quality=quality_names(r.quality),
            source=Source(r.source).name.lower(),
            author=r.author,
            author_name=known.get(r.author or ""),
            group=f"{r.group:016x}" if r.group else "",
            profile=r.profile,
        )
        for r, patient in zip(batch, patients, strict=True)
    ]
