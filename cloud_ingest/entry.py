"""Observations entered by hand: refused or taken as a whole, and taken once however often they are sent.

They become readings of the pretended device ``manual:<patient>``, which no gateway can have, so that they
need no association. One entry is one ``group``; its id is in the digest, by which a repetition is known.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from hearthward.core.clock import SECOND, Clock, iso
from hearthward.core.codes import BESIDE, INTERNAL, METRICS, Metric
from hearthward.core.errors import ConfigError
from hearthward.core.ids import digest63
from hearthward.core.model import BY_HAND, Reading, ReadingBatch, Source

__all__ = [
    "ENTERABLE",
    "ENTERABLE_BY_PATIENT",
    "REASONS",
    "UNITS",
    "Draft",
    "EntryDesk",
    "EntryError",
    "Problem",
    "Unit",
    "bounds",
    "manual_device",
    "manual_patient",
]

MAX_AGE_S: Final = 24 * 3600
"""How far back an observation may be dated."""
SKEW_S: Final = 60
"""A time that is so little ahead comes from a clock that is: it is taken as now."""
REPEAT_S: Final = 2 * MAX_AGE_S
"""For how long an entry's id is known again."""
DECIDED_S: Final = 12 * 3600
"""An entry that came so long ago is not decided again: the journal may have forgotten that it was."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NUMBER: Final = re.compile(r"[+-]?\d{1,6}(?:[.,]\d{1,6})?")
_INSTRUMENTAL: Final = BESIDE | INTERNAL

ENTERABLE: Final = frozenset(
    key for key, m in METRICS.items() if key not in _INSTRUMENTAL and (m.kind == "numeric" or m.codes)
)
"""What staff may enter: every clinical quantity, not what only an instrument says of itself."""
ENTERABLE_BY_PATIENT: Final = frozenset(
    {
        "symptom",
        "pain",
        "body_weight",
        "nibp_systolic",
        "nibp_diastolic",
        "pulse_rate",
        "spo2",
        "body_temperature",
        "blood_glucose",
    }
)
"""What patients may enter for themselves: none of what takes somebody else's judgement."""
_WHOLE: Final = frozenset({"pain"})
_HUGE: Final = 1e9


@dataclass(frozen=True, slots=True)
class Unit:
    """Another unit than the metric's own: canonical = (value - zero) * factor, rounded to ``decimals``."""

    factor: float
    zero: float = 0.0
    decimals: int = 2

    def canonical(self, value: float) -> float:
        """The value in the metric's own unit."""
        return round((value - self.zero) * self.factor, self.decimals)

    def shown(self, canonical: float) -> float:
        """A bound as it is said in this unit."""
        return round(canonical / self.factor + self.zero, 1)


UNITS: Final[dict[str, dict[str, Unit]]] = {
    # molar mass of glucose: 180.156 g/mol
    "blood_glucose": {"mmol/L": Unit(18.0156, decimals=1)},
    "interstitial_glucose": {"mmol/L": Unit(18.0156, decimals=1)},
    "body_temperature": {"[degF]": Unit(5 / 9, 32.0)},
    "body_weight": {"[lb_av]": Unit(0.45359237)},
}
"""By metric the units (UCUM) that are taken besides its own."""

