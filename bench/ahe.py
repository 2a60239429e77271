"""Acute hypotension on recorded pressure (PhysioNet/CinC Challenge 2009): alarms beside what they miss.

The rules are run by the product's own engine. What is chosen is chosen on other records than those it is
reported on.
"""

from __future__ import annotations

import csv
import random
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from math import ceil, nan
from pathlib import Path
from statistics import fmean, median
from typing import Final

from bench.figures import Outcome
from bench.real_data import recordings
from hearthward.app.tracks import Timescale, read_events, read_tracks
from rules.conditions import Smoothing, Threshold
from rules.loader import load_rules, load_rules_only
from rules.replay import Episode, Track, replay
from rules.rule import SECOND, Rule, RuleSet
from rules.tally import Caught, Event, active_days, catch, days_by_patient, first_begun, median_warning

__all__ = ["auroc", "measure"]

BEFORE: Final = 3600 * SECOND
AFTER: Final = 1800 * SECOND
"""An alarm belongs to an episode from so long before its beginning until so long behind."""
FORECAST: Final = 600 * 60 * SECOND
"""When the challenge asks whether an episode will come within an hour."""
LIMIT_PER_DAY: Final = 6.5
AIM_PER_DAY: Final = 4.0
WARNING_MIN: Final = 19.0
HALVES: Final = 20
HYSTERESIS: Final = (5.0, 7.0, 10.0)
CLEAR_S: Final = (600.0, 1200.0, 1800.0)
"""What may be chosen: few values each, as these are few records."""
MEDIUM: Final = "ibp-mean-low"
SEVERE: Final = "ibp-mean-low-severe"
Choice = tuple[float, float, float]
"""Hysteresis and clearing time of the medium rule, clearing time of the severe one."""


@dataclass(slots=True)
class Records:
    """The recordings with their labelled episodes and groups."""

    tracks: dict[str, Track]
    events: list[Event]
    groups: dict[str, str]
    days: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """What some rules come to on some records; times in minutes, ``begun`` is the stricter count."""

    per_day: float
    told: float
    """Alarms and their rises: how often somebody was called."""
    events: int
    lost: tuple[str, ...]
    warning: float
    begun: int
    begun_warning: float
    active: float

    @property
    def note(self) -> str:
        """What stands beside the number of alarms."""
        lost = ", ".join(self.lost) or "none"
        return (
            f"told {self.told:.2f} times with rises; "
            f"{self.events - len(self.lost)}/{self.events} episodes caught (lost: {lost}), "
            f"an alarm began or rose around {self.begun}: {self.begun_warning:.0f} min; "
            f"{self.active:.0%} of the time with an alarm"
        )


def measure() -> Outcome:
    """A plain limit, a mean with hysteresis, the shipped rules, and the same chosen on other records."""
    folder = recordings("ahe")
    outcome = Outcome("ahe", "mean arterial pressure of 60 records of 11 h, 19 acute hypotensive episodes")
    if folder is None:
        print("arterial pressure: skipped, no folder ahe (HEARTHWARD_DATA)", file=sys.stderr)
        return outcome
    records = _records(folder)
    everyone = list(records.tracks)
    library = load_rules().by_id
    medium, severe = library[MEDIUM], library[SEVERE]
    naive = load_rules_only(Path(__file__).parent / "rules-naive")
    for name, rules in (
        ("plain limit of 65", tuple(naive)),
        ("5-minute mean below 65, 5 mmHg hysteresis", (_varied(medium, 5.0, 0.0, limit=65.0),)),
        ("shipped ibp-mean-low alone", (medium,)),
        ("shipped ibp-mean-low-severe alone", (severe,)),
        ("shipped, each with an alarm of its own", (medium, replace(severe, raises=""))),
        ("shipped, the severe one as a rise", (medium, severe)),
    ):
        floor = bool(rules[-1].raises) and len(rules) > 1
        _report(outcome, name, _tally(records, _episodes(records, rules), everyone), floor=floor)
    _within(outcome, records, medium, severe)
    _chosen(outcome, records, medium, severe)
    _forecast(outcome, records)
    return outcome


def _records(folder: Path) -> Records:
    scale = Timescale("s")
    gathered = read_tracks(folder / "train.csv.gz", scale)
    events = read_events(folder / "train-events.csv", scale.parsed, gathered)
    with (folder / "train-labels.csv").open(encoding="utf-8", newline="") as file:
        groups = {row["patient"]: row["group"] for row in csv.DictReader(file)}
    return Records(gathered.tracks, events, groups, days_by_patient(gathered.tracks.values()))


