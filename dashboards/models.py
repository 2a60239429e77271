"""What the web shows and takes: the shapes of the REST API, the port and the pages alike.

Times are UTC nanoseconds inside and ISO 8601 with ``Z`` outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from hearthward.core.clock import iso, parse_iso

__all__ = [
    "Alarm",
    "AlarmDetail",
    "AlarmInput",
    "AlarmKind",
    "AlarmTransition",
    "AskedInstant",
    "Association",
    "AuditEntry",
    "Bed",
    "Condition",
    "Delivery",
    "Device",
    "EdgeEpisode",
    "Encounter",
    "Gateway",
    "Hop",
    "Inactivation",
    "InactivationKind",
    "Instant",
    "Item",
    "Kind",
    "Patient",
    "Priority",
    "ProfileChoice",
    "Signal",
    "User",
    "Value",
    "Ward",
]

AlarmKind = Literal["physiological", "technical"]
Signal = Literal["on", "audio_paused", "audio_off", "alarm_paused", "alarm_off", "acknowledged"]
"""How an alarm is told now."""
InactivationKind = Literal["audio_off", "alarm_paused", "alarm_off", "maintenance"]
Kind = Literal["ward", "bed", "patient", "encounter", "gateway", "device", "association"]
Priority = Literal["high", "medium", "low"]


def _instant(value: object) -> object:
    return parse_iso(value) if isinstance(value, str) else value


AskedInstant = Annotated[
    int,
    BeforeValidator(_instant),
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T08:15:00Z"]}),
]
"""UTC nanoseconds inside, ISO 8601 outside, of any year; a time without a zone is taken as UTC."""
Instant = Annotated[AskedInstant, Field(ge=-(1 << 63), lt=1 << 63)]
"""The same of what is stored: years 1677 to 2262."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ward(_View):
    """A ward; patients at home are watched by one too."""

    id: str
    name: str
    wall_expected: bool = Field(
        default=False, description="it has a wall display: that none is heard is an alarm"
    )
    ended: Instant | None = None


class Bed(_View):
    """A bed of a ward."""

    id: str
    ward: str
    label: str
    ended: Instant | None = None


class Patient(_View):
    """A patient; ``mrn`` is the hospital's own number."""

    id: str
    name: str
    birth_date: str | None = Field(None, description="ISO 8601 date")
    mrn: str | None = None
    language: str = "en"
    phone: str | None = Field(None, description="E.164: + and digits")
    email: str | None = None
    pregnant: bool = Field(default=False, description="scores for adults that are not do not apply")
    ended: Instant | None = None


class Encounter(_View):
    """A patient's stay in a bed, or care at home; ``ward`` is who is responsible meanwhile."""

    id: str
    patient: str
    kind: Literal["ward", "home"]
    ward: str | None = None
    bed: str | None = None
    start: Instant
    end: Instant | None = None
    outcome: Literal["discharged", "intensive_care", "died"] | None = Field(
        None, description="how it ended; null: nobody has said so"
    )


class Condition(_View):
    """Where a device stands with its gateway, why, and since when, as the gateway tells."""

    state: str = Field(description="of its session: idle, connecting, streaming, backoff, unsupported...")
    cause: str = Field("none", description="why no values come, in a word; none: they do, or will")
    since: Instant | None = None
    reason: str = Field("", description="why, in plain English; empty: nothing is wrong")
    detail: str = Field("", description="the gateway's own sentence, for engineers")
    next_s: int = Field(0, description="seconds from one try to the next")


class Gateway(_View):
    """A gateway and what is known of it now."""

    id: str
    label: str = ""
    ward: str | None = None
    timezone: str | None = None
    online: bool | None = Field(None, description="null: never seen")
    last_seen: Instant | None = None
    software: str = ""
    config_version: int | None = Field(None, description="version of the configuration document it runs")
    config_since: Instant | None = Field(None, description="since when it is known to run that version")
    config_issued: int | None = Field(None, description="version of the document that it shall run")
    backlog: int | None = Field(None, description="readings accepted and not yet receipted")
    states: dict[str, str] = Field(default_factory=dict, description="device -> session state")
    conditions: dict[str, Condition] = Field(
        default_factory=dict, description="device -> where it stands, why and since when"
    )
    rejected: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="device -> reason -> frames refused since the gateway started"
    )
    trouble: dict[str, str] = Field(
        default_factory=dict,
        description="what the gateway itself cannot do -> why; trust: it refuses this cloud",
    )
    ended: Instant | None = None