REASONS: Final = {
    "empty": "nothing was entered: give at least one value",
    "unknown": "{field}: there is no such metric",
    "not_enterable": "{field} cannot be entered by hand",
    "not_yours": "{field} is for staff to enter",
    "number": "{field}: {value} is not a number",
    "whole": "{field}: {value} is not a whole number from {low} to {high}",
    "range": "{field}: {value} is not within {low} to {high} {unit}",
    "code": "{field}: {value} is none of {choices}",
    "unit": "{field}: {value} is none of the units {choices}",
    "order": "{field}: {value} must be below the systolic pressure of {high} {unit}",
    "future": "{field}: {value} is in the future",
    "old": "{field}: {value} is more than 24 hours ago",
    "time": "{field}: {value} is not a date and time",
    "id": "{field}: {value} must be 1-64 of the characters A-Z a-z 0-9 _ -",
    "taken": "{field}: {value} was used for another entry; use a new id",
    "ended": "{field}: {value} is no longer in care here",
}
"""Why an entry is refused: the code and what it says (English; pages translate it)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``field`` is a metric, ``at``, ``id``, ``patient`` or ``values``."""

    field: str
    code: str
    value: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    @property
    def words(self) -> dict[str, str]:
        """What the placeholders of its text stand for."""
        return {
            "field": self.field,
            "value": self.value,
            "low": "" if self.low is None else f"{self.low:g}",
            "high": "" if self.high is None else f"{self.high:g}",
            "unit": self.unit,
            "choices": ", ".join(self.choices),
        }

    @property
    def message(self) -> str:
        """In English."""
        return REASONS[self.code].format(**self.words).rstrip()


class EntryError(ConfigError):
    """An entry is refused, all of it; ``problems`` has everything that is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(
            "; ".join(p.message for p in problems), field=problems[0].field, code=problems[0].code
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to enter.

    ``values`` maps metrics to numbers, texts of numbers, or codes; ``units`` those metrics to their unit that
    are not in the canonical one. ``at`` is when it was observed (UTC ns; None: now). The same ``id`` given
    again is the same entry. ``enterable`` is what this person may enter.
    """

    id: str
    values: Mapping[str, object]
    units: Mapping[str, str] = field(default_factory=dict)
    at: int | None = None
    enterable: frozenset[str] = ENTERABLE


def manual_device(patient: str) -> str:
    """The pretended device of what is entered by hand for a patient."""
    return BY_HAND + patient


def manual_patient(device: str) -> str | None:
    """Whose pretended device it is; None for a real one."""
    return device.removeprefix(BY_HAND) if device.startswith(BY_HAND) else None


def bounds(metric: str) -> tuple[float, float]:
    """The lowest and highest value that may be entered, in the metric's own unit."""
    known = METRICS[metric]
    low = {"blood_glucose": 10.0, "interstitial_glucose": 10.0, "body_weight": 0.2}.get(metric, known.low)
    return low, known.high


