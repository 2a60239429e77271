"""What is drawn into a trend: the limits that held and the alarms of that time. Pure, for fake and real."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cloud_ingest.stores.summaries import Summary
from dashboards.models import Alarm
from dashboards.trend_models import Trend, TrendAlarm, TrendLimit, TrendPoint
from hearthward.core.codes import METRICS
from rules.conditions import All, Any_, Count, DeviceFlag, Missing, Node, Not, Repeat, Threshold, leaves
from rules.context import Context
from rules.rule import Rule

__all__ = ["Drawn", "alarms_on", "limits_on", "trend_of"]

Piece = tuple[float, bool, int, int]
"""A value, whether it was set for the patient, and from when until when it held."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a trend is about."""

    metric: str
    start: int
    end: int
    step: int


def trend_of(
    about: Drawn,
    summaries: Iterable[Summary],
    rules: Sequence[Rule] = (),
    known: Context | None = None,
    alarms: Iterable[Alarm] = (),
    newest: tuple[int, float] | None = None,
) -> Trend:
    """A trend; without ``known`` (the patient as the rules know them) it has no limits.

    ``newest``: when the newest value in it was measured, and the value. Summaries of several devices do not
    tell whose was later.
    """
    metric = METRICS.get(about.metric)
    points = [
        TrendPoint(time=s.time, low=s.low, high=s.high, mean=s.mean, last=s.last, count=s.count)
        for s in summaries
    ]
    if points and newest is not None:
        points[-1] = points[-1].model_copy(update={"last": newest[1]})
    return Trend(
        metric=about.metric,
        unit=None if metric is None else metric.unit,
        start=about.start,
        end=about.end,
        step=about.step,
        points=points,
        newest=newest[0] if points and newest is not None else None,
        limits=[] if known is None else limits_on(about, rules, known),
        alarms=alarms_on(about, rules, alarms),
    )


def limits_on(about: Drawn, rules: Iterable[Rule], known: Context) -> list[TrendLimit]:
    """The limits of rules that watch the metric for such a patient, with what is set for this one."""
    found: dict[tuple[object, ...], TrendLimit] = {}
    for rule in rules:
        if (
            rule.shadow
            or rule.kind != "physiological"
            or rule.subject != "patient"
            or not known.applies(rule)
        ):
            continue
        for limit in _thresholds(rule.condition):
            if limit.metric == about.metric:
                for line in _lines(rule, limit, known, about):
                    found.setdefault((line.rule, line.side, line.value, line.start, line.end), line)
    return list(found.values())


def _thresholds(node: Node) -> Iterator[Threshold]:
    """Those that alone make the rule alarm, but for what only says whether the signal can be judged."""
    match node:
        case Threshold():
            yield node
        case Count(of=of) | Repeat(of=of, critical=None):
            yield from _thresholds(of)
        case Repeat(of=of, critical=critical) if critical is not None:
            yield from _thresholds(of)
            yield from _thresholds(critical)
        case Any_(parts):
            for part in parts:
                yield from _thresholds(part)
        case All(parts):
            telling = [p for p in parts if not isinstance(p, Missing | DeviceFlag | Not)]
            if len(telling) == 1:
                yield from _thresholds(telling[0])


def _lines(rule: Rule, limit: Threshold, known: Context, about: Drawn) -> Iterator[TrendLimit]:
    for value, own, start, end in _pieces(rule, limit, known, about):
        yield TrendLimit(
            rule=rule.id,
            title=dict(rule.title),
            priority=rule.priority,
            side="low" if limit.falling else "high",
            value=value,
            start=start,
            end=end,
            own=own,
        )


def _pieces(rule: Rule, limit: Threshold, known: Context, about: Drawn) -> list[Piece]:
    if not isinstance(limit.value, str):
        return [(float(limit.value), False, about.start, about.end)]
    name, found = limit.value, list[Piece]()
    own = Context(limits=tuple(x for x in known.limits if (x.rule, x.parameter) == (rule.id, name)))
    at = about.start
    while at < about.end:
        until = min(own.next_change(at) or about.end, about.end)
        held = Context.limits_of(rule, own.limits_at(at)).get(name)
        value = float(rule.parameters[name].value if held is None else held.value)
        if found and found[-1][:2] == (value, held is not None):
            found[-1] = (*found[-1][:3], until)
        else:
            found.append((value, held is not None, at, until))
        at = until
    return found


def alarms_on(about: Drawn, rules: Iterable[Rule], alarms: Iterable[Alarm]) -> list[TrendAlarm]:
    """The alarms that are about the metric and lie at least partly in the period, by their time."""
    watching = {r.id for r in rules if any(_metric_of(leaf) == about.metric for leaf in leaves(r.condition))}
    return [
        TrendAlarm(
            id=a.id,
            rule=a.rule,
            priority=a.priority,
            start=a.onset,
            end=_end(a),
            text=a.text,
            limit=a.limit,
            worklist=a.worklist,
        )
        for a in sorted(alarms, key=lambda a: (a.onset, a.id))
        if (about.metric in a.values or (not a.values and a.rule in watching))
        and a.onset < about.end
        and ((end := _end(a)) is None or end > about.start or a.onset >= about.start)
    ]


def _end(alarm: Alarm) -> int | None:
    """What came too late is an entry of its moment: nobody has seen whether it went on."""
    return alarm.onset if alarm.worklist and alarm.ended is None else alarm.ended


def _metric_of(leaf: object) -> str | None:
    inner = leaf.of if isinstance(leaf, Count) else leaf
    return getattr(inner, "metric", None)
