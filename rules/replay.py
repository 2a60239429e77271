"""A rule set run over recorded readings, patient by patient, as fast as it goes: which alarms there would be.

The same engine as in the product, fed in order of measurement; time goes no further than a patient's last
reading. Times are UTC nanoseconds.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, isnan, nan
from typing import Any, Final

from rules.conditions import Missing, leaves
from rules.context import Context
from rules.engine import Engine
from rules.model import Configuration, Readings, Rows, Tick, Transition
from rules.peaks import Peak, peak_of
from rules.rule import SECOND, Kind, Priority, RuleSet
from rules.state import State

__all__ = ["Episode", "Late", "Replay", "Stage", "Track", "replay"]

CHUNK: Final = 48
"""Rows stepped at once, as many as a gateway's frame has; those of one moment stay together all the same."""
SOURCE: Final = "replay"
_GONE: Final = frozenset({"end", "reset"})
_GRAVER: Final = ("low", "medium", "high")


@dataclass(slots=True)
class Track:
    """One patient's readings as columns; a value that is not a number is a word on quality only.

    ``received`` and ``quality`` None: received when measured, good. ``first`` and ``last`` are the times of
    the first and the last reading of any kind, also of those that are not among the rows.
    """

    patient: str
    device: list[str] = field(default_factory=list)
    metric: list[str] = field(default_factory=list)
    value: array[float] = field(default_factory=lambda: array("d"))
    time: array[int] = field(default_factory=lambda: array("q"))
    received: array[int] | None = None
    quality: array[int] | None = None
    first: int | None = None
    last: int | None = None

    def __len__(self) -> int:
        return len(self.time)

    def add(self, device: str, metric: str, value: float | None, time: int) -> None:
        """Add one row of a recording, which has neither receive times nor quality."""
        self.device.append(device)
        self.metric.append(metric)
        self.value.append(nan if value is None else value)
        self.time.append(time)

    def seen(self, time: int) -> None:
        """Something of the patient was recorded then, be it a row or not."""
        if self.first is None or time < self.first:
            self.first = time
        if self.last is None or time > self.last:
            self.last = time

    def sort(self) -> None:
        """Bring the rows into order of time; rows of one moment stay in theirs."""
        if all(a <= b for a, b in pairwise(self.time)):
            return
        order = sorted(range(len(self)), key=self.time.__getitem__)
        self.device = [self.device[i] for i in order]
        self.metric = [self.metric[i] for i in order]
        self.value = array("d", [self.value[i] for i in order])
        self.time = array("q", [self.time[i] for i in order])
        if self.received is not None:
            self.received = array("q", [self.received[i] for i in order])
        if self.quality is not None:
            self.quality = array("q", [self.quality[i] for i in order])

    def chunks(self, size: int = CHUNK) -> Iterator[Rows]:
        """The rows in order of time; those of one moment are in one chunk."""
        start, time = 0, self.time
        while start < len(time):
            end = min(start + size, len(time))
            while end < len(time) and time[end] == time[end - 1]:
                end += 1
            yield self._rows(start, end)
            start = end

    def _rows(self, start: int, end: int) -> Rows:
        span = slice(start, end)
        times = self.time[span].tolist()
        values: list[float | None] = [None if isnan(v) else v for v in self.value[span]]
        return Rows(
            patient=[self.patient] * (end - start),
            device=self.device[span],
            metric=self.metric[span],
            value=values,
            time=times,
            received=times if self.received is None else self.received[span].tolist(),
            quality=[0] * (end - start) if self.quality is None else self.quality[span].tolist(),
        )

    def gap(self) -> int | None:
        """The median time between moments at which rows were measured; None with less than two."""
        gaps = sorted(b - a for a, b in pairwise(self.time) if b > a)
        return gaps[len(gaps) // 2] if gaps else None


@dataclass(slots=True)
class Stage:
    """One condition of an alarm: ``onset`` to ``end`` (None: it lasted), part of the alarm since ``at``.

    ``risen``: the alarm rose by it and was told anew.
    """

    alarm: str
    rule: str
    priority: Priority
    onset: int
    at: int
    risen: bool
    text: dict[str, str]
    end: int | None = None

    def overlaps(self, other: Stage) -> bool:
        """Whether both went on at some moment, counted from their onsets."""
        return (other.end is None or self.onset <= other.end) and (
            self.end is None or other.onset <= self.end
        )


@dataclass(slots=True)
class Episode:
    """One alarm from its beginning to its end.

    ``onset``: the first reading that breached; ``started``: when it was told (the rule's delay later);
    ``end`` None: it still went on when the recording ended. ``peak`` is the worst value of what the limit is
    compared with (a smoothed value, a change, a score, seconds of silence), None where there is none.
    ``rule`` is the one that opened it, ``priority`` the highest that it had, ``stages`` its conditions in the
    order of their coming.
    """

    alarm: str
    patient: str
    rule: str
    version: int
    hash: str
    kind: Kind
    priority: Priority
    title: dict[str, str]
    text: dict[str, str]
    limit: str
    onset: int
    started: int
    inputs: tuple[dict[str, Any], ...]
    detail: dict[str, Any]
    late: bool = False
    end: int | None = None
    peak: Peak | None = None
    stages: list[Stage] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.stages:
            own = Stage(
                self.alarm, self.rule, self.priority, self.onset, self.started, risen=False, text=self.text
            )
            own.end = self.end
            self.stages.append(own)

    @property
    def rises(self) -> list[Stage]:
        """Those by which it rose."""
        return [s for s in self.stages if s.risen]

    def active(self, at: int) -> bool:
        """Whether it was told at ``at`` or before and had not ended."""
        return self.started <= at and (self.end is None or at < self.end)

    def overlaps(self, other: Episode) -> bool:
        """Whether both went on at some moment, counted from their onsets."""
        return (other.end is None or self.onset <= other.end) and (
            self.end is None or other.onset <= self.end
        )


@dataclass(frozen=True, slots=True)
class Late:
    """A breach that came too late to signal: an entry of the worklist."""

    patient: str
    rule: str
    at: int
    text: dict[str, str]


@dataclass(slots=True)
class Replay:
    """What came of one rule set: episodes in order of onset, worklist, and how much was looked at.

    ``asked`` counts second measurements asked for, by rule. ``read`` and ``unread`` count rows by metric:
    of those that some rule looks at, and of the others.
    """

    rules: RuleSet
    episodes: list[Episode] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)


