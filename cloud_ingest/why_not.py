"""Why a rule did not fire for a patient at a moment: out of what the records say, and by deciding it again.

What was decided then is in the records (an alarm, a second measurement asked for, an entry of the worklist),
so these are asked first. When they have nothing, the rule is stepped again over the readings as they came,
with the limits and orders of then. Readings count as known from when their gateway received them: how long
they were on their way from there changes no decision, only when it was told. Pure: ``Past`` has all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cloud_ingest.not_meant import not_in_force, not_meant
from cloud_ingest.past import Outcome, Past, Reason, Recorded
from hearthward.core.clock import SECOND
from rules.context import Context
from rules.explain import Explanation
from rules.hindsight import Brief, Hindsight, Unused, timeline
from rules.model import Configuration, Measured
from rules.rule import Rule, RuleSet
from rules.state import Episode
from rules.telling import Text, lasting, moment, said, signal, with_unit

__all__ = ["NEAR_NS", "WhyNot", "answer"]

NEAR_NS: Final = 30 * SECOND
"""What happened so shortly before the moment asked about is what is meant by it."""
SOON_NS: Final = 60 * SECOND
"""Who asks about a minute means all of it."""
TOLD_AS_FIRED_NS: Final = 60 * SECOND
"""An alarm that began so shortly before is the answer, not one that "was active already"."""
LATE_NS: Final = 60 * SECOND
MOST: Final = 12


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer. ``reasons`` begin with the decisive one; ``explanation`` is the condition at ``at``."""

    patient: str
    rule: str
    at: int
    outcome: Outcome
    reasons: tuple[Reason, ...]
    in_force: Rule | None
    context: Context
    explanation: Explanation | None
    looked_from: int

    @property
    def text(self) -> Text:
        """The decisive reason."""
        return self.reasons[0].text

    @property
    def alarm(self) -> str | None:
        """The alarm that there was, if that is the answer."""
        return self.reasons[0].alarm


def answer(past: Past) -> WhyNot:
    """Say why the rule did not fire, or that it did."""
    known = _last(past.known, past.at)
    now = next((r for r in reversed(past.rules) if r.since <= past.at), None)
    rule = None if now is None else now.active
    watched = _Watched(past)
    first = _recorded(past) or not_meant(past, now, known)
    if first is not None and first[0] == "blocked":
        explanation = None
        reasons = first[1]
    else:
        explanation = watched.explanation
        reasons = first[1] if first is not None else watched.reasons(past)
    outcome: Outcome = watched.outcome if first is None else first[0]
    return WhyNot(past.patient, past.rule, past.at, outcome, reasons, rule, known, explanation, past.start)


def _last(known: list[tuple[int, Context]], at: int) -> Context:
    return next((context for since, context in reversed(known) if since <= at), Context())


# -- what the records say


def _recorded(past: Past) -> tuple[Outcome, tuple[Reason, ...]] | None:
    found = [r for r in past.recorded if r.covers(past.at) and not r.shadow]
    if not found:
        return None
    told = max(found, key=lambda r: r.onset)
    if told.started is not None and told.started <= past.at:
        fired = past.at - told.started <= TOLD_AS_FIRED_NS
        en = (
            "it did fire: alarm {id} began at {started}"
            if fired
            else "it was active already: alarm {id} since {started}"
        )
        zh = "已报警:报警 {id} 始于 {started}" if fired else "报警已在持续:报警 {id} 自 {started}"
        text = said(en, zh, id=told.id, started=moment(told.started))
        reason = Reason("fired" if fired else "active", _with_told(told, text), told.started, told.id)
        return ("fired" if fired else "active"), (reason,)
    if told.asked is not None:
        return "asked", (Reason("asked", _asked_text(told), told.asked, told.id),)
    if told.started is None:
        return None
    text = said(
        "the breach since {onset} had not lasted the rule's delay of {delay} yet; it fired at {started}: "
        "alarm {id}",
        "自 {onset} 的超限尚未持续满规则延时 {delay};已于 {started} 报警:报警 {id}",
        onset=moment(told.onset),
        delay=lasting((told.started - told.onset) / SECOND),
        started=moment(told.started),
        id=told.id,
    )
    return "pending", (Reason("pending", _with_told(told, text), told.started, told.id),)


def _fired_and_ended(told: Recorded) -> Reason:
    """By the readings that have come since, it had just ended."""
    text = said(
        "it did fire: alarm {id} began at {started} and ended at {ended}",
        "已报警:报警 {id} 始于 {started},于 {ended} 结束",
        id=told.id,
        started=moment(told.started or told.onset),
        ended=moment(told.ended or told.onset),
    )
    return Reason("fired", text, told.started, told.id)


