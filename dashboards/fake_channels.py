"""The fake's channels, callbacks, browsers and burden: the real channel objects' fake, the real reasoning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from cloud_ingest.burden import Asked, Burden, Stay, burden
from cloud_ingest.channel_health import CHANNELS, Try, health
from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.records.staff import MOST_BROWSERS
from dashboards.alarm_facts import fact_of
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
from dashboards.models import AlarmDetail, Encounter
from hearthward.core.clock import Clock
from hearthward.core.errors import DeliveryError
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal, Role, Scope
from rules.response.policy import CONFIRMING

__all__ = ["FakeChannels"]


class FakeChannels(ABC):
    """The part of ``FakeBackend`` that is about channels.

    ``ways`` are the channels in use, ``ends`` their endpoints, ``contacts`` the addresses of people by user
    and channel, ``tries`` the record by channel, ``waiting`` the times of what is queued; ``calls`` maps
    tokens to what they stand for.
    """

    clock: Clock
    ids: Ids
    _people: dict[tuple[str, str], Any]

    def __init__(self) -> None:
        self.ways: dict[str, FakeChannel] = {name: FakeChannel(name) for name in ("in_app", "sms")}
        self.ends: dict[str, tuple[str, ...]] = {"sms": ("number-1",)}
        self.contacts: dict[tuple[str, str], str] = {}
        self.tries: dict[str, list[Try]] = {}
        self.waiting: dict[str, list[int]] = {}
        self.calls: dict[str, Called] = {}
        self.reported: list[tuple[str, str, str]] = []
        self.push_public: str | None = None
        self._tests: defaultdict[str, list[ChannelTest]] = defaultdict(list)
        self._browsers: dict[str, tuple[tuple[str, str], PushDevice]] = {}

    @abstractmethod
    def _of(self, tenant: str) -> Any:
        """What a tenant has."""

    @abstractmethod
    def _details(self, tenant: str) -> Sequence[AlarmDetail]:
        """All alarms of a tenant."""

    @abstractmethod
    def _ward_of(self, tenant: str, subject: str) -> str | None:
        """The ward of a subject now."""

    # --- channels ---------------------------------------------------------------------------------
    async def channels(self, scope: Scope) -> Sequence[ChannelView]:
        """See the port."""
        names = [*(n for n in CHANNELS if n in self.ways), *(n for n in CHANNELS if n not in self.ways)]
        return [self._view(scope.tenant, name) for name in names]

    def _view(self, tenant: str, name: str) -> ChannelView:
        answers = name in CONFIRMING
        if name not in self.ways:
            return unused_view(name, answers=answers)
        tests = [t for t in self._tests[tenant] if t.channel == name]
        tried = [Try(t.at, _outcome(t), t.detail, t.latency_ms, t.id) for t in tests]
        queue = self.waiting.get(name, [])
        return used_view(
            name,
            health([*self.tries.get(name, ()), *tried], self.clock.now_ns()),
            answers=answers,
            endpoints=self.ends.get(name, ()),
            queued=len(queue),
            oldest=min(queue, default=None),
            tests=tests[::-1][:5],
        )

    async def test_targets(self, who: Principal, channel: str) -> Sequence[TestTarget] | None:
        """See the port."""
        if channel not in self.ways:
            return None
        own = self.contacts.get((who.user, channel))
        mine = [] if own is None else [TestTarget(key="me", label=own)]
        return [*mine, *(TestTarget(key=f"@{end}") for end in self.ends.get(channel, ()))]

    async def test_channel(self, who: Principal, channel: str, target: str) -> ChannelTest | None:
        """See the port."""
        targets = await self.test_targets(who, channel)
        if targets is None:
            return None
        chosen = next((t for t in targets if t.key == target), None)
        if chosen is None:
            raise DirectoryError(field="target", code="unknown", value=target)
        ident = self.ids.new("tst")
        address = chosen.label if target == "me" else target
        outcome: Literal["handed_over", "failed"] = "handed_over"
        detail = ""
        try:
            await self.ways[channel].send(message_of_test(ident, address, "en", self.clock.now_ns()))
        except DeliveryError as error:
            outcome, detail = "failed", error.message
        made = ChannelTest(
            id=ident,
            channel=channel,
            at=self.clock.now_ns(),
            by=who.user,
            by_name=who.name,
            target=target,
            outcome=outcome,
            detail=detail,
            latency_ms=0.0,
        )
        self._tests[who.tenant].append(made)
        return made

    async def check_channel(self, channel: str) -> CheckResult | None:
        """See the port."""
        if channel not in self.ways:
            return None
        detail = ""
        try:
            await self.ways[channel].check()
        except DeliveryError as error:
            detail = error.message
        now = self.clock.now_ns()
        return CheckResult(channel=channel, at=now, well=not detail, detail=detail, latency_ms=0.0)

    # --- calls from outside -------------------------------------------------------------------------
    async def called(self, token: str) -> Called | None:
        """See the port."""
        return self.calls.get(token)

    async def delivered(self, found: Called, state: Literal["confirmed", "failed"], detail: str = "") -> None:
        """See the port."""
        self.reported.append((found.id, state, detail))

    # --- push ---------------------------------------------------------------------------------------
    async def push_key(self) -> str | None:
        """See the port."""
        return self.push_public

    async def push_devices(self, who: Principal) -> Sequence[PushDevice]:
        """See the port."""
        mine = [device for user, device in self._browsers.values() if user == (who.tenant, who.user)]
        return sorted(mine, key=lambda d: (-d.created, d.id))

    async def subscribe_push(self, who: Principal, endpoint: str, keys: Mapping[str, str]) -> PushDevice:
        """See the port."""
        del keys
        if self.push_public is None:
            raise DirectoryError(field="push", code="unknown", value="push")
        service = host_of(endpoint)
        for key, (_, known) in list(self._browsers.items()):
            if known.endpoint == endpoint:
                del self._browsers[key]
        for old in (await self.push_devices(who))[MOST_BROWSERS - 1 :]:
            del self._browsers[old.id]
        made = PushDevice(
            id=self.ids.new("psh"), service=service, endpoint=endpoint, created=self.clock.now_ns()
        )
        self._browsers[made.id] = (who.tenant, who.user), made
        return made

    async def unsubscribe_push(self, who: Principal, key: str) -> PushDevice | None:
        """See the port."""
        user, device = self._browsers.get(key, (("", ""), None))
        if user != (who.tenant, who.user):
            return None
        del self._browsers[key]
        return device

    # --- burden -------------------------------------------------------------------------------------
    async def burden(self, scope: Scope, asked: Asked, shown: Callable[[str], bool]) -> Burden:
        """See the port."""

        def wanted(ward: str | None) -> bool:
            inside = scope.wards is None or ward in scope.wards
            return inside and asked.ward in {None, ward}

        here = [p.principal for (tenant, _), p in self._people.items() if tenant == scope.tenant]
        doctors = frozenset(who.user for who in here if Role.DOCTOR in who.roles)
        facts = [
            fact_of(a, self._ward_of(scope.tenant, a.patient or ""), doctors)
            for a in self._details(scope.tenant)
            if asked.start <= a.started < asked.end
            and not a.worklist
            and a.condition != "asked"
            and asked.rule in {None, a.rule}
            and scope.patient in {None, a.patient}
        ]
        stays: list[Encounter] = list(self._of(scope.tenant).items["encounter"].values())
        return burden(
            sorted((f for f in facts if wanted(f.ward)), key=lambda f: (f.started, f.alarm)),
            (Stay(s.patient, s.ward, s.start, s.end) for s in stays if wanted(s.ward)),
            asked,
            shown,
        )


def _outcome(test: ChannelTest) -> str:
    return "failed" if test.outcome == "failed" else "handed_over"
