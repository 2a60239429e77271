"""The numbers of a rule's file that can be moved, and the file with some moved: the rest stays as it is.

Pure text work: comments, order and layout are kept, so that a person can compare the two line by line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from hearthward.core.errors import ConfigError
from rules.document import Document, Where, parse_document

__all__ = ["AmendError", "Movable", "amended", "movable"]

_MOVED: Final = frozenset(
    {"value", "hysteresis", "by", "clear_below", "for_s", "within_s", "at_least", "after_s", "timeout_s"}
)
"""What of a condition is a number to be moved."""
_TOP: Final = ("delay_s", "clear_after_s")
_SMOOTHING: Final = ("window_s", "above")
_SEPARATOR: Final = "/"


class AmendError(ConfigError):
    """A number cannot be moved; ``path`` says which, ``code`` is ``unknown`` or ``invalid``."""

    def __init__(self, path: str, code: str, value: object) -> None:
        super().__init__(f"{path}: {value} is {code}", path=path, code=code)
        self.path, self.code, self.value = path, code, str(value)


@dataclass(frozen=True, slots=True)
class Movable:
    """One number of a rule's file.

    ``path`` leads to it (``parameters/limit/value``); ``name`` is the parameter's, or the key's (``delay_s``,
    ``hysteresis``); ``signal`` the metric or score that it stands beside, empty for none; ``op`` which way a
    limit of it goes. ``low`` and ``high`` are the bounds that a parameter has.
    """

    path: str
    name: str
    value: float
    parameter: bool = False
    signal: str = ""
    op: str = ""
    low: float | None = None
    high: float | None = None


def movable(text: str) -> list[Movable]:
    """The numbers of a rule's file, parameters first. Raises RuleFileError for what is no YAML."""
    document = parse_document(text.encode(), "rule")
    return list(_found(document))


def _found(document: Document) -> Iterator[Movable]:
    data = document.data if isinstance(document.data, dict) else {}
    parameters = data.get("parameters")
    uses = _uses(data.get("condition"))
    for name, entry in (parameters if isinstance(parameters, dict) else {}).items():
        if isinstance(entry, dict) and _is_number(entry.get("value")):
            signal, op = uses.get(name, ("", ""))
            yield Movable(
                _joined(("parameters", name, "value")),
                name,
                float(entry["value"]),
                parameter=True,
                signal=signal,
                op=op,
                low=_or_none(entry.get("low")),
                high=_or_none(entry.get("high")),
            )
    for name in _TOP:
        if _is_number(data.get(name)):
            yield Movable(name, name, float(data[name]))
    yield from _smoothing(data.get("smoothing"))
    yield from _condition(data.get("condition"), ("condition",))


def _smoothing(entry: Any) -> Iterator[Movable]:
    for name in _SMOOTHING:
        if isinstance(entry, dict) and _is_number(entry.get(name)):
            yield Movable(_joined(("smoothing", name)), name, float(entry[name]))


def _condition(node: Any, path: Where) -> Iterator[Movable]:
    if isinstance(node, list):
        for n, item in enumerate(node):
            yield from _condition(item, (*path, n))
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _MOVED and _is_number(value):
                signal, op = _beside(node)
                yield Movable(_joined((*path, key)), key, float(value), signal=signal, op=op)
            else:
                yield from _condition(value, (*path, key))


def _uses(node: Any) -> dict[str, tuple[str, str]]:
    """Parameter -> the signal and direction beside which it is used first."""
    found: dict[str, tuple[str, str]] = {}
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += reversed(item)
        elif isinstance(item, dict):
            for key, value in item.items():
                if key in _MOVED and isinstance(value, str):
                    found.setdefault(value, _beside(item) if key in {"value", "by"} else ("", ""))
            stack += reversed([v for v in item.values() if isinstance(v, dict | list)])
    return found


def _beside(node: Mapping[str, Any]) -> tuple[str, str]:
    for key in ("metric", "score", "rise", "fall", "deviates", "unusual", "missing"):
        if isinstance(node.get(key), str):
            op = node.get("op")
            return node[key], op if isinstance(op, str) else ""
    return "", ""


def amended(text: str, moved: Mapping[str, float], *, version: int | None = None) -> str:
    """The file with these numbers (by ``Movable.path``) in their places, and with another version.

    Raises AmendError for a path that leads to no such number, or a value that is none; whether the whole is
    a good rule is ``load_rule``'s to say.
    """
    document = parse_document(text.encode(), "rule")
    known = {m.path: m for m in _found(document)}
    edits: list[tuple[int, int, str]] = []
    for path, value in moved.items():
        if path not in known:
            raise AmendError(path, "unknown", value)
        if not math.isfinite(value):
            raise AmendError(path, "invalid", value)
        if value != known[path].value:
            edits.append((*document.spans[_parted(path)], _written(value)))
    if version is not None and ("version",) in document.spans:
        edits.append((*document.spans["version",], str(version)))
    for start, end, written in sorted(edits, reverse=True):
        text = text[:start] + written + text[end:]
    return text


def _joined(path: Where) -> str:
    return _SEPARATOR.join(map(str, path))


def _parted(path: str) -> Where:
    return tuple(int(part) if part.isdecimal() else part for part in path.split(_SEPARATOR))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _or_none(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _written(value: float) -> str:
    """A number as rule files have it: plain decimals, no exponent, no needless zeros."""
    plain = f"{Decimal(repr(value)):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