def _with_told(told: Recorded, text: Text) -> Text:
    """Add when it was decided, where that was not at once."""
    if told.told is None or told.started is None or told.told - told.started <= LATE_NS:
        return text
    return said(
        "{text}; it was told only at {told}",
        "{text};但于 {told} 才告知",
        text=text,
        told=moment(told.told),
    )


def _asked_text(told: Recorded) -> Text:
    outcome: Text = {"en": "none has come so far", "zh": "至今尚无"}
    if told.started is not None:
        outcome = said("alarm {id} began at {at}", "报警 {id} 始于 {at}", id=told.id, at=moment(told.started))
    elif told.ended is not None:
        outcome = said(
            "it ended at {at}: the second measurement did not confirm it",
            "于 {at} 结束:第二次测量未确认",
            at=moment(told.ended),
        )
    return said(
        "a second measurement was asked for at {asked} and still waited for; {outcome}",
        "已于 {asked} 要求第二次测量,当时仍在等待;{outcome}",
        asked=moment(told.asked or told.onset),
        outcome=outcome,
    )


# -- deciding again


class _Watched:
    """The rule stepped again: how it stood at the moment, and what came of it."""

    def __init__(self, past: Past) -> None:
        self.explanation: Explanation | None = None
        self.outcome: Outcome = "blocked"
        self._reasons: list[Reason] = []
        rule = next((r.active for r in past.rules if r.active is not None), None)
        if rule is None:
            return
        self._again = again = Hindsight(rule, past.patient)
        for event in timeline(_configurations(past), past.measured, past.at):
            again.step(event)
        self.explanation = again.explain(past.at)
        if again.episode is not None:
            self._note(past, again.episode, *_came_of(past, rule, again.episode.onset))

    def _note(self, past: Past, episode: Episode, brief: Brief | None, started: bool) -> None:  # noqa: FBT001 - a fact
        """The breach that was under way at the moment, and what came of it."""
        same = [
            r for r in past.recorded if r.onset == episode.onset and r.started is not None and not r.shadow
        ]
        if same:
            self.outcome = "fired"
            self._reasons.append(_fired_and_ended(same[0]))
            return
        if brief is not None:
            self._reasons.append(Reason(brief.code, brief.text, brief.ended))
        elif episode.condition == "active" and not started:
            text: Text = {
                "en": "what came right after the moment had been measured before it: no breach was left",
                "zh": "随后到达的读数测量于该时刻之前:超限不再成立",
            }
            self._reasons.append(Reason("not_yet", text, past.at))
        elif episode.condition != "active" or past.now - episode.started <= NEAR_NS:
            self.outcome = "asked" if episode.condition == "asked" else "pending"
        if episode.condition != "active" or not self._reasons:
            self._note_open(episode)

    def _note_open(self, episode: Episode) -> None:
        if episode.condition == "active" and self.outcome == "pending":
            text = said(
                "the breach since {onset} is just being decided on: it would be told at {due}",
                "自 {onset} 的超限正在判断中:将于 {due} 告知",
                onset=moment(episode.onset),
                due=moment(episode.started),
            )
            self._reasons.append(Reason("pending", text, episode.onset))
        elif episode.condition == "active":
            text = said(
                "decided again from what is stored now it fires, with onset {onset}, but there is no such "
                "alarm: readings were attributed or rules set otherwise then, or nothing was decided at all",
                "按现有存储数据重新判断应报警 (起始 {onset}),但没有该报警:"
                "当时读数归属或规则设置不同,或当时未作判断",
                onset=moment(episode.onset),
            )
            self._reasons.append(Reason("differs", text, episode.onset))
        elif episode.condition == "pending":
            text = said(
                "the breach since {onset} had not lasted the rule's delay yet: it would be told at {due}",
                "自 {onset} 的超限尚未持续满规则延时:将于 {due} 告知",
                onset=moment(episode.onset),
                due=moment(episode.due),
            )
            self._reasons.append(Reason("pending", text, episode.onset))
        else:
            text = said(
                "a second measurement was asked for after the breach at {onset} and waited for until {due}",
                "{onset} 超限后要求第二次测量,等待至 {due}",
                onset=moment(episode.onset),
                due=moment(episode.due),
            )
            self._reasons.append(Reason("asked", text, episode.onset))

    def reasons(self, past: Past) -> tuple[Reason, ...]:
        """All reasons, what happened right at the moment first, then the predicate, then what lies before."""
        if self.explanation is None:
            return (not_in_force(past),)
        events = [*_missed(past, self._again.unused), *_around(past)]
        events += [Reason(b.code, b.text, b.ended) for b in self._again.briefs if b.ended <= past.at]
        events.sort(key=lambda r: -(r.at or 0))
        since = max((r.started or 0 for r in past.recorded if (r.started or 0) <= past.at), default=0)
        near = [r for r in events if r.at is not None and r.at >= max(since, past.at - NEAR_NS)]
        far = [r for r in events if r not in near]
        blocked = []
        if not self.explanation.opens:
            codes = "+".join(dict.fromkeys(p.code for p in self.explanation.blockers))
            blocked = [Reason(codes, self.explanation.text, past.at)]
        found = (*self._reasons, *near, *blocked, *_soon(past), *far)
        return found[:MOST] or (Reason("differs", self.explanation.text, past.at),)


