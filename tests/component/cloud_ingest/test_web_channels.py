"""Webhooks, web push and apprise URLs with their real clients to servers on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from py_vapid import Vapid  # type: ignore[import-untyped]

from cloud_ingest.channels import AppriseChannel, Message, PushChannel, WebhookChannel
from cloud_ingest.channels.subscriptions import MemorySubscriptions, Subscription
from cloud_ingest.channels.webhook import Receiver
from cloud_ingest.channels.webhook_signature import verify
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError, DeliveryError, DeliveryPermanent, DeliveryTemporary
from tests.component.cloud_ingest.benches import SHORT_S, WEBHOOK_SECRET, push_channel
from tests.component.cloud_ingest.http_standin import RETRY_AFTER, Browser, HttpStandIn

LINK = "https://alarms.example.org/alarms/alm_1"
MESSAGE = Message(
    "ntf_1", "@his", "报警 高: SpO2 84 < 90 · #abcdef", "zh", "high", "alm_1", "tell", "报警 高 #abcdef", LINK
)
CONTENT = {
    "id": "ntf_1",
    "alarm": "alm_1",
    "kind": "tell",
    "priority": "high",
    "language": "zh",
    "subject": MESSAGE.subject,
    "text": MESSAGE.text,
    "link": LINK,
}
FOR_USER = Message("ntf_1", "u1", MESSAGE.text, "zh", "high", "alm_1", "tell", MESSAGE.subject, LINK)


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def standin() -> Iterator[HttpStandIn]:
    with HttpStandIn() as server:
        yield server


async def refused(channel: Any, message: Message) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await channel.send(message)
    await channel.close()
    return caught.value


# --- webhooks ---


def webhook(standin: HttpStandIn) -> WebhookChannel:
    return WebhookChannel(
        {"his": Receiver(f"{standin.url}/in", WEBHOOK_SECRET)}, SystemClock(), timeout_s=SHORT_S
    )


async def test_a_receiver_can_check_the_signature_and_know_a_repetition(standin: HttpStandIn) -> None:
    hook = webhook(standin)
    standin.behaviour.append("drop")
    with pytest.raises(DeliveryTemporary):
        await hook.send(MESSAGE)
    await hook.send(MESSAGE)
    now_s = SystemClock().now_ns() / 1e9
    for posted in standin.taken:
        assert verify(WEBHOOK_SECRET, posted.headers, posted.body, now_s)
        assert not verify("another-secret-of-somebody", posted.headers, posted.body, now_s)
        assert not verify(WEBHOOK_SECRET, posted.headers, posted.body + b" ", now_s)
        assert not verify(WEBHOOK_SECRET, posted.headers, posted.body, now_s + 301)
        assert posted.json() == CONTENT
    assert [p.headers["Hearthward-Id"] for p in standin.taken] == ["ntf_1", "ntf_1"]
    await hook.close()


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("500", DeliveryTemporary),
        ("503", DeliveryTemporary),
        ("429", DeliveryTemporary),
        ("408", DeliveryTemporary),
        ("timeout", DeliveryTemporary),
        ("drop", DeliveryTemporary),
        ("400", DeliveryPermanent),
        ("401", DeliveryPermanent),
        ("410", DeliveryPermanent),
        ("307", DeliveryPermanent),
    ],
)
async def test_webhook_answers(how: str, kind: type[DeliveryError], standin: HttpStandIn) -> None:
    standin.behaviour.append(how)
    error = await refused(webhook(standin), MESSAGE)
    assert type(error) is kind
    if how in {"429", "503"}:
        assert error.details["after_s"] == float(RETRY_AFTER)
    if how == "401":
        assert "webhooks.his.secret" in error.message
    assert standin.asked == [("POST", "/in")]  # a redirect is not followed


@pytest.mark.parametrize("answer", ["201", "404", "405", "501"])
async def test_a_webhook_that_answers_at_all_is_there(answer: str, standin: HttpStandIn) -> None:
    hook = webhook(standin)
    standin.behaviour.append(answer)
    await hook.check()
    assert standin.asked == [("HEAD", "/in")]
    await hook.close()


async def test_a_webhook_that_is_out_of_order_is_found(standin: HttpStandIn) -> None:
    hook = webhook(standin)
    standin.behaviour.append("502")
    with pytest.raises(DeliveryTemporary):
        await hook.check()
    await hook.close()


# --- web push ---


def browsers(standin: HttpStandIn, n: int) -> tuple[MemorySubscriptions, list[Browser], PushChannel]:
    subscriptions = MemorySubscriptions()
    made = [Browser(f"{standin.url}/push/{i}") for i in range(n)]
    for i, browser in enumerate(made):
        subscriptions.add("u1", browser.subscription(f"sub-{i}"))
    return subscriptions, made, push_channel(subscriptions, timeout_s=SHORT_S)


async def test_only_the_browser_can_read_a_push(standin: HttpStandIn) -> None:
    _, (browser,), push = browsers(standin, 1)
    assert (await push.send(FOR_USER)).reference == "push:1/1"
    (posted,) = standin.taken
    assert b"SpO2" not in posted.body
    assert browser.read(posted) == CONTENT
    headers = {name.lower(): value for name, value in posted.headers.items()}
    assert (headers["urgency"], headers["ttl"], len(headers["topic"])) == ("high", "3600", 32)
    token = headers["authorization"].removeprefix("vapid t=").partition(",")[0]
    assert token.count(".") == 2
    assert f"k={push.public_key}" in headers["authorization"]
    assert Vapid.verify(headers["authorization"])
    await push.close()


async def test_pushes_of_one_alarm_replace_each_other_and_those_of_another_do_not(
    standin: HttpStandIn,
) -> None:
    _, _, push = browsers(standin, 1)
    for n, alarm in enumerate(("alm_1", "alm_1", "alm_2")):
        await push.send(Message(f"ntf_{n}", "u1", "text", "en", "low", alarm))
    topics = [next(v for k, v in p.headers.items() if k.lower() == "topic") for p in standin.taken]
    assert topics[0] == topics[1] != topics[2]
    await push.close()


@pytest.mark.parametrize("answer", ["404", "410"])
async def test_a_subscription_that_has_expired_is_ended(answer: str, standin: HttpStandIn) -> None:
    subscriptions, _, push = browsers(standin, 1)
    standin.behaviour.append(answer)
    with pytest.raises(DeliveryPermanent, match="no longer subscribed"):
        await push.send(FOR_USER)
    assert subscriptions.ended == ["sub-0"]
    with pytest.raises(DeliveryPermanent, match="no browser is subscribed"):
        await push.send(FOR_USER)
    await push.close()


async def test_one_browser_that_is_gone_does_not_keep_the_other_from_being_told(standin: HttpStandIn) -> None:
    subscriptions, _, push = browsers(standin, 2)
    standin.behaviour.append("410")
    assert (await push.send(FOR_USER)).reference == "push:1/2"
    assert len(subscriptions.ended) == 1
    await push.close()


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("500", DeliveryTemporary),
        ("429", DeliveryTemporary),
        ("timeout", DeliveryTemporary),
        ("drop", DeliveryTemporary),
        ("400", DeliveryPermanent),
        ("403", DeliveryPermanent),
        ("307", DeliveryPermanent),
    ],
)
async def test_push_answers(how: str, kind: type[DeliveryError], standin: HttpStandIn) -> None:
    subscriptions, _, push = browsers(standin, 1)
    standin.behaviour.append(how)
    error = await refused(push, FOR_USER)
    assert type(error) is kind
    assert error.details.get("after_s") == (float(RETRY_AFTER) if how == "429" else None)
    assert subscriptions.ended == []
    assert len(standin.asked) == 1


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://intranet.example.org/x",
        "http://fcm.googleapis.com/x",
        "https://evil-apple.com/x",
        "file:///x",
        "x",
    ],
)
async def test_a_subscription_cannot_make_us_call_any_machine(endpoint: str) -> None:
    subscriptions = MemorySubscriptions()
    subscriptions.add("u1", Browser(endpoint).subscription("sub-1"))
    push = push_channel(subscriptions, services=["fcm.googleapis.com", "apple.com"])
    error = await refused(push, FOR_USER)
    assert isinstance(error, DeliveryPermanent)
    assert subscriptions.ended == ["sub-1"]


@pytest.mark.parametrize("keys", [("", ""), ("AAAA", "AAAA"), ("!!", "??"), ("B" * 87, "A" * 22)])
async def test_keys_that_cannot_be_used_end_a_subscription(
    keys: tuple[str, str], standin: HttpStandIn
) -> None:
    subscriptions = MemorySubscriptions()
    subscriptions.add("u1", Subscription("sub-1", f"{standin.url}/x", *keys))
    assert isinstance(await refused(push_channel(subscriptions), FOR_USER), DeliveryPermanent)
    assert subscriptions.ended == ["sub-1"]
    assert standin.asked == []


async def test_a_push_that_is_too_long_is_cut_and_fits(standin: HttpStandIn) -> None:
    _, (browser,), push = browsers(standin, 1)
    await push.send(Message("ntf_1", "u1", "报" * 5000, "zh", "high", "alm_1", "tell", "警" * 500, LINK))
    assert len(standin.taken[0].body) <= 4096
    assert browser.read(standin.taken[0])["text"].startswith("报" * 100)
    await push.close()


async def test_a_contact_that_push_services_refuse_is_found() -> None:
    push = push_channel(MemorySubscriptions(), contact="nonsense")
    with pytest.raises(DeliveryPermanent, match=r"push\.contact"):
        await push.check()
    await push.close()


# --- apprise ---


def team(standin: HttpStandIn, **options: Any) -> AppriseChannel:
    url = f"json://u:hush-hush@127.0.0.1:{standin.port}/hidden?rto={SHORT_S}"
    return AppriseChannel({"team": url, **options})


TO_TEAM = Message("ntf_1", "@team", MESSAGE.text, "zh", "high", "alm_1", "tell", MESSAGE.subject, LINK)


async def test_apprise_gets_text_subject_and_link(standin: HttpStandIn) -> None:
    channel = team(standin)
    await channel.send(TO_TEAM)
    posted = standin.taken[0].json()
    assert posted["message"] == f"{MESSAGE.text}\n{LINK}"
    assert (posted["title"], posted["type"]) == (MESSAGE.subject, "failure")
    await channel.close()


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("500", DeliveryTemporary),
        ("429", DeliveryTemporary),
        ("timeout", DeliveryTemporary),
        ("400", DeliveryPermanent),
        ("401", DeliveryPermanent),
        ("404", DeliveryPermanent),
    ],
)
async def test_apprise_answers(how: str, kind: type[DeliveryError], standin: HttpStandIn) -> None:
    standin.behaviour.append(how)
    assert type(await refused(team(standin), TO_TEAM)) is kind


async def test_many_at_once_do_not_wait_for_each_other(standin: HttpStandIn) -> None:
    """A shared plugin of apprise waits up to some seconds between messages; the channel must not."""
    channel = team(standin)
    for n in range(5):
        await channel.send(Message(f"ntf_{n}", "@team", f"text {n}", "en", "low"))
    assert len(standin.taken) == 5
    await channel.close()


async def test_nobody_hears_of_what_apprise_logs(standin: HttpStandIn) -> None:
    """With a handler of our own: pytest's listens also to loggers that keep to themselves."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        channel = team(standin)
        standin.behaviour.append("400")
        with pytest.raises(DeliveryPermanent):
            await channel.send(TO_TEAM)
        await channel.close()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    said = "".join(f"{r.name} {r.getMessage()}" for r in records)
    assert "apprise" not in said
    assert "hidden" not in said
    assert "hush-hush" not in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuchthing://abc", "apprise.team is no URL that apprise knows"),
        ("slack://", "apprise.team is no URL that apprise knows"),
        ("json://example.org/in", "apprise.team would send texts in the clear: use jsons://"),
    ],
)
def test_urls_that_cannot_work_are_refused_at_start(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AppriseChannel({"team": url}).validate()


@pytest.mark.parametrize(
    "url",
    [
        "wecombot://0123456789abcdef",
        f"dingtalk://{'a' * 32}",
        "feishu://abcdefgh-1234-5678",
        f"slack://T1JJ3T3L2/A1BRTD4JD/{'T' * 24}/",
        f"pagerduty://{'A' * 20}@{'B' * 32}",
        "jsons://example.org/in",
    ],
)
def test_the_services_that_we_name_are_known(url: str) -> None:
    AppriseChannel({"team": url}).validate()


async def test_cloud_services_are_not_looked_up_by_their_tokens() -> None:
    """What stands for a host in such a URL is a secret: it must not go to a name server."""
    channel = AppriseChannel({"team": f"slack://T1JJ3T3L2/A1BRTD4JD/{'T' * 24}/"})
    await channel.check()
    await channel.close()
