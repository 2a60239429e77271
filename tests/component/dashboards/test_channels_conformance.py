"""Channels, browsers and the burden of alarms: one suite over the port's fake and the real records.

And the whole way of an answer by key over the real parts: an alarm, the call, Twilio's signed request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from twilio.request_validator import RequestValidator

from cloud_ingest.answers import Answers
from cloud_ingest.burden import Asked
from cloud_ingest.channels.base import Message
from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.channels.push import PushChannel
from cloud_ingest.channels.subscriptions import MemorySubscriptions
from cloud_ingest.channels.twilio_callbacks import status_url, verify, voice_url
from cloud_ingest.channels.vapid import VapidKey
from cloud_ingest.notifier import Notifier
from cloud_ingest.reach import Reach
from cloud_ingest.records.staff import MOST_BROWSERS
from cloud_ingest.service import CloudService
from cloud_ingest.watch import FAILED_HOPS
from dashboards.alarm_query import AlarmQuery
from dashboards.api.twilio import TwilioBack
from dashboards.app import build_app
from dashboards.backend import DirectoryError
from dashboards.cloud_backend import CloudBackend
from dashboards.response_models import Act
from hearthward.core.clock import SystemClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary
from hearthward.core.ids import SeededIds
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role, Scope
from hearthward.trust.passwords import Passwords
from rules import RuleSet
from rules.conditions import Threshold
from rules.response.policy import Policy, Step, Target, Timetable
from tests.component.dashboards.sides import (
    RULES,
    SCOPE,
    T0,
    FakeSide,
    RealSide,
    S,
    furnish,
)
from tests.unit.cloud_ingest.made import made_rule

SECRET = "twilio's secret for this account"  # noqa: S105 - made up here
PUBLIC = "https://ward.example.org"
ENDS = {"sms": ("number-1",)}
SERVICES = ("fcm.googleapis.com",)
KEYS = {"p256dh": "B" * 87, "auth": "a" * 22}
CALL = Step(0.0, (Target("on_duty", "nurse"),), ("voice",))
POLICY = Policy("default", 1, {"en": "x", "zh": "x"}, {"physiological.high": Timetable((CALL,))})
DAY = 86_400 * S
OPEN = AlarmQuery(open_only=True)


class FakeChannelSide(FakeSide):
    """The fake, with the channels of the real side."""

    def __init__(self) -> None:
        super().__init__()
        self.ways = self.backend.ways
        self.ways["voice"] = FakeChannel("voice", confirms=True)
        self.backend.push_public = "B" * 87

    async def measure(self, device: str, metric: str, value: float, at: int, **more: Any) -> None:
        """What had ended before stays as it was."""
        ended = [a for a in self.backend._details("main") if a.ended is not None]
        await super().measure(device, metric, value, at, **more)
        for alarm in ended:
            self.backend.put_alarm("main", alarm)

    async def user(self, login: str, role: Role, phone: str | None) -> Principal:
        """Somebody with a telephone."""
        await self.person(login, role)
        if phone is not None:
            for channel in ("sms", "voice"):
                self.backend.contacts[f"usr_{login}", channel] = phone
        return self.backend._people["main", login].principal


class RealChannelSide(RealSide):
    """The real parts with channels that are fakes, as far as the world outside is concerned."""

    def __init__(self, folder: Path, rules: RuleSet = RULES) -> None:
        super().__init__(folder)
        self.ways = {
            "in_app": FakeChannel("in_app", confirms=True),
            "sms": FakeChannel("sms"),
            "voice": FakeChannel("voice", confirms=True),
        }
        key = VapidKey.of_file(folder / "vapid.pem", make=True)
        push = PushChannel(MemorySubscriptions(), key, contact="mailto:it@example.org", services=SERVICES)
        self.answers = Answers(b"s" * 32)
        channels = {**self.ways, "push": push}
        notifier = Notifier(
            self.records,
            list(channels.values()),
            SystemClock(),
            SeededIds(2),
            Telemetry(),
            answer=self.answers.token_of,
        )
        self.service = CloudService(
            records=self.records,
            store=self.store,
            source=self.source,
            rules=rules,
            clock=self.clock,
            telemetry=Telemetry(),
            settings=CloudSettings(event_clock=True),
            notifier=notifier,
            reach=Reach(channels, ENDS, {"default": POLICY}),
        )
        self.backend = CloudBackend(self.service, passwords=Passwords.cheap(), answers=self.answers)

    async def user(self, login: str, role: Role, phone: str | None) -> Principal:
        """Somebody with a telephone."""
        await self.person(login, role)
        opened = await self.backend.login(login, "right horse battery")
        assert opened is not None
        if phone is not None:
            await self.backend.set_contacts(SCOPE, opened.principal.user, phone=phone, email=None)
        return opened.principal


ChannelSide = FakeChannelSide | RealChannelSide


@asynccontextmanager
async def real(folder: Path, rules: RuleSet = RULES) -> AsyncIterator[RealChannelSide]:
    made = RealChannelSide(folder, rules)
    running = asyncio.create_task(made.service.run(), name="cloud")
    await made.service.started.wait()
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.store.close()
        await made.records.close()


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ChannelSide]:
    if request.param == "fake":
        yield FakeChannelSide()
        return
    async with real(tmp_path) as made:
        yield made


async def channel(side: ChannelSide, name: str) -> Any:
    return next(c for c in await side.backend.channels(SCOPE) if c.name == name)


# --- channels ----------------------------------------------------------------------------------------


async def test_what_is_in_use_and_what_could_be(side: ChannelSide):
    found = {c.name: c for c in await side.backend.channels(SCOPE)}
    assert {n for n, c in found.items() if c.state == "not_configured"} >= {"email", "webhook", "apprise"}
    assert found["email"].needs == ["email.host", "email.from_address"]
    sms = found["sms"]
    assert (sms.state, sms.queued, sms.endpoints, sms.answers) == ("never_used", 0, ["@number-1"], False)
    assert found["voice"].answers


async def test_a_test_to_oneself_and_to_an_endpoint_is_kept(side: ChannelSide):
    who = await side.user("eva", Role.ENGINEER, "+4930123456")
    targets = await side.backend.test_targets(who, "sms")
    assert [(t.key, t.label) for t in targets or ()] == [("me", "+4930123456"), ("@number-1", "")]
    for target in ("me", "@number-1"):
        done = await side.backend.test_channel(who, "sms", target)
        assert done is not None
        assert (done.outcome, done.target, done.by, done.by_name) == ("handed_over", target, who.user, "Eva")
    sent = side.ways["sms"].taken
    assert [m.target for m in sent] == ["+4930123456", "@number-1"]
    assert all("TEST, no alarm" in m.text for m in sent)
    sms = await channel(side, "sms")
    assert (sms.state, len(sms.tests)) == ("well", 2)
    assert sms.last_handover is not None


async def test_who_has_no_address_can_test_only_the_endpoints(side: ChannelSide):
    who = await side.user("max", Role.ADMIN, None)
    assert [t.key for t in await side.backend.test_targets(who, "sms") or ()] == ["@number-1"]
    assert await side.backend.test_targets(who, "voice") == []
    assert await side.backend.test_targets(who, "in_app") == []
    assert await side.backend.test_targets(who, "email") is None
    assert await side.backend.test_channel(who, "email", "me") is None
    assert await side.backend.check_channel("email") is None
    with pytest.raises(DirectoryError) as caught:
        await side.backend.test_channel(who, "sms", "me")
    assert (caught.value.field, caught.value.code) == ("target", "unknown")


async def test_a_channel_that_fails_says_so_until_it_takes_something(side: ChannelSide):
    who = await side.user("eva", Role.ENGINEER, None)
    side.ways["sms"].fail(DeliveryTemporary("later (503)"))
    done = await side.backend.test_channel(who, "sms", "@number-1")
    assert done is not None
    assert (done.outcome, done.detail) == ("failed", "later (503)")
    sms = await channel(side, "sms")
    assert (sms.state, sms.failure, sms.failed) == ("failing", "later (503)", 1)
    assert sms.since == sms.last_failure
    side.clock.advance(1)
    await side.backend.test_channel(who, "sms", "@number-1")
    assert (await channel(side, "sms")).state == "well"


async def test_a_test_that_is_taken_makes_up_for_messages_that_were_not(tmp_path: Path):
    async with real(tmp_path) as made:
        who, board = await made.user("eva", Role.ENGINEER, None), made.service.watch.channels
        for _ in range(FAILED_HOPS):
            board.hop("sms", False)
        made.ways["sms"].fail(DeliveryTemporary("later (503)"))
        await made.backend.test_channel(who, "sms", "@number-1")
        assert board.failing()["sms"]
        await made.backend.test_channel(who, "sms", "@number-1")
        assert not board.failing()["sms"]


async def test_a_check_says_whether_it_could_be_used(side: ChannelSide):
    well = await side.backend.check_channel("sms")
    side.ways["sms"].broken = DeliveryPermanent("wrong credentials (401)")
    bad = await side.backend.check_channel("sms")
    assert well is not None
    assert bad is not None
    assert (well.well, bad.well, bad.detail) == (True, False, "wrong credentials (401)")


# --- browsers -----------------------------------------------------------------------------------------


async def test_browsers_belong_to_who_subscribed_them_last(side: ChannelSide):
    li, max_ = await side.user("li", Role.NURSE, None), await side.user("max", Role.NURSE, None)
    address = f"https://{SERVICES[0]}/send/abc"
    assert await side.backend.push_key() is not None
    first = await side.backend.subscribe_push(li, address, KEYS)
    again = await side.backend.subscribe_push(li, address, KEYS)
    assert (first.service, again.endpoint) == (SERVICES[0], address)
    (kept,) = await side.backend.push_devices(li)
    assert await side.backend.unsubscribe_push(max_, kept.id) is None
    taken = await side.backend.subscribe_push(max_, address, KEYS)
    assert await side.backend.push_devices(li) == []
    assert [d.id for d in await side.backend.push_devices(max_)] == [taken.id]
    gone = await side.backend.unsubscribe_push(max_, taken.id)
    assert gone is not None
    assert await side.backend.push_devices(max_) == []


async def test_so_many_browsers_and_the_oldest_goes(side: ChannelSide):
    li = await side.user("li", Role.NURSE, None)
    for number in range(MOST_BROWSERS + 1):
        side.clock.advance(1)
        await side.backend.subscribe_push(li, f"https://{SERVICES[0]}/send/{number}", KEYS)
    kept = await side.backend.push_devices(li)
    ends = [d.endpoint.rpartition("/")[2] for d in kept]
    assert sorted(map(int, ends)) == list(range(1, MOST_BROWSERS + 1))


@pytest.mark.parametrize("address", ["https://10.0.0.1/x", "https://fcm.googleapis.com.example.org/x", "x"])
async def test_no_browser_makes_the_server_call_just_any_machine(side: ChannelSide, address: str):
    li = await side.user("li", Role.NURSE, None)
    with pytest.raises(DirectoryError) as caught:
        await side.backend.subscribe_push(li, address, KEYS)
    assert caught.value.field == "endpoint"
    assert await side.backend.push_devices(li) == []


# --- burden ---------------------------------------------------------------------------------------------


async def test_the_burden_counts_where_the_patient_lay(side: ChannelSide):
    ids = await furnish(side)
    for n, value in enumerate((84, 97, 83, 97)):
        await side.measure("oxi", "spo2", value, T0 + (n + 1) * S)
    whole = Asked(T0 - 3600 * S, T0 + 3600 * S)
    found = await side.backend.burden(SCOPE, whole, lambda _: True)
    assert (found.total.alarms, found.total.bed_days, found.total.again) == (2, 2 / 24, 1)
    assert found.total.priorities == {"high": 2}
    assert [(r.key, r.figures.alarms) for r in found.rows] == [(ids["ward"], 2)]
    assert [(s.rule, s.subject, s.alarms) for s in found.sources] == [("spo2-low", ids["patient"], 2)]
    hidden = await side.backend.burden(SCOPE, whole, lambda _: False)
    assert [s.subject for s in hidden.sources] == [""]
    there = Scope("main", frozenset({ids["other"]}))
    assert (await side.backend.burden(there, whole, lambda _: True)).total.alarms == 0
    other = Asked(whole.start, whole.end, ward=ids["other"])
    assert (await side.backend.burden(SCOPE, other, lambda _: True)).total.alarms == 0
    assert (await side.backend.burden(Scope.system("other"), whole, lambda _: True)).total.alarms == 0


async def test_what_somebody_did_about_it_is_in_the_figures(side: ChannelSide):
    await furnish(side)
    who = await side.user("li", Role.NURSE, None)
    await side.measure("oxi", "spo2", 84, T0 + S)
    (alarm,) = await side.backend.alarms(SCOPE, OPEN)
    side.clock.advance(30)
    assert await side.backend.answer(SCOPE, alarm.id, Act("accept", who.user)) is not None
    found = await side.backend.burden(SCOPE, Asked(T0, T0 + DAY, "rule"), lambda _: True)
    assert (found.total.acted, found.total.accepted, found.total.ended) == (1, 1, 0)
    assert found.total.response_median_s == pytest.approx(30, abs=1.5)


# --- an answer by key, over the real parts --------------------------------------------------------------


class Twilio:
    """Twilio's side: it was given a message by the channel, and calls back with its signature."""

    def __init__(self, side: RealChannelSide) -> None:
        self.side = side
        back = TwilioBack(PUBLIC, partial(verify, SECRET), side.answers)
        app = build_app(side.backend, telemetry=Telemetry(), twilio=back)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inside.test")

    async def taken(self, name: str, n: int) -> Message:
        """The n-th message that a channel was given."""
        async with asyncio.timeout(20):
            while len(self.side.ways[name].taken) < n:  # noqa: ASYNC110 - the fake has no event for it
                await asyncio.sleep(0.02)
        return self.side.ways[name].taken[n - 1]

    async def post(self, what: str, token: str, **form: str) -> httpx.Response:
        url = (voice_url if what == "voice" else status_url)(PUBLIC, token)
        return await self.client.post(
            url.removeprefix(PUBLIC),
            content=urlencode(form),
            headers={"x-twilio-signature": RequestValidator(SECRET).compute_signature(url, form)},
        )


