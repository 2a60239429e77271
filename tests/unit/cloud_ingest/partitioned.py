"""Gateways and a cloud under one random history: cut off, late, again, out of order, restarted, reconfigured.

The gateways' engines see everything in order. What they send (readings and decisions) comes to the cloud as
the network likes. ``Reference`` is a cloud that sees all of it in order, at once, and no decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random

from cloud_ingest.adopting import fold
from rules import Configuration, Engine, Input, Readings, Rows, RuleSet, State, Tick, Transition, step
from rules.adoption import is_news
from rules.conditions import Smoothing
from rules.model import Adopt
from rules.rule import Rule
from rules.shared import overlap
from rules.travelling import Travelling
from tests.unit.rules.made import at, make, threshold

__all__ = ["PLAIN", "TIMED", "Cloud", "World", "doubles", "rows_of"]

PLAIN = (
    make("spo2", threshold("spo2", "below", 90, 1)),
    make("hr", threshold("heart_rate", "below", 40, 2), threshold("heart_rate", "above", 130, 5)),
)
TIMED = (
    *PLAIN,
    make("delayed", threshold("spo2", "below", 92), delay_s=20.0),
    make("clear", threshold("spo2", "below", 88, 2), clear_after_s=30.0),
    make("mean", threshold("heart_rate", "above", 120, 5, smoothing=Smoothing("mean", 60)), latching=True),
)
VALUES = {
    "spo2": [84, 87, 89, 90.5, 91.5, 93, 97, 97],
    "heart_rate": [38, 41, 60, 80, 80, 124, 126, 140],
}
SENT = {"start", "update", "escalate", "de-escalate", "end", "reset"}
STRICTER = {"spo2": ("spo2", 94.0), "hr": ("heart_rate", 120.0)}


@dataclass(order=True)
class Sent:
    """Something on its way: when it comes, and whether it goes before the rest (decisions do)."""

    arrives: int
    rank: int
    number: int
    made: int = field(compare=False)
    rows: list[tuple[str, str, str, float, int, int, int]] = field(compare=False, default_factory=list)
    decisions: list[Travelling] = field(compare=False, default_factory=list)


class Cloud:
    """The scalar step, the engine beside it (unless ``alone``), and all that was told."""

    def __init__(self, rules: Iterable[Rule], *, alone: bool = False) -> None:
        self.alone = alone
        self.engine = Engine(State.empty("cloud", RuleSet(tuple(rules))))
        self.state = self.engine.state if alone else State.empty("cloud", RuleSet(tuple(rules)))
        self.seq = 0
        self.told: list[Transition] = []

    def take(self, event: Input) -> None:
        self.seq += 1
        assert event.seq == self.seq
        if self.alone:
            self.told += self.engine.step(event)
            return
        self.state, told = step(self.state, event)
        assert self.engine.step(event) == told
        assert self.engine.state.to_bytes() == self.state.to_bytes()
        self.told += told

    def adopt(self, source: str, decisions: Iterable[Travelling], now: int) -> list[Adopt]:
        """Take a gateway's decisions; returns the inputs that were news."""
        news = []
        for folded in fold(source, decisions):
            event = folded.input(self.seq + 1, now)
            if is_news(self.state, event):
                self.take(event)
                news.append(event)
                assert not is_news(self.state, event)
        return news

    def restart(self) -> None:
        """Go on from a snapshot."""
        self.state = State.from_bytes(self.state.to_bytes())
        self.engine = Engine(State.from_bytes(self.state.to_bytes()))

    def active(self) -> set[tuple[str, str]]:
        found = [(a.patient, a.rule) for a in self.state.active()]
        assert len(found) == len(set(found)), "no alarm is there twice"
        return set(found)


class Gateway:
    """Decides on its own readings in order and sends both."""

    def __init__(self, name: str, rules: tuple[Rule, ...]) -> None:
        self.name, self.rules = name, rules
        self.fresh()
        self.boots = 0
        self.open: dict[tuple[str, str], str] = {}

    def fresh(self) -> None:
        """Nothing is remembered (the data folder was lost)."""
        self.engine = Engine(State.empty(self.name, RuleSet(self.rules)), responding=False)
        self.seq = 0

    def restart(self, *, forgets: bool) -> None:
        if forgets:
            self.boots += 1
            self.fresh()
            # another number to begin with: what it opens now is another alarm
            self.seq = 100_000 * self.boots
            self.open.clear()
        else:
            self.engine = Engine(State.from_bytes(self.engine.state.to_bytes()), responding=False)

    def take(self, event: Input, *, told: bool) -> list[Travelling]:
        found = []
        for t in self.engine.step(event):
            known = t.alarm in self.open.values()
            if t.kind in SENT and not t.shadow and (known or t.kind == "start"):
                if t.kind == "start":
                    self.open[t.patient, t.rule] = t.alarm
                elif t.kind in {"end", "reset"}:
                    self.open.pop((t.patient, t.rule), None)
                travelling = Travelling.of(t, config="c", told=told)
                found.append(Travelling.decode(travelling.encode()))
        return found

    def next(self) -> int:
        self.seq += 1
        return self.seq


