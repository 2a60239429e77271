"""A rule's condition as it was when it was decided, rebuilt from what was kept with the decision.

A transition has the readings that decided and the numbers that were in force, and the terms of what was
unusual or off a patient's own baseline. What else a rule derives from a signal's past (a change, a level, a
count) is not kept and is derived again from stored values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeAlias

from cloud_ingest.records.models import TransitionRow
from hearthward.core.clock import SECOND
from rules.conditions import Change, Count, Deviation, DeviceFlag, Missing, Unusual, leaves
from rules.context import Context, Limit
from rules.detectors.baseline import Terms, judged
from rules.detectors.novelty import Evidence
from rules.explain import Explanation, explain
from rules.rule import Rule
from rules.signals import Series, feature_key, make_feature
from rules.state import Subject
from rules.telling import Text, said
from rules.terms_sent import UNREADABLE

__all__ = ["Past", "Setting", "explained", "explained_at", "needs_past", "settings_of", "without_terms"]

_EVER: Final = 1e10
"""Seconds beyond any lateness."""
Past: TypeAlias = Mapping[tuple[str, str], Sequence[tuple[int, float]]]
"""The usable values of a signal up to the decision: (metric, device) -> (time, value) in order of time."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One number of the rule that may be set for a patient, as it was then; ``by`` None: the rule's own."""

    name: str
    default: float
    value: float
    counts: bool = True
    by: str | None = None
    start: int | None = None
    reason: str | None = None
    expires: int | None = None


def explained_at(transition: TransitionRow) -> int:
    """The moment (UTC ns) whose values a transition shows: its newest reading's, not before the onset."""
    return max([transition.onset, *(int(i["time"]) for i in transition.inputs)])


def needs_past(rule: Rule) -> bool:
    """Whether some value of the rule is derived from a signal's past and not kept with the decision."""
    return any(isinstance(leaf, Change | Deviation | Count) for leaf in leaves(rule.condition))


def without_terms(rule: Rule, first: TransitionRow) -> Text | None:
    """What to say where a gateway decided on something unusual, and its terms are not known here."""
    origin = first.detail.get("origin")
    asks = any(isinstance(leaf, Unusual) for leaf in leaves(rule.condition))
    if not asks or origin is None or "unusual" in first.detail:
        return None
    kinds = origin.get("terms")
    if kinds is not None and UNREADABLE not in kinds:
        return None  # something else in the rule opened it
    if kinds is not None:
        return said(
            "The gateway {gateway} decided; the terms that it sent with its decision could not be read.",
            "由网关 {gateway} 判断;随判断发送的依据无法读取。",
            gateway=str(origin["gateway"]),
        )
    return said(
        "The gateway {gateway} decided; its build sends no terms of what was unusual.",
        "由网关 {gateway} 判断;其软件版本不发送异常依据。",
        gateway=str(origin["gateway"]),
    )


def explained(rule: Rule, context: Context, first: TransitionRow, past: Past) -> Explanation:
    """The rule's condition on what a transition says that it rested on."""
    if first.kind == "late":
        rule = replace(rule, max_lateness_s=_EVER)
    limits = tuple(_limits(rule, first))
    resolved = replace(context, limits=limits).resolve(rule, first.recorded)
    known = replace(context, limits=limits, expected=_expected(resolved, first))
    return explain(rule, _subject(resolved, first, past), known, explained_at(first))


def _expected(rule: Rule, first: TransitionRow) -> dict[str, int] | None:
    """Since when the missing signals were counted: the last reading's time, or else what the onset says."""
    silent = [leaf for leaf in leaves(rule.condition) if isinstance(leaf, Missing)]
    known = {str(i["metric"]) for i in first.inputs}
    return {
        leaf.metric: first.onset - round(float(leaf.for_s) * SECOND)
        for leaf in silent
        if leaf.metric in known or not known
    } or None


def _limits(rule: Rule, first: TransitionRow) -> list[Limit]:
    """The limits that the transition says were set, as holding whenever it is looked at."""
    return [
        replace(
            Limit(rule.id, s.name, s.value, s.by, s.start or 0, s.reason or "", s.expires),
            start=min(s.start or 0, explained_at(first)),
        )
        for s in settings_of(first.detail, rule)
        if s.by is not None and (s.expires is None or s.expires > explained_at(first))
    ]


