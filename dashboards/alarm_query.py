"""Which alarms are asked for: one meaning for the API, the pages, the fake and the real records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dashboards.models import Alarm, AlarmKind, Priority, Signal

__all__ = ["AlarmQuery", "is_equipment"]


def is_equipment(subject: str | None) -> bool:
    """Whether the subject of an alarm is a device, a gateway or one of our own parts: no patient."""
    return subject is None or ":" in subject


@dataclass(frozen=True, slots=True)
class AlarmQuery:
    """Which alarms; newest first."""

    active_only: bool = False
    open_only: bool = False
    """Only those that are active or latched."""
    latched: bool = False
    """Only those that have ended and wait to be acknowledged."""
    unaccepted: bool = False
    """Only those that nobody is responsible for."""
    owner: str | None = None
    ward: str | None = None
    patient: str | None = None
    """A patient's id, or ``device:ID``, ``gateway:ID``, ``component:NAME``."""
    rule: str | None = None
    kind: AlarmKind | None = None
    priority: Priority | None = None
    signal: Signal | None = None
    equipment: bool = False
    """Only those of devices, gateways and components."""
    start: int | None = None
    end: int | None = None
    before: str | None = None
    """Only those that come after this alarm's id in the list."""
    worklist: bool | None = None
    asked: bool = False
    """Only second measurements that are being waited for; otherwise none of them."""
    trial: bool = False
    """Only what a rule on trial would have signalled: no alarms."""
    limit: int = 200

    def takes(self, alarm: Alarm) -> bool:
        """Whether an alarm is asked for; ``ward``, ``before``, ``trial`` and ``limit`` are not looked at."""
        return (
            (not self.active_only or alarm.condition == "active")
            and (not self.open_only or alarm.condition in {"active", "latched"})
            and (not self.latched or alarm.condition == "latched")
            and (not self.unaccepted or alarm.accepted_by is None)
            and (self.owner is None or alarm.accepted_by == self.owner)
            and (self.patient is None or alarm.patient == self.patient)
            and (self.rule is None or alarm.rule == self.rule)
            and (self.kind is None or alarm.kind == self.kind)
            and (self.priority is None or alarm.priority == self.priority)
            and (self.signal is None or alarm.signal == self.signal)
            and (not self.equipment or is_equipment(alarm.patient))
            and (self.start is None or alarm.started >= self.start)
            and (self.end is None or alarm.started < self.end)
            and (self.worklist is None or alarm.worklist == self.worklist)
            and self.asked == (alarm.condition == "asked")
        )

    def page(self, alarms: Iterable[Alarm]) -> list[Alarm]:
        """The newest first, from after ``before`` on, at most ``limit``."""
        rows = sorted(alarms, key=lambda a: (-a.started, a.id))
        if self.before is not None:
            place = next((i for i, a in enumerate(rows) if a.id == self.before), len(rows))
            rows = rows[place + 1 :]
        return rows[: self.limit]
