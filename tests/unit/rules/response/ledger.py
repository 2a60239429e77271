"""A small model of answering alarms, written anew: what must have been told, and what must be left.

It knows which conditions were brought about and which commands were given, and reads the transitions. It
shares with the code the policies and ``Duty.recipients`` (which has tests of its own), nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rules import State, Transition
from rules.response.duty import Duty
from rules.response.model import NEVER
from rules.response.policy import Timetable
from rules.rule import SECOND

__all__ = ["Entry", "Ledger"]

Hop = tuple[str, str]
SILENT = {"alarm_paused", "alarm_off"}
STRONGEST = ("alarm_off", "maintenance", "alarm_paused", "audio_off")


@dataclass
class Entry:
    """One alarm as the model has it; ``next`` is when its next step must be taken."""

    alarm: str
    subject: str
    rule: str
    table: str
    latching: bool
    armed: int = 0
    count: int = 0
    since: int = 0
    """From when on reminders count: who has it, and how urgent it is, has been so since."""
    next: int = NEVER
    latched: bool = False
    owner: str | None = None
    acknowledged: bool = False
    paused: int = 0
    rejected: set[str] = field(default_factory=set)
    turned_away: bool = False
    """The next step comes because somebody cannot."""
    pending: set[Hop] = field(default_factory=set)
    told: set[Hop] = field(default_factory=set)
    signal: str = "on"
    root: str | None = None
    redirected: bool = False

    @property
    def tells(self) -> bool:
        """Whether it is told of in general, whoever has it."""
        return not self.latched and self.root is None and self.signal not in SILENT


class Ledger:
    """All open alarms, and what is switched off."""

    def __init__(self, duty: Duty, above: dict[tuple[str, str], list[tuple[str, str]]]) -> None:
        self.duty = duty
        self.above = above
        """Of a silence, by (subject, rule), those above it, the outermost first."""
        self.open: dict[str, Entry] = {}
        self.off: dict[tuple[str, str], int] = {}
        self.now = 0
        self.before = 0
        self.priorities: dict[str, str] = {}
        self.ever: set[str] = set()

    # -- reading

    def read(self, found: Iterable[Transition], now: int) -> None:
        """Check the transitions of one input one after the other."""
        self.before, self.now = self.now, now
        for t in found:
            assert t.decided == now
            if not t.alarm:
                self._switched(t)
            elif t.kind == "start":
                self._start(t)
            else:
                self._change(t, self.open[t.alarm])

    def _switched(self, t: Transition) -> None:
        kind, until = t.detail["kind"], t.detail["until"]
        if t.kind == "pause":
            self.off[t.patient, kind] = until
            return
        assert self.off.pop((t.patient, kind)) == until
        if t.detail["why"] == "expired":
            assert t.at == until, "a pause ends at its end, whenever somebody looks"
            assert self.before < until <= self.now
        else:
            assert t.at == self.now

    def _start(self, t: Transition) -> None:
        assert t.alarm not in self.ever, "one episode, one alarm"
        self.ever.add(t.alarm)
        kind = {"low": "physiological", "fast": "physiological"}.get(t.rule, "technical")
        entry = Entry(t.alarm, t.patient, t.rule, f"{kind}.{t.priority}", latching=t.rule == "fast")
        assert not [e for e in self.open.values() if (e.subject, e.rule) == (t.patient, t.rule)]
        self.open[t.alarm] = entry
        self._axes(t, entry)
        if entry.tells:
            entry.armed = entry.next = self.now
            self._stepped(t, entry)
        else:
            assert not t.detail.get("told"), "what is under a root, or switched off, is told to nobody"
        self._lost(entry)

    def _lost(self, lost: Entry) -> None:
        """The walls or a channel are lost: who counted on them is told in another way at once."""
        for entry in self.open.values():
            if entry is lost or entry.next == NEVER:
                continue
            if lost.rule == "unheard" and self.duty.ward_of(entry.subject) == "west":
                hasty = all(channel == "in_app" for channel, _ in entry.told)
            else:
                hasty = lost.rule == "failing" and {c for c, _ in entry.pending} == {"sms"}
                hasty = hasty and "sms" in self.duty.channels
            if hasty:
                self._unheard(entry, self.now)
                entry.next = self.now

    def _change(self, t: Transition, entry: Entry) -> None:
        if t.kind in {"end", "reset"} or t.detail.get("succeeded_by"):
            self._gone(t, entry)
            return
        told, asked = entry.tells, entry.owner
        self._axes(t, entry)
        if t.kind in {"update", "escalate"} and "alias" not in t.detail:
            entry.acknowledged = False  # it is worse than what was acknowledged
        if t.kind == "escalate":
            entry.paused = 0
        if t.kind in {"escalate", "de-escalate"}:
            entry.table = f"{entry.table.partition('.')[0]}.{t.priority}"
        hops = {tuple(hop) for hop in t.detail.get("told", ())}
        if not entry.tells:
            assert not hops, "what is under a root, or switched off, is told to nobody"
            entry.next = NEVER
        elif entry.owner is not None:
            assert t.kind != "tell", "who has accepted is not told again by the timetable"
            assert not hops or t.kind == "escalate" or t.detail.get("why") == "reminder"
            entry.next = NEVER
        elif not told or t.kind == "release" or (t.kind == "escalate" and asked is None):
            entry.armed = self.now if t.kind == "escalate" else t.at
            entry.count, entry.next, entry.rejected = 0, entry.armed, set()
        self._acted(t, entry, hops)
        if "step" in t.detail:
            self._stepped(t, entry)

    def _acted(self, t: Transition, entry: Entry, hops: set[Hop]) -> None:
        if t.kind == "reject":
            assert t.actor is not None
            entry.rejected.add(t.actor)
            if entry.tells:
                entry.next, entry.turned_away = self.now, True
        elif t.kind == "redirect":
            entry.rejected.discard(t.detail["to"])
            entry.told |= hops
            if entry.tells:
                entry.pending = {hop for hop in hops if hop[0] != "in_app"} or hops
                wait = round(self._table(entry).redirect_s * SECOND)
                entry.next = self.now + wait if hops else self.now
                entry.redirected = True
        elif t.kind == "undelivered":
            entry.pending.discard(tuple(t.detail["hop"]))
            left = entry.count < len(self._table(entry).steps) or entry.redirected
            if not entry.pending and entry.next != NEVER and left:
                entry.next = self.now  # of the last step nothing is left to bring forward
        elif t.detail.get("why") == "reconnected":
            assert entry.owner is None
            assert hops
            assert {channel for channel, _ in hops} == {"sms"}
            assert not hops & entry.told, "only what did not go out before"
            entry.told |= hops
        elif t.detail.get("why") == "reminder":
            every = round(self._table(entry).remind_s * SECOND)
            assert (t.at - entry.since) % every == 0
            assert t.at > entry.since
            assert self.before < t.at <= self.now
            assert ("in_app", "wall") in hops
            entry.acknowledged = False
        elif t.kind == "de-escalate" and entry.next != self.now and not entry.redirected:
            self._rescheduled(entry)

    def _rescheduled(self, entry: Entry) -> None:
        """It goes by another timetable from now on, which may have ended already, or go on again."""
        table = self._table(entry)
        if entry.owner is not None or not entry.tells:
            return
        if entry.count < len(table.steps):
            due = entry.armed + round(table.steps[entry.count].after_s * SECOND)
            entry.next = max(due, self.now)
        elif not table.repeat_s:
            entry.next = NEVER
        elif entry.next == NEVER:
            due = entry.armed + round((table.steps[-1].after_s + table.repeat_s) * SECOND)
            entry.next = max(due, self.now)

    def _gone(self, t: Transition, entry: Entry) -> None:
        if t.kind == "end" and entry.latching:
            assert t.condition == "latched"
            entry.latched, entry.next, entry.root, entry.paused = True, NEVER, None, 0
            entry.acknowledged = False
        else:
            assert t.condition == "inactive"
            assert entry.latched or t.kind != "update"
            del self.open[t.alarm]
        if t.kind == "end":
            told = {tuple(hop) for hop in t.detail.get("told", ())}
            assert told == {hop for hop in entry.told if hop[0] != "voice"}, "its end is told to whom it was"

    def _axes(self, t: Transition, entry: Entry) -> None:
        axes = t.detail["axes"]
        if axes["owner"] != entry.owner:
            assert t.kind in {"accept", "take_over", "reject", "release", "redirect"}
            entry.owner = axes["owner"]
            if entry.owner is None:
                entry.acknowledged = False  # nobody has it: it is heard again
        entry.signal, entry.root = axes["signal"], axes["root"]
        if entry.signal in {*SILENT, "audio_off"}:
            entry.paused, entry.acknowledged = 0, False  # all of it signals again when that ends
        if t.kind in {"accept", "take_over", "escalate", "de-escalate"}:
            entry.since = self.now

    # -- the timetable

    def _table(self, entry: Entry) -> Timetable:
        return self.duty.policies["default"].timetables[entry.table]

    def _stepped(self, t: Transition, entry: Entry) -> None:
        steps, told = self._table(entry).steps, {tuple(hop) for hop in t.detail.get("told", ())}
        last, why, at = len(steps) - 1, t.detail.get("why"), t.detail["due"]
        self._unheard(entry, at)
        assert t.detail["step"] == min(entry.count, last), "no step is skipped or taken twice"
        assert t.detail["of"] == len(steps)
        assert at == entry.next, "each at its own time, whenever somebody looks"
        assert self.before < at <= self.now or at == self.now or why == "nobody"
        if t.kind == "tell":
            assert t.at == at
        hops = self._hops(entry, min(entry.count, last), at)
        assert told == hops
        entry.told |= told
        entry.pending = {hop for hop in told if hop[0] != "in_app"} or told
        self._count(entry, at, nobody=not told)

    def _count(self, entry: Entry, at: int, *, nobody: bool) -> None:
        table = self._table(entry)
        entry.count += 1
        entry.turned_away = False
        entry.redirected = False
        if entry.count < len(table.steps):
            due = entry.armed + round(table.steps[entry.count].after_s * SECOND)
            entry.next = at if nobody else max(due, at)
        elif table.repeat_s:
            every = round(table.repeat_s * SECOND)
            entry.next = at + every * max(1, (self.now - at) // every)
        else:
            entry.next = NEVER

    def _unheard(self, entry: Entry, until: int) -> None:
        """Repetitions that have nobody to go to are not told of each time."""
        steps = self._table(entry).steps
        while entry.count > len(steps) and entry.next < min(until, self.now + 1):
            assert not self._hops(entry, len(steps) - 1, entry.next)
            self._count(entry, entry.next, nobody=True)

    def murmurs(self) -> bool:
        """Whether some alarm has been repeated to nobody, which its transitions do not say each time."""
        return any(
            e.count >= len(self._table(e).steps) and e.next <= self.now + 10**15 for e in self.open.values()
        )

    def _hops(self, entry: Entry, step: int, at: int) -> set[Hop]:
        wrong = {e.subject for e in self.open.values() if not e.latched}
        found = self.duty.recipients(
            self._table(entry).steps[step],
            entry.subject,
            at,
            audience=("nurse", "doctor", "engineer"),
            dead=frozenset(c for c in self.duty.channels if f"component:channel-{c}" in wrong),
            wall="component:wall-west" not in wrong or self.duty.ward_of(entry.subject) != "west",
        )
        first = entry.count < len(self._table(entry).steps)
        spared = first or entry.turned_away
        return {hop for hop in found if not (spared and hop[1] in entry.rejected)}

    # -- what must be left

    def compare(self, state: State, present: set[tuple[str, str]]) -> None:
        """All of it against the state after an input."""
        found = state.responses.open
        assert set(found) == set(self.open)
        active = [(e.subject, e.rule) for e in self.open.values() if not e.latched]
        assert sorted(active) == sorted(present), "no alarm is lost, none is there twice"
        for alarm, entry in self.open.items():
            response = found[alarm]
            self._unheard(entry, NEVER)
            assert (response.condition == "latched") == entry.latched
            assert response.owner == entry.owner
            assert set(response.rejected) == entry.rejected
            assert response.root == self._root(entry)
            if not entry.latched:
                assert (response.signal, response.until) == self._signal(entry)
            assert response.due == entry.next
            assert response.signal != "acknowledged" or response.owner is not None
            self._goes_on(entry)
            reminder = round(self._table(entry).remind_s * SECOND)
            if entry.owner is None or entry.latched or not reminder:
                assert response.remind == NEVER
            else:
                assert self.now < response.remind <= self.now + reminder
                assert (response.remind - entry.since) % reminder == 0
        assert set(state.responses.inactivations) == set(self.off)
        assert all(until > self.now for until in self.off.values())

    def _goes_on(self, entry: Entry) -> None:
        """Nobody is forgotten: a step is due, somebody has it, or the timetable has honestly ended."""
        table = self._table(entry)
        ended = entry.count >= len(table.steps) and not table.repeat_s
        if not entry.tells or entry.owner is not None:
            assert entry.next == NEVER
        elif not ended:
            assert self.now < entry.next < NEVER

    def _root(self, entry: Entry) -> str | None:
        if entry.latched:
            return None
        silent = {(e.subject, e.rule): e.alarm for e in self.open.values() if not e.latched}
        above = self.above.get((entry.subject, entry.rule), [])
        return next((silent[place] for place in above if place in silent), None)

    def _signal(self, entry: Entry) -> tuple[str, int]:
        if not entry.latched and entry.paused > self.now:
            assert entry.paused - self.now <= 120 * SECOND
        subjects = [entry.subject]
        technical = entry.table.startswith("technical")
        if technical and ("gateway:gw", "dead") in self.above.get((entry.subject, entry.rule), []):
            subjects += ["gateway:gw", "device:d1"]
        found = [
            (STRONGEST.index(kind), -until, kind)
            for (subject, kind), until in self.off.items()
            if subject in subjects[: 1 if kind != "maintenance" else None]
        ]
        if found:
            _, until, kind = min(found)
            return ("alarm_paused" if kind == "maintenance" else kind), -until
        if entry.paused > self.now:
            return "audio_paused", entry.paused
        return ("acknowledged" if entry.acknowledged else "on"), 0
