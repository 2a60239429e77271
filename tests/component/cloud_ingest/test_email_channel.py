"""E-mail through the real client to a real mail server on loopback."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.channels import EmailChannel, Message
from cloud_ingest.channels.email import MailServer
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError, DeliveryError, DeliveryPermanent, DeliveryTemporary
from tests.component.cloud_ingest.benches import ADDRESS, SHORT_S
from tests.component.cloud_ingest.smtp_standin import LOGIN, SmtpStandIn, smtp_running

AT = datetime(2026, 3, 1, 5, 31, tzinfo=UTC)
LINK = "https://alarms.example.org/alarms/alm_1"
MESSAGE = Message(
    "ntf_1",
    ADDRESS,
    "报警 高: SpO2 84 < 90 · #abcdef",
    "zh",
    "high",
    "alm_1",
    "tell",
    "报警 高 #abcdef",
    LINK,
)


def channel(standin: SmtpStandIn, security: Any = "starttls", **options: Any) -> EmailChannel:
    login = options.pop("login", LOGIN)
    ca_file = options.pop("ca_file", standin.ca_file)
    server = MailServer("127.0.0.1", standin.port, security, login, ca_file=ca_file)
    clock = EventClock(int(AT.timestamp()) * 10**9)
    return EmailChannel(server, "ward@example.org", clock, timeout_s=SHORT_S, **options)


async def refused(mail: EmailChannel, message: Message = MESSAGE) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await mail.send(message)
    return caught.value


@pytest.mark.parametrize("security", ["starttls", "tls", "plain"])
async def test_it_is_sent_as_set(security: str, tmp_path: Path) -> None:
    async with smtp_running(tmp_path, security=security, login=security == "starttls") as standin:
        mail = channel(standin, security, login=LOGIN if security == "starttls" else None)
        await mail.check()
        await mail.send(MESSAGE)
        assert standin.tls_used == [security != "plain"]
        assert len(standin.taken) == 1


async def test_what_is_in_a_message(tmp_path: Path) -> None:
    async with smtp_running(tmp_path) as standin:
        handover = await channel(standin).send(MESSAGE)
        to, message = standin.taken[0]
        assert to == ADDRESS
        assert message.get_content().replace("\r\n", "\n") == f"{MESSAGE.text}\n{LINK}\n"
        assert dict(message.items()) == {
            "From": "ward@example.org",
            "To": ADDRESS,
            "Subject": MESSAGE.subject,
            "Date": "Sun, 01 Mar 2026 05:31:00 +0000",
            "Message-ID": "<ntf_1@example.org>",
            "References": "<alm_1@example.org>",
            "Auto-Submitted": "auto-generated",
            "Content-Language": "zh-Hans",
            "X-Priority": "1",
            "Importance": "high",
            "MIME-Version": "1.0",
            "Content-Type": 'text/plain; charset="utf-8"',
            "Content-Transfer-Encoding": message["Content-Transfer-Encoding"],
        }
        assert handover.reference == "<ntf_1@example.org>"


async def test_a_message_that_is_sent_again_has_the_same_identity(tmp_path: Path) -> None:
    async with smtp_running(tmp_path) as standin:
        mail = channel(standin)
        standin.behaviour.append("timeout")
        error = await refused(mail)
        assert isinstance(error, DeliveryTemporary)
        assert "may have been taken" in error.message
        await mail.send(MESSAGE)
        assert [m["Message-ID"] for _, m in standin.taken] == ["<ntf_1@example.org>"] * 2


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("450", DeliveryTemporary, "cannot take the message now (SMTP 450)"),
        ("550", DeliveryPermanent, "refuses the address (SMTP 550)"),
        ("554", DeliveryPermanent, "refuses the message (SMTP 554)"),
        ("drop", DeliveryTemporary, "cannot be reached"),
    ],
)
async def test_what_answers_mean(how: str, kind: type[DeliveryError], said: str, tmp_path: Path) -> None:
    async with smtp_running(tmp_path) as standin:
        standin.behaviour.append(how)
        error = await refused(channel(standin))
        assert type(error) is kind
        assert said in error.message
        assert ADDRESS not in error.message


async def test_wrong_credentials_name_the_settings_on_sending_and_on_checking(tmp_path: Path) -> None:
    async with smtp_running(tmp_path) as standin:
        mail = channel(standin, login=("ward", "wrong"))
        assert "check email.username and email.password" in (await refused(mail)).message
        with pytest.raises(DeliveryPermanent, match=r"email\.username and email\.password"):
            await mail.check()
        assert standin.taken == []


async def test_a_server_that_nobody_vouches_for_is_not_talked_to(tmp_path: Path) -> None:
    for security in ("starttls", "tls"):
        async with smtp_running(tmp_path, security=security, login=False) as standin:
            error = await refused(channel(standin, security, ca_file=None, login=None))
            assert isinstance(error, DeliveryTemporary)
            assert "certificate" in error.message
            assert standin.taken == []


async def test_a_server_without_starttls_gets_nothing(tmp_path: Path) -> None:
    async with smtp_running(tmp_path, security="plain", login=False) as standin:
        error = await refused(channel(standin, "starttls", login=None))
        assert isinstance(error, DeliveryPermanent)
        assert "does not offer what is set" in error.message
        assert standin.taken == []


async def test_a_subject_is_one_line_and_cannot_add_headers(tmp_path: Path) -> None:
    async with smtp_running(tmp_path) as standin:
        subject = "ALARM\r\nBcc: somebody@example.org\x00 high"
        await channel(standin).send(Message("ntf_1", ADDRESS, "text", "en", "low", subject=subject))
        _, message = standin.taken[0]
        assert message["Subject"] == "ALARM Bcc: somebody@example.org high"
        assert message["Bcc"] is None
        assert message["X-Priority"] is None


@pytest.mark.parametrize("target", ["", "nonsense", "a@b\r\nRCPT TO:<c@d>", "Li <a@b.org>, c@d.org"])
async def test_what_is_no_address_is_for_good(target: str, tmp_path: Path) -> None:
    async with smtp_running(tmp_path) as standin:
        error = await refused(channel(standin), Message("ntf_1", target, "text", "en", "high"))
        assert isinstance(error, DeliveryPermanent)
        assert standin.taken == []


async def test_endpoints_are_addresses_of_the_settings(tmp_path: Path) -> None:
    async with smtp_running(tmp_path) as standin:
        mail = channel(standin, endpoints={"address-1": "desk@example.org"})
        await mail.send(Message("ntf_1", "@address-1", "text", "en", "high"))
        assert standin.taken[0][0] == "desk@example.org"


def test_beyond_this_machine_it_is_never_plain() -> None:
    with pytest.raises(ConfigError, match=r"email\.security"):
        EmailChannel(MailServer("mail.example.org", 25, "plain"), "ward@example.org", EventClock())
