"""The channel port: one suite over the fake, in-app, and SMS by the real twilio client."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_ingest.channels import Channel, FakeChannel, InAppChannel, Message, SmsChannel
from hearthward.core.errors import ConfigError, DeliveryError, DeliveryPermanent, DeliveryTemporary
from tests.component.cloud_ingest.sms_standin import SID, TOKEN, SmsStandIn

MESSAGE = Message("ntf_1", "+15005550006", "报警 高: SpO2 84 < 90 · #abcdef", "zh", "high")


@dataclass
class Bench:
    """A channel, what arrived through it, and a way to have it fail next."""

    channel: Channel
    texts: Callable[[], list[str]]
    fail: Callable[[str], None]


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmsStandIn]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with SmsStandIn() as server:
        yield server


@pytest.fixture(params=["fake", "in_app", "sms"])
async def bench(request: pytest.FixtureRequest, standin: SmsStandIn) -> AsyncIterator[Bench]:
    made = {"fake": _fake, "in_app": _in_app, "sms": lambda: _sms(standin)}[request.param]()
    yield made
    await made.channel.close()
    await made.channel.close()


def _fake() -> Bench:
    channel = FakeChannel()
    errors = {"later": DeliveryTemporary("later"), "never": DeliveryPermanent("never")}
    return Bench(channel, lambda: [m.text for m in channel.taken], lambda how: channel.fail(errors[how]))


def _in_app() -> Bench:
    texts: list[str] = []
    failures: list[str] = []

    def publish(message: Message) -> None:
        if failures:
            raise BufferError(failures.pop())
        texts.append(message.text)

    return Bench(InAppChannel(publish), lambda: list(texts), failures.append)


def _sms(standin: SmsStandIn, **options: object) -> Bench:
    channel = SmsChannel(
        account_sid=SID, auth_token=TOKEN, from_number="+15005550001", base_url=standin.url, **options
    )  # type: ignore[arg-type]
    codes = {"later": "503", "never": "400"}
    return Bench(
        channel,
        lambda: [m["Body"] for m in standin.taken],
        lambda how: standin.behaviour.append(codes[how]),
    )


async def test_a_message_arrives_unchanged(bench: Bench) -> None:
    handover = await bench.channel.send(MESSAGE)
    assert handover.reference
    assert bench.texts() == [MESSAGE.text]


async def test_messages_sent_at_once_all_arrive(bench: Bench) -> None:
    messages = [Message(f"ntf_{n}", "+15005550006", f"text {n}", "en", "low") for n in range(8)]
    handovers = await asyncio.gather(*map(bench.channel.send, messages))
    assert sorted(bench.texts()) == [m.text for m in messages]
    assert len({h.reference for h in handovers}) == len(messages)


async def test_later_may_help(bench: Bench) -> None:
    bench.fail("later")
    with pytest.raises(DeliveryTemporary) as caught:
        await bench.channel.send(MESSAGE)
    assert caught.value.retry
    assert bench.texts() == []
    await bench.channel.send(MESSAGE)
    assert bench.texts() == [MESSAGE.text]


async def test_never_is_told_apart(bench: Bench) -> None:
    if isinstance(bench.channel, InAppChannel):
        pytest.skip("in-app has no failure that is for good")
    bench.fail("never")
    with pytest.raises(DeliveryPermanent) as caught:
        await bench.channel.send(MESSAGE)
    assert not caught.value.retry


async def test_a_name_for_records_and_counters(bench: Bench) -> None:
    assert bench.channel.name.isidentifier()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("500", DeliveryTemporary),
        ("503", DeliveryTemporary),
        ("429", DeliveryTemporary),
        ("garbage", DeliveryTemporary),
        ("400", DeliveryPermanent),
    ],
)
async def test_sms_answers(answer: str, error: type[DeliveryError], standin: SmsStandIn) -> None:
    sms = _sms(standin).channel
    standin.behaviour.append(answer)
    with pytest.raises(error):
        await sms.send(MESSAGE)
    await sms.close()


async def test_sms_goes_from_our_number_to_theirs(standin: SmsStandIn) -> None:
    sms = _sms(standin).channel
    handover = await sms.send(MESSAGE)
    assert standin.taken == [{"To": MESSAGE.target, "From": "+15005550001", "Body": MESSAGE.text}]
    assert handover.reference == f"SM{1:032d}"
    await sms.close()


async def test_sms_wrong_credentials_name_the_setting(standin: SmsStandIn) -> None:
    sms = SmsChannel(account_sid=SID, auth_token="wrong", from_number="+1", base_url=standin.url)  # noqa: S106
    with pytest.raises(DeliveryPermanent, match=r"sms\.account_sid and sms\.auth_token"):
        await sms.send(MESSAGE)
    await sms.close()


async def test_sms_without_a_target_is_refused_by_the_service(standin: SmsStandIn) -> None:
    sms = _sms(standin).channel
    with pytest.raises(DeliveryPermanent, match="no number, error 21604"):
        await sms.send(Message("ntf_1", "", "text", "en", "high"))
    await sms.close()


async def test_sms_a_timeout_after_acceptance_may_be_repeated_with_the_same_text(standin: SmsStandIn) -> None:
    sms = _sms(standin, timeout_s=0.3).channel
    standin.behaviour.append("timeout")
    with pytest.raises(DeliveryTemporary, match="did not answer in time"):
        await sms.send(MESSAGE)
    standin.let_go.set()
    await sms.send(MESSAGE)
    assert [m["Body"] for m in standin.taken] == [MESSAGE.text] * 2
    await sms.close()


async def test_sms_nobody_listening_is_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sms = SmsChannel(account_sid=SID, auth_token=TOKEN, from_number="+1", base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(DeliveryTemporary, match="cannot be reached"):
        await sms.send(MESSAGE)
    await sms.close()


async def test_sms_logs_neither_number_nor_text(
    standin: SmsStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    sms = _sms(standin).channel
    with caplog.at_level(logging.INFO):
        await sms.send(MESSAGE)
    assert MESSAGE.target not in caplog.text
    assert "SpO2" not in caplog.text
    assert MESSAGE.target not in repr(MESSAGE)
    await sms.close()


@pytest.mark.parametrize("url", ["http://sms.example.org", "ftp://127.0.0.1", "sms.example.org"])
def test_sms_in_the_clear_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"sms\.base_url"):
        SmsChannel(account_sid=SID, auth_token=TOKEN, from_number="+1", base_url=url)


async def test_sms_imports_the_client_only_with_the_first_message() -> None:
    script = (
        "import sys, cloud_ingest.channels as c\n"
        "c.SmsChannel(account_sid='AC', auth_token='t', from_number='+1')\n"
        "print('twilio' in sys.modules)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    out, _ = await process.communicate()
    assert out.strip() == b"False"
