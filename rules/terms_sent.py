"""The terms that a decision rests on, as a gateway sends them with it: bounded, and looked at before use.

A decision is never lost for what explains it: what cannot be read of the terms is left out, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

import msgpack

from hearthward.core.codes import METRICS
from rules.detectors.baseline import Terms
from rules.detectors.novelty import Evidence, Part
from rules.detectors.parameters import STATISTICS

__all__ = ["MAX_TERMS_BYTES", "UNREADABLE", "readable", "terms_of"]

MAX_TERMS_BYTES: Final = 4096
"""Of one decision, packed: a dozen signals of three terms each."""
UNREADABLE: Final = "unreadable"
"""The kinds of terms that came and could not be read, among those that could."""
_UNUSUAL: Final = "unusual"
_BASELINE: Final = "baseline"
_NAME: Final = 200
_PARTS: Final = 8
_DIRECTIONS: Final = frozenset({"above", "below"})


def terms_of(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a transition's ``detail``; of too many signals the least unusual ones are left out."""
    found = {kind: detail[kind] for kind in (_BASELINE, _UNUSUAL) if kind in detail}
    if _UNUSUAL in found:
        found[_UNUSUAL] = {
            metric: told | {"known_s": float(told["known_s"])}  # as long as it will be when it is read
            for metric, told in sorted(found[_UNUSUAL].items(), key=_weight)
        }
    while len(msgpack.packb(found)) > MAX_TERMS_BYTES and found.get(_UNUSUAL):
        found[_UNUSUAL].popitem()
    return found


def _weight(signal: tuple[str, dict[str, Any]]) -> tuple[float, str]:
    name, told = signal
    return -float(told["score"]), name


def readable(sent: Any) -> dict[str, Any] | None:
    """What of ``sent`` can be used, kinds unknown here left out; None: nothing was sent.

    ``UNREADABLE`` names the kinds that are damaged, sorted; the others are as ``terms_of`` gave them.
    """
    if sent is None:
        return None
    if not isinstance(sent, dict):
        return {UNREADABLE: [_BASELINE, _UNUSUAL]}
    kinds: dict[str, Callable[[Any], dict[str, Any]]] = {_BASELINE: _baseline, _UNUSUAL: _unusual}
    out: dict[str, Any] = {}
    damaged = {k for k in _listed(sent.get(UNREADABLE)) if k in kinds}
    for kind, read in kinds.items():
        if kind not in sent:
            continue
        try:
            out[kind] = read(sent[kind])
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            damaged.add(kind)
    if len(msgpack.packb(out)) > MAX_TERMS_BYTES:
        damaged, out = damaged | out.keys(), {}
    if damaged:
        out[UNREADABLE] = sorted(damaged)
    return out


def _listed(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _baseline(sent: dict[str, Any]) -> dict[str, float]:
    return Terms(*(_number(sent[name]) for name in Terms._fields)).content()


def _unusual(sent: dict[str, Any]) -> dict[str, Any]:
    return {_signal(metric): _of_signal(told) for metric, told in sent.items()}


def _of_signal(told: dict[str, Any]) -> dict[str, Any]:
    parts = tuple(p for part in told["parts"][:_PARTS] if (p := _part(*part[: len(Part._fields)])))
    evidence = Evidence(_number(told["value"]), _number(told["known_s"]), parts)
    score, device = _number(told["score"]), told["device"]
    if not isinstance(device, str) or len(device) > _NAME:
        msg = "a device that is no name"
        raise TypeError(msg)
    return {"score": score, "device": device} | evidence.content()


def _part(name: str, direction: str, *numbers: Any) -> Part | None:
    """One term; None: of a statistic that is not known here."""
    if name not in STATISTICS:
        return None
    if direction not in _DIRECTIONS:
        msg = f"a term that points {direction!r:.20}"
        raise ValueError(msg)
    return Part(name, direction, *map(_number, numbers))


def _signal(metric: Any) -> str:
    if metric not in METRICS:
        msg = f"no signal is called {metric!r:.40}"
        raise ValueError(msg)
    return str(metric)


def _number(value: Any) -> float:
    if type(value) not in {int, float} or not isfinite(value):
        msg = f"{value!r:.20} is no number"
        raise TypeError(msg)
    return float(value)
