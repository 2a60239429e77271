"""Reminds patients of what their plan has for them now: by push, or by SMS where no browser takes one.

A reminder is noted before it is sent: it is sent once or, when this process dies in between, not at all; the
patient's page shows the task in any case. It names no medicine and no value: others may see the screen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution
from cloud_ingest.careplan import Slot, slots
from cloud_ingest.channels.base import Channel, Message
from cloud_ingest.measured import measured
from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.care import task_of
from cloud_ingest.stores.base import TimeSeriesStore
from hearthward.core.clock import Clock
from hearthward.core.errors import DeliveryError, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Role, Scope

__all__ = ["CHANNELS", "Reminders"]

log = logging.getLogger(__name__)

EVERY_S: Final = 30.0
CHANNELS: Final = frozenset({"push", "sms"})
"""By what patients are reminded."""
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


@dataclass(frozen=True, slots=True)
class _Reached:
    """By what a patient is reached: (channel, target), and in which language."""

    channel: str
    target: str
    language: str


class Reminders:
    """Looks again and again for what is due. ``attribution`` gives which device is on whom, as of now.

    ``others`` look each time as well.
    """

    def __init__(
        self,
        tenant: str,
        records: Records,
        store: TimeSeriesStore,
        channels: Mapping[str, Channel],
        *,
        attribution: Callable[[], Attribution],
        clock: Clock,
        telemetry: Telemetry,
        others: Sequence[Callable[[], Awaitable[int]]] = (),
    ) -> None:
        self._tenant, self._records, self._store = tenant, records, store
        self._channels, self._attribution = channels, attribution
        self._clock, self._telemetry, self._others = clock, telemetry, others

    async def run(self) -> None:
        """Look until cancelled; outages of the records or the store are waited out."""
        while True:
            try:
                await self.look()
                for other in self._others:
                    await other()
            except StoreUnavailable as error:
                log.debug("reminders wait: %s", error)
            except Exception:
                self._telemetry.count("reminders_failed_total", channel="")
                log.exception("reminders failed; readings and alarms go on")
            await asyncio.sleep(EVERY_S)

    async def look(self) -> int:
        """Remind of all that has become due and is not done; how many reminders were handed over.

        Raises StoreUnavailable.
        """
        found = await self._records.read(self._due)
        if not found:
            return 0
        latest = {due.slot.task.id: due.slot.due for due in found}
        await self._records.run(lambda s: self._records.care(s).reminded(Scope.system(self._tenant), latest))
        sent = 0
        for due in found:
            done = await measured(self._store, self._attribution(), self._tenant, due.patient, [due.slot])
            if not done:
                sent += await self._remind(due)
        return sent

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
        sent = 0
        for way in await self._records.read(lambda s: self._reached(s, due.patient)):
            subject, text = TEXTS[way.language]
            message = Message(
                id=f"rem-{due.slot.task.id}-{due.slot.due}",
                target=way.target,
                text=text.format(time=due.local),
                language=way.language,
                priority="low",
                kind="reminder",
                subject=subject,
                link="/me" if way.channel == "push" else None,
            )
            try:
                await self._channels[way.channel].send(message)
            except DeliveryError as error:
                self._telemetry.count("reminders_failed_total", channel=way.channel)
                log.warning("a reminder was not taken by %s: %s", way.channel, error)
            else:
                self._telemetry.count("reminders_sent_total", channel=way.channel)
                sent += 1
        return sent

    def _reached(self, session: Session, patient: str) -> list[_Reached]:
        """The patient's own logins by push; without one that takes it, their number by SMS."""
        person = session.get(rows.Patient, (self._tenant, patient))
        if person is None or person.ended is not None:
            return []
        users = session.scalars(
            select(rows.User).where(
                rows.User.tenant == self._tenant, rows.User.patient == patient, rows.User.disabled.is_(None)
            )
        )
        push = self._records.push(session)
        found = [
            _Reached("push", user.id, _language(user.language or person.language))
            for user in users
            if Role.PATIENT in user.roles
            and "push" in self._channels
            and push.list(Scope.system(self._tenant), user.id)
        ]
        if not found and person.phone and "sms" in self._channels:
            found = [_Reached("sms", person.phone, _language(person.language))]
        return found


def _language(known: str | None) -> str:
    return "zh" if (known or "").startswith("zh") else "en"
