"""Each channel with its real client against its stand-in, ready for the conformance suite."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from cloud_ingest.channels import (
    AppriseChannel,
    Channel,
    EmailChannel,
    FakeChannel,
    InAppChannel,
    Message,
    PushChannel,
    SmsChannel,
    VoiceChannel,
    WebhookChannel,
)
from cloud_ingest.channels.email import MailServer
from cloud_ingest.channels.subscriptions import MemorySubscriptions
from cloud_ingest.channels.vapid import VapidKey
from cloud_ingest.channels.webhook import Receiver
from hearthward.app.standin_twilio import SID, TOKEN, TwilioStandIn
from hearthward.core.clock import SystemClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary
from tests.component.cloud_ingest.http_standin import Browser, HttpStandIn
from tests.component.cloud_ingest.smtp_standin import LOGIN, smtp_running

BENCHES = ("fake", "in_app", "sms", "voice", "email", "push", "webhook", "apprise")
OVER_THE_NET = ("sms", "voice", "email", "push", "webhook", "apprise")
NUMBER = "+15005550006"
OURS = "+15005550001"
ADDRESS = "nurse.li@example.org"
WEBHOOK_SECRET = "a-secret-of-the-webhook-test"  # noqa: S105 - of the tests
TEXT = "报警 高: SpO2 84 < 90 · #abcdef"
SHORT_S = 0.5
"""Channels of the suite wait so long for an answer."""


@dataclass
class Bench:
    """A channel, what arrived through it, ways to have it fail next, and what nobody may read in a log."""

    channel: Channel
    target: str
    texts: Callable[[], list[str]]
    fail: Callable[[str], None] = field(repr=False)
    secrets: tuple[str, ...] = ()

    def message(self, n: int = 1, text: str = TEXT, **options: Any) -> Message:
        given = {"alarm": "alm_1", "kind": "tell", "subject": "ALARM high", **options}
        return Message(f"ntf_{n}", self.target, text, "zh", "high", **given)


@asynccontextmanager
async def bench_of(name: str, folder: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        made = await _MAKERS[name](stack, folder)
        stack.push_async_callback(made.channel.close)
        yield made


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def dead(name: str) -> Channel:
    """The channel with nobody where its service should be."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    if name == "sms":
        return SmsChannel(account_sid=SID, auth_token=TOKEN, from_number=OURS, base_url=url)
    if name == "voice":
        return VoiceChannel(account_sid=SID, auth_token=TOKEN, from_number=OURS, base_url=url)
    if name == "email":
        return EmailChannel(MailServer("127.0.0.1", port), "ward@example.org", SystemClock())
    if name == "push":
        subscriptions = MemorySubscriptions()
        subscriptions.add("u1", Browser(f"{url}/x").subscription("sub-1"))
        return push_channel(subscriptions)
    if name == "webhook":
        return WebhookChannel({"his": Receiver(f"{url}/in", WEBHOOK_SECRET)}, SystemClock())
    return AppriseChannel({"team": f"json://127.0.0.1:{port}/in"})


def push_channel(subscriptions: MemorySubscriptions, **options: Any) -> PushChannel:
    key = VapidKey(ec.generate_private_key(ec.SECP256R1()))
    given = {"contact": "mailto:it@example.org", "services": ["127.0.0.1"], **options}
    return PushChannel(subscriptions, key, **given)


TARGETS = {
    "sms": NUMBER,
    "voice": NUMBER,
    "email": ADDRESS,
    "push": "u1",
    "webhook": "@his",
    "apprise": "@team",
}


async def _fake(_stack: AsyncExitStack, _folder: Path) -> Bench:
    channel = FakeChannel()
    errors = {"later": DeliveryTemporary("later"), "never": DeliveryPermanent("never")}

    def fail(how: str) -> None:
        if how == "lost":
            channel.fail(DeliveryTemporary("lost"), after_taking=True)
        else:
            channel.fail(errors[how])

    return Bench(channel, "t", lambda: [m.text for m in channel.taken], fail)


async def _in_app(_stack: AsyncExitStack, _folder: Path) -> Bench:
    texts: list[str] = []
    failures: list[str] = []

    def publish(message: Message) -> None:
        if failures:
            raise BufferError(failures.pop())
        texts.append(message.text)

    return Bench(InAppChannel(publish), "wall", lambda: list(texts), failures.append)


