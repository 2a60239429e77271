"""Reminds patients of what their plan has for them now: by push, or by SMS where no browser takes one.

All of one time is one reminder. It is noted before it is sent: it is sent once or, when this process dies in
between, not at all; the patient's page shows the tasks in any case. It names no medicine and no value: others
may see the screen. Where it cannot be known whether a task is done already, people are reminded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution
from cloud_ingest.careplan import Slot, slots
from cloud_ingest.channels.base import Channel, Message
from cloud_ingest.measured import measured
from cloud_ingest.records import Records
from cloud_ingest.records.care import task_of
from cloud_ingest.records.reached import CHANNELS, ReachedBy, reached_by
from cloud_ingest.stores.base import TimeSeriesStore
from hearthward.core.clock import Clock
from hearthward.core.errors import DeliveryError, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope

__all__ = ["CHANNELS", "Reminders"]

log = logging.getLogger(__name__)

EVERY_S: Final = 30.0
TEXTS: Final = {
    "en": ("Hearthward", "It is time ({time}) for something in your care plan. Please open your page."),
    "zh": ("Hearthward", "到时间了（{time}）：护理计划里有一项要做，请打开您的页面。"),  # noqa: RUF001 - Chinese punctuation
}
"""By language: the subject and the text."""


@dataclass(frozen=True, slots=True)
class _Due:
    """A task at a time of which somebody is to be reminded."""

    patient: str
    slot: Slot
    local: str


class Reminders:
    """Looks again and again for what is due. ``attribution`` gives which device is on whom, as of now.

    ``public_url`` is where people reach the pages, for SMS. ``others`` look each time as well.
    """

    def __init__(  # noqa: PLR0913 - everything it looks at and tells by
        self,
        tenant: str,
        records: Records,
        store: TimeSeriesStore,
        channels: Mapping[str, Channel],
        *,
        attribution: Callable[[], Attribution],
        clock: Clock,
        telemetry: Telemetry,
        public_url: str | None = None,
        others: Sequence[Callable[[], Awaitable[int]]] = (),
    ) -> None:
        self._tenant, self._records, self._store = tenant, records, store
        self._channels, self._attribution = channels, attribution
        self._clock, self._telemetry, self._others = clock, telemetry, others
        self._page = "" if public_url is None else f" {public_url.rstrip('/')}/me"

    async def run(self) -> None:
        """Look until cancelled; outages are waited out, and none keeps the others from looking."""
        while True:
            for look in (self.look, *self._others):
                await self._try(look)
            await asyncio.sleep(EVERY_S)

    async def _try(self, look: Callable[[], Awaitable[int]]) -> None:
        try:
            await look()
        except StoreUnavailable as error:
            log.debug("reminders wait: %s", error)
        except Exception:
            self._telemetry.count("reminders_failed_total", channel="")
            log.exception("reminders failed; readings and alarms go on")

    async def look(self) -> int:
        """Remind of all that has become due and is not done; how many reminders were handed over.

        Raises StoreUnavailable of the records; without the store of readings, people are reminded.
        """
        found = await self._records.read(self._due)
        if not found:
            return 0
        told: dict[tuple[str, int], _Due] = {}
        for due in found:
            if not await self._done(due):
                told.setdefault((due.patient, due.slot.due), due)
        latest = {due.slot.task.id: due.slot.due for due in found}
        await self._records.run(lambda s: self._records.care(s).reminded(Scope.system(self._tenant), latest))
        return sum([await self._remind(due) for due in told.values()])

    async def _done(self, due: _Due) -> bool:
        try:
            return bool(
                await measured(self._store, self._attribution(), self._tenant, due.patient, [due.slot])
            )
        except StoreUnavailable as error:
            log.debug("reminded without knowing whether it is done: %s", error)
            return False

    def _due(self, session: Session) -> list[_Due]:
        care, now = self._records.care(session), self._clock.now_ns()
        found = []
        for row in care.to_remind(Scope.system(self._tenant)):
            task = task_of(row)
            past = [s for s in slots([task], now - task.window, now + 1) if now < s.closes]
            if past and past[-1].due > (row.reminded or 0):
                found.append(_Due(row.patient, past[-1], task.local(past[-1].due)))
        ids = {due.slot.task.id for due in found}
        marks = care.marks(Scope.system(self._tenant), ids, now - 86_400 * 10**9, now + 1) if ids else {}
        return [due for due in found if (due.slot.task.id, due.slot.due) not in marks]

    async def _remind(self, due: _Due) -> int:
        """How many took it: browsers; or, where none did, the telephone."""
        ways = await self._records.read(
            lambda s: reached_by(self._records, s, self._tenant, due.patient, self._channels.keys())
        )
        if not ways:
            self._telemetry.count("reminders_unreached_total")
            log.warning("a reminder reaches nobody: no browser takes it, and no number is known")
        sent = sum([await self._send(due, way) for way in ways if way.channel == "push"])
        if not sent:
            sent = sum([await self._send(due, way) for way in ways if way.channel == "sms"])
        return sent

    async def _send(self, due: _Due, way: ReachedBy) -> bool:
        subject, text = TEXTS[way.language]
        push = way.channel == "push"
        message = Message(
            id=f"rem-{due.slot.task.id}-{due.slot.due}",
            target=way.target,
            text=text.format(time=due.local) + ("" if push else self._page),
            language=way.language,
            priority="low",
            kind="reminder",
            subject=subject,
            link="/me" if push else None,
        )
        try:
            await self._channels[way.channel].send(message)
        except DeliveryError as error:
            self._telemetry.count("reminders_failed_total", channel=way.channel)
            log.warning("a reminder was not taken by %s: %s", way.channel, error)
            return False
        self._telemetry.count("reminders_sent_total", channel=way.channel)
        return True