async def called(made: RealChannelSide) -> tuple[Twilio, Message, Principal]:
    """A nurse with a telephone is called because of an alarm."""
    await furnish(made)
    nurse = await made.user("li", Role.NURSE, "+8613800000001")
    await made.measure("oxi", "spo2", 84, T0 + S)
    twilio = Twilio(made)
    return twilio, await twilio.taken("voice", 1), nurse


async def test_key_1_in_a_call_accepts_the_alarm(tmp_path: Path):
    async with real(tmp_path) as made:
        twilio, message, nurse = await called(made)
        assert message.target == "+8613800000001"
        assert message.answer is not None
        said = await twilio.post("voice", message.answer, Digits="1")
        assert "You have accepted" in said.text
        (alarm,) = await made.backend.alarms(SCOPE, OPEN)
        assert (alarm.accepted_by, alarm.accepted_name) == (nurse.user, "Li")
        again = await twilio.post("voice", message.answer, Digits="2")
        assert "You have accepted" in again.text, "the first key has decided"
        await made.backend.answer(SCOPE, alarm.id, Act("release", nurse.user))
        await twilio.post("voice", message.answer, Digits="1")
        (alarm,) = await made.backend.alarms(SCOPE, OPEN)
        assert alarm.accepted_by is None, "an old call takes nothing again"
        lines = [e for e in await made.backend.audit_entries(SCOPE) if e.action == "accept_alarm"]
        assert [(e.actor, e.detail["via"]) for e in lines] == [(nurse.user, "@voice")]
        await twilio.client.aclose()