def stricter(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The same rules under other limits."""
    out = []
    for rule in rules:
        if rule.id in STRICTER:
            metric, limit = STRICTER[rule.id]
            op = "below" if metric == "spo2" else "above"
            out.append(make(rule.id, threshold(metric, op, limit, 1), version=2))
        else:
            out.append(rule)
    return tuple(out)


class World:
    """One history. ``run`` lets everything happen, and come; ``settle`` goes on well for a while."""

    def __init__(
        self,
        random: Random,
        rules: tuple[Rule, ...],
        *,
        gateways: int = 1,
        changes: bool = False,
        forgets: bool = False,
        loses: bool = False,
        told: bool = True,
    ) -> None:
        self.random, self.rules, self.told = random, rules, told
        self.changes, self.forgets, self.loses = changes, forgets, loses
        self.gateways = [Gateway(f"gw-{i + 1}", rules) for i in range(gateways)]
        self.cloud, self.reference = Cloud(rules), Cloud(rules, alone=True)
        self.on_way: list[Sent] = []
        self.numbers = count(1)
        self.time = at(10_000)
        self.decided: dict[str, list[Travelling]] = {}

    # -- the history

    def run(self, steps: int) -> None:
        cut = {g.name: 0 for g in self.gateways}
        for metric in VALUES:
            row = ("p", f"gw-1-{metric}", metric, float(VALUES[metric][-2]), self.time, self.time, 0)
            self.read(self.gateways[0], row)
        for _ in range(steps):
            self.time += at(self.random.choice([1, 1, 2, 5, 11, 25]))
            gateway = self.random.choice(self.gateways)
            if self.random.random() < 0.1:
                cut[gateway.name] = self.time + at(self.random.choice([10, 60, 400]))
            self._event(gateway, cut[gateway.name])
            self._deliver(self.time)
            if self.random.random() < 0.1:
                self._tick_all()
            if self.random.random() < 0.05:
                self.cloud.restart()
        self._deliver(max([s.arrives for s in self.on_way], default=self.time))

    def _event(self, gateway: Gateway, cut: int) -> None:
        chance = self.random.random()
        if chance < 0.04:
            gateway.restart(forgets=self.forgets and self.random.random() < 0.5)
        elif chance < 0.08 and self.changes:
            self._configure(gateway)
        else:
            self._measure(gateway, cut)

    def _measure(self, gateway: Gateway, cut: int) -> None:
        metric = self.random.choice(list(VALUES))
        value = float(self.random.choice(VALUES[metric]))
        patient = self.random.choice("pq") if gateway.name == "gw-1" else "p"
        row = (patient, f"{gateway.name}-{metric}", metric, value, self.time, self.time, 0)
        self.read(gateway, row, cut)

    def read(self, gateway: Gateway, row: tuple[str, str, str, float, int, int, int], cut: int = 0) -> None:
        table, now = Rows.of([row]), self.time
        self.reference.take(Readings(self.reference.seq + 1, now, table, gateway.name, now))
        decided = gateway.take(Readings(gateway.next(), now, table, gateway.name, now), told=self.told)
        self._send(gateway, now, cut, [row], decided)

    def _tick_all(self) -> None:
        for gateway in self.gateways:
            decided = gateway.take(Tick(gateway.next(), self.time), told=self.told)
            self._send(gateway, self.time, 0, [], decided)
        self.reference.take(Tick(self.reference.seq + 1, self.time))
        self.cloud.take(Tick(self.cloud.seq + 1, self.time))

    def _configure(self, gateway: Gateway) -> None:
        """The cloud's rules change, or at last the gateway's."""
        if self.random.random() < 0.5:
            self.rules = stricter(self.rules) if self.random.random() < 0.5 else TIMED[: len(self.rules)]
            for cloud in (self.reference, self.cloud):
                cloud.take(Configuration(cloud.seq + 1, self.time, RuleSet(self.rules)))
        else:
            self._follow(gateway)

    def _follow(self, gateway: Gateway) -> None:
        gateway.rules = self.rules
        decided = gateway.take(Configuration(gateway.next(), self.time, RuleSet(self.rules)), told=self.told)
        self._send(gateway, self.time, 0, [], decided)

    # -- the network

    def _send(
        self,
        gateway: Gateway,
        now: int,
        cut: int,
        rows: list[tuple[str, str, str, float, int, int, int]],
        decided: list[Travelling],
    ) -> None:
        for d in decided:
            self.decided.setdefault(d.alarm, []).append(d)
        base = max(now, cut)
        name = int(gateway.name[3:])
        if decided:
            late = at(self.random.choice([0, 0, 0, 1, 30, 200]))
            for _ in range(self.random.choice([1, 1, 1, 2])):
                self._post(Sent(base + late, 0, next(self.numbers), name, [], decided))
        if rows and not (self.loses and self.random.random() < 0.1):
            late = at(self.random.choice([0, 0, 0, 0, 2, 40]))
            self._post(Sent(base + late, 1, next(self.numbers), name, rows))

    def _post(self, sent: Sent) -> None:
        self.on_way.append(sent)

    def _deliver(self, until: int) -> None:
        ready = sorted(s for s in self.on_way if s.arrives <= until)
        self.on_way = [s for s in self.on_way if s.arrives > until]
        for batch in self._batches(ready):
            now = max(self.time, batch[0].arrives)
            self.time = max(self.time, now)
            for name in {s.made: None for s in batch}:
                source = f"gw-{name}"
                decided = [d for s in batch if s.made == name for d in s.decisions]
                self.cloud.adopt(source, decided, now)
                rows = [r for s in batch if s.made == name for r in s.rows]
                if rows:
                    self.random.shuffle(rows)
                    self.cloud.take(Readings(self.cloud.seq + 1, now, Rows.of(rows), source, now))

    def _batches(self, ready: list[Sent]) -> Iterator[list[Sent]]:
        while ready:
            size = self.random.choice([1, 1, 2, 5, 40])
            if self.random.random() < 0.2:
                self.random.shuffle(ready)
            yield ready[:size]
            ready = ready[size:]

    # -- at rest

    def settle(self, seconds: int = 160) -> None:
        """All gateways have the present configuration; good connection, readings as they last were."""
        for gateway in self.gateways:
            if gateway.rules != self.rules:
                self._follow(gateway)
        self.calm(seconds, None)

    def calm(self, seconds: int, values: dict[str, float] | None) -> None:
        """Everybody sends every ten seconds what they last sent, or these values, and all of it comes."""
        for _ in range(seconds // 10):
            self.time += at(10)
            for gateway in self.gateways:
                for row in list(self._last(gateway, values)):
                    self.read(gateway, row)
            self._tick_all()
            self.now()

    def now(self) -> None:
        """All that is on its way comes."""
        for sent in self.on_way:
            sent.arrives = self.time
        self._deliver(self.time)

    def _last(
        self, gateway: Gateway, values: dict[str, float] | None
    ) -> Iterator[tuple[str, str, str, float, int, int, int]]:
        for patient, subject in sorted(self.reference.state.subjects.items()):
            for metric, devices in sorted(subject.series.items()):
                for device, series in sorted(devices.items()):
                    if device.startswith(gateway.name):
                        value = series.value if values is None else values[metric]
                        yield patient, device, metric, value, self.time, self.time, 0


@dataclass
class Row:
    """An alarm or an entry as it stands in the records."""

    subject: str
    rule: str
    onset: int
    started: int
    end: float = inf
    entry: bool = False
    hidden: bool = False


def rows_of(told: Iterable[Transition]) -> tuple[dict[str, Row], dict[str, str]]:
    """The rows that transitions make, and other names -> rows."""
    rows: dict[str, Row] = {}
    names: dict[str, str] = {}
    for t in told:
        if not t.alarm:
            continue
        if "alias" in t.detail:
            names[t.detail["alias"]] = t.alarm
        row = rows.get(t.alarm)
        if row is None:
            row = rows[t.alarm] = Row(t.patient, t.rule, t.onset, t.at, entry=t.kind in {"late", "ask"})
        if t.kind == "start":
            row.entry, row.end = False, inf
        row.onset = min(row.onset, t.onset)
        if t.kind in {"end", "reset"} and row.end == inf:
            row.end = t.at
        if t.kind == "late":
            row.end = t.detail.get("ended", t.at if row.end == inf else row.end)
            row.hidden = row.hidden or "into" in t.detail
    return rows, names


def doubles(rows: dict[str, Row]) -> list[tuple[str, str]]:
    """Pairs of alarms of one subject and rule that are one episode.

    An entry of readings that came too late gathers all of ten minutes: it is no episode.
    """
    shown = [(name, r) for name, r in rows.items() if not r.hidden and not name.startswith("late_")]
    out = []
    for i, (name, a) in enumerate(shown):
        for other, b in shown[i + 1 :]:
            same = (a.subject, a.rule) == (b.subject, b.rule) and a.end > a.onset and b.end > b.onset
            if same and overlap(a.onset, a.end, b.onset, b.end):
                out.append((name, other))
    return out
