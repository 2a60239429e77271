"""What a configuration document says to decide by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hearthward.core.codes import METRICS
from hearthward.core.errors import ConfigError
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import ConfigDocument
from rules.attribution import Attribution, Span, rows_to_judge
from rules.context import Context
from rules.intake import FUTURE_SKEW
from rules.model import Rows, subject_key
from rules.rule import Rule, RuleSet
from rules.travelling import PLAIN

__all__ = ["Knowledge", "knowledge_of"]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The rules to be signalled (none in shadow), and what these must know of the patients at this gateway.

    ``devices`` are the gateway's own, ``places`` where patients are as people call it; ``digest`` is the
    document's, ``issued`` when the cloud made it (UTC ns; 0: not known). ``decisions`` is the version of
    ``rules.travelling`` up to which that cloud reads what is decided here, ``relearned`` says of which
    patients' signals it has found a new level to be usual, and when (UTC ns, its clock).
    """

    digest: str
    rules: RuleSet
    contexts: dict[str, Context]
    attribution: Attribution
    devices: frozenset[str]
    places: dict[str, str]
    issued: int = 0
    decisions: int = PLAIN
    relearned: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def shifted(self, by: int) -> Knowledge:
        """The same as told by a clock that shows ``by`` ns more than the cloud's.

        A gateway whose clock is behind has its patients' devices on them already, though that is to come by
        its own clock.
        """
        contexts = {name: context.shifted(by) for name, context in self.contexts.items()}
        return replace(self, contexts=contexts, attribution=self.attribution.shifted(by))

    @property
    def subjects(self) -> frozenset[str]:
        """Everything that there is to decide on."""
        return frozenset(self.contexts) | {subject_key("device", device) for device in self.devices}

    def rows(self, batch: ReadingBatch, now: int) -> Rows:
        """What the rules look at, as the cloud has it: plausible values, and none of patients who have left.

        A reading dated in the future (after ``now``, UTC ns) says only that a clock is wrong: it is told of
        whoever had the device when it came.
        """
        at = batch.corrected
        if max(at) > now + FUTURE_SKEW:
            at = [
                min(r, now) if t > now + FUTURE_SKEW else t
                for t, r in zip(batch.corrected, batch.received, strict=True)
            ]
        patients = list(map(self.attribution.patient, batch.device, at))
        good = [
            i
            for i, patient in enumerate(patients)
            if (patient is None or patient in self.contexts)
            and _plausible(batch.metric[i], batch.value[i], batch.code[i])
        ]
        if len(good) < len(patients):
            batch, patients = batch.take(good), [patients[i] for i in good]
        return rows_to_judge(batch, patients)


def _plausible(metric: str, value: float | None, code: str | None) -> bool:
    """Whether the cloud would store such a reading."""
    row = METRICS.get(metric)
    if row is None or (value is None and code is None):
        return False
    return value is None or (math.isfinite(value) and row.low <= value <= row.high)


def knowledge_of(document: ConfigDocument) -> Knowledge | None:
    """What the document's body says; None: it has no rules, as one of an earlier cloud.

    Raises ConfigError (``details["reason"]`` ``body``, or ``rules``: they are not what they were there).
    """
    body = document.body
    if not isinstance(body.get("rules"), list):
        return None
    try:
        rules = RuleSet(tuple(Rule.from_content(content, shadow=shadow) for content, shadow in body["rules"]))
        known = Knowledge(
            document.digest,
            RuleSet(tuple(r for r in rules if not r.shadow)),
            {_text(name): Context.of(content) for name, content in body["contexts"].items()},
            Attribution(_span(*row) for row in body["associations"]),
            frozenset(_text(device["id"]) for device in body["devices"]),
            {_text(patient): _text(place) for patient, place in body.get("places", {}).items()},
            _integer(body.get("issued", 0)),
            _integer(body.get("decisions", PLAIN)),
            {
                _text(patient): {_text(metric): _integer(at) for metric, at in levels.items()}
                for patient, levels in body.get("relearned", {}).items()
            },
        )
    except Exception as error:
        msg = f"configuration document: its rules cannot be read ({type(error).__name__}: {error})"
        raise ConfigError(msg, reason="body") from error
    if rules.hash != body.get("rules_hash"):
        msg = "configuration document: its rules mean something else to this software than to the cloud"
        raise ConfigError(msg, reason="rules")
    return known


def _integer(value: Any) -> int:
    if type(value) is not int:
        msg = "a number that is no integer"
        raise TypeError(msg)
    return value


def _span(device: Any, patient: Any, start: Any, end: Any) -> Span:
    if type(start) is not int or not (end is None or type(end) is int):
        msg = "an association whose times are no integers"
        raise TypeError(msg)
    return Span(_text(device), _text(patient), start, end)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        msg = f"{value!r:.40} is no text"
        raise TypeError(msg)
    return value
