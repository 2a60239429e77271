"""Telling people: rows of the outbox made with the transitions, and the sender that works them off.

``enqueue`` runs inside the pipeline's transaction, so an alarm and its notifications are committed
together or not at all. ``Notifier`` hands each to its channel at least once: a crash between sending and
recording sends it again with the same identity.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud_ingest.channels.base import Channel, Message
from cloud_ingest.records import Records
from cloud_ingest.records.alarms import ordinals
from cloud_ingest.records.models import Alarm, Bed, Encounter, Notification, Ward
from cloud_ingest.records.outbox import (
    CLOSING,
    Claim,
    Lease,
    Result,
    confirm,
    fail_orphans,
    next_due,
    record,
    release,
)
from cloud_ingest.records.outbox import claim as claim_due
from hearthward.core.clock import SECOND, Clock, iso
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary, StoreUnavailable
from hearthward.core.ids import Ids, stable_id
from hearthward.core.telemetry import Telemetry
from rules import Transition

__all__ = ["IN_APP", "Notifier", "Target", "backoff_s", "enqueue", "message_text"]

log = logging.getLogger(__name__)
T = TypeVar("T")

TOLD: Final = frozenset({"ask", "start", "escalate", *CLOSING})
"""The kinds of transition that somebody is told of."""
SUBJECTS: Final = {
    "gateway": {"en": "gateway", "zh": "网关"},
    "device": {"en": "device", "zh": "设备"},
    "component": {"en": "component", "zh": "组件"},
}
"""What an alarm may be about besides patients, in words."""
ATTEMPTS: Final = 8
"""After so many a notification is abandoned: about 17 minutes with the waits below."""
FIRST_WAIT_S: Final = 2.0
WAIT_FACTOR: Final = 3.0
LONGEST_WAIT_S: Final = 300.0
JITTER: Final = 0.2
"""A wait is shortened by up to this share, so that many do not come back at once."""
LEASE_S: Final = 45.0
"""How long a claimed notification is left alone; must exceed ``SEND_TIMEOUT_S``."""
SEND_TIMEOUT_S: Final = 30.0
AT_ONCE: Final = 8
"""Notifications of one channel in flight."""
IDLE_S: Final = 5.0
"""Look again after this long without being woken."""
STORE_WAIT_S: Final = 1.0
"""Before trying again when the records cannot be reached."""


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody to tell: a channel's name, its word for them (a number, ``wall``), and their language."""

    channel: str
    target: str
    language: str = "en"


IN_APP: Final = Target("in_app", "wall")
"""Every open wall and page; always among the targets."""


def enqueue(
    session: Session,
    tenant: str,
    transitions: Sequence[Transition],
    now: int,
    targets: Collection[Target],
) -> list[Notification]:
    """Add what has to be told of one input's transitions; again with the same changes nothing.

    To be called after ``apply_transitions`` with the same ``transitions``, in the same transaction; wake
    the notifier after the commit. An accepted alarm's in-app notifications become confirmed. ``now`` is the
    journal's time (UTC ns); what is added is due at once. Returns the new rows.

    Nobody is told of what a rule on trial decides. Who is near is asked for a second measurement in the
    app only: it is no alarm yet, and nobody is to be called out for it; nor for its end when none came of it.
    """
    added: list[Notification] = []
    for transition, ordinal in zip(transitions, ordinals(transitions), strict=True):
        if transition.shadow:
            continue
        if transition.kind == "accept":
            session.flush()
            confirm(session, tenant, transition.alarm, {IN_APP.channel})
        if transition.kind not in TOLD:
            continue
        place = _place(session, tenant, transition.patient, now)
        for target in _told(session, tenant, transition, targets):
            ident = stable_id(
                "ntf",
                tenant,
                transition.alarm,
                transition.seq,
                ordinal,
                target.channel,
                target.target,
            )
            if session.get(Notification, (tenant, ident)) is None:
                added.append(_row(tenant, ident, transition, ordinal, target, place, now))
                session.add(added[-1])
    session.flush()
    return added


