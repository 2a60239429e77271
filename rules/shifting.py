"""A clock by which everything was dated has been set: the same state, as if that clock had been right before.

Without this a clock put back would leave alarms that began tomorrow, and none of today's readings would be
news; one put forward would let hours of silence pass at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rules.rule import SECOND
from rules.shared import OPEN, Shared
from rules.state import Episode, State, Subject

__all__ = ["shifted"]


def shifted(state: State, by: int) -> State:
    """The state with all times moved by ``by`` ns, but for those that people have set (contexts, answers).

    Alarms keep their ids. It shares nothing with the one given.
    """
    out = State.from_bytes(state.to_bytes())
    out.sources = {source: (wall + by, heard + by) for source, (wall, heard) in out.sources.items()}
    for subject in out.subjects.values():
        _shift(subject, by)
    for gate in out.gate.values():
        gate.shift(by)
    return out


def _shift(subject: Subject, by: int) -> None:
    if subject.watch is not None:
        subject.watch.shift(by / SECOND)
    for devices in subject.series.values():
        for series in devices.values():
            series.shift(by)
    subject.episodes = {rule: _episode(e, by) for rule, e in subject.episodes.items()}
    subject.lates = {rule: (first + by, last + by) for rule, (first, last) in subject.lates.items()}
    subject.waiting = [
        row._replace(time=row.time + by, received=row.received + by) for row in subject.waiting
    ]
    for rule, shared in list(subject.shared.items()):
        subject.share(rule, _shared(shared, by))
    if subject.clock >= 0:
        subject.clock += by
    if subject.planned >= 0:
        subject.planned += by


def _episode(e: Episode, by: int) -> Episode:
    return replace(
        e,
        onset=e.onset + by,
        due=e.due + by,
        told_at=e.told_at + by if e.told_at else 0,
        started=e.started + by if e.started else 0,
        clear_at=None if e.clear_at is None else e.clear_at + by,
        snapshot=replace(e.snapshot, inputs=tuple(_input(shown, by) for shown in e.snapshot.inputs)),
    )


def _input(shown: dict[str, Any], by: int) -> dict[str, Any]:
    return {k: v + by if k in {"time", "received"} and isinstance(v, int) else v for k, v in shown.items()}


def _shared(shared: Shared, by: int) -> Shared:
    return Shared(
        tuple(s._replace(onset=s.onset + by, end=s.end + by) for s in shared.past),
        tuple(
            e._replace(onset=e.onset + by, last=e.last + by, end=OPEN if e.end == OPEN else e.end + by)
            for e in shared.elsewhere
        ),
        tuple(m._replace(time=m.time + by, received=m.received + by) for m in shared.seen),
    )
