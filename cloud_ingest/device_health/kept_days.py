"""Daily sums as the records keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud_ingest.device_health.sums import DOUBTS, SIGNALS, DaySums, SignalDay

if TYPE_CHECKING:
    from cloud_ingest.records.fleet_models import DeviceDay

__all__ = ["day_of_row", "doubts_of", "row_of_day"]


def day_of_row(row: DeviceDay) -> DaySums:
    """The sums of a row; a signal that is not known here is left out."""
    return DaySums(
        device=row.device,
        day=row.day,
        hours=row.hours,
        span=row.span,
        stored=row.stored,
        rejected=row.rejected,
        repeated=row.repeated,
        late=row.late,
        dropouts=row.dropouts,
        doubts=doubts_of(row),
        signals={name: SignalDay(*row.signals[name]) for name in SIGNALS if name in row.signals},
    )


def doubts_of(row: DeviceDay) -> dict[str, int]:
    """What the gate said, as far as it said anything."""
    return {name: n for name in DOUBTS if (n := getattr(row, name))}


def row_of_day(tenant: str, sums: DaySums) -> dict[str, Any]:
    """The columns of a row."""
    return {
        "tenant": tenant,
        "day": sums.day,
        "device": sums.device,
        "hours": sums.hours,
        "used": sums.used,
        "span": sums.span,
        "stored": sums.stored,
        "rejected": sums.rejected,
        "repeated": sums.repeated,
        "late": sums.late,
        "dropouts": sums.dropouts,
        **{name: sums.doubts.get(name, 0) for name in DOUBTS},
        "signals": {
            name: [one.count, one.mean, one.low, one.high, one.last] for name, one in sums.signals.items()
        },
    }
