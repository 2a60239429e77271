"""The rules again, the slow and obvious way: whole histories are scanned at each measurement, in order.

Covers what in-order data can show (no late readings, one rule set): the reference that ``step`` must equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rules.model import SECOND, Condition, Rows, Rule, RuleSet


class Measured(NamedTuple):
    patient: str
    device: str
    time: int
    values: dict[str, float]


class Span(NamedTuple):
    patient: str
    rule: str
    onset: int
    start: int
    end: int | None


def rows_of(measured: Sequence[Measured]) -> Rows:
    return Rows.of(
        (m.patient, m.device, metric, value, m.time, m.time, 0)
        for m in measured
        for metric, value in m.values.items()
    )


def alarms(rules: RuleSet, measured: Sequence[Measured], until: int) -> list[Span]:
    """All alarms of a history that ends with time passing ``until``."""
    found = []
    for patient in {m.patient for m in measured}:
        for rule in rules:
            history = [m for m in measured if m.patient == patient and m.values.keys() & rule.inputs.keys()]
            found += [Span(patient, rule.id, *span) for span in _spans(rule, history, until)]
    return sorted(found, key=lambda s: (s.start, s.patient, s.rule))


def _spans(rule: Rule, history: list[Measured], until: int) -> list[tuple[int, int, int | None]]:
    spans: list[tuple[int, int, int | None]] = []
    onset: int | None = None
    active = False
    delay = int(rule.delay_s * SECOND)
    for i, m in enumerate(history):
        if onset is not None and not active and onset + delay <= m.time:
            active = True
        present = _present(rule, history[: i + 1])
        bad = [v for c, v in present if _beyond(c, v)]
        if onset is None:
            if bad:
                onset, active = m.time, delay == 0
        elif not active:
            if not bad:
                onset = None
        elif all(_safe(c, v) for c, v in present) and _breached(rule, history[: i + 1], onset) <= {
            c.metric for c, _ in present
        }:
            spans.append((onset, onset + delay, m.time))
            onset, active = None, False
    if onset is not None and (active or onset + delay <= until):
        spans.append((onset, onset + delay, None))
    return spans


def _present(rule: Rule, history: list[Measured]) -> list[tuple[Condition, float]]:
    now = history[-1].time
    newest: dict[tuple[str, str], tuple[int, float]] = {}
    for m in history:
        for metric, value in m.values.items():
            newest[m.device, metric] = m.time, value
    return [
        (c, value)
        for (_, metric), (time, value) in newest.items()
        for c in rule.conditions
        if c.metric == metric and now - time <= rule.inputs[metric] * SECOND
    ]


def _breached(rule: Rule, history: list[Measured], onset: int) -> set[str]:
    """The metrics of which a value breached during the episode."""
    return {
        c.metric
        for c in rule.conditions
        for m in history
        if m.time >= onset and c.metric in m.values and _beyond(c, m.values[c.metric])
    }


def _beyond(c: Condition, value: float) -> bool:
    return {
        "below": value < c.value,
        "above": value > c.value,
        "at_or_below": value <= c.value,
        "at_or_above": value >= c.value,
    }[c.op]


def _safe(c: Condition, value: float) -> bool:
    back = value - c.value if c.op in {"below", "at_or_below"} else c.value - value
    return not _beyond(c, value) and back >= c.hysteresis