def _varied(rule: Rule, hysteresis: float, clear_s: float, limit: float | None = None) -> Rule:
    """The same rule with another hysteresis and clearing time; with a limit, without the guard of zeros."""
    leaf = rule.condition
    assert isinstance(leaf, Threshold)
    leaf = replace(leaf, hysteresis=hysteresis)
    if limit is not None:
        leaf = replace(leaf, value=limit, smoothing=Smoothing("mean", 300.0))
    return replace(rule, condition=leaf, clear_after_s=clear_s)


def _episodes(records: Records, rules: Iterable[Rule]) -> dict[str, list[Episode]]:
    """The alarms by record, as the product's engine decides them."""
    out: dict[str, list[Episode]] = {patient: [] for patient in records.tracks}
    for episode in replay(RuleSet(tuple(rules)), records.tracks.values()).episodes:
        out[episode.patient].append(episode)
    return out


def _tally(records: Records, found: dict[str, list[Episode]], patients: Sequence[str]) -> Tally:
    """The figures of some of the records; those named twice count twice."""
    episodes = [e for p in patients for e in found[p]]
    days = sum(records.days[p] for p in patients)
    chosen = set(patients)
    events = [e for e in records.events if e.patient in chosen]
    caught = catch(episodes, events, BEFORE, AFTER)
    begun = first_begun(episodes, events, BEFORE, AFTER)
    return Tally(
        per_day=len(episodes) / days,
        told=sum(1 + len(e.rises) for e in episodes) / days,
        events=len(events),
        lost=tuple(c.event.patient for c in caught if c.episode is None),
        warning=_minutes(caught),
        begun=sum(c.episode is not None for c in begun),
        begun_warning=_minutes(begun),
        active=active_days(episodes, [records.tracks[p] for p in chosen]) / days,
    )


def _minutes(caught: Iterable[Caught]) -> float:
    found = median_warning(caught)
    return nan if found is None else found / SECOND / 60


def _report(outcome: Outcome, name: str, tally: Tally, *, floor: bool) -> None:
    outcome.add(
        f"{name}: alarms a patient-day",
        tally.per_day,
        "",
        target=AIM_PER_DAY if floor else None,
        note=tally.note,
    )
    if floor:
        outcome.add(f"{name}: alarms and rises a patient-day", tally.told, "", target=LIMIT_PER_DAY)
    outcome.add(
        f"{name}: median warning",
        tally.warning,
        "min",
        target=WARNING_MIN if floor else None,
        at_least=True,
    )
    if floor:
        caught = float(tally.events - len(tally.lost))
        outcome.add(f"{name}: episodes caught", caught, "", target=float(tally.events), at_least=True)


def _within(outcome: Outcome, records: Records, medium: Rule, severe: Rule) -> None:
    """How many alarms of the deeper limit are second alarms of a hypotension that people were told of."""
    first, second = _episodes(records, (medium,)), _episodes(records, (severe,))
    inside = sum(any(m.active(e.started) for m in first[p]) for p in first for e in second[p])
    every = sum(map(len, second.values()))
    outcome.add(
        "alarms of the deeper limit", float(every), "", note=f"{inside} told while the other was active"
    )


# -- chosen on one part, reported on the other


class _Search:
    """The alarms of every choice, decided once; which choice is best on some of the records."""

    def __init__(self, records: Records, medium: Rule, severe: Rule) -> None:
        self._records = records
        back = _hysteresis(severe)
        self.found: dict[Choice, dict[str, list[Episode]]] = {
            (h, c, s): _episodes(records, (_varied(medium, h, c), _varied(severe, back, s)))
            for h, c, s in product(HYSTERESIS, CLEAR_S, CLEAR_S)
        }

    def best(self, patients: Sequence[str]) -> Choice:
        """The fewest alarms and rises of those that lose no episode and warn as early as is asked for.

        Both in the plain and in the stricter sense; if none does, that with the fewest lost and the longest
        warning.
        """

        def rank(choice: Choice) -> tuple[int, bool, float]:
            t = _tally(self._records, self.found[choice], patients)
            late = not min(t.warning, t.begun_warning) >= WARNING_MIN
            return len(t.lost), late, t.told

        return min(self.found, key=rank)


def _hysteresis(rule: Rule) -> float:
    """The hysteresis of a plain limit."""
    leaf = rule.resolved.condition
    assert isinstance(leaf, Threshold)
    return float(leaf.hysteresis)