async def test_key_1_in_a_call_of_before_a_rise_does_not_accept_the_graver_stage(tmp_path: Path):
    deep = made_rule(
        id="spo2-deep", raises="spo2-low", condition=Threshold("spo2", "below", 80.0), parameters={}
    )
    async with real(tmp_path, RuleSet((*RULES.rules, deep))) as made:
        twilio, message, nurse = await called(made)
        assert message.answer is not None
        known = await made.backend.called(message.answer)
        assert known is not None
        assert (known.rule, known.risen) == ("spo2-low", False)
        await made.measure("oxi", "spo2", 75, T0 + 2 * S)
        second = await twilio.taken("voice", 2)
        assert second.answer is not None
        said = await twilio.post("voice", message.answer, Digits="1")
        assert "graver since this call" in said.text
        (alarm,) = await made.backend.alarms(SCOPE, OPEN)
        assert (alarm.rule, alarm.accepted_by) == ("spo2-deep", None)
        said = await twilio.post("voice", second.answer, Digits="1")
        assert "You have accepted" in said.text
        (alarm,) = await made.backend.alarms(SCOPE, OPEN)
        assert alarm.accepted_by == nurse.user
        await twilio.client.aclose()


async def test_key_2_rejects_once(tmp_path: Path):
    async with real(tmp_path) as made:
        twilio, message, _ = await called(made)
        assert message.answer is not None
        for _ in range(2):
            said = await twilio.post("voice", message.answer, Digits="2")
            assert "next person" in said.text
        (alarm,) = await made.backend.alarms(SCOPE, OPEN)
        found = await made.backend.alarm(SCOPE, alarm.id)
        assert found is not None
        assert [t.kind for t in found.transitions].count("reject") == 1
        await twilio.client.aclose()


