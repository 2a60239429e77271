"""What the fake keeps, as the web's shapes: pure."""

from __future__ import annotations

import hashlib
from typing import Any

from cloud_ingest.records.equipment import own_address
from dashboards.backend import VitalSample
from dashboards.live.score import as_number
from dashboards.models import Alarm, AlarmDetail, Association, Encounter, Value
from hearthward.core.clock import SECOND, naive_iso
from hearthward.core.codes import METRICS
from hearthward.core.model import Reading, Source, quality_names

__all__ = ["end_of", "kept", "plain", "sample_of", "value_of"]


def end_of(row: Any) -> int | None:
    """When an entry ended; None: it has not."""
    end: int | None = row.end if isinstance(row, Encounter | Association) else row.ended
    return end


def kept(values: dict[str, Any]) -> dict[str, Any]:
    """An entry's fields as they are kept: a device's address as the records write it."""
    if "transport" in values:
        values["address"] = own_address(values["transport"], values["address"])
    return values


def plain(alarm: AlarmDetail) -> Alarm:
    """An alarm without its history."""
    return Alarm(**{name: getattr(alarm, name) for name in Alarm.model_fields})


def sample_of(r: Reading) -> VitalSample:
    """What the wall needs of a reading."""
    value = as_number(r.metric, r.value, r.code)
    return VitalSample(r.device, r.metric, value, r.corrected, r.received, r.quality, r.group)


def value_of(r: Reading, patient: str | None, author_name: str | None) -> Value:
    """A reading with everything known about it."""
    return Value(
        patient=patient,
        device=r.device,
        metric=r.metric,
        value=r.value,
        code=r.code,
        unit=METRICS[r.metric].unit,
        time=r.corrected,
        received=r.received,
        device_time=None if r.device_time is None else naive_iso(r.device_time),
        time_error_s=None if r.error is None else r.error / SECOND,
        quality=quality_names(r.quality),
        source=Source(r.source).name.lower(),
        author=r.author,
        author_name=author_name,
        group=hashlib.blake2b(str(r.group).encode(), digest_size=6).hexdigest() if r.group else "",
        profile=r.profile,
    )
