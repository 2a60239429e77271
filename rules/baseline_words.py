"""A patient's own baseline in words: what a rule asks of it, and the terms that a judgement rests on."""

from __future__ import annotations

from rules.conditions import Deviation
from rules.detectors.baseline import Terms
from rules.filling import signed
from rules.rule import number
from rules.telling import Text, said, signal, unit, with_unit

__all__ = ["asked_words", "compared_words"]


def asked_words(leaf: Deviation) -> Text:
    """What a deviation in spreads, or a trend, asks for."""
    name, by = signal(leaf.metric), float(leaf.by)
    if leaf.asked == "trend":
        verb = {
            "above": said("rises", "上升"),
            "below": said("falls", "下降"),
            "either": said("changes", "变化"),
        }[leaf.direction]
        return said(
            "{name} {verb} by at least {by} a week, as far as that is certain",
            "{name}每周{verb}至少 {by} (取可确定的部分)",
            name=name,
            verb=verb,
            by=f"{number(by)} {unit(leaf.metric)}".rstrip(),
        )
    where = {
        "above": said("above", "高于"),
        "below": said("below", "低于"),
        "either": said("away from", "偏离"),
    }[leaf.direction]
    return said(
        "{name} at least {by} usual spreads {where} the patient's own level at that hour",
        "{name}{where}患者该时段自身水平至少 {by} 个常见波动幅度",
        name=name,
        by=number(by),
        where=where,
    )


def compared_words(leaf: Deviation, terms: Terms, *, met: bool, when: Text) -> Text:
    """What was found against what is asked for, and every term of it."""
    common: dict[str, str | Text] = {
        "name": signal(leaf.metric),
        "value": with_unit(leaf.metric, terms.value),
        "level": number(round(terms.level, 1)),
        "hour": signed(terms.hour),
        "spread": number(round(terms.spread, 1)),
        "trend": signed(terms.trend),
        "error": number(round(terms.error, 1)),
        "missed": _missed(terms),
        "no": {"en": "at least " if met else "not ", "zh": "达到 " if met else "未达到 "},
        "by": number(float(leaf.by)),
        "when": when,
    }
    if leaf.asked == "trend":
        return said(
            "{name} changes by {trend} ± {error} a week, {no}{by} (usual level {level}, this hour {hour}, "
            "usual spread {spread}{missed}){when}",
            "{name}每周变化 {trend} ± {error},{no}{by} (通常水平 {level},该时段 {hour},"
            "常见波动 {spread}{missed}){when}",
            **common,
        )
    return said(
        "{name} {value} lies {spreads} usual spreads from what is expected, {no}{by} (usual level {level}, "
        "this hour {hour}, usual spread {spread}, {trend} a week{missed}){when}",
        "{name} {value} 偏离预期 {spreads} 个常见波动幅度,{no}{by} (通常水平 {level},该时段 {hour},"
        "常见波动 {spread},每周 {trend}{missed}){when}",
        spreads=signed(terms.spreads),
        **common,
    )


def _missed(terms: Terms) -> Text:
    if not terms.due:
        return {"en": "", "zh": ""}
    return said(
        ", {missed} of {due} measurements missed",
        ",{due} 次测量中缺 {missed} 次",
        missed=f"{terms.missed:.0f}",
        due=f"{terms.due:.0f}",
    )