async def test_a_disabled_account_answers_nothing(tmp_path: Path):
    async with real(tmp_path) as made:
        twilio, message, nurse = await called(made)
        assert message.answer is not None
        await made.records.run(lambda s: made.records.users(s).disable(SCOPE, nurse.user))
        said = await twilio.post("voice", message.answer, Digits="1")
        assert "could not be recorded" in said.text
        (alarm,) = await made.backend.alarms(SCOPE, OPEN)
        assert alarm.accepted_by is None
        await twilio.client.aclose()


async def test_a_report_that_nobody_was_reached_is_on_record_and_no_failure_of_the_channel(tmp_path: Path):
    async with real(tmp_path) as made:
        twilio, message, _ = await called(made)
        assert message.answer is not None
        async with asyncio.timeout(20):
            while (await channel(made, "voice")).state != "well":  # noqa: ASYNC110 - a record has no event
                await asyncio.sleep(0.02)
        answer = await twilio.post("status", message.answer, CallStatus="no-answer")
        assert answer.status_code == 204
        voice = await channel(made, "voice")
        assert (voice.state, voice.handed_over, voice.reported, voice.failed) == ("well", 1, 1, 0)
        assert (await twilio.post("voice", "ntf_x.y", Digits="1")).status_code == 404
        await twilio.client.aclose()


async def test_the_key_of_a_test_call_confirms_the_test(tmp_path: Path):
    async with real(tmp_path) as made:
        eva = await made.user("eva", Role.ENGINEER, "+4930123456")
        twilio = Twilio(made)
        await made.backend.test_channel(eva, "voice", "me")
        message = await twilio.taken("voice", 1)
        assert message.answer is not None
        assert "test has arrived" in (await twilio.post("voice", message.answer, Digits="1")).text
        assert (await channel(made, "voice")).tests[0].outcome == "confirmed"
        await twilio.client.aclose()
