"""A score's terms in words, in English and Chinese."""

from __future__ import annotations

import math
from typing import Final

from rules.detectors.record_stack import DAY, RecordStack
from rules.detectors.terms import Explanation, Term, explain
from rules.telling import Text, lasting, said, signal, with_unit

__all__ = ["Explanation", "Term", "explain", "sentences"]

_EN: Final = {
    "range": "{signal} {value}: {direction} all that is known ({usual})",
    "mean": "{signal}: mean of {span} {value}, usually {usual}; {ratio} times its largest departure so far",
    "step": "{signal}: mean of {span} {value} after {usual}; {ratio} times its largest step so far",
    "spread": "{signal}: spread {value}, usually {usual}",
    "hour": "{signal} {value}: usually {usual} at this time of day; {ratio} times the largest departure",
    "hours": "{signal}: for {span} off by {value} on average from the usual at this time of day",
    "hour of day one": "{signal} {value}: {usual} earlier in this hour; {ratio} times the largest departure",
    "hours of day one": "{signal}: for {span} off by {value} on average from each hour's course",
}
_ZH: Final = {
    "range": "{signal} {value}: {direction}已知的全部值 ({usual})",
    "mean": "{signal}: {span}均值 {value}, 通常 {usual}; 为以往最大偏离的 {ratio} 倍",
    "step": "{signal}: {span}均值由 {usual} 变为 {value}; 为以往最大变化的 {ratio} 倍",
    "spread": "{signal}: 波动 {value}, 通常 {usual}",
    "hour": "{signal} {value}: 此时段通常 {usual}; 为以往最大偏离的 {ratio} 倍",
    "hours": "{signal}: {span}内平均偏离此时段通常值 {value}",
    "hour of day one": "{signal} {value}: 本小时此前 {usual}; 为以往最大偏离的 {ratio} 倍",
    "hours of day one": "{signal}: {span}内平均偏离各小时水平 {value}",
}
_MANY: Final = {"en": "many", "zh": "许多"}
_DIRECTIONS: Final = {"above": {"en": "above", "zh": "高于"}, "below": {"en": "below", "zh": "低于"}}


def sentences(metric: str, stack: RecordStack) -> list[Text]:
    """The newest score's terms in words, the weightiest first, for the signal ``metric``."""
    explanation, pace = explain(stack), stack.pace
    if explanation is None:
        return []
    out = []
    for term in explanation.terms:
        kind = "mean" if term.name in {"short", "medium", "long"} else term.name
        if kind in {"hour", "hours"} and stack.watched < DAY:
            kind += " of day one"
        tau = getattr(stack.parameters, f"tau_{'short' if kind == 'step' else term.name}", 1.0)
        ratio = _MANY if math.isinf(term.ratio) else f"{term.ratio:.1f}"
        out.append(
            said(
                _EN[kind],
                _ZH[kind],
                signal=signal(metric),
                value=with_unit(metric, _rounded(term.value)),
                usual=with_unit(metric, _rounded(term.usual)),
                direction=_DIRECTIONS[term.direction],
                span=lasting(round(tau * pace)),
                ratio=ratio,
            )
        )
    return out


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
