from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.channels import Channel, Message, PushChannel
from cloud_ingest.channels.subscriptions import MemorySubscriptions
from hearthward.app.channels import build_channels, names_of, twilio_verifier
from hearthward.app.standin_twilio import SID, TOKEN, TwilioStandIn
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings, load_settings

ONE = "+15005550001"
SECRET = "a-secret-of-the-test"  # noqa: S105
ALL: dict[str, Any] = {
    "sms": {"account_sid": SID, "auth_token": TOKEN, "from_number": ONE, "to_numbers": [ONE]},
    "voice": {"from_number": ONE, "to_numbers": [ONE]},
    "email": {
        "host": "mail.example.org",
        "from_address": "a@example.org",
        "username": "u",
        "password": "p",
        "to_addresses": ["desk@example.org"],
    },
    "push": {"contact": "mailto:it@example.org"},
    "webhooks": {"his": {"url": "https://example.org/in", "secret": SECRET}},
    "apprise": {"team": "jsons://example.org/in"},
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("HEARTHWARD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def build(settings: Settings, publish: Any = None) -> list[Channel]:
    return build_channels(
        settings,
        publish=publish or (lambda _message: None),
        subscriptions=MemorySubscriptions(),
        clock=SystemClock(),
    )


async def close(channels: list[Channel]) -> None:
    for channel in channels:
        await channel.close()


async def test_without_settings_there_is_the_app_alone():
    taken: list[Message] = []
    channels = build(load_settings(), taken.append)
    message = Message("ntf_1", "wall", "text", "en", "high")
    await channels[0].send(message)
    assert [c.name for c in channels] == ["in_app"]
    assert taken == [message]


async def test_all_that_is_set_is_built_and_a_key_for_push_is_made(tmp_path: Path):
    settings = load_settings(data=tmp_path / "data", web={"public_url": "https://x.example.org"}, **ALL)
    channels = build(settings)
    assert [c.name for c in channels] == ["in_app", "sms", "voice", "email", "push", "webhook", "apprise"]
    assert names_of(settings) == tuple(c.name for c in channels)
    assert [c.name for c in channels if c.confirms] == ["in_app", "voice"]
    assert (tmp_path / "data" / "cloud" / "vapid.pem").exists()
    again = build(settings)
    keys = {c.public_key for c in (*channels, *again) if isinstance(c, PushChannel)}
    assert len(keys) == 1
    await close(channels + again)


async def test_each_alone_is_built_alone(tmp_path: Path):
    for name, table in ALL.items():
        tables = {name: table, "sms": {**ALL["sms"], "from_number": None, "to_numbers": []}}
        settings = load_settings(data=tmp_path, **(tables if name == "voice" else {name: table}))
        channels = build(settings)
        assert [c.name for c in channels] == ["in_app", {"webhooks": "webhook"}.get(name, name)]
        assert names_of(settings) == tuple(c.name for c in channels)
        await close(channels)


async def test_a_call_that_nobody_can_answer_is_told_at_start(caplog: pytest.LogCaptureFixture):
    channels = build(load_settings(sms=ALL["sms"], voice=ALL["voice"]))
    assert "web.public_url is not set: nobody can answer a voice call by key" in caplog.text
    assert [c.confirms for c in channels if c.name == "voice"] == [False]
    assert all(r.levelno == logging.WARNING for r in caplog.records)
    await close(channels)


async def test_endpoints_reach_their_numbers():
    with TwilioStandIn() as standin:
        settings = load_settings(sms={**ALL["sms"], "base_url": standin.url})
        channels = build(settings)
        await channels[1].send(Message("ntf_1", "@number-1", "text", "en", "high"))
        assert standin.messages[0].to == ONE
        await close(channels)


def test_what_cannot_work_is_told_with_its_key(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"apprise\.team is no URL"):
        build(load_settings(apprise={"team": "nosuchthing://x"}))
    (tmp_path / "vapid.pem").write_text("nonsense")
    (tmp_path / "vapid.pem").chmod(0o600)
    push = {"contact": "mailto:it@example.org", "key_file": tmp_path / "vapid.pem"}
    with pytest.raises(ConfigError, match=r"push\.key_file"):
        build(load_settings(push=push))


def test_twilio_is_believed_by_the_accounts_token():
    assert twilio_verifier(load_settings(sms=ALL["sms"])) is None
    assert twilio_verifier(load_settings(web={"public_url": "https://x.example.org"})) is None
    told = twilio_verifier(load_settings(sms=ALL["sms"], web={"public_url": "https://x.example.org"}))
    assert told is not None
    url, form = "https://x.example.org/a", {"Digits": "1"}
    standin = TwilioStandIn()
    assert told(url, form, standin.signature(url, form))
    assert not told(url, {"Digits": "2"}, standin.signature(url, form))
    standin._server.server_close()