class EntryDesk:
    """Takes entries of one tenant, one at a time.

    ``earlier`` reads what is stored of a device (device, start, end of the corrected time); ``take`` stores
    readings of the given patients and decides on them, or raises (StoreUnavailable, StoreRejected) with
    nothing of them decided. ``take`` must bear a batch that it has had before: its caller may have died
    between storing and deciding.
    """

    def __init__(
        self,
        clock: Clock,
        earlier: Callable[[str, int, int], Awaitable[ReadingBatch]],
        take: Callable[[ReadingBatch, list[str]], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._earlier = earlier
        self._take = take
        self._turn = asyncio.Lock()

    async def enter(self, patient: str, draft: Draft, author: str) -> ReadingBatch:
        """Enter ``draft`` for a patient: the readings as stored, the first time and every time after.

        Raises EntryError, and what ``take`` raises.
        """
        device = manual_device(patient)
        digest = digest63(b"entry", patient.encode(), draft.id.encode())
        async with self._turn:
            now = self._clock.now_ns()
            kept = await self._earlier(device, now - REPEAT_S * SECOND, now + 2 * SKEW_S * SECOND)
            known = [i for i, d in enumerate(kept.digest) if d == digest]
            if known:
                batch = kept.take(sorted(known, key=lambda i: kept.ordinal[i]))
                if not _same(batch, draft, author):
                    raise EntryError(Problem("id", "taken", draft.id))
                if now - batch.received[0] > DECIDED_S * SECOND:
                    return batch
            else:
                batch = readings(device, digest, draft, author, now)
            await self._take(batch, [patient] * len(batch))
            return batch


def readings(device: str, digest: int, draft: Draft, author: str, now: int) -> ReadingBatch:
    """An entry as readings. Raises EntryError naming everything that is wrong."""
    problems = list(_problems(draft, now))
    values: dict[str, float | str] = {}
    for metric, given in draft.values.items():
        try:
            values[metric] = _checked(metric, given, draft)
        except EntryError as error:
            problems += error.problems
    problems += _pressures(values)
    if problems:
        raise EntryError(*problems)
    at = now if draft.at is None else min(draft.at, now)
    return ReadingBatch.of(
        Reading(
            device=device,
            metric=metric,
            value=None if isinstance(value, str) else value,
            code=value if isinstance(value, str) else None,
            device_time=None,
            received=now,
            corrected=at,
            digest=digest,
            ordinal=i,
            group=digest or 1,
            source=Source.MANUAL,
            author=author,
        )
        for i, (metric, value) in enumerate(values.items())
    )


def _same(batch: ReadingBatch, draft: Draft, author: str) -> bool:
    """Whether what is stored came of this very draft."""
    try:
        again = readings(batch.device[0], batch.digest[0], draft, author, batch.received[0])
    except EntryError:
        return False
    return again == batch


def _problems(draft: Draft, now: int) -> list[Problem]:
    found = []
    if not _ID.fullmatch(draft.id):
        found.append(Problem("id", "id", draft.id[:64]))
    if not draft.values:
        found.append(Problem("values", "empty"))
    if draft.at is not None and draft.at > now + SKEW_S * SECOND:
        found.append(Problem("at", "future", iso(draft.at)))
    if draft.at is not None and draft.at < now - MAX_AGE_S * SECOND:
        found.append(Problem("at", "old", iso(max(0, draft.at))))
    return found


def _checked(metric: str, given: object, draft: Draft) -> float | str:
    """A value in its metric's own unit, or a code. Raises EntryError."""
    known = METRICS.get(metric)
    if known is None:
        raise EntryError(Problem(metric[:64], "unknown"))
    if metric not in ENTERABLE:
        raise EntryError(Problem(metric, "not_enterable"))
    if metric not in draft.enterable:
        raise EntryError(Problem(metric, "not_yours"))
    text = f"{given:g}" if isinstance(given, float) else str(given).strip()[:64]
    if known.codes:
        if text not in known.codes:
            raise EntryError(Problem(metric, "code", text, choices=known.codes))
        return text
    return _number(known, text, given, draft.units.get(metric))


def _number(known: Metric, text: str, given: object, unit: str | None) -> float:
    """A number within its bounds, canonical. Raises EntryError."""
    own = known.unit or ""
    others = UNITS.get(known.key, {})
    if unit is not None and unit != own and unit not in others:
        raise EntryError(Problem(known.key, "unit", unit[:64], choices=tuple(filter(None, (own, *others)))))
    if isinstance(given, int | float) and not isinstance(given, bool):
        value = float(given) if abs(given) < _HUGE else math.nan
    else:
        value = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else math.nan
    if math.isnan(value):
        raise EntryError(Problem(known.key, "number", text))
    low, high = bounds(known.key)
    if known.key in _WHOLE and not (value.is_integer() and low <= value <= high):
        raise EntryError(Problem(known.key, "whole", text, low, high))
    other = others.get(unit or "")
    canonical = value if other is None else other.canonical(value)
    if not low <= canonical <= high:
        shown = (low, high) if other is None else (other.shown(low), other.shown(high))
        raise EntryError(Problem(known.key, "range", text, *shown, unit or own))
    return canonical


def _pressures(values: Mapping[str, float | str]) -> list[Problem]:
    """Pressures that were exchanged."""
    found = []
    for place in ("nibp", "ibp"):
        systolic, diastolic = values.get(f"{place}_systolic"), values.get(f"{place}_diastolic")
        if isinstance(systolic, float) and isinstance(diastolic, float) and diastolic >= systolic:
            problem = Problem(
                f"{place}_diastolic",
                "order",
                f"{diastolic:g}",
                high=systolic,
                unit=METRICS["nibp_systolic"].unit or "",
            )
            found.append(problem)
    return found