class Device(_View):
    """A device and how to reach it."""

    id: str
    gateway: str
    transport: Literal["ble", "serial"]
    address: str
    profile: str | None = Field(None, description="null: found by matching when connected")
    timezone: str | None = None
    interval_s: float | None = Field(None, description="expected seconds between values")
    label: str = ""
    state: str = Field("", description="of its session, as its gateway told; empty: nothing told")
    condition: Condition | None = Field(None, description="the same in parts; null: nothing told")
    rejected: dict[str, int] = Field(
        default_factory=dict, description="reason -> frames refused since the gateway started"
    )
    ended: Instant | None = None


class Association(_View):
    """Which patient a device measured, from ``start`` until ``end`` (null: still)."""

    id: str
    device: str
    patient: str
    start: Instant
    end: Instant | None = None
    superseded_at: Instant | None = Field(None, description="when it was corrected: it does not count")
    superseded_by: str | None = Field(None, description="the association that stands in its place")


Item = Ward | Bed | Patient | Encounter | Gateway | Device | Association


class Value(_View):
    """One reading with everything that is known about it."""

    patient: str | None = None
    device: str
    metric: str
    value: float | None = None
    code: str | None = None
    unit: str | None = None
    time: Instant = Field(description="when it was measured (corrected)")
    received: Instant = Field(description="when the gateway received it")
    device_time: str | None = Field(None, description="the device's own clock, without a zone")
    time_error_s: float | None = Field(
        None, description="how far `time` may be off, in seconds; null where that is not known"
    )
    quality: list[str] = Field(default_factory=list)
    source: Literal["device", "manual", "imported"] = "device"
    author: str | None = Field(None, description="id of the user who entered it by hand")
    author_name: str | None = None
    group: str = Field("", description="equal for the values of one measurement")
    profile: str = Field("", description="hash of the profile that decoded it")


class Alarm(_View):
    """One episode of one rule for one patient (or of a component, without a patient)."""

    id: str
    patient: str | None = None
    rule: str
    rule_hash: str = ""
    kind: AlarmKind = "physiological"
    priority: Priority
    condition: Literal["active", "asked", "latched", "inactive"] = Field(
        description="`asked`: a second measurement is being waited for, no alarm yet; "
        "`latched`: it has ended and stays until somebody acknowledges it"
    )
    onset: Instant = Field(description="time of the first breaching reading")
    started: Instant = Field(description="when it was first signalled")
    ended: Instant | None = None
    accepted_by: str | None = Field(None, description="id of the user who is responsible (the owner)")
    accepted_at: Instant | None = None
    accepted_name: str | None = Field(None, description="the owner's name")
    signal: Signal = Field("on", description="`paused` is timed by itself, `off` is not")
    signal_until: Instant | None = Field(None, description="when a pause of the signal ends")
    rejected: list[str] = Field(default_factory=list, description="names of those who rejected it")
    root: str | None = Field(None, description="the alarm that this one is shown under, which signals for it")
    policy: str = ""
    step: int = Field(0, description="the next step of the escalation's timetable, from 0")
    next_at: Instant | None = Field(None, description="when that step is taken")
    next_to: list[str] = Field(default_factory=list, description="names of those whom it tells")
    episodes: int = Field(0, description="earlier ones of the same kind that nobody has acknowledged")
    since: Instant | None = Field(None, description="when the first of them began")
    text: dict[str, str] = Field(default_factory=dict, description="language -> `SpO2 84 < 90`")
    explanation: dict[str, str] = Field(default_factory=dict)
    values: dict[str, float] = Field(default_factory=dict)
    limit: str = ""
    late: bool = False
    worklist: bool = Field(
        default=False, description="no alarm: a breach that came too late to be signalled, to be looked at"
    )
    origin: str | None = Field(
        None, description="the gateway whose own rules opened it first; null: the cloud's did"
    )


class EdgeEpisode(_View):
    """What a gateway's own rules made of the same episode."""

    id: str = Field(description="its name there: another name of the alarm, if it is not the same")
    gateway: str
    onset: Instant
    started: Instant
    ended: Instant | None = None
    told: bool = Field(description="whether it was annunciated at the gateway")
    limit: str = ""
    config_version: int | None = Field(None, description="the configuration it went by; null: not known here")
    decided: Instant = Field(description="when it was decided there, by the gateway's clock")
    received: Instant = Field(description="when the cloud first heard of it")


class AlarmInput(_View):
    """One of the readings that decided."""

    metric: str
    value: float
    device: str
    time: Instant = Field(description="when it was measured (corrected)")
    received: Instant = Field(description="when the gateway received it")


