"""The last word of the notifier: when ingest or the outbox is dead, it calls the engineers directly.

Then no rule can decide on an alarm about it, and no row of the outbox can carry it. What it needs is kept
in memory from the time when all was well: who is on duty, and their addresses.
"""

# ruff: noqa: RUF001 - Chinese has commas of its own
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from cloud_ingest.channels.base import Channel, Message
from cloud_ingest.records import Records
from cloud_ingest.telling.addresses import Contact, address, contacts_of
from hearthward.core.clock import SECOND, Clock, iso
from hearthward.core.errors import DeliveryError, HearthwardError
from hearthward.core.ids import Ids
from hearthward.core.telemetry import Telemetry
from rules.response.duty import ENDPOINT, Duty

__all__ = ["AFTER_S", "REPEAT_S", "Emergency"]

log = logging.getLogger(__name__)

AFTER_S: Final = 30.0
"""Silent for so long is dead."""
REPEAT_S: Final = 300.0
CHECK_S: Final = 5.0
REFRESH_S: Final = 60.0
READ_TIMEOUT_S: Final = 5.0
SEND_TIMEOUT_S: Final = 30.0
INGEST: Final = "ingest"
OUTBOX: Final = "outbox"
_TEXT: Final = {
    INGEST: {
        "en": "EMERGENCY: no alarm has been decided since {since} UTC. Watch patients at the bedside; "
        "look at the Hearthward server.",
        "zh": "紧急：自 {since} UTC 起系统未处理任何报警。请到床旁观察患者，并检查服务器 (Hearthward)。",
    },
    OUTBOX: {
        "en": "EMERGENCY: no message of an alarm is sent since {since} UTC. Watch patients at the bedside; "
        "look at the Hearthward server.",
        "zh": "紧急：自 {since} UTC 起无法发送报警消息。请到床旁观察患者，并检查 Hearthward 服务器。",
    },
}
_OVER: Final = {
    "en": "OVER: Hearthward decides and tells alarms again since {since} UTC.",
    "zh": "已恢复：Hearthward 自 {since} UTC 起恢复报警处理与通知。",
}


@dataclass(frozen=True, slots=True)
class _Hop:
    channel: Channel
    target: str
    language: str


class Emergency:
    """Watches ingest and the outbox.

    ``duty`` is the last known, ``ingest_silent_s`` the seconds since ingest last looked at its timers.
    ``clock`` must be real time. ``language`` is of endpoints, and of people who have chosen none.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        records: Records,
        tenant: str,
        channels: Collection[Channel],
        *,
        duty: Callable[[], Duty],
        ingest_silent_s: Callable[[], float],
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry,
        language: str = "en",
    ) -> None:
        self._records, self._tenant = records, tenant
        self._channels = {c.name: c for c in channels if c.name != "in_app"}
        self._duty, self._ingest_silent_s = duty, ingest_silent_s
        self._clock, self._ids, self._telemetry, self._language = clock, ids, telemetry, language
        self._contacts: dict[str, Contact] = {}
        self._refreshed: int | None = None
        self._started = clock.monotonic_ns()
        self._told: int | None = None

    async def run(self, outbox_silent_s: Callable[[], float]) -> None:
        """Look every few seconds until cancelled."""
        self._started = self._clock.monotonic_ns()
        while True:
            await self.look(outbox_silent_s())
            await asyncio.sleep(CHECK_S)

    async def look(self, outbox_silent_s: float) -> bool:
        """Look once; returns whether there is an emergency. Tells of it at once and every five minutes."""
        mono = self._clock.monotonic_ns()
        up = (mono - self._started) / SECOND
        silent = {INGEST: min(up, self._ingest_silent_s()), OUTBOX: min(up, outbox_silent_s)}
        dead = next((part for part, seconds in silent.items() if seconds > AFTER_S), None)
        if dead is None:
            await self._refresh(mono)
            if self._told is not None:
                self._told = None
                log.warning("ingest and outbox are well again")
                await self._send(_OVER, self._clock.now_ns())
            return False
        if self._told is None or mono - self._told >= REPEAT_S * SECOND:
            self._told = mono
            since = self._clock.now_ns() - int(silent[dead] * SECOND)
            log.critical("%s has been silent for %.0f s; calling the engineers", dead, silent[dead])
            self._telemetry.count("emergencies_total", part=dead)
            await self._send(_TEXT[dead], since)
        return True

    async def _refresh(self, mono: int) -> None:
        """Keep the addresses of engineers fresh while they can be read."""
        if self._refreshed is not None and mono - self._refreshed < REFRESH_S * SECOND:
            return
        users = {p.id for p in self._duty().people.values() if "engineer" in p.roles}
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                self._contacts = await self._records.read(lambda s: contacts_of(s, self._tenant, users))
        except (HearthwardError, TimeoutError) as error:
            log.warning("addresses of engineers could not be read: %s", error)
            return
        self._refreshed = mono

    def _hops(self) -> list[_Hop]:
        """Engineers on duty (of nobody: all), by all they can be reached by, and the endpoints."""
        duty, now = self._duty(), self._clock.now_ns()
        wards = {*duty.patients.values(), *duty.gateways.values(), None}
        users = {u for ward in wards for u in duty.on_duty(ward, "engineer", now)}
        users = users or {p.id for p in duty.people.values() if "engineer" in p.roles}
        found: dict[tuple[str, str], _Hop] = {}
        for user in sorted(users):
            contact = self._contacts.get(user)
            language = (contact and contact.language) or self._language
            for name in duty.people[user].channels:
                target = address(name, user, contact)
                if name in self._channels and target is not None:
                    found[name, target] = _Hop(self._channels[name], target, language)
        for name, ends in duty.endpoints.items():
            for end in ends if name in self._channels else ():
                target = f"{ENDPOINT}{end}"
                found[name, target] = _Hop(self._channels[name], target, self._language)
        return list(found.values())

    async def _send(self, text: Mapping[str, str], since: int) -> None:
        hops = self._hops()
        if not hops:
            log.critical("there is no engineer and no endpoint that could be told of it")
        said = {language: words.format(since=iso(since)[11:16]) for language, words in text.items()}
        async with asyncio.TaskGroup() as group:
            for hop in hops:
                group.create_task(self._one(hop, said.get(hop.language, said["en"])), name="emergency")

    async def _one(self, hop: _Hop, text: str) -> None:
        message = Message(
            id=self._ids.new("emg"),
            target=hop.target,
            text=text,
            language=hop.language,
            priority="high",
            kind="emergency",
            subject=text.partition(".")[0].partition("。")[0],
        )
        outcome = "failed"
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await hop.channel.send(message)
            outcome = "handed_over"
        except (DeliveryError, TimeoutError) as error:
            log.error("emergency by %s: %s", hop.channel.name, error or "no answer in time")  # noqa: TRY400
        except Exception:
            log.exception("channel %s broke its contract", hop.channel.name)
        self._telemetry.count("emergency_deliveries_total", channel=hop.channel.name, outcome=outcome)
