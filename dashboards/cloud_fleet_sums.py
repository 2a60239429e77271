"""Use and quality over the records: of 10,000 devices only those of the page are made into rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from cloud_ingest.device_health.asking import AskedSpan
from cloud_ingest.device_health.span_sums import SpanSums
from cloud_ingest.records.fleet import Fleet
from dashboards.fleet_models import QualityPage, Utilisation
from dashboards.fleet_views import Group, quality_page, use_page
from hearthward.trust.access import Scope

__all__ = ["graded", "used"]


def used(
    fleet: Fleet, scope: Scope, asked: AskedSpan, sums: SpanSums, now: int
) -> tuple[Sequence[Utilisation], int]:
    """One page up to ``now`` (UTC ns), the least used first, and how many rows there are."""
    if asked.by == "ward":
        return use_page(_wards(fleet, scope, asked, sums), asked, now)
    groups, total = _devices(fleet, scope, asked, sums, sums.used)
    return use_page(groups, replace(asked, offset=0), now)[0], total


def graded(fleet: Fleet, scope: Scope, asked: AskedSpan, sums: SpanSums) -> QualityPage:
    """One page, the worst first."""
    if asked.by == "ward":
        return quality_page(_wards(fleet, scope, asked, sums), asked)
    groups, total = _devices(fleet, scope, asked, sums, sums.worst)
    return QualityPage(items=quality_page(groups, replace(asked, offset=0)).items, total=total)


def _devices(
    fleet: Fleet, scope: Scope, asked: AskedSpan, sums: SpanSums, order: Callable[[str], float]
) -> tuple[list[Group], int]:
    """The page's devices, and how many there are; they come by id, so that equals stay so."""
    wards = dict(fleet.placed(scope, asked.ward))
    page = sorted(wards, key=order)[asked.offset : asked.offset + asked.limit]
    labels = fleet.labels(scope, page)
    made = [
        Group(key, labels.get(key, ""), wards[key], 1, int(sums.used(key) > 0), sums.totals([key]))
        for key in page
    ]
    return made, len(wards)


def _wards(fleet: Fleet, scope: Scope, asked: AskedSpan, sums: SpanSums) -> list[Group]:
    names, members = fleet.ward_names(scope), defaultdict[str | None, list[str]](list)
    for device, ward in fleet.placed(scope, asked.ward):
        members[ward].append(device)
    return [
        Group(
            ward or "",
            names.get(ward or "", ""),
            ward,
            len(devices),
            sum(1 for device in devices if sums.used(device)),
            sums.totals(devices),
        )
        for ward, devices in members.items()
    ]
