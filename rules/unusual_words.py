"""What is unusual of a signal in words: what a rule asks for, and the terms that a judgement rests on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rules.conditions import Unusual
from rules.detectors.novelty import LARGEST, Evidence, Part
from rules.detectors.parameters import DEFAULTS
from rules.rule import number
from rules.telling import Text, joined, lasting, said, signal, with_unit

__all__ = ["asked_words", "compared_words", "told"]

_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_KINDS: Final[dict[str, tuple[str, str]]] = {
    "range": (
        "{value}, {direction} the range of the last {known} ({bound} {usual})",
        "{value},{direction}最近 {known}的范围 ({bound} {usual})",
    ),
    "mean": (
        "mean of {span} {value}, usually {usual}: {ratio} times the largest departure so far",
        "{span}均值 {value},通常 {usual}:为以往最大偏离的 {ratio} 倍",
    ),
    "step": (
        "mean of {span} {value} after {usual}: {ratio} times the largest step so far",
        "{span}均值由 {usual} 变为 {value}:为以往最大变化的 {ratio} 倍",
    ),
    "spread": ("varies by {value}, usually {usual}", "波动 {value},通常 {usual}"),
    "hour": (
        "{value}, at this hour usually {usual}: {ratio} times the largest departure so far",
        "{value},此时段通常 {usual}:为以往最大偏离的 {ratio} 倍",
    ),
    "hour of day one": (
        "{value} after {usual} earlier in this hour: {ratio} times the largest departure so far",
        "{value},本小时此前 {usual}:为以往最大偏离的 {ratio} 倍",
    ),
    "hours": (
        "for {span} off the usual of the hour by {value} on average",
        "{span}内平均偏离时段通常值 {value}",
    ),
}
_DIRECTIONS: Final[dict[str, Text]] = {
    "above": {"en": "above", "zh": "高于"},
    "below": {"en": "below", "zh": "低于"},
    "either": {"en": "above or below", "zh": "高于或低于"},
}
_BOUNDS: Final[dict[str, Text]] = {
    "above": {"en": "up to", "zh": "上限"},
    "below": {"en": "down to", "zh": "下限"},
}
_UNCHANGED: Final = 0.5
"""The part of ``clear_below`` under which a signal counts as unchanged."""


def told(found: Iterable[tuple[Unusual, bool | None, float | None, Evidence | None]]) -> Text:
    """What is unusual, and what is not: (leaf, whether it opens, its score, its evidence) for each signal.

    Of each signal that opens its weightiest term.
    """
    leaves = list(found)
    telling = [
        said("{name} {term}", "{name} {term}", name=signal(leaf.metric), term=_part(leaf, e, e.parts[0]))
        for leaf, opens, _, e in leaves
        if opens and e is not None
    ]
    still = [
        signal(leaf.metric)
        for leaf, opens, score, _ in leaves
        if opens is False and score is not None and score < _UNCHANGED * float(leaf.clear_below)
    ]
    if still:
        telling.append(said("{names} unchanged", "{names}无变化", names=joined(_once(still), ", ", "、")))
    return joined(_once(telling))


def asked_words(leaf: Unusual) -> Text:
    """What the leaf asks for."""
    return said(
        "{name} unusual for the patient ({direction} the usual), at least {value} of 1",
        "{name}对该患者异常 ({direction}平时),至少 {value} (最大 1)",
        name=signal(leaf.metric),
        direction=_DIRECTIONS[leaf.direction],
        value=number(float(leaf.value)),
    )


def compared_words(leaf: Unusual, score: float, found: Evidence | None, *, met: bool, when: Text) -> Text:
    """What was found against what is asked for, every kept term with its share of the sum."""
    none: Text = {"en": "nothing unusual", "zh": "无异常"}
    if found is not None:
        parts = [
            said("{term} ({share} %)", "{term} ({share} %)", term=_part(leaf, found, p), share=_share(p))
            for p in found.parts
        ]
        none = joined(parts)
    return said(
        "{name} is unusual by {score}, {no}{value}: {terms}{when}",
        "{name}异常程度 {score},{no}{value}:{terms}{when}",
        name=signal(leaf.metric),
        score=number(score),
        no={"en": "at least " if met else "not ", "zh": "达到 " if met else "未达到 "},
        value=number(float(leaf.value)),
        terms=none,
        when=when,
    )


def _part(leaf: Unusual, found: Evidence, part: Part) -> Text:
    kind = "mean" if part.name in {"short", "medium", "long"} else part.name
    tau = getattr(DEFAULTS, f"tau_{'short' if kind == 'step' else part.name}", 1.0)
    en, zh = _KINDS["hour of day one" if kind == "hour" and found.known_s < _DAY else kind]
    ratio = f"{part.ratio:.1f}"
    return said(
        en,
        zh,
        value=with_unit(leaf.metric, _rounded(part.value)),
        usual=with_unit(leaf.metric, _rounded(part.usual)),
        direction=_DIRECTIONS[part.direction],
        bound=_BOUNDS[part.direction],
        span=lasting(round(tau * leaf.pace_s)),
        known=_known(found.known_s),
        ratio=ratio if part.ratio < LARGEST else {"en": f"over {LARGEST:g}", "zh": f"超过 {LARGEST:g}"},
    )


def _known(seconds: float) -> Text:
    """For how long a patient is known, in one unit."""
    size = _DAY if seconds >= _DAY else _HOUR if seconds >= _HOUR else 60.0
    return lasting(max(1, seconds // size) * size)


def _share(part: Part) -> str:
    return f"{100 * part.share:.0f}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _once(texts: list[Text]) -> list[Text]:
    return list({t["en"]: t for t in texts}.values())
