"""What just happened, for whoever listens: committed readings, alarms, gateways, the clock.

A feed never waits for a listener. One that does not keep up loses its backlog and is told so by ``Lagged``:
it must read the present state again from records and store, which are the truth.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from cloud_ingest.records.models import Alarm
from hearthward.core.device_states import DeviceWord
from hearthward.core.model import ReadingBatch

__all__ = [
    "AlarmChanged",
    "ClockMoved",
    "DirectoryChanged",
    "DutyChanged",
    "Event",
    "Feed",
    "GatewayChanged",
    "GatewayState",
    "InactivationsChanged",
    "Lagged",
    "MessagesChanged",
    "ReadingsStored",
    "Subscription",
    "TechnicalEvent",
]

MAX_WAITING: Final = 4_096


@dataclass(frozen=True, slots=True)
class ReadingsStored:
    """Readings were committed; ``patient`` has one entry a row, None where the device was on nobody."""

    tenant: str
    patient: list[str | None]
    batch: ReadingBatch
    at: int


@dataclass(frozen=True, slots=True)
class AlarmChanged:
    """An alarm after a committed transition; ``alarm`` is its row (detached: read it, do not change it)."""

    tenant: str
    alarm: Alarm
    kind: str


@dataclass(frozen=True, slots=True)
class InactivationsChanged:
    """Signals of a subject were switched off, or on again; committed."""

    tenant: str


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What is known of a gateway now. Times are UTC ns; ``config`` the hash it says it runs.

    ``rejected`` is device -> reason -> frames refused at the edge since it started; ``trouble`` what the
    gateway itself cannot do -> why, in a word.
    """

    gateway: str
    online: bool = False
    last_seen: int = 0
    boot: str = ""
    version: str = ""
    config: str = ""
    backlog: int = 0
    devices: dict[str, DeviceWord] = field(default_factory=dict)
    rejected: dict[str, dict[str, int]] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GatewayChanged:
    """A gateway came, went, or told something new about itself."""

    tenant: str
    state: GatewayState


@dataclass(frozen=True, slots=True)
class DirectoryChanged:
    """Wards, beds, patients, gateways, devices, associations or rules changed."""

    tenant: str


@dataclass(frozen=True, slots=True)
class DutyChanged:
    """People, teams, shifts, assignments, their addresses or the escalation changed."""

    tenant: str


@dataclass(frozen=True, slots=True)
class MessagesChanged:
    """A message between a patient and the care team was kept, or seen."""

    tenant: str


@dataclass(frozen=True, slots=True)
class ClockMoved:
    """The event clock was stepped to ``now``."""

    now: int


@dataclass(frozen=True, slots=True)
class TechnicalEvent:
    """Something is wrong with the machinery: ``cloned_gateway``, ``future``, ``rules_failed``..."""

    tenant: str
    kind: str
    gateway: str | None
    detail: str
    at: int


@dataclass(frozen=True, slots=True)
class Lagged:
    """This listener was too slow and ``missed`` so many events."""

    missed: int


Event = (
    ReadingsStored
    | AlarmChanged
    | InactivationsChanged
    | GatewayChanged
    | DirectoryChanged
    | DutyChanged
    | MessagesChanged
    | ClockMoved
    | TechnicalEvent
    | Lagged
)


class Subscription:
    """One listener's events as an async iterator; ends when the feed closes. Close it, or use ``with``."""

    def __init__(self, feed: Feed, maxsize: int) -> None:
        self._feed = feed
        self._maxsize = maxsize
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def close(self) -> None:
        """Stop listening."""
        self._feed.remove(self)
        self._closed = True
        self._wake.set()

    def put(self, event: Event) -> None:
        """Take one event (called by the feed)."""
        if len(self._events) >= self._maxsize:
            missed = sum(e.missed if isinstance(e, Lagged) else 1 for e in self._events)
            self._events.clear()
            self._events.append(Lagged(missed))
        self._events.append(event)
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Feed:
    """Fans events out to any number of listeners of one event loop."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._closed = False

    def publish(self, event: Event) -> None:
        """Give an event to every listener, without waiting."""
        for subscription in self._subscriptions:
            subscription.put(event)

    def subscribe(self, maxsize: int = MAX_WAITING) -> Subscription:
        """Listen from now on."""
        subscription = Subscription(self, maxsize)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget a listener (called by its ``close``)."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def close(self) -> None:
        """End every listener's iteration."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()

    def __len__(self) -> int:
        return len(self._subscriptions)
