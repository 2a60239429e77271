"""What is known of one patient besides readings: where they are, and what a clinician set for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from rules.rule import SECOND, Rule

__all__ = ["Context", "Limit"]

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Limit:
    """One parameter of one rule as set for one patient: by whom, when, why, until when.

    ``start`` and ``expires`` are UTC ns (``expires`` None: until changed). With ``daily`` it holds only
    between two minutes of the local day in ``timezone`` (22:00-06:00 is ``(1320, 360)``).
    """

    rule: str
    parameter: str
    value: float
    by: str
    start: int
    reason: str
    expires: int | None = None
    daily: tuple[int, int] | None = None
    timezone: str = "UTC"

    def holds(self, at: int) -> bool:
        """Whether it is in force at ``at`` (UTC ns)."""
        if at < self.start or (self.expires is not None and at >= self.expires):
            return False
        if self.daily is None:
            return True
        local = datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(self.timezone))
        minute = local.hour * 60 + local.minute
        first, last = self.daily
        return first <= minute < last if first < last else minute >= first or minute < last

    def next_change(self, at: int) -> int | None:
        """The first moment after ``at`` when ``holds`` may change; None: never again."""
        if self.expires is not None and at >= self.expires:
            return None
        if at < self.start:
            return self.start
        changes = [] if self.expires is None else [self.expires]
        if self.daily is not None:
            changes += [_next_minute(at, minute, self.timezone) for minute in self.daily]
        return min((c for c in changes if c > at), default=None)

    def content(self) -> list[Any]:
        """As plain data; ``Limit.of`` is the way back."""
        daily = None if self.daily is None else list(self.daily)
        return [
            self.rule,
            self.parameter,
            float(self.value),
            self.by,
            self.start,
            self.reason,
            self.expires,
            daily,
            self.timezone,
        ]

    @classmethod
    def of(cls, content: list[Any]) -> Limit:
        """The limit whose ``content`` this is."""
        rule, parameter, value, by, start, reason, expires, daily, timezone = content
        hours = None if daily is None else (daily[0], daily[1])
        return cls(rule, parameter, value, by, start, reason, expires, hours, timezone)


def _next_minute(at: int, minute: int, timezone: str) -> int:
    """When the local clock next shows a minute of the day, or is put forward or back (UTC ns)."""
    zone = ZoneInfo(timezone)
    now = at // SECOND
    local = datetime.fromtimestamp(now, UTC).astimezone(zone)
    found = [_clock_change(now, zone)]
    for days in (0, 1, 2):
        wall = datetime.combine(local.date() + timedelta(days=days), time(minute // 60, minute % 60), zone)
        found += [round(wall.replace(fold=fold).timestamp()) for fold in (0, 1)]
    return min(s for s in found if s > now) * SECOND


def _clock_change(now: int, zone: ZoneInfo) -> int:
    """The next time within a day at which the local clock is put forward or back, or else a day from now."""

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()

    before, after = now, now + _DAY_S
    if offset(before) == offset(after):
        return after
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if offset(middle) == offset(now) else (before, middle)
    return after


@dataclass(frozen=True, slots=True)
class Context:
    """One subject as the rules know it.

    ``setting`` None and ``adult`` None: not known; every rule then applies. ``spo2_scale`` 2 only on a
    clinician's order. ``expected`` maps signals that must come to the time (UTC ns) since when; None: what
    once came is expected to go on.
    """

    setting: Literal["ward", "home"] | None = None
    adult: bool | None = None
    pregnant: bool = False
    spo2_scale: Literal[1, 2] = 1
    limits: tuple[Limit, ...] = ()
    expected: Mapping[str, int] | None = field(default=None)

    def applies(self, rule: Rule) -> bool:
        """Whether the rule is meant for such a patient."""
        if rule.setting != "any" and self.setting is not None and rule.setting != self.setting:
            return False
        return not (rule.adults and (self.adult is False or self.pregnant))

    def limits_at(self, at: int) -> dict[tuple[str, str], Limit]:
        """(rule id, parameter) -> the limit in force at ``at``; of several the one set last."""
        found: dict[tuple[str, str], Limit] = {}
        for limit in sorted(self.limits, key=lambda x: (x.daily is not None, x.start)):
            if limit.holds(at):
                found[limit.rule, limit.parameter] = limit
        return found

    def next_change(self, at: int) -> int | None:
        """When the limits in force may change next."""
        return min((c for x in self.limits if (c := x.next_change(at)) is not None), default=None)

    def resolve(self, rule: Rule, at: int) -> Rule:
        """The rule as it stands for this patient at ``at``; values outside the rule's bounds do not count."""
        return self.resolve_with(rule, self.limits_at(at))

    @staticmethod
    def resolve_with(rule: Rule, limits: Mapping[tuple[str, str], Limit]) -> Rule:
        """The rule with those of the limits that are its own."""
        own = Context.limits_of(rule, limits)
        return rule.with_values({name: limit.value for name, limit in own.items()})

    @staticmethod
    def limits_of(rule: Rule, limits: Mapping[tuple[str, str], Limit]) -> dict[str, Limit]:
        """Those of the limits that are the rule's own and within its bounds, by parameter."""
        return {
            name: limit
            for name, parameter in rule.parameters.items()
            if (limit := limits.get((rule.id, name))) is not None
            and parameter.low <= limit.value <= parameter.high
        }

    def shifted(self, by: int) -> Context:
        """The same by a clock that shows ``by`` ns more; hours of the day are left as they are."""
        limits = (
            replace(x, start=x.start + by, expires=None if x.expires is None else x.expires + by)
            for x in self.limits
        )
        expected = None if self.expected is None else {m: at + by for m, at in self.expected.items()}
        return replace(self, limits=tuple(limits), expected=expected)

    def content(self) -> list[Any]:
        """As plain data; ``Context.of`` is the way back."""
        expected = None if self.expected is None else sorted(self.expected.items())
        limits = [x.content() for x in self.limits]
        return [self.setting, self.adult, self.pregnant, self.spo2_scale, limits, expected]

    @classmethod
    def of(cls, content: list[Any]) -> Context:
        """The context whose ``content`` this is."""
        setting, adult, pregnant, scale, limits, expected = content
        known = None if expected is None else {m: at for m, at in expected}  # noqa: C416 - pairs are lists
        return cls(setting, adult, pregnant, scale, tuple(Limit.of(x) for x in limits), known)