def message_text(transition: Transition, place: Mapping[str, str], language: str) -> str:
    """The text that is sent: what, where, when and which alarm; no name, no birth date, no number.

    Short on purpose: one SMS. Times are UTC.
    """
    zh = language == "zh"
    if transition.kind in CLOSING:
        head = "已结束" if zh else "ENDED"
    elif transition.kind == "ask":
        head = "请再测量一次" if zh else "MEASURE AGAIN"
    else:
        words = {"high": "高", "medium": "中", "low": "低"} if zh else {}
        head = f"{'报警' if zh else 'ALARM'} {words.get(transition.priority, transition.priority)}"
        if transition.kind == "escalate":
            head = f"{'升级 ' if zh else 'ESCALATED '}{head}"
    what = transition.text.get(language) or transition.text.get("en") or transition.rule
    when = iso(transition.onset if transition.late else transition.at)[11:16]
    reference = transition.alarm[-6:]
    return f"{head}: {what} · {place[language]} · {when} UTC · #{reference}"


def backoff_s(attempt: int, uniform: float) -> float:
    """Seconds to wait after the ``attempt``-th failure in a row (from 1); ``uniform`` in [0, 1) jitters."""
    wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * WAIT_FACTOR ** (attempt - 1))
    return wait * (1 - JITTER * uniform)


class Notifier:
    """Works the outbox off, one worker a channel, so that a slow channel holds up no other.

    ``clock`` must be real time, also while a recording is played: waits and leases are transport's.
    """

    def __init__(
        self,
        records: Records,
        channels: Collection[Channel],
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry,
    ) -> None:
        self._records = records
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock
        self._ids = ids
        self._telemetry = telemetry
        self._wakes = {name: asyncio.Event() for name in self._channels}
        self._lease = Lease(int(LEASE_S * SECOND), ATTEMPTS)

    def wake(self) -> None:
        """Something was enqueued and committed: look now. Call from the event loop's thread."""
        for event in self._wakes.values():
            event.set()

    async def run(self) -> None:
        """Send until cancelled; then close the channels. Store outages are waited out."""
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._channels:
                    group.create_task(self._work(name), name=f"notifier-{name}")
        finally:
            for channel in self._channels.values():
                await channel.close()

    async def send_due(self) -> int:
        """Send all that is due now, on all channels, once each; returns how many were tried."""
        await self._fail_orphans()
        return sum([await self._send_due(name) for name in self._channels])

    async def _work(self, name: str) -> None:
        wake = self._wakes[name]
        fresh = True
        while True:
            try:
                if fresh:
                    await self._fail_orphans()
                    await self._release(name)
                    fresh = False
                wake.clear()
                while await self._send_due(name):
                    pass
                wait = await self._until_next(name)
            except StoreUnavailable as error:
                log.warning("notifier %s: %s; trying again", name, error.message)
                wait = STORE_WAIT_S
            try:
                async with asyncio.timeout(wait):
                    await wake.wait()
            except TimeoutError:
                continue

    async def _until_next(self, name: str) -> float:
        due = await self._records.read(lambda session: next_due(session, name))
        if due is None:
            return IDLE_S
        return min(IDLE_S, max(0.0, (due - self._clock.now_ns()) / SECOND))

    async def _release(self, name: str) -> None:
        now = self._clock.now_ns()
        await self._records.run(lambda session: release(session, name, now))

    async def _fail_orphans(self) -> None:
        names = set(self._channels)
        now = self._clock.now_ns()
        for channel, n in (await self._records.run(lambda s: fail_orphans(s, names, now))).items():
            log.error("%d notifications were queued for channel %s, which is not configured", n, channel)
            self._telemetry.count("deliveries_total", n, channel=channel, outcome="failed")

    async def _send_due(self, name: str) -> int:
        now = self._clock.now_ns()
        claims, abandoned = await self._records.run(
            lambda session: claim_due(session, name, now, self._lease, AT_ONCE)
        )
        if abandoned:
            self._count(name, "abandoned", abandoned)
        for made in claims:
            if made.repeated:
                self._count(name, "interrupted")
        async with asyncio.TaskGroup() as group:
            for made in claims:
                group.create_task(self._deliver(self._channels[name], made), name=f"deliver-{made.id}")
        return len(claims) + abandoned

    async def _deliver(self, channel: Channel, made: Claim) -> None:
        message = Message(made.id, made.target, made.body, made.language, made.priority)
        started = self._clock.monotonic_ns()
        result: Result
        reference: str | None = None
        detail = ""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                reference = (await channel.send(message)).reference
            result = "handed_over"
        except (DeliveryTemporary, TimeoutError) as error:
            result = "abandoned" if made.attempt >= ATTEMPTS else "temporary"
            detail = str(error) or "no answer in time"
        except DeliveryPermanent as error:
            result, detail = "failed", str(error)
        except Exception as error:
            log.exception("channel %s broke its contract", channel.name)
            result = "abandoned" if made.attempt >= ATTEMPTS else "temporary"
            detail = f"{type(error).__name__} in channel {channel.name}"
        latency_ms = (self._clock.monotonic_ns() - started) / 1e6
        await self._record(channel.name, made, result, detail, reference, latency_ms)

    async def _record(
        self,
        name: str,
        made: Claim,
        result: Result,
        detail: str,
        reference: str | None,
        latency_ms: float,
    ) -> None:
        now = self._clock.now_ns()
        next_at = now + int(backoff_s(made.attempt, self._ids.uniform()) * SECOND)
        try:
            await self._records.run(
                lambda session: record(
                    session,
                    made,
                    result,
                    now=now,
                    detail=detail,
                    reference=reference,
                    latency_ms=latency_ms,
                    next_at=next_at,
                )
            )
        except StoreUnavailable as error:
            # The lease stays: when it ends, the notification is sent again with the same identity.
            log.error("notification %s: %s was not recorded: %s", made.id, result, error.message)  # noqa: TRY400
            self._count(name, "unrecorded")
            return
        self._count(name, result)
        if result in {"failed", "abandoned"}:
            log.error("notification %s by %s: %s; see its delivery attempts", made.id, name, result)

    def _count(self, channel: str, outcome: str, n: int = 1) -> None:
        self._telemetry.count("deliveries_total", n, channel=channel, outcome=outcome)


