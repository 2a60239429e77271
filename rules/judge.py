"""What one rule makes of the newest readings of one patient at one moment; no memory, no time of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from rules.model import SECOND, Rule
from rules.state import Seen, Snapshot

__all__ = ["Judgement", "Measured", "judge", "too_late", "verdict", "worst_of"]


class Measured(NamedTuple):
    """One reading that may count: what was measured, by which device, when, and when it was received."""

    metric: str
    device: str
    time: int
    value: float
    received: int

    def shown(self) -> dict[str, Any]:
        """As it stands in a transition."""
        return {
            "metric": self.metric,
            "value": self.value,
            "time": self.time,
            "received": self.received,
            "device": self.device,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What counted at a moment, and what came of it.

    ``breach`` holds the most extreme breaching value per condition of the rule (None: not breached);
    ``clear`` says whether every reading that counted is back by the hysteresis.
    """

    counted: tuple[Measured, ...]
    breaching: tuple[Measured, ...]
    breach: tuple[float | None, ...]
    clear: bool

    def onset(self, at: int) -> int:
        """When the breach began: now, unless only a changed rule makes one of what was measured before."""
        times = {m.time for m in self.breaching}
        return at if at in times else min(times)

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics of which anything counted."""
        return frozenset(m.metric for m in self.counted)

    def snapshot(self, rule: Rule) -> Snapshot:
        """What to show: per metric its worst breaching value, or else that of the newest measurement."""
        newest = max((m.time for m in self.counted), default=0)
        values: dict[str, float] = {}
        inputs: list[Measured] = []
        for metric in rule.inputs:
            worst = [
                v
                for c, v in zip(rule.conditions, self.breach, strict=True)
                if c.metric == metric and v is not None
            ]
            readings = [m for m in self.counted if m.metric == metric]
            chosen = [m for m in readings if m.value in worst] or [m for m in readings if m.time == newest]
            if chosen:
                values[metric] = chosen[-1].value
                inputs.append(chosen[-1])
        return Snapshot(values, tuple(m.shown() for m in inputs))


def judge(rule: Rule, latest: Mapping[str, Mapping[str, Seen]], at: int) -> Judgement:
    """Judge the newest reading of each device at ``at``; older than its input's maximum age, none counts.

    Nor does one that was received later than the rule's ``max_lateness_s`` after it was measured. With
    several devices on one metric, any of them can breach, and all that count must be clear to clear.
    """
    counted = []
    for metric, max_age_s in rule.inputs.items():
        oldest = at - round(max_age_s * SECOND)
        for device, seen in sorted(latest.get(metric, {}).items()):
            if seen.time >= oldest and not too_late(rule, seen.time, seen.received):
                counted.append(Measured(metric, device, seen.time, seen.value, seen.received))
    return verdict(rule, counted)


def too_late(rule: Rule, time: int, received: int) -> bool:
    """Whether a reading came later than the rule may still signal."""
    return received - time > rule.max_lateness_s * SECOND


def verdict(rule: Rule, readings: Iterable[Measured]) -> Judgement:
    """Judge exactly these readings, whatever their age."""
    counted = tuple(readings)
    breach: list[float | None] = []
    breaching: list[Measured] = []
    clear = True
    for condition in rule.conditions:
        worst: float | None = None
        for reading in counted:
            if reading.metric != condition.metric:
                continue
            if condition.breaches(reading.value):
                breaching.append(reading)
                if worst is None or condition.worse(reading.value, worst):
                    worst = reading.value
            clear = clear and condition.clears(reading.value)
        breach.append(worst)
    return Judgement(counted, tuple(breaching), tuple(breach), clear)


def worst_of(
    rule: Rule, known: tuple[float | None, ...], breach: tuple[float | None, ...]
) -> tuple[float | None, ...]:
    """The more extreme of two breaches, condition by condition."""
    return tuple(
        old if new is None or (old is not None and not condition.worse(new, old)) else new
        for condition, old, new in zip(rule.conditions, known, breach, strict=True)
    )
