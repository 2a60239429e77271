"""A rule's timing in words: delay, smoothing, hysteresis, age, lateness, for whom."""

from __future__ import annotations

from collections.abc import Iterator

from rules.conditions import Count, Leaf, Repeat, Score, Threshold, Unusual, leaves
from rules.rule import Rule, number
from rules.telling import Text, lasting, said, signal, with_unit

__all__ = ["about"]


def about(rule: Rule) -> Iterator[Text]:
    """What a rule asks for besides its condition, a sentence each; the numbers are the rule's own."""
    if rule.delay_s:
        yield said(
            "A breach must last {span} before it is told.",
            "超限须持续 {span}才告知。",
            span=lasting(rule.delay_s),
        )
    elif not isinstance(rule.condition, Repeat):
        yield {"en": "A breach is told at once.", "zh": "超限立即告知。"}
    seen: set[str] = set()
    for leaf in leaves(rule.resolved.condition):
        for text in (*_smoothed(leaf), *_clearing(leaf)):
            if text["en"] not in seen:
                seen.add(text["en"])
                yield text
    if rule.clear_after_s:
        yield said(
            "It ends after {span} without a breach.",
            "连续 {span}无超限后结束。",
            span=lasting(rule.clear_after_s),
        )
    for metric, age in rule.inputs.items():
        yield said(
            "A value of {name} counts for {span}.",
            "{name}的值在 {span}内有效。",
            name=signal(metric),
            span=lasting(age),
        )
    yield said(
        "It signals up to {span} after the measurement; what comes later goes to the worklist.",
        "测量后 {span}内可报警;更晚到达的列入待查清单。",
        span=lasting(rule.max_lateness_s),
    )
    if rule.raises:
        yield said(
            "It is the graver stage of {rule}: where that alarm is open it raises it, and all are told anew.",
            "它是 {rule} 的更严重阶段:若该报警未结束,则将其升级并重新通知。",
            rule=rule.raises,
        )
    if rule.latching:
        yield {
            "en": "When it has ended it stays, shown as ended, until somebody acknowledges it.",
            "zh": "结束后仍显示为已结束,直到有人确认。",
        }


def _smoothed(leaf: Leaf) -> Iterator[Text]:
    smoothing = getattr(leaf, "smoothing", None)
    if not isinstance(leaf, Threshold) or smoothing is None:
        return
    yield said(
        "Judged is the {kind} of {name} over {span}, from {n} values on.",
        "以 {span}内{name}的{kind}判断,至少 {n} 个值。",
        kind={"en": smoothing.kind, "zh": {"mean": "均值", "median": "中位数"}[smoothing.kind]},
        name=signal(leaf.metric),
        span=lasting(smoothing.window_s),
        n=str(smoothing.min_count),
    )


def _clearing(leaf: Leaf) -> Iterator[Text]:
    if isinstance(leaf, Count):
        return
    if isinstance(leaf, Score):
        yield said(
            "It ends below {n}, with every input known again that raised it.",
            "低于 {n} 且所有触发参数重新已知时结束。",
            n=number(float(leaf.clear_below)),
        )
    if isinstance(leaf, Unusual):
        yield said(
            "It ends when {name} is unusual by less than {n}.",
            "{name}异常程度低于 {n} 时结束。",
            name=signal(leaf.metric),
            n=number(float(leaf.clear_below)),
        )
    if isinstance(leaf, Threshold) and (own := leaf.calibration) is not None:
        yield said(
            "Recalibrated by this site: log-odds times {slope}, plus {intercept}.",
            "由本站重新校准:对数几率乘以 {slope},再加 {intercept}。",
            slope=number(own.slope),
            intercept=number(own.intercept),
        )
    if isinstance(leaf, Threshold) and float(leaf.hysteresis):
        back = float(leaf.hysteresis)
        clear = float(leaf.value) + back if leaf.falling else float(leaf.value) - back
        sign = "≥" if leaf.falling else "≤"
        yield said(
            f"It ends when {{name}} is {sign} {{value}} again.",
            f"{{name}}恢复至 {sign} {{value}} 时结束。",
            name=signal(leaf.metric),
            value=with_unit(leaf.metric, clear),
        )
