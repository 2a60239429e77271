"""The inputs of a step and the transitions that come out of it.

Times are UTC nanoseconds; durations in rules are seconds. Everything here is data without behaviour in
time: ``rules.step`` and ``rules.engine`` are the only places where a condition changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from rules.context import Context
from rules.response.duty import Duty
from rules.rule import Kind, Priority, RuleSet

__all__ = [
    "Adopt",
    "Alarm",
    "Command",
    "ConditionState",
    "Configuration",
    "Input",
    "Measured",
    "Readings",
    "Rows",
    "Tick",
    "Transition",
    "TransitionKind",
    "subject_key",
]

ConditionState = Literal["inactive", "asked", "pending", "active", "latched"]
TransitionKind = Literal[
    "start",
    "continue",
    "update",
    "escalate",
    "de-escalate",
    "end",
    "reset",
    "late",
    "ask",
    "tell",
    "accept",
    "take_over",
    "reject",
    "release",
    "redirect",
    "acknowledge",
    "note",
    "signal",
    "undelivered",
    "pause",
    "resume",
]


def subject_key(kind: Literal["device", "gateway", "component"], name: str) -> str:
    """What stands in a row's ``patient`` for something that is none: ``gateway:gw-1``."""
    return f"{kind}:{name}"


class Measured(NamedTuple):
    """One reading that may count: what was measured, by which device, when, and when it was received."""

    metric: str
    device: str
    time: int
    value: float
    received: int

    def shown(self) -> dict[str, Any]:
        """As it stands in a transition."""
        return self._asdict()


@dataclass(slots=True)
class Rows:
    """Attributed readings as equally long columns; ``time`` is the corrected one.

    ``patient`` is a patient's id or a ``subject_key``. ``value`` None: no value came, only what the device
    says of itself (``quality``). Coded values come as their place in the metric's list of codes. The values
    of one measurement (one payload) must be in one ``Rows``: they are judged together.
    """

    patient: list[str] = field(default_factory=list)
    device: list[str] = field(default_factory=list)
    metric: list[str] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, float | None, int, int, int]]) -> Rows:
        """Columns from (patient, device, metric, value, time, received, quality)."""
        out = cls()
        for row in rows:
            out.append(*row)
        return out

    def append(
        self,
        patient: str,
        device: str,
        metric: str,
        value: float | None,
        time: int,
        received: int,
        quality: int = 0,
    ) -> None:
        """Add one row."""
        self.patient.append(patient)
        self.device.append(device)
        self.metric.append(metric)
        self.value.append(value)
        self.time.append(time)
        self.received.append(received)
        self.quality.append(quality)

    def extend(self, more: Rows) -> None:
        """Add all rows of another."""
        for name in _COLUMNS:
            getattr(self, name).extend(getattr(more, name))

    def __len__(self) -> int:
        return len(self.patient)


_COLUMNS: Final = tuple(f.name for f in fields(Rows))


