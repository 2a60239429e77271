"""Two versions of one rule over the same recorded readings: which alarms there would be, and which no more.

Both are decided by the engine of the product, patient by patient. Times are UTC nanoseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from rules.conditions import parameter_names
from rules.context import Context
from rules.replay import Episode, Replay, Track, replay
from rules.rule import SECOND, Priority, Rule, RuleSet
from rules.tally import active_days, days_by_patient, unmatched

__all__ = ["LISTED", "SHORT_S", "Side", "Told", "Trial", "TrialOfOne", "own_limits", "try_one"]

SHORT_S: Final = 60.0
"""An alarm that was over sooner is likely to have been false: a movement, a sensor that was touched."""
LISTED: Final = 500
"""So many alarms are listed; all are counted."""


@dataclass(frozen=True, slots=True)
class Told:
    """One alarm as a version of the rule would have told it; ``ended`` None: still at the end.

    ``peak`` is the worst value of what the limit is compared with, ``of`` what that is.
    """

    patient: str
    onset: int
    started: int
    ended: int | None
    priority: Priority
    text: dict[str, str]
    peak: float | None = None
    of: str = ""
    peak_at: int | None = None


@dataclass(slots=True)
class Side:
    """The figures of one version of the rule; ``short`` are alarms over within ``SHORT_S``.

    ``by_day`` counts alarms by the ISO date on which they were told; ``active_days`` is for how long one was
    on; ``asked`` counts second measurements asked for, ``late`` entries of the worklist.
    """

    alarms: int = 0
    short: int = 0
    asked: int = 0
    late: int = 0
    active_days: float = 0.0
    by_day: dict[str, int] = field(default_factory=dict)

    def add(self, other: Side) -> None:
        """Add the figures of another patient."""
        self.alarms += other.alarms
        self.short += other.short
        self.asked += other.asked
        self.late += other.late
        self.active_days += other.active_days
        self.by_day = dict(sorted((Counter(self.by_day) + Counter(other.by_day)).items()))


@dataclass(slots=True)
class TrialOfOne:
    """What came of one patient; ``days`` were watched, of ``readings`` that the rule looks at.

    ``since`` is later than the period's start where there were too many readings for the whole of it.
    ``limits``: the patient's own limits take the place of what was moved, for part of the time at least.
    """

    patient: str
    days: float = 0.0
    readings: int = 0
    since: int | None = None
    limits: bool = False
    before: Side = field(default_factory=Side)
    after: Side = field(default_factory=Side)


@dataclass(slots=True)
class Trial:
    """What came of all; ``lost`` and ``gained`` are listed up to ``LISTED``, and counted whole.

    ``later``: alarms of both versions that the new one tells later, ``latest_s`` by how much at most.
    ``left`` are patients who were not looked at, for there were too many readings.
    """

    start: int
    end: int
    patients: list[TrialOfOne] = field(default_factory=list)
    lost: list[Told] = field(default_factory=list)
    gained: list[Told] = field(default_factory=list)
    lost_count: int = 0
    gained_count: int = 0
    later: int = 0
    latest_s: float = 0.0
    left: list[str] = field(default_factory=list)

    @property
    def before(self) -> Side:
        """The figures of the rule as it is, of all patients."""
        return _sum(one.before for one in self.patients)

    @property
    def after(self) -> Side:
        """Those of the changed rule."""
        return _sum(one.after for one in self.patients)

    @property
    def days(self) -> float:
        """For how many patient-days there was something to look at."""
        return sum(one.days for one in self.patients)

    @property
    def readings(self) -> int:
        """How many readings the rule looked at."""
        return sum(one.readings for one in self.patients)

    def settle(self) -> None:
        """Bring what was listed patient by patient into the order of time, and keep the first."""
        for listed in (self.lost, self.gained):
            listed.sort(key=lambda t: (t.started, t.patient))
            del listed[LISTED:]


def _sum(sides: Iterable[Side]) -> Side:
    out = Side()
    for side in sides:
        out.add(side)
    return out


def try_one(
    versions: tuple[Rule, Rule],
    track: Track,
    context: Context | None,
    out: Trial,
    *,
    zone: str = "UTC",
    since: int | None = None,
) -> TrialOfOne:
    """Run (rule as it is, changed rule) over one patient's track and add what came of it to ``out``.

    ``zone`` is whose days are meant.
    """
    before, after = (_replayed(rule, track, context) for rule in versions)
    found = TrialOfOne(
        track.patient,
        days_by_patient([track]).get(track.patient, 0.0),
        sum(before.read.values()),
        since,
        context is not None and own_limits(context, track, *versions),
        _side(before, track, zone),
        _side(after, track, zone),
    )
    out.patients.append(found)
    lost = unmatched(before.episodes, after.episodes)
    gained = unmatched(after.episodes, before.episodes)
    out.lost_count += len(lost)
    out.gained_count += len(gained)
    out.lost += map(_told, lost[:LISTED])
    out.gained += map(_told, gained[:LISTED])
    for delay in _delays(before.episodes, after.episodes):
        out.later += 1
        out.latest_s = max(out.latest_s, delay / SECOND)
    return found


def own_limits(context: Context, track: Track, *versions: Rule) -> bool:
    """Whether own limits took the place of a number that differs between the versions, at some time."""
    first, last = track.time[0], track.time[-1]
    values = [{n: p.value for n, p in rule.parameters.items()} for rule in versions]
    differ = {n for n in values[0] if any(v.get(n) != values[0][n] for v in values[1:])}
    used = parameter_names(versions[0].condition)
    return any(
        x.rule == versions[0].id
        and x.parameter in differ & used
        and x.start <= last
        and (x.expires is None or x.expires > first)
        for x in context.limits
    )


def _replayed(rule: Rule, track: Track, context: Context | None) -> Replay:
    known: Mapping[str, Context] = {} if context is None else {track.patient: context}
    return replay(RuleSet((rule,)), [track], known)


def _side(found: Replay, track: Track, zone: str) -> Side:
    where, days = ZoneInfo(zone), Counter[str]()
    for episode in found.episodes:
        at = datetime.fromtimestamp(episode.started // SECOND, UTC).astimezone(where)
        days[at.date().isoformat()] += 1
    return Side(
        alarms=len(found.episodes),
        short=sum(e.end is not None and e.end - e.started < SHORT_S * SECOND for e in found.episodes),
        asked=sum(found.asked.values()),
        late=len(found.late),
        active_days=active_days(found.episodes, [track]),
        by_day=dict(sorted(days.items())),
    )


def _told(episode: Episode) -> Told:
    peak = episode.peak
    return Told(
        episode.patient,
        episode.onset,
        episode.started,
        episode.end,
        episode.priority,
        episode.text,
        None if peak is None else peak.value,
        "" if peak is None else peak.of,
        None if peak is None else peak.at,
    )


def _delays(before: list[Episode], after: list[Episode]) -> list[int]:
    """By how much (ns) each alarm that stays is told later; both lists are of one patient, in order."""
    out: list[int] = []
    first = 0
    for old in before:
        while first < len(after) and (end := after[first].end) is not None and end < old.onset:
            first += 1
        new = next((e for e in after[first:] if e.overlaps(old)), None)
        if new is not None and new.started > old.started:
            out.append(new.started - old.started)
    return out
