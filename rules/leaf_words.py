"""One leaf of a rule's condition in words: what it asks for, and what there is."""

from __future__ import annotations

from typing import Final, Literal

from rules import baseline_words, unusual_words
from rules.absence import absence
from rules.compiled import Compiled, Result
from rules.conditions import (
    SYMBOLS,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Leaf,
    Missing,
    Score,
    Threshold,
    Unusual,
)
from rules.context import Context
from rules.detectors.baseline import Terms
from rules.detectors.novelty import Evidence
from rules.evaluate import deadline
from rules.model import Measured
from rules.news2 import METRICS_OF
from rules.rule import SECOND, number
from rules.state import Subject
from rules.telling import Text, joined, lasting, moment, said, signal, source, unit, with_unit
from rules.words import FLAG_TEXT, PARAMETER_TEXT

__all__ = ["Code", "LeafWords", "smoothing_words"]

Code = Literal[
    "met",
    "not_met",
    "incomplete",
    "no_reading",
    "quality",
    "stale",
    "late",
    "too_few",
    "learning",
    "not_expected",
    "nothing_said",
    "parts",
]
"""Why a predicate is as it is: it holds, is known not to hold, or what is missing to know it."""

_SCORES: Final[dict[str, Text]] = {
    "news2": {"en": "NEWS2", "zh": "NEWS2 总分"},
    "news2_three": {"en": "points of the worst NEWS2 parameter", "zh": "NEWS2 单项最高分"},
}


def smoothing_words(leaf: Threshold) -> Text:
    """What the limit is compared with: the signal, or a mean or median of it."""
    if leaf.calibration is not None:
        return said("{signal}, recalibrated", "{signal}(本站校准)", signal=signal(leaf.metric))
    if leaf.smoothing is None:
        return signal(leaf.metric)
    kind = {"mean": said("mean", "均值"), "median": said("median", "中位数")}[leaf.smoothing.kind]
    return said(
        "{kind} of {signal} over {span}",
        "{span}内{signal}的{kind}",
        kind=kind,
        signal=signal(leaf.metric),
        span=lasting(leaf.smoothing.window_s),
    )