@dataclass(frozen=True, slots=True)
class Readings:
    """New readings. ``seq`` is the ingest journal's number, ``now`` the ingest time.

    ``source`` is the gateway and ``wall`` its corrected time when it sent them (0: not known, taken as
    ``now``): all that it received before has come.
    """

    seq: int
    now: int
    rows: Rows
    source: str = ""
    wall: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come to ``now`` (ingest time): what ends by then ends, though no message came.

    Subjects whose sources are talking go only as far as these have told.
    """

    seq: int
    now: int


@dataclass(frozen=True, slots=True)
class Command:
    """A person's act on an alarm or a subject; ``rules.response.orders.COMMANDS`` are its kinds.

    ``actor`` is a user's id (``@notifier`` for our own sender), ``until`` the end of a pause (UTC ns), ``to``
    whom or what it is meant for.
    """

    seq: int
    now: int
    kind: str
    alarm: str = ""
    actor: str = ""
    note: str = ""
    subject: str = ""
    until: int = 0
    to: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What holds from now on; alarms of ``closed_patients`` (encounter ended) are reset.

    ``rules`` and ``duty`` None: as before. ``contexts`` has those that changed; None takes one away.
    ``relearn``: of these subjects' signals the usual is learned anew.
    """

    seq: int
    now: int
    rules: RuleSet | None
    closed_patients: frozenset[str] = frozenset()
    contexts: Mapping[str, Context | None] = field(default_factory=dict)
    duty: Duty | None = None
    relearn: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adopt:
    """What the rules of a gateway have decided about one alarm that they opened: it is the same one here.

    ``onset``, ``at`` (started), ``last`` (their newest word; 0: ``at``) and ``ended`` (None: it goes on) are
    event times. ``values``, ``limit``, ``text`` are what people there were told last, ``inputs`` the readings
    that this rests on, ``cleared`` those by which it ended. ``closing``: ``reset`` is no all-clear.
    ``told``: annunciated there. ``config`` is the digest of the gateway's configuration, ``decided`` its own
    time of deciding. ``terms`` are what a judgement of the unusual rests on (``rules.terms_sent``); None: the
    gateway's software sends none.
    """

    seq: int
    now: int
    alarm: str
    subject: str
    rule: str
    onset: int
    at: int
    values: dict[str, float] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    limit: str = ""
    inputs: tuple[dict[str, Any], ...] = ()
    last: int = 0
    ended: int | None = None
    closing: Literal["end", "reset"] = "end"
    cleared: tuple[dict[str, Any], ...] = ()
    source: str = ""
    rule_hash: str = ""
    told: bool = True
    config: str = ""
    decided: int = 0
    terms: dict[str, Any] | None = None

    @property
    def word(self) -> int:
        """When (event time) the newest of it was so."""
        return max(self.at, self.last, self.ended or 0)


Input: TypeAlias = Readings | Tick | Command | Configuration | Adopt


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of an alarm's history: what changed, when, why, by which rule and on which readings.

    ``at`` is event time; ``onset`` the first breaching reading's; ``decided`` the input's ``now``.
    ``inputs`` are the readings (metric, value, time, received, device) that decided. ``kind`` ``late``
    is no alarm but an entry of the worklist: a breach that came too late to signal; its ``alarm`` is the
    entry's own id and ``condition`` the rule's present one. ``ask``: no alarm yet, a second measurement is
    asked for (``condition`` asked); it starts or ends later under the same id. ``late``: measured more than
    a minute before the gateway received it. ``shadow``: of a rule that is decided, never signalled.
    ``detail`` says what the decision rests on besides: ``delay_s``, ``smoothing``, ``parameters`` (name ->
    value, and who set it, when, why, until when), ``score`` (points by parameter, what is missing), ``why``
    (``timeout``, ``critical``, ``confirmed`` of a repeated measurement). ``axes``: signal, responsibility and
    escalation of the alarm as they are now. ``told``: by which channel who is to be told of this very
    transition, as pairs. ``pause`` and ``resume`` are about a subject: their ``alarm`` is empty.
    """

    alarm: str
    patient: str
    rule: str
    rule_hash: str
    kind: TransitionKind
    condition: ConditionState
    priority: Priority
    at: int
    onset: int
    seq: int
    values: dict[str, float]
    limit: str
    text: dict[str, str]
    inputs: tuple[dict[str, Any], ...] = ()
    actor: str | None = None
    late: bool = False
    decided: int = 0
    note: str = ""
    shadow: bool = False
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A present alarm as people see it: the text and values are those last told."""

    id: str
    patient: str
    rule: str
    rule_hash: str
    kind: Kind
    priority: Priority
    onset: int
    started: int
    values: dict[str, float]
    limit: str
    text: dict[str, str]
    accepted_by: str | None = None
    accepted_at: int | None = None
    late: bool = False