async def _sms(stack: AsyncExitStack, _folder: Path) -> Bench:
    standin = stack.enter_context(TwilioStandIn())
    channel = SmsChannel(
        account_sid=SID, auth_token=TOKEN, from_number=OURS, base_url=standin.url, timeout_s=SHORT_S
    )
    how = {"later": "503", "never": "400", "lost": "timeout"}
    return Bench(
        channel,
        NUMBER,
        lambda: [m.text for m in standin.messages],
        lambda what: standin.behave(how[what]),
        (NUMBER, TOKEN),
    )


async def _voice(stack: AsyncExitStack, _folder: Path) -> Bench:
    standin = stack.enter_context(TwilioStandIn())
    channel = VoiceChannel(
        account_sid=SID, auth_token=TOKEN, from_number=OURS, base_url=standin.url, timeout_s=SHORT_S
    )
    how = {"later": "503", "never": "400", "lost": "timeout"}
    return Bench(
        channel,
        NUMBER,
        lambda: [_said_twice(call.heard[0]) for call in standin.calls],
        lambda what: standin.behave(how[what]),
        (NUMBER, TOKEN),
    )


def _said_twice(heard: str) -> str:
    """The text that is read out twice, and then the words that no key can be pressed."""
    twice = heard.partition(" 本次通话无法接收应答")[0]
    once = twice[: len(twice) // 2].strip()
    assert twice == f"{once} {once}"
    return once


async def _email(stack: AsyncExitStack, folder: Path) -> Bench:
    standin = await stack.enter_async_context(smtp_running(folder))
    server = MailServer("127.0.0.1", standin.port, "starttls", LOGIN, ca_file=standin.ca_file)
    channel = EmailChannel(server, "ward@example.org", SystemClock(), timeout_s=SHORT_S)
    how = {"later": "450", "never": "550", "lost": "timeout"}
    return Bench(
        channel,
        ADDRESS,
        lambda: [message.get_content().strip() for _, message in standin.taken],
        lambda what: standin.behaviour.append(how[what]),
        (ADDRESS, LOGIN[1]),
    )


async def _push(stack: AsyncExitStack, _folder: Path) -> Bench:
    standin = stack.enter_context(HttpStandIn())
    browser = Browser(f"{standin.url}/hidden-endpoint")
    subscriptions = MemorySubscriptions()
    subscriptions.add("u1", browser.subscription("sub-1"))
    channel = push_channel(subscriptions, timeout_s=SHORT_S)
    how = {"later": "503", "never": "413", "lost": "timeout"}
    return Bench(
        channel,
        "u1",
        lambda: [browser.read(posted)["text"] for posted in standin.taken],
        lambda what: standin.behaviour.append(how[what]),
        ("hidden-endpoint",),
    )


async def _webhook(stack: AsyncExitStack, _folder: Path) -> Bench:
    standin = stack.enter_context(HttpStandIn())
    receivers = {"his": Receiver(f"{standin.url}/hidden-path", WEBHOOK_SECRET)}
    channel = WebhookChannel(receivers, SystemClock(), timeout_s=SHORT_S)
    how = {"later": "503", "never": "400", "lost": "timeout"}
    return Bench(
        channel,
        "@his",
        lambda: [posted.json()["text"] for posted in standin.taken],
        lambda what: standin.behaviour.append(how[what]),
        ("hidden-path", WEBHOOK_SECRET),
    )


async def _apprise(stack: AsyncExitStack, _folder: Path) -> Bench:
    standin = stack.enter_context(HttpStandIn())
    channel = AppriseChannel({"team": f"json://u:hush-hush@127.0.0.1:{standin.port}/hidden?rto={SHORT_S}"})
    how = {"later": "503", "never": "400", "lost": "timeout"}
    return Bench(
        channel,
        "@team",
        lambda: [posted.json()["message"] for posted in standin.taken],
        lambda what: standin.behaviour.append(how[what]),
        ("hush-hush", "hidden"),
    )


_MAKERS = {
    "fake": _fake,
    "in_app": _in_app,
    "sms": _sms,
    "voice": _voice,
    "email": _email,
    "push": _push,
    "webhook": _webhook,
    "apprise": _apprise,
}
