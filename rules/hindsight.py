"""One rule decided again for one subject, watched: breaches that came to nothing, readings not used.

The inputs are stepped by the same engine as in the product. Times are UTC nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from rules.absence import quality_words
from rules.compiled import Compiled
from rules.conditions import RISK, DeviceFlag, Missing, Unusual
from rules.context import Context
from rules.detectors.parameters import DEFAULTS
from rules.engine import Engine
from rules.evaluate import UNFIT, judge_alone, too_late
from rules.explain import Explanation, explain
from rules.model import Configuration, Input, Measured, Readings, Tick, Transition
from rules.models.deterioration import REMEMBERED_S
from rules.rule import SECOND, Rule, RuleSet
from rules.state import Episode, Row, State, Subject
from rules.telling import Text, lasting, moment, said, signal, with_unit

__all__ = ["Brief", "Hindsight", "Unused", "look_back_s", "might_breach", "timeline"]

LEAST_S: Final = 3600.0
"""How far back is looked at least."""
_KEPT: Final = 200


@dataclass(frozen=True, slots=True)
class Brief:
    """A breach that came to nothing: it ended before its delay did, or a second measurement refuted it."""

    code: Literal["short", "refuted"]
    onset: int
    ended: int
    text: Text


@dataclass(frozen=True, slots=True)
class Unused:
    """A reading (or ``count`` like it in a row, until ``last``) that the rule did not judge by, and why.

    ``breaches``: the rule could fire by it, alone or with what else may be known.
    """

    code: Literal["quality", "superseded", "late"]
    reading: Measured
    breaches: bool
    text: Text
    last: int
    count: int = 1


class Hindsight:
    """Steps inputs in order; the first should be a Configuration that says what is known of the subject.

    Readings that do not count are noted of inputs that hold one measurement: what one device measured at
    one time.
    """

    def __init__(self, rule: Rule, subject: str) -> None:
        self._engine = Engine(State.empty("why", RuleSet((replace(rule, shadow=False),))))
        self._name, self._key = subject, rule.id
        self.briefs: list[Brief] = []
        self.unused: list[Unused] = []
        self.transitions: list[Transition] = []
        self._now = 0

    @property
    def rule(self) -> Rule | None:
        """The rule as it is in force now; None: it is not."""
        return self._engine.state.rules.by_id.get(self._key)

    @property
    def context(self) -> Context:
        """What is known of the subject now."""
        return self._engine.state.context(self._name)

    @property
    def subject(self) -> Subject:
        """The subject's signals and episodes now."""
        return self._engine.state.subjects.get(self._name) or Subject()

    @property
    def episode(self) -> Episode | None:
        """The rule's present breach: asked, pending or active."""
        return self.subject.episodes.get(self._key)

    def explain(self, at: int) -> Explanation | None:
        """The rule judged at ``at``, no earlier than the last input; None when it is not in force."""
        return None if self.rule is None else explain(self.rule, self.subject, self.context, at)

    def step(self, event: Input) -> None:
        """Take the next input, and note what came to nothing by it."""
        before = self.episode
        transitions = self._engine.step(event)
        self._now = max(self._now, event.now)
        self.transitions += transitions
        if isinstance(event, Readings) and _single(event):
            self._note_unused(event)
        after = self.episode
        if before is not None and (after is None or after.onset != before.onset):
            self._note_brief(before, transitions, event)

    def _note_brief(self, before: Episode, transitions: tuple[Transition, ...], event: Input) -> None:
        ended = event.rows.time[0] if isinstance(event, Readings) else event.now
        refuted = next((t for t in transitions if t.kind == "end" and t.detail.get("why") == "refuted"), None)
        if refuted is not None:
            text = said(
                "a breach at {onset} was to be measured again; the second one at {at} did not confirm it",
                "{onset} 超限后要求复测;{at} 的第二次测量未确认",
                onset=moment(before.onset),
                at=moment(refuted.at),
            )
            self.briefs.append(Brief("refuted", before.onset, refuted.at, self._with_found(text, ended)))
        elif before.condition == "pending" and not any(t.kind == "start" for t in transitions):
            text = said(
                "a breach since {onset} lasted {span} of the delay of {delay} and ended at {at}",
                "自 {onset} 的超限持续 {span},未达到延时 {delay},于 {at} 结束",
                onset=moment(before.onset),
                span=lasting(max(0, ended - before.onset) / SECOND),
                delay=lasting((before.due - before.onset) / SECOND),
                at=moment(ended),
            )
            self.briefs.append(Brief("short", before.onset, ended, self._with_found(text, ended)))

    def _with_found(self, text: Text, at: int) -> Text:
        now = self.explain(at)
        return text if now is None else said("{a}: {b}", "{a}:{b}", a=text, b=now.text)

    def _note_unused(self, event: Readings) -> None:
        rule = self.rule
        if rule is None:
            return
        compiled: Compiled | None = None
        for row in _rows(event):
            if row.metric not in rule.inputs:
                continue
            own = self.subject.series.get(row.metric, {}).get(row.device)
            taken = own is not None and own.time == row.time and not row.quality & UNFIT
            late = row.received - row.time > rule.max_lateness_s * SECOND
            if (taken and not late) or not row.known:
                continue
            if compiled is None:
                resolved = self.context.resolve(rule, row.time)
                compiled = Compiled(resolved, rule.hash, {})
            self._add(_unused(compiled, row))

    def _add(self, found: Unused) -> None:
        last = self.unused[-1] if self.unused else None
        if (
            last is not None
            and (last.code, last.breaches) == (found.code, found.breaches)
            and (last.reading.metric, last.reading.device) == (found.reading.metric, found.reading.device)
        ):
            self.unused[-1] = replace(last, last=found.last, count=last.count + 1)
            return
        self.unused.append(found)
        del self.unused[:-_KEPT]


