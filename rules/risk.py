"""The learned risk of deterioration as one more signal of a patient, beside what devices measure.

It is added to readings before anything is decided, by one code for the reference and the engine: to rules it
is a reading like any other, journaled with the readings that it was computed from, never on its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hearthward.core.model import ASIDE
from rules.conditions import RISK
from rules.evaluate import UNFIT
from rules.intake import FUTURE_SKEW
from rules.model import Readings, Rows
from rules.models.deterioration import shipped
from rules.models.watch import WATCHED, Watch
from rules.rule import SECOND
from rules.work import Work

__all__ = ["DEVICE", "LEFT_OUT", "with_risk"]

DEVICE = "model:deterioration"
"""What stands for a device where the risk is a reading."""
LEFT_OUT: Final = UNFIT | int(ASIDE)
"""Quality bits of readings that leave no trace in a risk."""


def with_risk(work: Work, event: Readings) -> Readings:
    """The readings and, for each patient whose turn it is, the risk after each of them.

    Only where a rule looks at it. Values that clinical rules may not look at leave no trace in it, nor does
    what comes later than something newer of its kind.
    """
    if RISK not in work.state.rules.by_metric:
        return event
    rows, latest = event.rows, event.now + FUTURE_SKEW
    columns = rows.patient, rows.time, rows.metric, rows.device, rows.value, rows.quality
    order = [
        (patient, time, metric, device, i, value)
        for i, (patient, time, metric, device, value, quality) in enumerate(zip(*columns, strict=True))
        if metric in WATCHED
        and value is not None
        and not quality & LEFT_OUT
        and time <= latest
        and patient
        and ":" not in patient
    ]
    order.sort()
    told = Rows()
    first, count = 0, len(order)
    while first < count:
        name, time = order[first][:2]
        last, at = first, time / SECOND
        watch = _watch(work, name)
        push, taken = watch.push, False
        while last < count and order[last][1] == time and order[last][0] == name:
            _, _, metric, device, _, value = order[last]
            taken |= push(at, metric, device, float(value or 0.0))
            last += 1
        risk = watch.judge(shipped(), at) if taken else None
        if risk is not None:
            received = max(0, *(rows.received[i] for *_, i, _ in order[first:last]))
            told.append(name, DEVICE, RISK, risk, time, received)
        first = last
    if not told:
        return event
    told.extend(rows)
    return replace(event, rows=told)


def _watch(work: Work, name: str) -> Watch:
    subject = work.subject(name)
    if subject.watch is None:
        subject.watch = Watch()
    return subject.watch