def _told(session: Session, tenant: str, transition: Transition, targets: Collection[Target]) -> list[Target]:
    """All targets for an alarm; only the app for what is none, or never was one."""
    alarm = session.get(Alarm, (tenant, transition.alarm))
    only_app = transition.kind == "ask" or (alarm is not None and not alarm.signalled)
    return [t for t in targets if not only_app or t.channel == IN_APP.channel]


def _row(
    tenant: str,
    ident: str,
    transition: Transition,
    ordinal: int,
    target: Target,
    place: Mapping[str, str],
    now: int,
) -> Notification:
    return Notification(
        tenant=tenant,
        id=ident,
        alarm=transition.alarm,
        seq=transition.seq,
        ordinal=ordinal,
        kind=transition.kind,
        priority=transition.priority,
        channel=target.channel,
        target=target.target,
        language=target.language,
        body=message_text(transition, place, target.language),
        state="queued",
        attempts=0,
        next_at=0,
        created=now,
    )


def _place(session: Session, tenant: str, patient: str, now: int) -> dict[str, str]:
    """Where the patient is, by language: ward and bed, or home with the end of the patient's id.

    What is no patient (a gateway, a device, a component) is named by its kind and id.
    """
    kind, colon, name = patient.partition(":")
    if colon and kind in SUBJECTS:
        return {language: f"{word} {name}" for language, word in SUBJECTS[kind].items()}
    found = session.execute(
        select(Encounter.kind, Ward.name, Bed.label)
        .outerjoin(Ward, (Ward.tenant == Encounter.tenant) & (Ward.id == Encounter.ward))
        .outerjoin(Bed, (Bed.tenant == Encounter.tenant) & (Bed.id == Encounter.bed))
        .where(
            Encounter.tenant == tenant,
            Encounter.patient == patient,
            Encounter.start <= now,
            or_(Encounter.end.is_(None), Encounter.end > now),
        )
        .order_by(Encounter.start.desc())
        .limit(1)
    ).first()
    tail = patient[-4:]
    if found is None:
        return {"en": f"patient …{tail}", "zh": f"患者 …{tail}"}
    stay, ward, bed = found
    if stay == "home":
        return {"en": f"at home, patient …{tail}", "zh": f"居家 患者 …{tail}"}
    return {"en": f"{ward}, bed {bed}", "zh": f"{ward} {bed}床"}
