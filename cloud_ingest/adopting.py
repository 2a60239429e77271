"""What gateways' rules have decided, as inputs of deciding here.

Several words on one alarm that come together are one input, so that what is over already is not signalled
first and ended then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from rules.model import Adopt
from rules.travelling import Travelling

__all__ = ["SENT", "Folded", "fold"]

SENT: Final = frozenset({"start", "update", "escalate", "de-escalate", "end", "reset"})
"""The kinds of transition that gateways send."""
_CLOSING: Final = frozenset({"end", "reset"})
_TELLING: Final = frozenset({"start", "update"})


@dataclass(slots=True)
class Folded:
    """All words on one alarm of a gateway, in order of their times."""

    source: str
    words: list[Travelling] = field(default_factory=list)

    def input(self, seq: int, now: int, ended: int | None = None) -> Adopt:
        """As an input with that number; ``ended``: it is over by then in any case (UTC ns)."""
        words = sorted(self.words, key=lambda w: (w.kind in _CLOSING, w.at))
        first, newest = words[0], words[-1]
        told = next((w for w in reversed(words) if w.kind in _TELLING), newest)
        closing: Literal["end", "reset"] = "end"
        cleared: tuple[dict[str, Any], ...] = ()
        if newest.kind in _CLOSING:
            ended = newest.at if ended is None else min(ended, newest.at)
            closing = "reset" if newest.kind == "reset" else "end"
            cleared = newest.inputs
        elif ended is not None:
            closing = "reset"
        shown: dict[str, Any] = (
            {} if told.kind in _CLOSING else {"values": told.values, "inputs": told.inputs}
        )
        clamp = partial(min, now)
        return Adopt(
            seq,
            now,
            alarm=first.alarm,
            subject=first.subject,
            rule=first.rule,
            onset=clamp(min(w.onset for w in words)),
            at=clamp(first.onset if first.kind in _CLOSING else first.at),
            text=dict(told.text),
            limit=newest.limit,
            last=clamp(max((w.at for w in words if w.kind not in _CLOSING), default=first.onset)),
            ended=None if ended is None else clamp(ended),
            closing=closing,
            cleared=cleared,
            source=self.source,
            rule_hash=newest.rule_hash,
            told=any(w.told for w in words),
            config=newest.config,
            decided=newest.decided,
            **shown,
        )


def fold(source: str, decisions: Iterable[Travelling]) -> list[Folded]:
    """The decisions of one gateway by alarm, in the order in which the alarms are first named."""
    found: dict[str, Folded] = {}
    for decision in decisions:
        found.setdefault(decision.alarm, Folded(source)).words.append(decision)
    return list(found.values())
