"""What a replay comes to: the burden of alarms, labelled events caught, two rule sets side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import median
from typing import Final

from rules.replay import Episode, Stage, Track
from rules.rule import SECOND

__all__ = [
    "Caught",
    "Event",
    "active_days",
    "catch",
    "days_by_patient",
    "first_begun",
    "median_warning",
    "top_share",
    "unmatched",
]

DAY: Final = 86_400 * SECOND
TOP: Final = 10
"""The share of all patients (one in so many) whose part of the alarms is told."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that truly happened to a patient, and that alarms should have told of."""

    patient: str
    time: int
    label: str


@dataclass(frozen=True, slots=True)
class Caught:
    """An event and the alarm that caught it, if any; ``warning`` (ns) is negative when it began before."""

    event: Event
    episode: Episode | None = None

    @property
    def warning(self) -> int | None:
        """From the alarm's being told to the event."""
        return None if self.episode is None else self.event.time - self.episode.started


def days_by_patient(tracks: Iterable[Track]) -> dict[str, float]:
    """Patient -> days watched: the span of the readings and one typical interval between them."""
    gaps: dict[str, int | None] = {}
    spans: dict[str, int] = {}
    for track in tracks:
        if track.first is not None and track.last is not None:
            spans[track.patient] = track.last - track.first
            gaps[track.patient] = track.gap()
    typical = median([g for g in gaps.values() if g is not None] or [0])
    return {p: (span + (typical if (g := gaps[p]) is None else g)) / DAY for p, span in spans.items()}


def top_share(episodes: Sequence[Episode], patients: int) -> float | None:
    """The part of the alarms that the most alarmed tenth of all patients has; None without alarms."""
    if not episodes:
        return None
    counts = sorted(Counter(e.patient for e in episodes).values(), reverse=True)
    return sum(counts[: ceil(patients / TOP)]) / len(episodes)


def active_days(episodes: Iterable[Episode], tracks: Iterable[Track]) -> float:
    """For how many days some alarm was active, those of one patient at the same time counted once."""
    ends = {t.patient: t.last for t in tracks if t.last is not None}
    covered: dict[str, int] = {}
    total = 0
    for e in sorted(episodes, key=lambda e: e.started):
        end = ends.get(e.patient, e.started) if e.end is None else e.end
        start = max(e.started, covered.get(e.patient, e.started))
        total += max(0, end - start)
        covered[e.patient] = max(end, start)
    return total / DAY


def catch(episodes: Iterable[Episode], events: Iterable[Event], before: int, after: int) -> list[Caught]:
    """Which alarm caught each event, if any.

    The alarm that was active when the event began (of several the one told first, since when people knew);
    or else the last one told within ``before`` (ns) before it, though it had ended; or else the first one
    told within ``after`` behind its beginning.
    """
    by_patient: dict[str, list[Episode]] = {}
    for episode in sorted(episodes, key=lambda e: e.started):
        by_patient.setdefault(episode.patient, []).append(episode)
    return [
        Caught(event, _catcher(by_patient.get(event.patient, ()), event.time, before, after))
        for event in events
    ]


def _catcher(episodes: Iterable[Episode], at: int, before: int, after: int) -> Episode | None:
    earlier: Episode | None = None
    for episode in episodes:
        if episode.active(at):
            return episode
        if at - before <= episode.started <= at:
            earlier = episode
        elif earlier is None and at < episode.started <= at + after:
            return episode
    return earlier


def first_begun(
    episodes: Iterable[Episode], events: Iterable[Event], before: int, after: int
) -> list[Caught]:
    """The first alarm that began or rose around each event: ``before`` (ns) before it, or ``after`` behind.

    Stricter than ``catch``: an alarm that has gone on for longer is no news and does not count, but its rise,
    which is told as a new alarm is, does.
    """
    told = sorted(_announced(episodes), key=lambda e: e.started)
    return [
        Caught(
            event,
            next(
                (
                    e
                    for e in told
                    if e.patient == event.patient and -after <= event.time - e.started <= before
                ),
                None,
            ),
        )
        for event in events
    ]


def _announced(episodes: Iterable[Episode]) -> Iterator[Episode]:
    """Every time that people were told anew: an alarm, and the same as of each of its rises."""
    for episode in episodes:
        yield episode
        for stage in episode.rises:
            yield replace(episode, started=stage.at, priority=stage.priority, text=stage.text)


def median_warning(caught: Iterable[Caught]) -> float | None:
    """The median warning (ns) over the events that were caught; None when none was."""
    warnings = [c.warning for c in caught if c.warning is not None]
    return median(warnings) if warnings else None


def unmatched(episodes: Iterable[Episode], others: Iterable[Episode]) -> list[Episode]:
    """Those of which some stage has none among the others of the same patient and rule at the same time."""
    known: dict[tuple[str, str], list[Stage]] = {}
    for other in others:
        for stage in other.stages:
            known.setdefault((other.patient, stage.rule), []).append(stage)
    return [
        e
        for e in episodes
        if any(not any(s.overlaps(o) for o in known.get((e.patient, s.rule), ())) for s in e.stages)
    ]
