"""What the rules at the edge decided, as it travels to the cloud: one transition, as bytes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, cast

import msgpack

from hearthward.core.columns import fits_int64
from hearthward.core.errors import DecodeError
from rules.model import Transition
from rules.terms_sent import readable, terms_of

__all__ = ["MAX_BYTES", "PLAIN", "VERSION", "Travelling"]

VERSION: Final = 2
"""With ``terms``; of a later one what is known here is read."""
PLAIN: Final = 1
"""Without them: what clouds read that do not say in their documents what they read."""
MAX_BYTES: Final = 65_536
_TELLING: Final = frozenset({"start", "update", "escalate", "de-escalate"})
_TEXTS: Final = ("alarm", "subject", "rule", "rule_hash", "kind", "condition", "priority", "limit", "config")
_TIMES: Final = ("onset", "at", "decided")


@dataclass(frozen=True, slots=True)
class Travelling:
    """One transition of an alarm that a gateway opened: what, of whom, why, on which readings.

    ``onset`` and ``at`` are event times, ``decided`` the gateway's time of deciding (all UTC ns); ``config``
    is the digest of the document in force then; ``told`` says whether it was annunciated there. ``terms`` are
    what a judgement of the unusual rests on (``rules.terms_sent``); None: that was not sent.
    """

    kind: str
    alarm: str
    subject: str
    rule: str
    rule_hash: str
    condition: str
    priority: str
    onset: int
    at: int
    decided: int
    limit: str = ""
    config: str = ""
    told: bool = False
    values: dict[str, float] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    inputs: tuple[dict[str, Any], ...] = ()
    terms: dict[str, Any] | None = None

    @classmethod
    def of(cls, transition: Transition, *, config: str, told: bool, version: int = VERSION) -> Travelling:
        """A transition as it leaves the gateway, for a cloud that reads decisions up to ``version``."""
        terms: dict[str, Any] | None = None
        if version > PLAIN:
            terms = terms_of(transition.detail) if transition.kind in _TELLING else {}
        same = {
            name: getattr(transition, name) for name in _TEXTS + _TIMES if name not in {"subject", "config"}
        }
        return cls(
            **same,
            subject=transition.patient,
            config=config,
            told=told,
            values=dict(transition.values),
            text=dict(transition.text),
            inputs=transition.inputs,
            terms=terms,
        )

    def shifted(self, by: int) -> Travelling:
        """The same by a clock that shows ``by`` ns more."""
        inputs = tuple(
            {k: v + by if k in {"time", "received"} and isinstance(v, int) else v for k, v in i.items()}
            for i in self.inputs
        )
        times = {name: max(0, getattr(self, name) + by) for name in _TIMES}
        return replace(self, **times, inputs=inputs)

    def encode(self) -> bytes:
        """Travelling -> bytes."""
        parts = [getattr(self, f.name) for f in fields(self)]
        if self.terms is None:
            return cast("bytes", msgpack.packb([PLAIN, *parts[:-1]]))
        return cast("bytes", msgpack.packb([VERSION, *parts]))

    @classmethod
    def decode(cls, payload: bytes) -> Travelling:
        """Bytes -> travelling. Raises DecodeError and nothing else."""
        if len(payload) > MAX_BYTES:
            msg = f"decision of {len(payload)} bytes exceeds {MAX_BYTES}"
            raise DecodeError(msg, reason="oversized")
        try:
            version, *parts = msgpack.unpackb(payload, strict_map_key=True, raw=False)
            names = [f.name for f in fields(cls)]
            if version == PLAIN:
                names.remove("terms")
            content = dict(zip(names, parts if version <= VERSION else parts[: len(names)], strict=True))
            content["inputs"] = tuple(content["inputs"])
            if "terms" in content:
                content["terms"] = readable(content["terms"]) or {}
            found = cls(**content)
            good = type(version) is int and version >= PLAIN and _is_typed(found)
        except Exception as error:
            msg = f"decision is malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = "decision has fields of the wrong type, or is of another version"
            raise DecodeError(msg, reason="malformed")
        return found


def _is_typed(found: Travelling) -> bool:
    return (
        all(isinstance(getattr(found, name), str) for name in _TEXTS)
        and all(fits_int64(getattr(found, name)) and getattr(found, name) >= 0 for name in _TIMES)
        and type(found.told) is bool
        and isinstance(found.values, dict)
        and all(isinstance(k, str) and isinstance(v, int | float) for k, v in found.values.items())
        and isinstance(found.text, dict)
        and all(isinstance(t, str) for pair in found.text.items() for t in pair)
        and all(isinstance(i, dict) for i in found.inputs)
    )
