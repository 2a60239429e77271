"""How people are told: channels, policies, the notifier and its watchdogs, built from the settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.answers import Answers
from cloud_ingest.channels.base import Message
from cloud_ingest.channels.subscriptions import Subscription
from cloud_ingest.deadman import DeadMan
from cloud_ingest.emergency import Emergency
from cloud_ingest.notifier import Notifier, Undelivered
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from cloud_ingest.records.models import PushSubscription
from cloud_ingest.records.staff import PushSubscriptions
from cloud_ingest.service import CloudService
from cloud_ingest.telling.wording import Wording
from dashboards.api.twilio import TwilioBack
from hearthward.app.channels import build_channels, twilio_verifier
from hearthward.core.clock import SystemClock
from hearthward.core.ids import Ids
from hearthward.core.settings import Settings, endpoints_of
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from rules import RuleSet
from rules.response.duty import NOBODY, Duty
from rules.response.policies import check_escalations, load_policies

__all__ = ["Telling", "build_telling"]

log = logging.getLogger(__name__)

NOTIFIER: Final = "@notifier"
"""Who says that a message was not delivered."""


class KeptSubscriptions:
    """The browsers of the records, for the push channel."""

    def __init__(self, records: Records, tenant: str) -> None:
        self._records, self._scope = records, Scope.system(tenant)

    async def of(self, user: str) -> Sequence[Subscription]:
        """The browsers of a user that are subscribed now."""
        rows = await self._records.read(lambda s: self._repository(s).list(self._scope, user))
        return [Subscription(r.id, r.endpoint, r.keys["p256dh"], r.keys["auth"]) for r in rows]

    async def end(self, subscription: str) -> None:
        """A browser is no longer subscribed: the push service says so."""

        def end(session: Session) -> None:
            row = session.get(PushSubscription, (self._scope.tenant, subscription))
            if row is not None:
                self._repository(session).gone(self._scope, row.endpoint)

        await self._records.run(end)

    def _repository(self, session: Session) -> PushSubscriptions:
        records = self._records
        return PushSubscriptions(
            session, now=records.clock.now_ns(), wall=records.wall.now_ns(), ids=records.ids
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What reads files and makes keys before anything can be told."""

    reach: Reach
    answers: Answers


def read_parts(settings: Settings, records: Records) -> Parts:
    """Build channels and read policies and secrets; blocking. Raises ConfigError."""
    channels = build_channels(
        settings,
        publish=_published,
        subscriptions=KeptSubscriptions(records, settings.cloud.tenant),
        clock=SystemClock(),
    )
    own = settings.cloud.policies_path
    reach = Reach(
        {c.name: c for c in channels},
        endpoints_of(settings),
        load_policies(*([] if own is None else [own])),
        Wording(settings.messages.detail, settings.messages.language),
        settings.web.public_url,
    )
    return Parts(reach, Answers.open(settings.data / "cloud"))


class Telling:
    """Everything that tells people; ``service`` is set as soon as there is one."""

    def __init__(
        self,
        settings: Settings,
        records: Records,
        parts: Parts,
        ids: Ids,
        telemetry: Telemetry,
    ) -> None:
        self.service: CloudService | None = None
        self.reach, self.answers = parts.reach, parts.answers
        self.channels = list(parts.reach.channels.values())
        self.twilio = _twilio(settings, self.answers)
        clock = SystemClock()
        emergency = Emergency(
            records,
            settings.cloud.tenant,
            self.channels,
            duty=self.duty,
            ingest_silent_s=self.ingest_silent_s,
            clock=clock,
            ids=ids,
            telemetry=telemetry,
            language=settings.messages.language,
        )
        self.notifier = Notifier(
            records,
            self.channels,
            clock,
            ids,
            telemetry,
            undelivered=self.undelivered,
            hop=self.hop,
            link=_link(settings),
            answer=self.answers.token_of,
            emergency=emergency,
        )

    async def undelivered(self, what: Undelivered) -> None:
        """A message has not reached somebody: escalation goes on. Raises RuleError, StoreUnavailable."""
        if self.service is not None:
            to = f"{what.channel}:{what.who}"
            await self.service.act("undelivered", alarm=what.alarm, actor=NOTIFIER, note=what.reason, to=to)

    def hop(self, channel: str, success: bool) -> None:  # noqa: FBT001 - how an attempt went
        """How an attempt to hand something over went."""
        if self.service is not None:
            self.service.watch.channels.hop(channel, success)

    def duty(self) -> Duty:
        """Who is there, as far as deciding knows."""
        return NOBODY if self.service is None else self.service.duty

    def ingest_silent_s(self) -> float:
        """Seconds since ingest last looked at its timers."""
        return 0.0 if self.service is None else self.service.ingest_silent_s

    def well(self) -> bool:
        """Whether ingest, notifier and records work: only then is a sign of life given to the outside."""
        return self.service is not None and self.service.well

    def dead_man(self, settings: Settings, telemetry: Telemetry) -> DeadMan | None:
        """What gives the sign of life, if the settings name an address for it."""
        heartbeat = settings.heartbeat
        if heartbeat.url is None:
            return None
        made = DeadMan(heartbeat.url, heartbeat.every_s, SystemClock(), telemetry, self.well)
        if self.service is not None:
            self.service.watch.heartbeat_failing = lambda: made.failing
        return made


async def build_telling(
    settings: Settings, records: Records, rules: RuleSet, ids: Ids, telemetry: Telemetry
) -> Telling:
    """Build it all. Raises ConfigError for settings that cannot be used."""
    parts = await asyncio.to_thread(read_parts, settings, records)
    for finding in check_escalations(rules, parts.reach.policies):
        log.warning("%s", finding)
    return Telling(settings, records, parts, ids, telemetry)


def _twilio(settings: Settings, answers: Answers) -> TwilioBack | None:
    """What tells Twilio's calls from forged ones, where any are expected."""
    verify, url = twilio_verifier(settings), settings.web.public_url
    return None if verify is None or url is None else TwilioBack(url, verify, answers)


def _published(_message: Message) -> None:
    """Walls and pages learn of alarms from the feed of what was committed: nothing is left to do here."""


def _link(settings: Settings) -> Callable[[str], str] | None:
    """Makes the address of an alarm's page, where messages may have one."""
    url = settings.web.public_url
    if url is None or not settings.messages.link:
        return None
    return lambda alarm: f"{url.rstrip('/')}/alarms/{alarm}"
