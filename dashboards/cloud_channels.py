"""The port's channels, callbacks, browsers and burden over the real records, channels and notifier."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Literal

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from cloud_ingest.answers import Answers
from cloud_ingest.burden import Asked, Burden
from cloud_ingest.burden_record import read_burden
from cloud_ingest.channel_health import CHANNELS
from cloud_ingest.channel_record import ChannelRecord, add_test, read_channels, report_test
from cloud_ingest.channels.push import PushChannel
from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.users import principal_of
from cloud_ingest.service import CloudService
from cloud_ingest.telling.addresses import address, contacts_of
from cloud_ingest.telling.clocks import usual_zone
from dashboards.backend import DirectoryError
from dashboards.channel_models import (
    Called,
    ChannelTest,
    ChannelView,
    CheckResult,
    PushDevice,
    TestTarget,
)
from dashboards.channel_views import host_of, message_of_test, unused_view, used_view
from hearthward.core.errors import ConfigError, DeliveryError
from hearthward.trust.access import Principal, Scope
from rules.response.policy import CONFIRMING

__all__ = ["CloudChannels"]

TIMEOUT_S: Final = 30.0
TEST: Final = "tst"
"""How the ids of tests begin."""
PERSONAL: Final = frozenset({"sms", "voice", "email", "push"})
"""Channels by which a person has an address of their own."""


class CloudChannels:
    """The part of ``CloudBackend`` that is about channels.

    ``answers`` reads the tokens of callbacks (None: none were given out).
    """

    def __init__(self, service: CloudService, answers: Answers | None) -> None:
        self._service = service
        self._records: Records = service.records
        self._answers = answers

    # --- channels ---------------------------------------------------------------------------------
    async def channels(self, scope: Scope) -> Sequence[ChannelView]:
        """See the port."""
        used = list(self._service.channels)
        now = self._records.wall.now_ns()

        def read(session: Session) -> tuple[dict[str, ChannelRecord], dict[str, str]]:
            people = session.execute(
                select(rows.User.id, rows.User.name).where(rows.User.tenant == scope.tenant)
            )
            return read_channels(session, scope.tenant, used, now), {u: name for u, name in people}  # noqa: C416 - rows are no pairs

        found, names = await self._records.read(read)
        return [
            *(self._view(name, found[name], names) for name in used),
            *(unused_view(n, answers=n in CONFIRMING) for n in CHANNELS if n not in used),
        ]

    def _view(self, name: str, record: ChannelRecord, names: Mapping[str, str]) -> ChannelView:
        return used_view(
            name,
            record.health,
            answers=self._service.channels[name].confirms,
            endpoints=self._service.reach.endpoints.get(name, ()),
            queued=record.queued,
            oldest=record.oldest,
            tests=[_test(row, names.get(row.by, "")) for row in record.tests],
        )

    async def test_targets(self, who: Principal, channel: str) -> Sequence[TestTarget] | None:
        """See the port."""
        if channel not in self._service.channels:
            return None
        own = await self._own_address(who, channel)
        mine = [] if own is None else [TestTarget(key="me", label="" if channel == "push" else own)]
        return [*mine, *(TestTarget(key=f"@{e}") for e in self._service.reach.endpoints.get(channel, ()))]

    async def _own_address(self, who: Principal, channel: str) -> str | None:
        if channel not in PERSONAL:
            return None

        def read(session: Session) -> str | None:
            found = address(channel, who.user, contacts_of(session, who.tenant, [who.user]).get(who.user))
            if channel == "push" and found and not self._records.push(session).list(_whole(who), who.user):
                return None
            return found

        return await self._records.read(read)

    async def test_channel(self, who: Principal, channel: str, target: str) -> ChannelTest | None:
        """See the port."""
        targets = await self.test_targets(who, channel)
        if targets is None:
            return None
        if target not in {t.key for t in targets}:
            raise DirectoryError(field="target", code="unknown", value=target)
        where = (await self._own_address(who, channel) or "") if target == "me" else target
        ident, now = self._records.ids.new(TEST), self._records.wall.now_ns()
        token = None if self._answers is None else self._answers.token_of(ident)
        zone = await self._records.read(lambda s: usual_zone(s, who.tenant))
        message = message_of_test(ident, where, await self._language(who), now, zone=zone, answer=token)
        row = rows.ChannelTest(
            tenant=who.tenant,
            id=ident,
            channel=channel,
            at=now,
            by=who.user,
            target=target,
            language=message.language,
            text=message.text,
            outcome="handed_over",
            detail="",
            latency_ms=0.0,
        )
        row.detail, row.latency_ms = await self._timed(self._service.channels[channel].send(message))
        row.outcome = "failed" if row.detail else "handed_over"
        if not row.detail:
            self._service.watch.channels.hop(channel, True)
        shown = _test(row, who.name)
        await self._records.run(lambda s: add_test(s, row))
        return shown

    async def check_channel(self, channel: str) -> CheckResult | None:
        """See the port."""
        known = self._service.channels.get(channel)
        if known is None:
            return None
        detail, latency_ms = await self._timed(known.check())
        now = self._records.wall.now_ns()
        return CheckResult(channel=channel, at=now, well=not detail, detail=detail, latency_ms=latency_ms)

    async def _timed(self, work: Awaitable[object]) -> tuple[str, float]:
        """Why it failed (empty: it did not), and how long that took."""
        clock = self._service.clock
        started, detail = clock.monotonic_ns(), ""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await work
        except TimeoutError:
            detail = "no answer in time"
        except DeliveryError as error:
            detail = error.message or "refused"
        return detail, (clock.monotonic_ns() - started) / 1e6

    async def _language(self, who: Principal) -> str:
        user = await self._records.read(lambda s: s.get(rows.User, (who.tenant, who.user)))
        wording = self._service.reach.wording
        return (user and user.language) or (wording.language if wording is not None else "en")

    # --- calls from outside -------------------------------------------------------------------------
    async def called(self, token: str) -> Called | None:
        """See the port."""
        ident = None if self._answers is None else self._answers.notification_of(token)
        if ident is None:
            return None
        return await self._records.read(lambda s: _called(s, self._service.tenant, ident))

    async def delivered(self, found: Called, state: Literal["confirmed", "failed"], detail: str = "") -> None:
        """See the port."""
        now = self._records.wall.now_ns()
        if found.test:
            failed = state == "failed"
            await self._records.run(
                lambda s: report_test(
                    s, self._service.tenant, found.id, failed=failed, detail=detail, now=now
                )
            )
        elif self._service.notifier is not None:
            await self._service.notifier.confirmed(found.id, state, detail)

    # --- push ---------------------------------------------------------------------------------------
    def _push_channel(self) -> PushChannel | None:
        known = self._service.channels.get("push")
        return known if isinstance(known, PushChannel) else None

    async def push_key(self) -> str | None:
        """See the port."""
        channel = self._push_channel()
        return None if channel is None else channel.public_key

    async def push_devices(self, who: Principal) -> Sequence[PushDevice]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.push(s).list(_whole(who), who.user))
        return [_device(row) for row in reversed(found)]

    async def subscribe_push(self, who: Principal, endpoint: str, keys: Mapping[str, str]) -> PushDevice:
        """See the port."""
        channel = self._push_channel()
        if channel is None:
            raise DirectoryError(field="push", code="unknown", value="push")
        if not channel.accepts(endpoint):
            raise DirectoryError(field="endpoint", code="invalid", value="endpoint")
        try:
            row = await self._records.run(
                lambda s: self._records.push(s).add(_whole(who), who.user, endpoint=endpoint, keys=keys)
            )
        except ConfigError as error:
            field = str(error.details.get("field") or "endpoint")
            raise DirectoryError(field=field, code="invalid", value=field) from error
        await self._service.duty_changed()
        return _device(row)

    async def unsubscribe_push(self, who: Principal, key: str) -> PushDevice | None:
        """See the port."""
        try:
            row = await self._records.run(lambda s: self._records.push(s).end(_whole(who), who.user, key))
        except ConfigError as error:
            if error.details.get("reason") == "not_found":
                return None
            raise
        await self._service.duty_changed()
        return _device(row)

    # --- burden -------------------------------------------------------------------------------------
    async def burden(self, scope: Scope, asked: Asked, shown: Callable[[str], bool]) -> Burden:
        """See the port."""
        return await self._records.read(lambda s: read_burden(s, scope, asked, shown))


def _whole(who: Principal) -> Scope:
    """Somebody's own things, whatever wards they work in."""
    return Scope.system(who.tenant)


