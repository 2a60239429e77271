"""What gateways' rules have decided, as inputs of deciding here.

Several words on one alarm that come together are one input, so that what is over already is not signalled
first and ended then. A gateway speaks of itself, its devices, and the patients who wear (or wore) them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from hearthward.core.errors import DecodeError
from hearthward.core.wire import decode_decisions, encode_decisions
from rules.attribution import Attribution
from rules.model import Adopt
from rules.travelling import Travelling

__all__ = [
    "NOT_ITS_PATIENT",
    "SENT",
    "UNKNOWN_RULE",
    "Decided",
    "Folded",
    "Refused",
    "fold",
    "fold_all",
    "over_by",
    "read_decisions",
]

SENT: Final = frozenset({"start", "update", "escalate", "de-escalate", "end", "reset"})
"""The kinds of transition that gateways send."""
UNKNOWN_RULE: Final = "unknown_rule"
NOT_ITS_PATIENT: Final = "not_its_patient"
"""Why a decision is refused: it is about somebody (or something) that is not the gateway's."""
_CLOSING: Final = frozenset({"end", "reset"})
_TELLING: Final = frozenset({"start", "update"})
_NEVER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions of a block that could be read, each with its number; ``now`` is their ingest time."""

    source: tuple[str, str]
    topic: str
    payload: bytes
    words: Sequence[tuple[int, Travelling]]
    now: int


class Refused(Exception):
    """A decision that is not taken; ``reason`` is for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_decisions(
    payload: bytes, count: int, offset: int = 0
) -> tuple[list[tuple[int, Travelling]], list[tuple[int, bytes, DecodeError]]]:
    """A block of ``count`` decisions -> those that can be read, and the others, by their places.

    What cannot be read comes as a block of its own, with the reason. ``offset`` is added to times of the
    gateway's clock (ns). Raises DecodeError when nothing of it can be read.
    """
    parts = decode_decisions(payload)
    if len(parts) != count:
        msg = f"a block announced as {count} decisions has {len(parts)}"
        raise DecodeError(msg, reason="malformed")
    good: list[tuple[int, Travelling]] = []
    bad: list[tuple[int, bytes, DecodeError]] = []
    for i, part in enumerate(parts):
        try:
            word = Travelling.decode(part)
            if word.kind not in SENT:
                msg = f"a decision of kind {word.kind[:32]!r}"
                raise DecodeError(msg, reason="malformed")
            good.append((i, word.shifted(offset) if offset else word))
        except DecodeError as error:
            bad.append((i, encode_decisions([part]), error))
    return good, bad


@dataclass(slots=True)
class Folded:
    """All words on one alarm of a gateway, in order of their times."""

    source: str
    words: list[Travelling] = field(default_factory=list)
    numbers: list[tuple[Decided, int]] = field(default_factory=list)
    """Where they stood: block and number."""

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
            {"terms": None if told.terms is None else {}}
            if told.kind in _CLOSING
            else {"values": told.values, "inputs": told.inputs, "terms": told.terms}
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


def fold_all(decided: Iterable[Decided]) -> list[Folded]:
    """All decisions of a batch by gateway and alarm, in the order of their numbers."""
    found: dict[tuple[str, str], Folded] = {}
    for block in sorted(decided, key=lambda d: (d.source, d.words[0][0] if d.words else 0)):
        for number, word in block.words:
            key = block.source[0], word.alarm
            folded = found.setdefault(key, Folded(block.source[0]))
            folded.words.append(word)
            folded.numbers.append((block, number))
    return list(found.values())


def over_by(
    folded: Folded, attribution: Attribution, owners: Mapping[str, str], known: Iterable[str], now: int
) -> int | None:
    """When the subject stopped being the gateway's (UTC ns); None: it still is.

    ``owners`` maps devices to gateways, ``known`` are the rules in force. Raises Refused.
    """
    word = folded.words[0]
    if word.rule not in known:
        msg = f"rule {word.rule[:64]!r} is not in force here"
        raise Refused(UNKNOWN_RULE, msg)
    kind, _, name = word.subject.partition(":")
    if not name:
        onset, last = min(w.onset for w in folded.words), max(w.at for w in folded.words)
        ends = [
            _NEVER if span.end is None else span.end
            for span in attribution.spans(word.subject)
            if owners.get(span.device) == folded.source
            and span.start <= last
            and (span.end is None or span.end > onset)
        ]
        if ends:
            return None if max(ends) > now else max(ends)
    elif (kind == "gateway" and name == folded.source) or (
        kind == "device" and owners.get(name) == folded.source
    ):
        return None
    msg = f"{word.subject[:64]!r} was not this gateway's then"
    raise Refused(NOT_ITS_PATIENT, msg)
