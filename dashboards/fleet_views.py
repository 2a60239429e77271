"""Sums, counts and orders of the fleet as the web shows them; shared by the port's fake and real half."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cloud_ingest.device_health.asking import AskedFleet, AskedSpan, FleetSort
from cloud_ingest.device_health.judging import Upkeep
from cloud_ingest.device_health.ordering import OrderRules
from cloud_ingest.device_health.standing import own_metric
from cloud_ingest.device_health.sums import (
    DAY_NS,
    REASONS,
    DaySums,
    SignalDay,
    Totals,
    hours_begun,
    quality_of,
    use_of,
)
from cloud_ingest.records.written import legible
from dashboards.backend import DirectoryError
from dashboards.fleet_models import (
    DeviceDay,
    DeviceRow,
    FrameView,
    Look,
    OrderDraft,
    OrderRule,
    QualityPage,
    QualityRow,
    Utilisation,
)

__all__ = [
    "MAX_NOTE",
    "Group",
    "day_view",
    "draft_text",
    "hidden_frame",
    "in_order",
    "note_text",
    "quality_page",
    "reasons_of",
    "rules_view",
    "seen_rows",
    "upkeep_fields",
    "use_page",
]

MAX_NOTE: Final = 500
FIELDS: Final[dict[FleetSort, str]] = {"ward": "ward_name", "clock_skew": "clock_skew_s"}
"""What a sort goes by, where it is called otherwise."""


def day_view(sums: DaySums) -> DeviceDay:
    """A day of a device."""
    return DeviceDay(
        day=sums.day * DAY_NS,
        readings=sums.stored,
        hours=sums.used,
        dropouts=sums.dropouts,
        rejected=sums.rejected,
        late=sums.late,
        **_said(sums.doubts),
        **{name: _look(one) for name, one in sums.signals.items()},
    )


def rules_view(rules: OrderRules) -> list[OrderRule]:
    """When a rule opens a work order, as it is shown."""
    return [OrderRule(kind=kind, **asdict(rule)) for kind, rule in rules.items()]


def upkeep_fields(calibration: Upkeep | None, service: Upkeep, usual: int | None) -> dict[str, Any]:
    """The fields of a device's file about calibration and service; ``usual`` is its profile's interval."""
    calibrated = (
        {}
        if calibration is None
        else {
            "calibrated": calibration.done,
            "calibration_days": calibration.every_days,
            "calibration_hours": calibration.every_hours,
            "hours_since_calibration": calibration.used,
        }
    )
    own = service.every_hours is not None
    return {
        **calibrated,
        "serviced": service.done,
        "service_hours": service.every_hours if own else usual,
        "service_hours_own": own,
        "hours_since_service": service.used,
    }


def _look(one: SignalDay) -> Look:
    return Look(mean=one.mean, low=one.low, high=one.high, count=one.count)


@dataclass(frozen=True, slots=True)
class Group:
    """A device, or a ward's ``devices``, of which ``used`` have an hour of use; what their days come to."""

    key: str
    name: str
    ward: str | None
    devices: int
    used: int
    totals: Totals


def use_page(groups: Iterable[Group], asked: AskedSpan, now: int) -> tuple[Sequence[Utilisation], int]:
    """One page of their use up to ``now`` (UTC ns), the least used first, and how many there are."""
    hours = hours_begun(asked.days, now)
    rows = sorted((_use_row(g, hours) for g in groups), key=lambda row: (row.share, row.key))
    return rows[asked.offset : asked.offset + asked.limit], len(rows)


def _use_row(group: Group, hours: int) -> Utilisation:
    use = use_of(group.totals, group.devices, group.used, hours)
    return Utilisation(**_placed(group), **asdict(use), share=use.share)


def _placed(group: Group) -> dict[str, Any]:
    return {"key": group.key, "name": group.name, "ward": group.ward}


def quality_page(groups: Iterable[Group], asked: AskedSpan) -> QualityPage:
    """One page of the quality of their data, the worst first."""
    rows = sorted(map(_quality_row, groups), key=lambda row: (row.worst is None, row.worst or 0.0, row.key))
    return QualityPage(items=rows[asked.offset : asked.offset + asked.limit], total=len(rows))


def _quality_row(group: Group) -> QualityRow:
    totals, found = group.totals, quality_of(group.totals)
    return QualityRow(
        **_placed(group),
        devices=group.devices,
        **asdict(found),
        worst=found.worst,
        rejected=totals.rejected,
        repeated=totals.repeated,
        late=totals.late,
        **_said(totals.doubts),
    )


def _said(doubts: Mapping[str, int]) -> dict[str, Any]:
    """What the quality gate said, as rows and days have it."""
    return {
        "suspect": doubts.get("suspect", 0),
        "bad": doubts.get("bad", 0),
        "reasons": reasons_of(doubts),
    }


def reasons_of(doubts: Mapping[str, int]) -> dict[str, int]:
    """Why readings are in doubt, the most frequent first."""
    found = [(name, doubts[name]) for name in REASONS if doubts.get(name)]
    return dict(sorted(found, key=lambda pair: -pair[1]))


def seen_rows(rows: Iterable[DeviceRow], seen: Mapping[str, int], asked: AskedFleet) -> list[DeviceRow]:
    """A page's rows with when each device's newest reading came, which the last round may not have known."""
    newer = [
        row.model_copy(update={"last_seen": max(seen[row.id], row.last_seen or 0)}) if row.id in seen else row
        for row in rows
    ]
    return in_order(newer, asked) if asked.sort == "last_seen" else newer


def in_order(rows: Iterable[DeviceRow], asked: AskedFleet) -> list[DeviceRow]:
    """As asked for, then by id; what is not known comes last."""
    name = FIELDS.get(asked.sort, asked.sort)
    by_id = sorted(rows, key=lambda row: row.id)
    known = [row for row in by_id if _known(row, name)]
    known.sort(key=lambda row: _value(row, name), reverse=asked.down)
    return known + [row for row in by_id if not _known(row, name)]


def _value(row: DeviceRow, name: str) -> Any:
    return getattr(row, name)


def _known(row: DeviceRow, name: str) -> bool:
    return _value(row, name) not in {None, ""}


def note_text(text: str, *, needed: bool) -> str:
    """What somebody wrote. Raises DirectoryError: ``text`` required or invalid."""
    found = legible(text)
    if found is None or len(found) > MAX_NOTE:
        raise DirectoryError(field="text", code="invalid", value=text[:40])
    if needed and not found:
        raise DirectoryError(field="text", code="required")
    return found


def draft_text(draft: OrderDraft, found: dict[str, str] | None) -> dict[str, str]:
    """What is to be done: as written, else what was found. Raises DirectoryError as ``note_text``."""
    written = note_text(draft.text, needed=found is None)
    return {"en": written, "zh": written} if written or found is None else found


def hidden_frame(frame: FrameView) -> FrameView:
    """The frame without what it says of a patient, and so without its bytes."""
    gone = {"value": None, "code": None, "shown": False}
    values = [v if own_metric(v.metric) else v.model_copy(update=gone) for v in frame.values]
    return frame.model_copy(update={"hex": "", "values": values})