class AlarmTransition(_View):
    """One line of an alarm's append-only history."""

    kind: str
    condition: str = ""
    priority: str = ""
    text: dict[str, str] = Field(default_factory=dict, description="language -> what happened, in words")
    at: Instant
    values: dict[str, float] = Field(default_factory=dict)
    limit: str = ""
    rule_hash: str = ""
    actor: str | None = Field(None, description="id of the user")
    actor_name: str | None = None
    detail: dict[str, Any] = Field(
        default_factory=dict, description="what the decision rests on, the other axes, and who was told"
    )
    note: str = ""
    late: bool = False
    inputs: list[AlarmInput] = Field(default_factory=list)


class AlarmRise(_View):
    """A graver stage of the same condition raised an open alarm: everybody was told anew."""

    at: Instant
    priority: Priority = Field(description="what it rose to")
    rule: str = Field(description="the graver stage's")
    text: dict[str, str] = Field(default_factory=dict, description="language -> `SpO2 78 < 80`")


class AlarmNote(_View):
    """What somebody wrote about an alarm."""

    alarm: str
    at: Instant
    by: str = Field(description="id of the user")
    by_name: str
    note: str


class Delivery(_View):
    """One attempt to tell somebody."""

    channel: str
    recipient: str = ""
    state: str
    attempt: int = 1
    at: Instant
    reason: str = ""
    latency_ms: float | None = Field(None, description="how long the channel took to answer")
    after_ms: float | None = Field(None, description="how long after the decision it had been handed over")


class Hop(_View):
    """One person, wall or endpoint told by one channel, with every try."""

    id: str
    channel: str
    who: str = Field("", description="id of the user, `wall`, or `@name` of an endpoint")
    name: str = ""
    recipient: str = Field("", description="the address that was used")
    kind: str = Field("", description="the transition that it tells of")
    step: int | None = Field(None, description="the step of the timetable, from 0")
    at: Instant = Field(description="when it was queued")
    state: str
    attempts: list[Delivery] = Field(default_factory=list)


class Inactivation(_View):
    """Signals that somebody has switched off for a patient, a device or a gateway."""

    id: str
    subject: str = Field(description="a patient's id, `device:ID` or `gateway:ID`")
    name: str = Field("", description="what people call the subject")
    kind: InactivationKind
    by: str = Field(description="id of the user")
    by_name: str = ""
    reason: str
    start: Instant
    until: Instant
    ended: Instant | None = None
    ended_by: str | None = None
    ended_name: str | None = None


class AlarmDetail(Alarm):
    """An alarm with all that happened to it."""

    priority_at_onset: Priority | None = Field(None, description="what it began with")
    rises: list[AlarmRise] = Field(default_factory=list, description="when a graver stage raised it")
    transitions: list[AlarmTransition] = Field(default_factory=list)
    edges: list[EdgeEpisode] = Field(
        default_factory=list, description="what gateways told of it, by their own rules"
    )
    deliveries: list[Delivery] = Field(default_factory=list)
    hops: list[Hop] = Field(default_factory=list, description="the same by who was told")
    children: list[Alarm] = Field(default_factory=list, description="alarms that are shown under this one")
    inactivations: list[Inactivation] = Field(
        default_factory=list, description="what is switched off for its subject"
    )


class AuditEntry(_View):
    """Who did or read what, when, and whether they were let."""

    at: Instant
    actor: str
    action: str
    kind: str
    target: str = ""
    outcome: str = ""
    detail: dict[str, Any] = Field(default_factory=dict)
    seq: int = Field(0, description="its number in the log")
    actor_name: str = ""


class User(_View):
    """Somebody, or a wall display, that may log in."""

    id: str
    login: str
    name: str
    roles: list[str]
    wards: list[str] | None = Field(None, description="null: every ward")
    patient: str | None = Field(None, description="whom a login with the role patient or family is about")
    language: str | None = Field(None, description="null: what the browser asks for")
    created: Instant
    disabled: Instant | None = None


class ProfileChoice(_View):
    """A firmware profile that can be chosen for a device.

    ``metrics`` None means that it is not known what such a device measures. ``composes``: it is of some
    services of a device only, and can be joined with others of the kind (``a+b``) that do not read the same;
    ``intervals`` has the metrics of a joined one that have an interval of their own.
    """

    id: str
    title: str
    transport: Literal["ble", "serial"]
    metrics: frozenset[str] | None = None
    interval_s: float | None = None
    composes: bool = False
    reads: frozenset[str] = frozenset()
    intervals: Mapping[str, float] = Field(default_factory=dict)

    def interval_of(self, metric: str) -> float | None:
        """How often such a device tells a metric (s); None: not known."""
        return self.intervals.get(metric, self.interval_s)