def _chosen(outcome: Outcome, records: Records, medium: Rule, severe: Rule) -> None:
    """Leave one record out, and halves of the records, as many of each group in both."""
    search = _Search(records, medium, severe)
    everyone = list(records.tracks)
    kept = {}
    picked: list[Choice] = []
    for patient in everyone:
        picked.append(search.best([p for p in everyone if p != patient]))
        kept[patient] = search.found[picked[-1]][patient]
    alone = _tally(records, kept, everyone)
    most = max(set(picked), key=picked.count)
    _report(outcome, "chosen without the record it is told of", alone, floor=True)
    _agreed(outcome, "leave one record out", most, picked)
    halves = [_half(records, seed) for seed in range(HALVES)]
    told = []
    picked = []
    for ours, others in halves:
        picked.append(search.best(ours))
        told.append(_tally(records, search.found[picked[-1]], others))
    worst = max(t.per_day for t in told)
    lost = sum(len(t.lost) for t in told)
    seen = sum(t.events for t in told)
    outcome.add(
        f"chosen on one half, told of the other, {HALVES} times: alarms a patient-day",
        fmean(t.per_day for t in told),
        "",
        target=AIM_PER_DAY,
        note=f"worst {worst:.1f}; {seen - lost}/{seen} episodes caught",
    )
    outcome.add(
        "the same: alarms and rises a patient-day",
        fmean(t.told for t in told),
        "",
        target=LIMIT_PER_DAY,
        note=f"worst {max(t.told for t in told):.1f}",
    )
    outcome.add("the same: median warning", median(t.warning for t in told), "min")
    _agreed(outcome, "halves", max(set(picked), key=picked.count), picked)


def _agreed(outcome: Outcome, name: str, most: Choice, picked: list[Choice]) -> None:
    words = f"hysteresis {most[0]:g}, clear after {most[1] / 60:g} min; severe: {most[2] / 60:g} min"
    outcome.add(f"{name}: the same choice", picked.count(most) / len(picked), "", note=words)


def _half(records: Records, seed: int) -> tuple[list[str], list[str]]:
    """Two halves with as many records of each group."""
    chance = random.Random(seed)  # noqa: S311 - a measurement, the same each time
    ours: list[str] = []
    for group in sorted(set(records.groups.values())):
        members = sorted(p for p, g in records.groups.items() if g == group and p in records.tracks)
        chance.shuffle(members)
        ours += members[: ceil(len(members) / 2) if seed % 2 else len(members) // 2]
    return ours, [p for p in records.tracks if p not in set(ours)]


# -- the challenge's own question


def _forecast(outcome: Outcome, records: Records) -> None:
    """Who will have an episode within the hour after minute 600, by the last five minutes' mean alone."""
    means = {p: _last_mean(t) for p, t in records.tracks.items()}
    will = [m for p, m in means.items() if records.groups[p].startswith("H")]
    will_not = [m for p, m in means.items() if records.groups[p].startswith("C")]
    outcome.add("an episode within the hour, last 5-minute mean: AUROC", auroc(will, will_not), "")
    right = 0
    for patient, mean in means.items():
        others = [(m, records.groups[p].startswith("H")) for p, m in means.items() if p != patient]
        right += (mean < _cut(others)) == records.groups[patient].startswith("H")
    outcome.add("the same: right, limit chosen without the record", float(right), "", note=f"of {len(means)}")
    for pair in ("1", "2"):
        mine = sorted((p for p in means if records.groups[p].endswith(pair)), key=means.__getitem__)
        lower, count = mine[: len(mine) // 2], len(mine)
        hits = sum(records.groups[p].startswith("H") == (p in lower) for p in mine)
        outcome.add(
            f"H{pair} told from C{pair}",
            float(hits),
            "",
            note=f"of {count}: of the lower half one is foretold",
        )


def _last_mean(track: Track) -> float:
    start = track.time[0]
    last = start + FORECAST
    values = [
        v for t, v in zip(track.time, track.value, strict=True) if last - 300 * SECOND <= t < last and v > 20
    ]
    return fmean(values) if values else nan


def _cut(known: Sequence[tuple[float, bool]]) -> float:
    """The limit that is right most often; of several the one in the middle."""
    ordered = sorted(known)
    cuts = [(a[0] + b[0]) / 2 for a, b in pairwise(ordered)]
    right = [sum((m < cut) == low for m, low in known) for cut in cuts]
    best = [cut for cut, n in zip(cuts, right, strict=True) if n == max(right)]
    return best[len(best) // 2]


def auroc(lower: Sequence[float], higher: Sequence[float]) -> float:
    """How often one of ``lower`` lies below one of ``higher``; equal ones count half. Needs one of each."""
    ordered = sorted(higher)
    wins = 0.0
    for value in lower:
        above = len(ordered) - bisect_right(ordered, value)
        equal = len(ordered) - above - bisect_left(ordered, value)
        wins += above + equal / 2
    return wins / len(lower) / len(higher)
