"""Why an alarm fired: its rule as it was then, the condition with values and limits, its life, and every hop.

Everything is taken from what was kept with the decision: the transition's readings and detail, and the exact
content of the rule by its hash. Only what is derived from a signal's past (a change, a level, a count) is
derived again from the stored readings. Pure: ``Case`` has all that is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cloud_ingest.asof import rule_of
from cloud_ingest.hops import Hop, hops_of
from cloud_ingest.kept import Setting, explained, settings_of, without_terms
from cloud_ingest.life_words import happened
from cloud_ingest.records import AlarmHistory
from cloud_ingest.records.models import EdgeAlarm, RuleRelease, RuleVersion, TransitionRow
from hearthward.core.errors import ConfigError
from rules.compiled import LATE_AFTER
from rules.context import Context
from rules.explain import Explanation
from rules.rule import Rule
from rules.rule_words import about
from rules.telling import Text, moment, said, signal, with_unit

__all__ = ["STAGED", "Case", "Moment", "RuleThen", "Seen", "Why", "opening", "why"]

_OPENS_BY: Final = ("start", "ask", "late")
STAGED: Final = ("raised", "joined")
"""Why an alarm has a further stage."""
Standing = Literal["same", "changed", "gone"]


@dataclass(slots=True)
class Case:
    """An alarm and what was known when it began.

    ``version`` None: the rule's content was not kept (an earlier release of this software). ``past`` has the
    usable values of a signal up to the decision, by (metric, device), as (time, value) in order of time.
    ``now`` is the rule of that id in force now, ``release`` the one by which the alarm's rule came.
    """

    history: AlarmHistory
    version: RuleVersion | None
    context: Context = field(default_factory=Context)
    past: dict[tuple[str, str], Sequence[tuple[int, float]]] = field(default_factory=dict)
    now: Rule | None = None
    release: RuleRelease | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """Users' names by their ids."""


@dataclass(frozen=True, slots=True)
class RuleThen:
    """The rule that decided: ``text`` is its file (its content as JSON where that is not known).

    ``standing`` says whether it is still the rule in force; ``version_now`` is that one's.
    """

    id: str
    hash: str
    version: int | None
    title: Text
    text: str
    words: tuple[Text, ...]
    limit: str
    clinical_source: str
    standing: Standing
    version_now: int | None
    released_by: Text | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A reading that decided; ``late``: received over a minute after it was measured."""

    metric: str
    name: Text
    value: Text
    device: str
    time: int
    received: int
    late: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the alarm's life; ``recorded`` is when it was decided, by the clock of the cloud."""

    at: int
    kind: str
    text: Text
    recorded: int
    actor: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """The answer.

    ``kind`` ``trial``: never signalled; ``worklist``: came too late to signal; ``asked``: a second
    measurement was asked for, and it is no alarm (yet).
    """

    id: str
    kind: Literal["alarm", "asked", "worklist", "trial"]
    patient: str | None
    priority: str
    state: str
    text: Text
    onset: int
    started: int
    ended: int | None
    accepted_by: str | None
    accepted_at: int | None
    late: bool
    values: dict[str, float]
    limit: str
    rule: RuleThen
    explanation: Explanation | None
    notes: tuple[Text, ...]
    settings: tuple[Setting, ...]
    seen: tuple[Seen, ...]
    life: tuple[Moment, ...]
    hops: tuple[Hop, ...]


def why(case: Case) -> Why:
    """Say why the alarm fired."""
    alarm = case.history.alarm
    first = opening(case.history)
    rule, notes = _rule(case)
    explanation = None
    unsaid = None if rule is None or first is None else without_terms(rule, first)
    if unsaid is not None:
        notes.append(unsaid)
    elif rule is not None and first is not None and first.inputs is not None:
        explanation = explained(rule, case.context, first, case.past)
        if not explanation.opens:
            notes.append(
                {
                    "en": "What was kept does not show all that the decision rested on.",
                    "zh": "所保存的内容未能显示判断的全部依据。",
                }
            )
    if alarm.shadow:
        kind: Literal["alarm", "asked", "worklist", "trial"] = "trial"
    elif alarm.worklist:
        kind = "worklist"
    else:
        kind = "alarm" if alarm.signalled else "asked"
    seen = () if first is None else tuple(_seen(i) for i in first.inputs)
    notes += [_told_there(e, alarm.id) for e in case.history.edges]
    notes += [_late_words(s) for s in seen if s.late]
    notes += _began(case.history, first)
    return Why(
        id=alarm.id,
        kind=kind,
        patient=alarm.patient,
        priority=alarm.priority,
        state=alarm.condition,
        text={"en": alarm.text_en, "zh": alarm.text_zh},
        onset=alarm.onset,
        started=alarm.started,
        ended=alarm.ended,
        accepted_by=None
        if alarm.accepted_by is None
        else case.names.get(alarm.accepted_by, alarm.accepted_by),
        accepted_at=alarm.accepted_at,
        late=alarm.late,
        values=dict(alarm.values_json),
        limit=alarm.limit_text,
        rule=_rule_then(case, rule),
        explanation=explanation,
        notes=tuple(notes),
        settings=() if first is None else tuple(settings_of(first.detail, rule)),
        seen=seen,
        life=tuple(_moment(t, case.names) for t in case.history.transitions),
        hops=() if first is None else tuple(hops_of(case.history, first, case.names)),
    )


