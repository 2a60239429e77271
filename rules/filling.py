"""What a rule's texts are filled with: its signals, and fields of what its condition rests on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hearthward.core.codes import CLOCK_SKEW
from rules.compiled import Compiled, Result
from rules.conditions import RISK, Change, Deviation, DeviceFlag, Leaf, Missing, Score, Threshold
from rules.detectors.baseline import Terms
from rules.model import Measured
from rules.rule import amount, number
from rules.state import Snapshot
from rules.telling import shown
from rules.words import FLAG_TEXT, PARAMETER_TEXT, REASON_TEXT, SIGNAL_TEXT, duration, skewed

__all__ = ["FIELDS", "fields_of", "render", "signed"]

FIELDS: Final = (
    *("limit", "score", "worst", "missing", "change", "baseline", "spread", "trend", "missed"),
    *("silence", "silent", "flag", "risk", "reasons", "unusual"),
)
"""What a rule's texts may name besides its signals."""
_NO_VALUE: Final = "--"


def fields_of(leaf: Leaf, result: Result) -> dict[str, dict[str, str]]:  # noqa: PLR0911 - one a kind of leaf
    """What a leaf's result fills into the rule's texts: field -> language -> text."""
    if result.value is None:
        return {}
    match leaf:
        case Score():
            return _score_fields(leaf, result)
        case Threshold() if leaf.metric == RISK:
            return {"risk": _both(amount(RISK, result.value)), "reasons": _reasons(result)}
        case Change():
            sign = "+" if leaf.direction == "rise" else "−"  # noqa: RUF001 - a minus
            return {"change": _both(f"{sign}{number(result.value)}")}
        case Deviation() if isinstance(result.terms, Terms):
            return _baseline_fields(leaf, result.terms)
        case Deviation() if result.readings:
            return {
                "change": _both(f"{result.value:+g}".replace("-", "−")),  # noqa: RUF001 - a minus
                "baseline": _both(number(result.readings[0].value - result.value)),
            }
        case Missing():
            name = SIGNAL_TEXT.get(leaf.metric, _both(leaf.metric.replace("_", " ")))
            return {"silence": duration(result.value), "silent": name}
        case DeviceFlag():
            worst = max(_skews(result), key=lambda m: abs(m.value), default=None)
            return {"flag": FLAG_TEXT[leaf.flag] if worst is None else skewed(worst.device, worst.value)}
    return {}


def _baseline_fields(leaf: Deviation, terms: Terms) -> dict[str, dict[str, str]]:
    change = terms.trend if leaf.asked == "trend" else terms.value - terms.expected
    return {
        "change": _both(signed(change)),
        "baseline": _both(number(round(terms.level if leaf.asked == "trend" else terms.expected, 1))),
        "spread": _both(number(round(terms.spread, 1))),
        "trend": _both(signed(terms.trend)),
        "missed": _both(f"{terms.missed:.0f}/{terms.due:.0f}"),
    }


def signed(value: float) -> str:
    """A difference as people write it, to a tenth."""
    return f"{round(value, 1):+g}".replace("-", "−")  # noqa: RUF001 - a minus


def _skews(result: Result) -> list[Measured]:
    """What says how far the clocks are off that a rule speaks of."""
    return [m for m in result.readings if m.metric == CLOCK_SKEW] if result.opens else []


def _score_fields(leaf: Score, result: Result) -> dict[str, dict[str, str]]:
    found = result.score
    if found is None:
        return {}
    least = "≥" if found.missing and leaf.score == "news2" else ""
    fields = {"score": _both(f"{least}{number(result.value or 0.0)}")}
    fields["missing"] = _parameter_names(found.missing) if found.missing else {"en": "none", "zh": "无"}
    if found.worst:
        fields["worst"] = _parameter_names(p for p, worth in found.points.items() if worth == found.worst)
    return fields


def _reasons(result: Result) -> dict[str, str]:
    """What raises a risk, with its newest value; not what lowers it, nor the length of the stay."""
    found = [(r.name, r.value) for r in result.reasons if r.term > 0 and r.name in REASON_TEXT]
    between = {"en": ", ", "zh": "、"}
    return {
        x: comma.join(f"{REASON_TEXT[name][x]} {_newest(name, value, x)}".rstrip() for name, value in found)
        or _NO_VALUE
        for x, comma in between.items()
    }


def _newest(name: str, value: float, language: str) -> str:
    if value != value:  # noqa: PLR0124 - NaN: it is its absence that counts
        return _NO_VALUE
    return shown(name, value, language)


def _parameter_names(parameters: Iterable[str]) -> dict[str, str]:
    known = list(parameters)
    between = {"en": ", ", "zh": "、"}
    return {x: comma.join(PARAMETER_TEXT[p][x] for p in known) for x, comma in between.items()}


def _both(text: str) -> dict[str, str]:
    return {"en": text, "zh": text}


def render(compiled: Compiled, template: dict[str, str], shot: Snapshot) -> dict[str, str]:
    """Fill a template in every language; what has no value shows as a dash."""
    out = {}
    for language, text in template.items():
        fields = {name: shot.fields.get(name, {}).get(language, _NO_VALUE) for name in FIELDS}
        fields |= {
            m: shown(m, shot.values[m], language) if m in shot.values else _NO_VALUE
            for m in compiled.rule.inputs
        }
        out[language] = text.format(**{**fields, "limit": compiled.limit})
    return out