class LeafWords:
    """The leaves of one rule, its limits in place, for one subject at one moment."""

    def __init__(self, compiled: Compiled, subject: Subject, context: Context, at: int) -> None:
        self.compiled, self.subject, self.context, self.at = compiled, subject, context, at

    def told(self, leaf: Leaf, result: Result) -> tuple[Code, Text]:
        """What there is, for a result of ``evaluate``."""
        code: Code = "met" if result.opens else "not_met"
        if isinstance(leaf, Missing):
            return self._missing(leaf, result, code)
        if isinstance(leaf, DeviceFlag):
            return self._flag(leaf, result, code)
        if isinstance(leaf, Score):
            return self._score(leaf, result, code)
        if result.opens is None:
            metric = leaf.of.metric if isinstance(leaf, Count) else leaf.metric
            missing = absence(self.compiled, leaf, metric, self.subject, self.at)
            return missing.code, missing.text
        return code, self._compared(leaf, result, met=result.opens)

    def asked(self, leaf: Leaf) -> tuple[Text, float | None]:  # noqa: PLR0911 - one a kind of leaf
        """What a leaf asks for, and the number it compares with."""
        match leaf:
            case Threshold(op=op, value=value):
                shown = with_unit(leaf.metric, float(value))
                name = smoothing_words(leaf)
                return said(
                    f"{{name}} {SYMBOLS[op]} {{shown}}",
                    f"{{name}} {SYMBOLS[op]} {{shown}}",
                    name=name,
                    shown=shown,
                ), float(value)
            case Change(direction=direction, by=by, within_s=within):
                verb = said("rises", "上升") if direction == "rise" else said("falls", "下降")
                return said(
                    "{name} {verb} by at least {by} within {span}",
                    "{name}在 {span}内{verb}至少 {by}",
                    name=signal(leaf.metric),
                    verb=verb,
                    by=_amount(leaf.metric, float(by)),
                    span=lasting(within),
                ), float(by)
            case Deviation(asked=of, by=by) if of is not None:
                return baseline_words.asked_words(leaf), float(by)
            case Unusual(value=value):
                return unusual_words.asked_words(leaf), float(value)
            case Deviation(direction=direction, by=by):
                where = {
                    "above": said("above", "高于"),
                    "below": said("below", "低于"),
                    "either": said("away from", "偏离"),
                }[direction]
                return said(
                    "{name} at least {by} {where} the patient's own level",
                    "{name}{where}患者自身水平至少 {by}",
                    name=signal(leaf.metric),
                    by=_amount(leaf.metric, float(by)),
                    where=where,
                ), float(by)
            case Score(score=score, value=value):
                return said(
                    "{name} ≥ {value}", "{name} ≥ {value}", name=_SCORES[score], value=number(float(value))
                ), float(value)
            case Missing(for_s=for_s):
                return said(
                    "no {name} for {span}",
                    "{span}无{name}",
                    name=signal(leaf.metric),
                    span=lasting(float(for_s)),
                ), float(for_s)
            case DeviceFlag(flag=flag, metric=metric):
                what: Text = said("any signal", "任一信号") if metric is None else signal(metric)
                return said(
                    "{what} marked: {flag}", "{what}标记为:{flag}", what=what, flag=FLAG_TEXT[flag]
                ), None
            case Count(of=of, at_least=least, within_s=within):
                return said(
                    "at least {least} values with {of} within {span}",
                    "{span}内至少 {least} 个值满足 {of}",
                    least=str(least),
                    of=self.asked(of)[0],
                    span=lasting(within),
                ), float(least)

    def _compared(self, leaf: Leaf, result: Result, *, met: bool) -> Text:
        """A known value against its limit."""
        assert result.value is not None  # noqa: S101 - known truth comes with a value
        when = _taken(result.readings)
        match leaf:
            case Threshold(op=op, value=limit):
                return said(
                    "{name} {value} is {no}{symbol} {limit}{when}"
                    if leaf.plain
                    else "{name}, {value}, is {no}{symbol} {limit}{when}",
                    "{name} {value} {no}{symbol} {limit}{when}",
                    name=smoothing_words(leaf),
                    value=with_unit(leaf.metric, result.value),
                    no=_no(met),
                    symbol={
                        "en": {"below": "below", "above": "above"}.get(op, f"{SYMBOLS[op]}"),
                        "zh": SYMBOLS[op],
                    },
                    limit=number(float(limit)) if unit(leaf.metric) else with_unit(leaf.metric, float(limit)),
                    when=when,
                )
            case Change(direction=direction, by=by, within_s=within):
                verb = said("rose", "上升") if direction == "rise" else said("fell", "下降")
                return said(
                    "{name} {verb} by {value} within {span}, {no}by {by}{when}",
                    "{name}在 {span}内{verb} {value},{no}{by}{when}",
                    name=signal(leaf.metric),
                    verb=verb,
                    value=_amount(leaf.metric, result.value),
                    span=lasting(within),
                    no={"en": "at least " if met else "not ", "zh": "达到 " if met else "未达到 "},
                    by=number(float(by)),
                    when=when,
                )
            case Deviation() if isinstance(result.terms, Terms):
                return baseline_words.compared_words(leaf, result.terms, met=met, when=when)
            case Unusual():
                found = result.terms if isinstance(result.terms, Evidence) else None
                return unusual_words.compared_words(leaf, result.value, found, met=met, when=when)
            case Deviation(by=by):
                level = result.readings[0].value - result.value if result.readings else 0.0
                return said(
                    "{name} lies {value} from the patient's own level {level}, {no}{by}{when}",
                    "{name}距患者自身水平 {level} 为 {value},{no}{by}{when}",
                    name=signal(leaf.metric),
                    value=f"{round(result.value, 2):+g}",
                    level=number(level),
                    no={"en": "at least " if met else "not ", "zh": "达到 " if met else "未达到 "},
                    by=number(float(by)),
                    when=when,
                )
            case Count(of=of, at_least=least, within_s=within):
                return said(
                    "{value} of {least} values with {of} within {span}{when}",
                    "{span}内有 {value} 个值满足 {of},需要 {least} 个{when}",
                    value=number(result.value),
                    least=str(least),
                    of=self.asked(of)[0],
                    span=lasting(within),
                    when=when,
                )
        msg = f"{type(leaf).__name__} is not compared"
        raise TypeError(msg)

    def _score(self, leaf: Score, result: Result, code: Code) -> tuple[Code, Text]:
        missing = tuple(METRICS_OF) if result.score is None else result.score.missing
        lack = joined((self._lacking(p) for p in missing), ", ", "、")
        if result.score is None:
            return "no_reading", said(
                "{name} is not known: {lack}", "{name}未知:{lack}", name=_SCORES[leaf.score], lack=lack
            )
        points = joined(
            (
                said("{name} {n}", "{name} {n}", name=PARAMETER_TEXT[p], n=str(n))
                for p, n in result.score.points.items()
            ),
            ", ",
            "、",
        )
        met = result.opens is True
        found = said(
            "{name} is {least}{value}, {no}≥ {limit} (points: {points})",
            "{name}为{least} {value},{no}≥ {limit} (得分:{points})",
            name=_SCORES[leaf.score],
            least={"en": "at least ", "zh": "至少"} if missing else "",
            value=number(result.value or 0.0),
            no=_no(met),
            limit=number(float(leaf.value)),
            points=points,
        )
        if not missing:
            return code, found
        found = said(
            "{found}; incomplete, missing: {lack}", "{found};不完整,缺少:{lack}", found=found, lack=lack
        )
        return ("met" if met else "incomplete"), found

    def _lacking(self, parameter: str) -> Text:
        """A score's parameter without a fresh value, and why."""
        found = [
            absence(self.compiled, None, metric, self.subject, self.at)
            for metric in METRICS_OF[parameter]
            if metric in self.compiled.max_age
        ]
        known = [a for a in found if a.code != "no_reading"]
        if not known:
            return PARAMETER_TEXT[parameter]
        return said("{name} ({why})", "{name} ({why})", name=PARAMETER_TEXT[parameter], why=known[0].text)

    def _missing(self, leaf: Missing, result: Result, code: Code) -> tuple[Code, Text]:
        name, need = signal(leaf.metric), lasting(float(leaf.for_s))
        last = [s.time for s in self.subject.series.get(leaf.metric, {}).values() if s.time >= 0]
        if result.opens:
            if last:
                return code, said(
                    "no {name} for {span} (needed: {need}); the last came at {at}",
                    "{name}已中断 {span} (需要:{need});最近一次为 {at}",
                    name=name,
                    span=lasting(result.value or 0.0),
                    need=need,
                    at=moment(max(last)),
                )
            return code, said(
                "no {name} at all, for at least {need}", "至少 {need}从未收到{name}", name=name, need=need
            )
        due = deadline(leaf, self.subject, self.context)
        if due is None:
            return "not_expected", said(
                "{name} is not expected: no device on the patient is known to deliver it",
                "不期待{name}:患者身上没有已知提供该信号的设备",
                name=name,
            )
        since = due - round(float(leaf.for_s) * SECOND)
        return code, said(
            "{name} is not missing: counted from {at}, silence is {span} so far, not {need}",
            "{name}未中断:自 {at} 起静默 {span},未达到 {need}",
            name=name,
            at=moment(since),
            span=lasting(max(0, self.at - since) / SECOND),
            need=need,
        )

    def _flag(self, leaf: DeviceFlag, result: Result, code: Code) -> tuple[Code, Text]:
        flag = FLAG_TEXT[leaf.flag]
        if result.opens is None:
            return "nothing_said", said(
                "no device said anything of itself lately, so not: {flag}",
                "近期没有设备报告自身状态,无法得知:{flag}",
                flag=flag,
            )
        newest = max(result.readings, key=lambda m: m.time)
        return code, said(
            "{device} {no}{flag} for {name} (at {at})",
            "{device} 于 {at} {no}{flag} ({name})",
            device=newest.device,
            no={
                "en": "reports " if result.opens else "does not report ",
                "zh": "报告" if result.opens else "未报告",
            },
            flag=flag,
            name=signal(newest.metric),
            at=moment(newest.time),
        )


def _no(met: bool) -> Text:  # noqa: FBT001 - a truth value
    return {"en": "" if met else "not ", "zh": "满足 " if met else "不满足 "}


def _amount(metric: str, value: float) -> str:
    return f"{number(value)} {unit(metric)}".rstrip()


def _taken(readings: tuple[Measured, ...]) -> Text:
    if not readings:
        return {"en": "", "zh": ""}
    newest = max(readings, key=lambda m: m.time)
    return said(
        " (at {at}, {device})", " ({at},{device})", at=moment(newest.time), device=source(newest.device)
    )
