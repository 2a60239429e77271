"""Why a signal has no value that counts: it never came, or is unfit, too old, too late, too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearthward.core.model import quality_names
from rules.compiled import Compiled
from rules.conditions import Deviation, Leaf, Threshold, Unusual
from rules.detectors.parameters import DEFAULTS
from rules.evaluate import UNFIT, counted, too_late
from rules.rule import SECOND
from rules.signals import Series, feature_key
from rules.state import Subject
from rules.telling import Text, lasting, moment, said, signal, with_unit
from rules.words import FLAG_TEXT

__all__ = ["Absence", "absence", "quality_words"]

_OTHER: dict[str, Text] = {
    "demo": {"en": "demonstration data", "zh": "演示数据"},
    "test": {"en": "test data", "zh": "测试数据"},
    "ongoing": {"en": "measurement still going on", "zh": "测量进行中"},
    "from_store": {"en": "from the device's memory", "zh": "来自设备存储"},
    "time_unknown": {"en": "time unknown", "zh": "测量时间未知"},
    "invalid": {"en": "not valid, says the device", "zh": "设备报告无效"},
}


@dataclass(frozen=True, slots=True)
class Absence:
    """What is missing of a signal, as a code and in words."""

    code: Literal["no_reading", "quality", "stale", "late", "too_few", "learning"]
    text: Text


def quality_words(quality: int) -> Text:
    """The flags of a reading in words."""
    names = quality_names(quality)
    texts = [FLAG_TEXT.get(name) or _OTHER[name] for name in names]
    return {"en": ", ".join(t["en"] for t in texts), "zh": "、".join(t["zh"] for t in texts)}


def absence(compiled: Compiled, leaf: Leaf | None, metric: str, subject: Subject, at: int) -> Absence:
    """Why ``leaf`` (None: a score) has no value of ``metric`` at ``at`` (UTC ns); there must be none."""
    name = signal(metric)
    devices = subject.series.get(metric, {})
    fresh = counted(compiled, metric, subject, at)
    if fresh:
        return _underived(leaf, metric, devices[fresh[-1].device])
    if not devices:
        return Absence("no_reading", said("there is no reading of {name}", "没有{name}读数", name=name))
    device, newest = max(devices.items(), key=lambda x: (x[1].time, x[1].spoken))
    unfit = _unfit(metric, devices)
    if newest.time < 0:
        return unfit or Absence("no_reading", said("no value of {name} came", "没有{name}的数值", name=name))
    if too_late(compiled, newest.time, newest.received):
        return Absence("late", _late(compiled, metric, newest))
    if unfit is not None:
        return unfit
    return Absence(
        "stale",
        said(
            "the newest {name}, {value} at {time} by {device}, is {age} old and counts for {most}",
            "最新的{name}为 {device} 于 {time} 测得的 {value},已过 {age},有效期 {most}",
            name=name,
            value=with_unit(metric, newest.value),
            time=moment(newest.time),
            device=device,
            age=lasting((at - newest.time) / SECOND),
            most=lasting(compiled.max_age[metric] / SECOND),
        ),
    )


def _late(compiled: Compiled, metric: str, newest: Series) -> Text:
    return said(
        "the newest {name}, {value}, was measured {time} and received {received}: {lag} later, more than the "
        "{most} within which it may signal (worklist)",
        "最新的{name} {value} 测量于 {time},收到于 {received}:晚 {lag},超过可报警的 {most} (转入待查清单)",
        name=signal(metric),
        value=with_unit(metric, newest.value),
        time=moment(newest.time),
        received=moment(newest.received),
        lag=lasting((newest.received - newest.time) / SECOND),
        most=lasting(compiled.max_lateness / SECOND),
    )


def _unfit(metric: str, devices: dict[str, Series]) -> Absence | None:
    """What came last of the signal was marked as nothing to judge by."""
    newest = max(devices.values(), key=lambda s: s.spoken)
    if newest.spoken <= newest.time or not newest.quality & UNFIT:
        return None
    return Absence(
        "quality",
        said(
            "{name} is not used since it is marked: {quality} (at {at})",
            "{name}被标记为:{quality} ({at}),不予使用",
            name=signal(metric),
            quality=quality_words(newest.quality & UNFIT),
            at=moment(newest.spoken),
        ),
    )


def _underived(leaf: Leaf | None, metric: str, series: Series) -> Absence:
    """There is a value, but what is derived from the past needs more of it."""
    if isinstance(leaf, Deviation):
        feature = series.features.get(feature_key(leaf) or "")
        first, last = (-1, -1) if feature is None else feature.pack()[:2]
        return Absence(
            "learning",
            said(
                "the patient's own level of {name} is learned over {need}; {known} of it are known",
                "患者自身的{name}水平需学习 {need},目前仅有 {known}",
                name=signal(metric),
                need=lasting(leaf.learn_s),
                known=lasting(max(0, last - first) / SECOND),
            ),
        )
    if isinstance(leaf, Unusual):
        return Absence(
            "learning",
            said(
                "what is usual of {name} is learned over {need}",
                "{name}的平时情况需学习 {need}",
                name=signal(metric),
                need=lasting(DEFAULTS.warm_up * leaf.pace_s),
            ),
        )
    if isinstance(leaf, Threshold) and leaf.smoothing is not None:
        feature = series.features.get(feature_key(leaf) or "")
        count = 0 if feature is None else len(feature.pack()[0])
        return Absence(
            "too_few",
            said(
                "the {span} before hold {count} values of {name}; its {kind} needs {need}",
                "此前 {span}内{name}有 {count} 个值;计算{kind}需要 {need} 个",
                span=lasting(leaf.smoothing.window_s),
                count=str(count),
                name=signal(metric),
                kind={
                    "en": leaf.smoothing.kind,
                    "zh": {"mean": "均值", "median": "中位数"}[leaf.smoothing.kind],
                },
                need=str(leaf.smoothing.min_count),
            ),
        )
    return Absence("too_few", said("{name} has no value yet", "{name}尚无数值", name=signal(metric)))
