"""The way of one alarm from the measurement to a person, hop by hop, with the time each took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloud_ingest.entry import manual_patient
from cloud_ingest.life_words import Unnamed, called, reached
from cloud_ingest.records import AlarmHistory
from cloud_ingest.records.models import DeliveryAttempt, Notification, TransitionRow
from hearthward.core.clock import SECOND
from rules.telling import Text, lasting, said, signal, source, with_unit
from rules.words import SOURCE_TEXT

__all__ = ["Hop", "hops_of"]

MS: Final = 1_000_000
OTHER_CLOCK_NS: Final = 7 * 86_400 * SECOND
"""A hand-over so long after the decision was timed by another clock: a recording was played."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step: when it was done (UTC ns), and how long after the one before (None: not comparable)."""

    name: str
    text: Text
    at: int
    delay_ms: float | None = None
    latency_ms: float | None = None


def hops_of(history: AlarmHistory, first: TransitionRow, names: Mapping[str, str]) -> Iterator[Hop]:
    """The hops of the transition by which people were told first; ``names`` are users' by their ids."""
    known = max(first.inputs, key=lambda i: (i["time"], i["received"]), default=None)
    before = first.onset
    if known is not None:
        yield from _measured(known)
        before = int(known["received"])
    if first.kind == "start" and first.at > max(before, first.onset):
        waited = (first.at - first.onset) / SECOND
        text = said("had lasted {span} since its onset", "自起始已持续 {span}", span=lasting(waited))
        yield Hop("lasted", text, first.at, _between(before, first.at))
        before = first.at
    yield Hop("decided", {"en": "decided", "zh": "判断"}, first.recorded, _between(before, first.recorded))
    yield from _told(history, first, names)
    yield from _accepted(history, first, names)


def _measured(known: dict[str, Any]) -> Iterator[Hop]:
    by_hand = manual_patient(str(known["device"])) is not None
    computed = known["device"] in SOURCE_TEXT
    way = ("entered", "录入") if by_hand else ("computed", "算出") if computed else ("measured", "测得")
    what = said(
        f"{{name}} {{value}} {way[0]} by {{device}}",
        f"{{device}}{'' if by_hand or computed else ' '}{way[1]}{{name}} {{value}}",
        name=signal(known["metric"]),
        value=with_unit(known["metric"], float(known["value"])),
        device={"en": "hand", "zh": "手工"} if by_hand else source(str(known["device"])),
    )
    yield Hop("measured", what, int(known["time"]))
    text: Text = {"en": "received by the gateway", "zh": "网关收到"}
    if by_hand:
        text = {"en": "received", "zh": "收到"}
    yield Hop("received", text, int(known["received"]), _between(int(known["time"]), int(known["received"])))


def _told(history: AlarmHistory, first: TransitionRow, names: Mapping[str, str]) -> Iterator[Hop]:
    for note in history.notifications:
        if (note.seq, note.ordinal) != (first.seq, first.ordinal):
            continue
        tries = [a for a in history.attempts if a.notification == note.id]
        if not tries:
            text = said(
                "{channel}: {state}",
                "{channel}:{state}",
                channel=_channel(note, names),
                state=_state(note.state),
            )
            yield Hop("notified", text, note.created)
        before = note.created
        for attempt in tries:
            yield _attempt(note, attempt, before, names)
            before = attempt.at


def _attempt(note: Notification, attempt: DeliveryAttempt, before: int, names: Mapping[str, str]) -> Hop:
    text = said(
        "{channel}: {outcome}",
        "{channel}:{outcome}",
        channel=_channel(note, names),
        outcome=_state(attempt.outcome),
    )
    if _between(before, attempt.at) is None:
        text = said(
            "{text} (by another clock: a recording was played)", "{text} (另一时钟:播放录制数据)", text=text
        )
    if attempt.detail and not isinstance(names, Unnamed):
        text = said("{text} ({why})", "{text} ({why})", text=text, why=attempt.detail)
    return Hop("notified", text, attempt.at, _between(before, attempt.at), attempt.latency_ms)


def _accepted(history: AlarmHistory, first: TransitionRow, names: Mapping[str, str]) -> Iterator[Hop]:
    alarm = history.alarm
    if alarm.accepted_at is not None:
        text = said(
            "accepted by {who}",
            "由 {who} 接手",
            who=called(alarm.accepted_by or "", names),
        )
        yield Hop("accepted", text, alarm.accepted_at, _between(first.recorded, alarm.accepted_at))


def _between(start: int, end: int) -> float | None:
    return (end - start) / MS if 0 <= end - start <= OTHER_CLOCK_NS else None


def _channel(note: Notification, names: Mapping[str, str]) -> Text:
    """Where it goes: a person by name, never by number."""
    return reached([(note.channel, note.who)], names)


_STATES: Final[dict[str, Text]] = {
    "queued": {"en": "waits to be handed over", "zh": "等待移交"},
    "handed_over": {"en": "handed over", "zh": "已移交"},
    "confirmed": {"en": "confirmed", "zh": "已确认"},
    "failed": {"en": "failed for good", "zh": "最终失败"},
    "abandoned": {"en": "given up after the last attempt", "zh": "最后一次尝试后放弃"},
    "temporary": {"en": "failed, to be tried again", "zh": "失败,将重试"},
    "superseded": {"en": "not tried again", "zh": "不再重试"},
    "interrupted": {"en": "interrupted", "zh": "中断"},
}


def _state(state: str) -> Text:
    return _STATES.get(state, {"en": state, "zh": state})