def _single(event: Readings) -> bool:
    rows = event.rows
    return len(set(rows.time)) == 1 and len(set(rows.device)) == 1


def _rows(event: Readings) -> list[Row]:
    rows = event.rows
    columns = (rows.time, rows.device, rows.metric, rows.received, rows.value, rows.quality)
    return [
        Row(time, device, metric, received, value is not None, value or 0.0, quality)
        for time, device, metric, received, value, quality in zip(*columns, strict=True)
    ]


def _unused(compiled: Compiled, row: Row) -> Unused:
    reading = Measured(row.metric, row.device, row.time, row.value, row.received)
    breaches = might_breach(compiled, reading)
    common: dict[str, str | Text] = {
        "name": signal(row.metric),
        "value": with_unit(row.metric, row.value),
        "at": moment(row.time),
        "received": moment(row.received),
        "lag": lasting((row.received - row.time) / SECOND),
    }
    if row.quality & UNFIT:
        text = said(
            "{name} {value} of {at} is not used: it is marked {quality}",
            "{at} 的{name} {value} 未使用:被标记为{quality}",
            quality=quality_words(row.quality & UNFIT),
            **common,
        )
        return Unused("quality", reading, breaches, text, row.time)
    if too_late(compiled, row.time, row.received):
        text = said(
            "{name} {value} was measured {at} and received {received}: {lag} later, more than the {most} "
            "within which it may signal (worklist)",
            "{name} {value} 测量于 {at},收到于 {received}:晚 {lag},超过可报警的 {most} (转入待查清单)",
            most=lasting(compiled.max_lateness / SECOND),
            **common,
        )
        return Unused("late", reading, breaches, text, row.time)
    text = said(
        "{name} {value} of {at} came at {received}, when a newer one was known: it changes nothing any more",
        "{at} 的{name} {value} 于 {received} 才收到,此前已有更新的读数,不再影响判断",
        **common,
    )
    return Unused("superseded", reading, breaches, text, row.time)


def might_breach(compiled: Compiled, reading: Measured) -> bool:
    """Whether a rule could fire by this reading, alone or with what else may be known."""
    if all(isinstance(leaf, Missing | DeviceFlag) for leaf in compiled.leaves):
        return False
    return compiled.opens(judge_alone(compiled, [reading], reading.time).results) is not False


def look_back_s(rule: Rule) -> float:
    """For how many seconds before a moment inputs have to be stepped to know what the rule knew then."""
    spans = [rule.delay_s, rule.clear_after_s, *rule.inputs.values()]
    for leaf in Compiled(rule.resolved, "", {}).leaves:
        smoothing = getattr(leaf, "smoothing", None)
        spans.append(smoothing.window_s if smoothing is not None else 0.0)
        spans += [float(getattr(leaf, name, 0.0)) for name in ("within_s", "learn_s", "tau_s", "for_s")]
        if isinstance(leaf, Unusual):
            spans.append(DEFAULTS.tau_slow * leaf.pace_s)
        spans.append(REMEMBERED_S if getattr(leaf, "metric", None) == RISK else 0.0)
    repeat = getattr(rule.condition, "timeout_s", 0.0)
    return max(LEAST_S, 2 * max(spans) + float(repeat))


def timeline(known: list[Configuration], measured: list[Readings], until: int) -> list[Input]:
    """Both in order of their ``now``, numbered, and a tick at ``until``; what comes after it is left out."""
    events: list[Input] = sorted([*known, *measured], key=lambda e: e.now)
    events = [e for e in events if e.now <= until]
    events.append(Tick(0, until))
    return [replace(e, seq=i + 1) for i, e in enumerate(events)]