def replay(
    rules: RuleSet,
    tracks: Iterable[Track],
    contexts: Mapping[str, Context] | None = None,
    *,
    chunk: int = CHUNK,
) -> Replay:
    """Run the rules over tracks that are in order of time. ``contexts``: what is known, by patient.

    Where it is not known what is to be expected of a patient, a signal is expected to go on that usually
    comes at least three times within the time after which the first rule misses it.
    """
    out, empty = Replay(rules), State.empty(SOURCE, rules)
    looked_at = {metric for rule in rules for metric in rule.looks_at}
    patience = _patience(rules)
    for track in tracks:
        for metric, count in Counter(track.metric).items():
            (out.read if metric in looked_at else out.unread)[metric] += count
        context = (contexts or {}).get(track.patient, Context())
        if context.expected is None:
            context = replace(context, expected=_regular(patience, track))
        _Run(out, context, track).go(empty.fork(), chunk)
    out.episodes.sort(key=lambda e: (e.onset, e.patient, e.rule))
    out.late.sort(key=lambda x: (x.at, x.patient, x.rule))
    return out


def _patience(rules: RuleSet) -> dict[str, float]:
    """After how long (ns) the first rule misses a signal."""
    out: dict[str, float] = {}
    for rule in rules:
        for leaf in leaves(rule.resolved.condition):
            if isinstance(leaf, Missing) and not leaf.unseen:
                out[leaf.metric] = min(float(leaf.for_s) * SECOND, out.get(leaf.metric, inf))
    return out