def _came_of(past: Past, rule: Rule, onset: int) -> tuple[Brief | None, bool]:
    """What came of a breach when time went on by the readings alone: how it ended, or whether it fired."""
    again = Hindsight(rule, past.patient)
    for event in timeline(_configurations(past), past.measured, past.end):
        again.step(event)
    brief = next((b for b in again.briefs if b.onset == onset), None)
    return brief, any(t.kind == "start" and t.onset == onset for t in again.transitions)


def _configurations(past: Past) -> list[Configuration]:
    out = []
    for since in sorted({r.since for r in past.rules} | {at for at, _ in past.known}):
        rules = next((r for r in past.rules if r.since == since), None)
        contexts = [context for at, context in past.known if at == since]
        known = {past.patient: contexts[-1]} if contexts else {}
        active = None if rules is None else RuleSet(() if rules.active is None else (rules.active,))
        out.append(Configuration(0, since, active, contexts=known))
    return out


def _soon(past: Past) -> list[Reason]:
    """Alarms that began right after the moment."""
    out = []
    for r in past.recorded:
        if past.at < r.onset <= past.at + SOON_NS and r.started is not None and not r.shadow:
            text = said(
                "shortly after it did fire: alarm {id}, onset {onset}",
                "随后不久即报警:报警 {id},起始 {onset}",
                id=r.id,
                onset=moment(r.onset),
            )
            out.append(Reason("soon", text, r.onset, r.id))
    return out


def _missed(past: Past, unused: Iterable[Unused]) -> list[Reason]:
    """Readings that came and did not count, if they could have mattered."""
    out = []
    listed = [r for r in past.recorded if r.worklist]
    for found in unused:
        if not found.breaches:
            continue
        text = found.text
        if found.count > 1:
            text = said(
                "{text}; {count} such values until {last}",
                "{text};直至 {last} 共 {count} 个",
                text=text,
                count=str(found.count),
                last=moment(found.last),
            )
        entry = next((r.id for r in listed if r.onset == found.reading.time), None)
        if entry is not None:
            text = said("{text}: entry {id}", "{text}:条目 {id}", text=text, id=entry)
        when = found.last if found.code == "quality" else found.reading.received
        out.append(Reason(found.code, text, when, entry))
    told = {r.alarm for r in out}
    return out + [_listed(r) for r in listed if r.id not in told and (r.told or 0) <= past.at]


def _listed(entry: Recorded) -> Reason:
    text = said(
        "a breach measured {onset} came at {told}, too late to signal: entry {id} of the worklist",
        "{onset} 测得的超限于 {told} 才到达,过晚而无法报警:待查清单条目 {id}",
        onset=moment(entry.onset),
        told=moment(entry.told or entry.onset),
        id=entry.id,
    )
    return Reason("late", text, entry.told, entry.id)


def _around(past: Past) -> list[Reason]:
    """Readings that were not there to be judged: not come yet, of somebody else, refused."""
    out = []
    for m in past.later:
        text = said(
            "{name} {value} of {at} had not come yet: it was received at {received}, {lag} later",
            "{at} 的{name} {value} 当时尚未到达:于 {received} 收到,晚 {lag}",
            **_of(m),
        )
        out.append(Reason("not_yet", text, m.time))
    for m, other in past.elsewhere:
        out.append(Reason("elsewhere", _elsewhere(m, other=other), m.time))
    for at, why, what in past.refused:
        text = said(
            "a reading received at {at} was refused ({why}): {what}",
            "{at} 收到的读数被拒绝 ({why}):{what}",
            at=moment(at),
            why=why.replace("_", " "),
            what=what,
        )
        out.append(Reason("refused", text, at))
    return out


def _elsewhere(m: Measured, *, other: bool) -> Text:
    """Of somebody else's readings nothing is told but that they are."""
    if other:
        return said(
            "readings of {device} at {at} are not this patient's: it was on somebody else then",
            "{device} 在 {at} 的读数不属于该患者:当时佩戴在他人身上",
            device=m.device,
            at=moment(m.time),
        )
    return said(
        "{name} {value} of {at} is not this patient's: {device} was on nobody then",
        "{at} 的{name} {value} 不属于该患者:{device} 当时未佩戴在任何人身上",
        device=m.device,
        **_of(m),
    )


def _of(m: Measured) -> dict[str, str | Text]:
    return {
        "name": signal(m.metric),
        "value": with_unit(m.metric, m.value),
        "at": moment(m.time),
        "received": moment(m.received),
        "lag": lasting((m.received - m.time) / SECOND),
    }
