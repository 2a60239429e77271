"""The channel port: one suite over the fake and all channels, each with its real client."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_ingest.channels import Message
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary
from tests.component.cloud_ingest.benches import BENCHES, OVER_THE_NET, TARGETS, TEXT, Bench, bench_of, dead


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(params=BENCHES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_of(request.param, tmp_path) as made:
        yield made


async def test_a_message_arrives_unchanged(bench: Bench) -> None:
    handover = await bench.channel.send(bench.message())
    assert handover.reference
    assert bench.texts() == [TEXT]


async def test_messages_sent_at_once_all_arrive(bench: Bench) -> None:
    messages = [bench.message(n, f"text {n}") for n in range(8)]
    handovers = await asyncio.gather(*map(bench.channel.send, messages))
    assert sorted(bench.texts()) == [m.text for m in messages]
    assert all(h.reference for h in handovers)


async def test_later_may_help(bench: Bench) -> None:
    bench.fail("later")
    with pytest.raises(DeliveryTemporary) as caught:
        await bench.channel.send(bench.message())
    assert caught.value.retry
    assert bench.texts() == []
    await bench.channel.send(bench.message())
    assert bench.texts() == [TEXT]


async def test_never_is_told_apart(bench: Bench) -> None:
    if bench.channel.name == "in_app":
        pytest.skip("in-app has no failure that is for good")
    bench.fail("never")
    with pytest.raises(DeliveryPermanent) as caught:
        await bench.channel.send(bench.message())
    assert not caught.value.retry
    assert bench.texts() == []


async def test_an_answer_lost_after_acceptance_may_be_repeated_with_the_same_text(bench: Bench) -> None:
    if bench.channel.name == "in_app":
        pytest.skip("in-app is this process: no answer can be lost")
    bench.fail("lost")
    with pytest.raises(DeliveryTemporary):
        await bench.channel.send(bench.message())
    await bench.channel.send(bench.message())
    assert bench.texts() == [TEXT] * 2


async def test_a_check_finds_it_well_and_tells_nobody(bench: Bench) -> None:
    await bench.channel.check()
    assert bench.texts() == []


async def test_a_name_for_records_and_counters_and_whether_somebody_can_answer(bench: Bench) -> None:
    assert bench.channel.name.isidentifier()
    assert bench.channel.confirms is (bench.channel.name == "in_app")


async def test_it_may_be_closed_twice_and_unused(bench: Bench) -> None:
    await bench.channel.close()
    await bench.channel.close()


async def test_no_log_and_no_error_says_number_address_text_or_secret(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    said = []
    with caplog.at_level(logging.DEBUG):
        await bench.channel.send(bench.message())
        await bench.channel.check()
        for how in ("later", "never"):
            bench.fail(how)
            with pytest.raises((DeliveryTemporary, DeliveryPermanent)) as caught:
                await bench.channel.send(bench.message())
            said.append(f"{caught.value} {caught.value!r} {caught.value.details}")
    logged = "".join(r.getMessage() for r in caplog.records if not r.name.startswith("mail."))  # the server's
    for hidden in (TEXT, "SpO2", *bench.secrets):
        assert hidden not in logged
        assert hidden not in "".join(said)
        assert hidden not in repr(bench.message())
        assert hidden not in repr(bench.channel)


@pytest.mark.parametrize("name", OVER_THE_NET)
async def test_nobody_listening_is_temporary(name: str) -> None:
    channel = dead(name)
    message = Message("ntf_1", TARGETS[name], "text", "en", "high")
    with pytest.raises(DeliveryTemporary, match="cannot be reached"):
        await channel.send(message)
    await channel.close()


@pytest.mark.parametrize("name", [n for n in OVER_THE_NET if n != "push"])
async def test_a_check_finds_it_dead(name: str) -> None:
    channel = dead(name)
    with pytest.raises(DeliveryTemporary, match="cannot be reached"):
        await channel.check()
    await channel.close()


@pytest.mark.parametrize("name", ["sms", "voice", "email", "webhook", "apprise"])
async def test_an_endpoint_that_is_no_longer_set_is_for_good(name: str) -> None:
    channel = dead(name)
    with pytest.raises(DeliveryPermanent, match=r"in the settings.* any more"):
        await channel.send(Message("ntf_1", "@gone", "text", "en", "high"))
    await channel.close()


async def test_clients_are_imported_only_with_the_first_message() -> None:
    script = (
        "import sys, cloud_ingest.channels as c\n"
        "c.SmsChannel(account_sid='AC', auth_token='t', from_number='+1')\n"
        "c.AppriseChannel({'team': 'slack://a/b/c'})\n"
        "clients = {'twilio', 'apprise', 'aiohttp', 'pywebpush', 'aiosmtplib'}\n"
        "print(sorted(clients & set(sys.modules)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    out, _ = await process.communicate()
    assert out.strip() == b"[]"