def settings_of(detail: Mapping[str, Any], rule: Rule | None) -> list[Setting]:
    """The numbers that a decision says it went by; ``rule`` None: its bounds are not known."""
    out = []
    for name, told in sorted(detail.get("parameters", {}).items()):
        bounds = None if rule is None else rule.parameters.get(name)
        value = float(told.get("value", told["default"]))
        out.append(
            Setting(
                name=name,
                default=float(told["default"]),
                value=value,
                counts=bounds is None or bounds.low <= value <= bounds.high,
                by=told.get("by"),
                start=told.get("start"),
                reason=told.get("reason"),
                expires=told.get("expires"),
            )
        )
    return out


class _Kept:
    """A derived value as it was kept, with its terms: nothing can be added to it."""

    sound_only: ClassVar[bool] = False

    def __init__(self, output: float, terms: Evidence | Terms | None = None) -> None:
        self.output: float | None = output
        self.terms = terms

    def push(self, time: int, value: float, *, frozen: bool) -> None:
        """Not done: what was kept stays."""

    def shift(self, by: int) -> None:
        """It has no times."""

    def pack(self) -> list[Any]:
        """Nothing of the past was kept."""
        return [[], []]

    def unpack(self, packed: list[Any]) -> bool:  # noqa: ARG002 - as above
        """Not done: what was kept stays."""
        return True


def _subject(rule: Rule, first: TransitionRow, past: Past) -> Subject:
    """The signals as the transition's readings show them."""
    subject = Subject()
    flags = [leaf for leaf in leaves(rule.condition) if isinstance(leaf, DeviceFlag)]
    for row in first.inputs:
        metric, device, value = str(row["metric"]), str(row["device"]), float(row["value"])
        series = Series()
        if flags:
            series.quality, series.spoken = int(value), int(row["time"])
        else:
            series.time, series.value, series.received = int(row["time"]), value, int(row["received"])
            series.spoken = series.time
        _derive(series, rule, metric, value, past.get((metric, device), ()))
        _novel(series, rule, metric, first.detail)
        _of_baseline(series, rule, metric, first.detail)
        subject.series.setdefault(metric, {})[device] = series
    return subject


def _derive(series: Series, rule: Rule, metric: str, value: float, past: Sequence[tuple[int, float]]) -> None:
    for leaf in leaves(rule.condition):
        key = feature_key(leaf)
        own = leaf.of.metric if isinstance(leaf, Count) else getattr(leaf, "metric", None)
        if key is None or own != metric:
            continue
        if isinstance(leaf, Unusual):
            continue
        if not isinstance(leaf, Change | Deviation | Count):
            series.features[key] = _Kept(value)
            continue
        feature = series.features[key] = make_feature(key)
        for time, known in past:
            if time <= series.time:
                feature.push(time, known, frozen=False)


def _novel(series: Series, rule: Rule, metric: str, detail: Mapping[str, Any]) -> None:
    """What was unusual is kept with the decision; a signal of which nothing was kept was as usual."""
    known = detail.get("unusual", {}).get(metric)
    for leaf in leaves(rule.condition):
        if isinstance(leaf, Unusual) and leaf.metric == metric and (key := feature_key(leaf)):
            evidence = None if known is None else Evidence.of(known)
            series.features[key] = _Kept(0.0 if known is None else float(known["score"]), evidence)


def _of_baseline(series: Series, rule: Rule, metric: str, detail: Mapping[str, Any]) -> None:
    """What lay off the patient's own baseline is kept with the decision, of a rule that asks for just one."""
    asking = [x for x in leaves(rule.condition) if isinstance(x, Deviation) and x.asked is not None]
    if "baseline" not in detail or len(asking) != 1 or asking[0].metric != metric:
        return
    (leaf,), terms = asking, Terms(**detail["baseline"])
    key = feature_key(leaf)
    if key is not None and leaf.asked is not None:
        series.features[key] = _Kept(judged(leaf.asked, terms), terms)
