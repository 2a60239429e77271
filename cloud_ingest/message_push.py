"""Tells the nurses on duty, by push, that a patient of theirs has written; the notice names nobody.

Each message is tried once: what no browser takes waits in the list of messages, and its patient is not told
that it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.channels.base import Channel, Message
from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DeliveryError
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from rules.response.duty import Duty
from rules.response.policy import Target

__all__ = ["MessagePush"]

RECENT_NS: Final = 900 * SECOND
"""What came longer ago (the server was down) is left to the list."""
ASSIGNED: Final = Target("assigned")
"""Who looks after the patient and is there, else the nurses on duty."""
TEXTS: Final = {
    "en": ("Hearthward", "A patient has written. Please open the messages."),
    "zh": ("Hearthward", "有患者留言，请打开留言页面。"),  # noqa: RUF001 - Chinese punctuation
}


class MessagePush:
    """``duty`` gives who is there, as deciding knows it."""

    def __init__(
        self,
        tenant: str,
        records: Records,
        channels: Mapping[str, Channel],
        *,
        duty: Callable[[], Duty],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._tenant, self._records, self._push = tenant, records, channels.get("push")
        self._duty, self._clock, self._telemetry = duty, clock, telemetry
        self._tried: set[str] = set()

    async def look(self) -> int:
        """Tell of what is new; how many messages were handed over. Raises StoreUnavailable."""
        if self._push is None:
            return 0
        found = await self._records.read(self._unsent)
        fresh = [(key, patient) for key, patient in found if key not in self._tried]
        self._tried = {key for key, _ in found}
        sent = [patient for key, patient in fresh if await self._tell(self._push, key, patient)]
        if sent:
            scope = Scope.system(self._tenant)
            await self._records.run(lambda s: self._records.care(s).list_to_care(scope, sent))
        return len(sent)

    def _unsent(self, session: Session) -> list[tuple[str, str]]:
        query = select(rows.CareMessage.id, rows.CareMessage.patient).where(
            rows.CareMessage.tenant == self._tenant,
            rows.CareMessage.from_care.is_(False),
            rows.CareMessage.sent.is_(None),
            rows.CareMessage.at > self._clock.now_ns() - RECENT_NS,
        )
        return [(key, patient) for key, patient in session.execute(query.order_by(rows.CareMessage.at))]

    async def _tell(self, push: Channel, key: str, patient: str) -> bool:
        """Hand one message's notice over to whoever looks after the patient; whether a browser took it."""
        duty = self._duty()
        people = [duty.people[user] for user in duty.named(ASSIGNED, patient, self._clock.now_ns())]
        reached = [p.id for p in people if "push" in p.channels and duty.may_know(p, patient)]
        taken = False
        for user, language in await self._records.read(lambda s: self._languages(s, reached)):
            subject, text = TEXTS[language]
            try:
                await push.send(
                    Message(
                        id=key,
                        target=user,
                        text=text,
                        language=language,
                        priority="medium",
                        kind="message",
                        subject=subject,
                        link="/messages",
                    )
                )
            except DeliveryError:
                self._telemetry.count("message_pushes_failed_total")
            else:
                taken = True
        return taken

    def _languages(self, session: Session, users: Sequence[str]) -> list[tuple[str, str]]:
        query = select(rows.User.id, rows.User.language).where(
            rows.User.tenant == self._tenant, rows.User.id.in_(users)
        )
        return [
            (user, "zh" if (language or "").startswith("zh") else "en")
            for user, language in session.execute(query.order_by(rows.User.id))
        ]