def opening(history: AlarmHistory) -> TransitionRow | None:
    """The transition that made an alarm of it, or of its stage that it goes by; or else that opened it."""
    transitions = history.transitions
    stage = next(
        (
            t
            for t in reversed(transitions)
            if t.detail.get("why") in STAGED
            and t.detail.get("part", {}).get("rule_hash") == history.alarm.rule_hash
        ),
        None,
    )
    started = next((t for t in transitions if t.kind == "start"), None)
    return (
        stage
        or started
        or next((t for t in transitions if t.kind in _OPENS_BY), None)
        or next(iter(transitions), None)
    )


def _began(history: AlarmHistory, first: TransitionRow | None) -> list[Text]:
    """How it began, where what is explained is a stage that it came to later."""
    started = next((t for t in history.transitions if t.kind == "start"), None)
    if first is None or started is None or first is started:
        return []
    return [
        said(
            "It began at {at} by another rule: {text}. Explained is the stage that it is in.",
            "始于 {at},由另一规则触发:{text}。此处解释的是当前所处阶段。",
            at=moment(started.at),
            text={"en": started.text_en, "zh": started.text_zh},
        )
    ]


def _rule(case: Case) -> tuple[Rule | None, list[Text]]:
    if case.version is None:
        return None, [
            {
                "en": "The rule's content was not kept: an earlier release of this software decided.",
                "zh": "规则内容未保存:由本软件的较早版本判断。",
            }
        ]
    try:
        return rule_of(case.version), []
    except ConfigError as error:
        text = said("The rule cannot be read any more: {why}", "规则已无法读取:{why}", why=str(error))
        return None, [text]


def _rule_then(case: Case, rule: Rule | None) -> RuleThen:
    alarm, version = case.history.alarm, case.version
    standing: Standing = "gone"
    if case.now is not None:
        standing = "same" if case.now.hash == alarm.rule_hash else "changed"
    text = ""
    if version is not None:
        text = version.source or json.dumps(version.content, ensure_ascii=False, indent=2)
    return RuleThen(
        id=alarm.rule,
        hash=alarm.rule_hash,
        version=None if version is None else version.version,
        title={"en": alarm.rule, "zh": alarm.rule} if rule is None else dict(rule.title),
        text=text,
        words=() if rule is None else tuple(about(rule)),
        limit=alarm.limit_text,
        clinical_source="" if rule is None else rule.clinical_source,
        standing=standing,
        version_now=None if case.now is None else case.now.version,
        released_by=_released(case.release),
    )


def _released(release: RuleRelease | None) -> Text | None:
    if release is None:
        return None
    nobody: Text = {"en": "nobody yet", "zh": "尚无"}
    return said(
        "written by {author}, approved by {approved}, put in force by {activated}",
        "由 {author} 编写,{approved} 批准,{activated} 启用",
        author=release.author_name,
        approved=release.approved_by_name or nobody,
        activated=release.activated_by_name or nobody,
    )


# -- what people read


def _seen(row: Mapping[str, Any]) -> Seen:
    time, received = int(row["time"]), int(row["received"])
    metric = str(row["metric"])
    late = received - time > LATE_AFTER
    value = with_unit(metric, float(row["value"]))
    return Seen(metric, signal(metric), value, str(row["device"]), time, received, late)


def _told_there(edge: EdgeAlarm, alarm: str) -> Text:
    """What a gateway's own rules had to do with it."""
    first = edge.id == alarm
    by = said("", "")
    if edge.config_version is not None:
        by = said(", configuration {n}", ",配置 {n}", n=str(edge.config_version))
    over = said("", "")
    if edge.ended is not None:
        over = said(", over there at {at}", ",于 {at} 在该处结束", at=moment(edge.ended))
    told = (
        said("told", "在网关 {gateway} 现场报警", gateway=edge.gateway)
        if edge.told
        else said("decided", "由网关 {gateway} 判断(未现场报警)", gateway=edge.gateway)
    )
    return said(
        "{first} {told} at the gateway {gateway} at {at}, by its own rules{by}{over}; known here at {known}",
        "{first}{told}:{at},按其自身规则{by}{over};云端于 {known} 得知",
        first={"en": "First" if first else "Also", "zh": "首先" if first else "另"},
        told=told,
        gateway=edge.gateway,
        at=moment(edge.started),
        by=by,
        over=over,
        known=moment(edge.received),
    )


def _late_words(seen: Seen) -> Text:
    return said(
        "{name} {value} was measured {time} and received {received}",
        "{name} {value} 测量于 {time},收到于 {received}",
        name=seen.name,
        value=seen.value,
        time=moment(seen.time),
        received=moment(seen.received),
    )


def _moment(t: TransitionRow, names: Mapping[str, str]) -> Moment:
    actor = None if t.actor is None else names.get(t.actor, t.actor)
    return Moment(t.at, t.kind, happened(t, names), t.recorded, actor, t.note)