def _regular(patience: Mapping[str, float], track: Track) -> dict[str, int]:
    """The signals whose silence means something, with the time (ns) of their first value."""
    times: dict[str, array[int]] = {m: array("q") for m in patience}
    for metric, time in zip(track.metric, track.time, strict=True):
        if metric in times:
            times[metric].append(time)
    out = {}
    for metric, known in times.items():
        gaps = sorted(b - a for a, b in pairwise(known) if b > a)
        if gaps and gaps[len(gaps) // 2] * 3 <= patience[metric]:
            out[metric] = known[0]
    return out


class _Run:
    """One patient under the rules."""

    def __init__(self, out: Replay, context: Context, track: Track) -> None:
        self._out, self._context, self._track = out, context, track
        # a colon would make a device or a gateway of the patient
        self._subject = track.patient.replace(":", " ")
        self._open: dict[str, Episode] = {}
        self._found: list[Episode] = []

    def go(self, empty: State, chunk: int) -> None:
        """Step everything into an empty state of the rules, then look for the peaks."""
        track = self._track
        if not len(track):
            return
        engine, seq = Engine(empty), 1
        known = {self._subject: self._context}
        self._take(engine.step(Configuration(seq, track.time[0], None, contexts=known)))
        for rows in track.chunks(chunk):
            seq, now = seq + 1, rows.time[-1]
            rows.patient = [self._subject] * len(rows)
            self._take(engine.step(Readings(seq, now, rows, SOURCE, now)))
        end = track.time[-1] if track.last is None else track.last
        self._take(engine.step(Tick(seq + 1, end)))
        self._peaks(end)
        self._out.episodes += self._found

    def _take(self, transitions: Iterable[Transition]) -> None:
        for t in transitions:
            if t.shadow:
                continue
            if t.kind == "start":
                self._start(t)
            elif t.kind in _GONE and (episode := self._open.pop(t.alarm, None)) is not None:
                episode.end = t.at
                for stage in episode.stages:
                    stage.end = t.at if stage.end is None else stage.end
            elif "part" in t.detail and (episode := self._open.get(t.alarm)) is not None:
                self._staged(t, episode)
            elif t.kind == "ask":
                self._out.asked[t.rule] += 1
            elif t.kind == "late":
                self._out.late.append(Late(self._track.patient, t.rule, t.at, t.text))

    @staticmethod
    def _staged(t: Transition, episode: Episode) -> None:
        """A further stage of an alarm has begun, or one is over."""
        part, why = t.detail["part"], t.detail.get("why")
        if why == "part_over":
            for stage in episode.stages:
                if stage.alarm == part["alarm"]:
                    stage.end = t.at
        elif why in {"raised", "joined"}:
            risen = why == "raised"
            episode.stages.append(
                Stage(part["alarm"], part["rule"], part["priority"], part["onset"], t.at, risen, part["text"])
            )
        if _GRAVER.index(t.priority) > _GRAVER.index(episode.priority):
            episode.priority = t.priority

    def _start(self, t: Transition) -> None:
        rule = self._out.rules.by_id[t.rule]
        episode = Episode(
            alarm=t.alarm,
            patient=self._track.patient,
            rule=t.rule,
            version=rule.version,
            hash=t.rule_hash,
            kind=rule.kind,
            priority=t.priority,
            title=rule.title,
            text=t.text,
            limit=t.limit,
            onset=t.onset,
            started=t.at,
            inputs=t.inputs,
            detail=t.detail,
            late=t.late,
        )
        self._open[t.alarm] = episode
        self._found.append(episode)

    def _peaks(self, end: int) -> None:
        """The worst of each episode; those whose end is not known are looked at up to ``end``."""
        columns = _columns(
            self._track, {m for e in self._found for m in self._out.rules.by_id[e.rule].inputs}
        )
        for episode in self._found:
            rule = self._context.resolve(self._out.rules.by_id[episode.rule], episode.started)
            until = end if episode.end is None else episode.end
            episode.peak = peak_of(
                rule, columns, episode.onset, until, episode.inputs, scale=self._context.spo2_scale
            )


def _columns(track: Track, metrics: set[str]) -> dict[str, list[tuple[int, str, float]]]:
    """Metric -> (time, device, value) of the rows that have a value, in order of time."""
    out: dict[str, list[tuple[int, str, float]]] = {m: [] for m in metrics}
    if metrics:
        for time, device, metric, value in zip(
            track.time, track.device, track.metric, track.value, strict=True
        ):
            if metric in metrics and not isnan(value):
                out[metric].append((time, device, value))
    return out