def _test(row: rows.ChannelTest, name: str) -> ChannelTest:
    failed = row.outcome == "failed"
    return ChannelTest(
        id=row.id,
        channel=row.channel,
        at=row.at,
        by=row.by,
        by_name=name,
        target=row.target,
        outcome="failed" if failed else "handed_over" if row.confirmed is None else "confirmed",
        detail=row.detail,
        latency_ms=row.latency_ms,
    )


def _device(row: rows.PushSubscription) -> PushDevice:
    return PushDevice(
        id=row.id, service=host_of(row.endpoint, ()), endpoint=row.endpoint, created=row.created
    )


def _called(session: Session, tenant: str, ident: str) -> Called | None:
    """What an id stands for: a test, a notification, or the worst of those that went as one message."""
    test = session.get(rows.ChannelTest, (tenant, ident))
    if test is not None:
        who = _person(session, tenant, test.by)
        return Called(test.id, test.channel, "", who, test.text, test.language, test=True)
    note = session.get(rows.Notification, (tenant, ident))
    if note is None:
        joined = select(rows.Notification).where(
            rows.Notification.tenant == tenant, rows.Notification.message == ident
        )
        note = session.scalars(joined.order_by(rows.Notification.created).limit(1)).first()
    if note is None:
        return None
    alarm = session.get(rows.Alarm, (tenant, note.alarm))
    t = rows.TransitionRow
    raised = and_(t.kind == "escalate", t.detail["why"].as_string() == "raised", t.seq > note.seq)
    risen = select(t.seq).where(t.tenant == tenant, t.alarm == note.alarm, raised).limit(1)
    return Called(
        id=ident,
        channel=note.channel,
        alarm=note.alarm,
        who=_person(session, tenant, note.who),
        text=note.body,
        language=note.language,
        answered=note.state == "confirmed",
        rejected=alarm is not None and note.who in alarm.rejected,
        risen=session.scalar(risen) is not None,
        rule="" if alarm is None else alarm.rule,
    )


def _person(session: Session, tenant: str, user: str) -> Principal | None:
    """Somebody who may still log in."""
    row = session.get(rows.User, (tenant, user))
    return None if row is None or row.disabled is not None else principal_of(row)
