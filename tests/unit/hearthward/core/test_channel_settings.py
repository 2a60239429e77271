from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings, endpoints_of, load_settings

SID = "AC" + "0" * 32
ONE, TWO = "+15005550001", "+15005550002"
SMS: dict[str, Any] = {"account_sid": SID, "auth_token": "t", "from_number": ONE}
EMAIL: dict[str, Any] = {"host": "mail.example.org", "from_address": "ward@example.org"}
SECRET = "a secret of more than sixteen"  # noqa: S105 - of the tests


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("HEARTHWARD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(**tables: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(**tables)
    return str(caught.value)


def enabled(settings: Settings) -> set[str]:
    return {name for name in ("sms", "voice", "email", "push") if getattr(settings, name).enabled}


def test_all_channels_are_off_until_set():
    settings = load_settings()
    assert enabled(settings) == set()
    assert (settings.webhooks, settings.apprise, settings.heartbeat.url) == ({}, {}, None)
    assert endpoints_of(settings) == {}
    assert settings.messages.detail == "values"


def test_each_is_on_when_set():
    assert enabled(load_settings(sms=SMS)) == {"sms"}
    assert enabled(load_settings(sms={**SMS, "from_number": None}, voice={"from_number": ONE})) == {"voice"}
    assert enabled(load_settings(email=EMAIL)) == {"email"}
    assert enabled(load_settings(push={"contact": "mailto:it@example.org"})) == {"push"}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"sms": {"account_sid": SID}}, "sms: not complete: set auth_token as well, or nothing of it"),
        ({"sms": {"auth_token": "t"}}, "sms: not complete: set account_sid"),
        ({"sms": {**SMS, "auth_token": ""}}, "sms: not complete: set auth_token"),
        ({"sms": {"from_number": ONE}}, "sms: not complete: set account_sid and auth_token"),
        ({"sms": {**SMS, "from_number": None, "to_numbers": [TWO]}}, "sms: not complete: set from_number"),
        ({"sms": {**SMS, "account_sid": "AC1"}}, "sms.account_sid: must be AC and 32 hexadecimal digits"),
        (
            {"sms": {**SMS, "from_number": "0049"}},
            "sms.from_number: must be a number such as +4930123456, a short code",
        ),
        (
            {"sms": {**SMS, "to_numbers": [ONE, "030 1234"]}},
            "sms.to_numbers.1: must be a number with its country, such as +4930123456",
        ),
        ({"sms": {**SMS, "base_url": "http://sms.example.org"}}, "sms.base_url: would send secrets"),
        ({"sms": {**SMS, "base_url": "sms.example.org"}}, "sms.base_url: must be an address"),
        ({"voice": {"from_number": ONE}}, "voice.from_number needs sms.account_sid and sms.auth_token"),
        ({"voice": {"to_numbers": [ONE]}}, "voice: not complete: set from_number"),
        ({"voice": {"from_number": "WARD"}}, "voice.from_number: must be a number with its country"),
        ({"email": {"host": "mail.example.org"}}, "email: not complete: set from_address"),
        ({"email": {"to_addresses": ["a@b.org"]}}, "email: not complete: set host and from_address"),
        ({"email": {**EMAIL, "username": "u"}}, "email: not complete: set password"),
        (
            {"email": {**EMAIL, "from_address": "Ward <a@b>"}},
            "email.from_address: must be an address such as",
        ),
        ({"email": {**EMAIL, "to_addresses": ["a@b\nBcc: c@d"]}}, "email.to_addresses.0: must be an address"),
        ({"email": {**EMAIL, "security": "plain"}}, "only for a server on this machine"),
        ({"email": {**EMAIL, "security": "ssl"}}, "email.security: Input should be 'starttls', 'tls'"),
        ({"push": {"contact": "it@example.org"}}, "push.contact: must be mailto:it@example.org"),
        (
            {"webhooks": {"his": {"url": "http://x", "secret": SECRET}}},
            "webhooks.his.url: would send secrets",
        ),
        ({"webhooks": {"his": {"url": "https://x", "secret": "s"}}}, "webhooks.his.secret: "),
        ({"webhooks": {"his": {"url": "https://x"}}}, "webhooks.his.secret: Field required"),
        ({"webhooks": {"his": {"urll": "x"}}}, "webhooks.his.urll: unknown key (did you mean 'url'?)"),
        (
            {"webhooks": {"HIS 1": {"url": "https://x", "secret": SECRET}}},
            "webhooks.HIS 1: must be a name of up to 32",
        ),
        ({"apprise": {"team": "not a url"}}, "apprise.team: must be an apprise URL"),
        (
            {"messages": {"detail": "all"}},
            "messages.detail: Input should be 'reference', 'place' or 'values'",
        ),
        ({"heartbeat": {"url": "http://x.org"}}, "heartbeat.url: would send secrets"),
        ({"heartbeat": {"every_s": 0}}, "heartbeat.every_s: "),
        ({"web": {"public_url": "http://x.org"}}, "web.public_url: would send secrets"),
        ({"web": {"public_url": "x.org"}}, "web.public_url: must be an address such as https://host/path"),
    ],
)
def test_what_cannot_work_is_refused_with_key_and_reason(tables: dict[str, Any], said: str):
    assert said in refused(**tables)


def test_mail_ports_follow_the_kind_of_connection():
    assert load_settings(email=EMAIL).email.real_port == 587
    assert load_settings(email={**EMAIL, "security": "tls"}).email.real_port == 465
    assert load_settings(email={**EMAIL, "host": "localhost", "security": "plain"}).email.real_port == 25
    assert load_settings(email={**EMAIL, "port": 2525}).email.real_port == 2525


@pytest.mark.parametrize("sender", ["+4930123456", "12345", "HOSPITAL", "Ward 3"])
def test_who_an_sms_may_come_from(sender: str):
    assert load_settings(sms={**SMS, "from_number": sender}).sms.enabled


def test_this_machine_may_be_spoken_to_in_the_clear():
    settings = load_settings(
        sms={**SMS, "base_url": "http://127.0.0.1:1"},
        web={"public_url": "http://127.0.0.1:8080/"},
        webhooks={"his": {"url": "http://[::1]:1/x", "secret": SECRET}},
        heartbeat={"url": "http://localhost/ping"},
    )
    assert settings.web.public_url == "http://127.0.0.1:8080"


def test_endpoints_have_names_by_channel():
    settings = load_settings(
        sms={**SMS, "to_numbers": [ONE, TWO]},
        voice={"from_number": ONE, "to_numbers": [TWO]},
        email={**EMAIL, "to_addresses": ["a@example.org"]},
        webhooks={"his": {"url": "https://x", "secret": SECRET}},
        apprise={"team": "slack://a/b/c", "duty": "dingtalk://abc"},
    )
    assert endpoints_of(settings) == {
        "sms": ("number-1", "number-2"),
        "voice": ("number-1",),
        "email": ("address-1",),
        "webhook": ("his",),
        "apprise": ("team", "duty"),
    }


def test_named_endpoints_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEARTHWARD_WEBHOOKS__HIS__URL", "https://x")
    monkeypatch.setenv("HEARTHWARD_WEBHOOKS__HIS__SECRET", SECRET)
    monkeypatch.setenv("HEARTHWARD_APPRISE", '{"team": "slack://a/b/c"}')
    settings = load_settings()
    assert settings.webhooks["his"].url == "https://x"
    assert endpoints_of(settings) == {"webhook": ("his",), "apprise": ("team",)}


def test_a_wrong_entry_of_a_list_is_blamed_on_its_variable(monkeypatch: pytest.MonkeyPatch):
    Path("hearthward.toml").write_text("", "utf-8")
    monkeypatch.setenv("HEARTHWARD_SMS__TO_NUMBERS", "030-555-0100")
    said = refused(sms=SMS)
    assert said.startswith("HEARTHWARD_SMS__TO_NUMBERS: must be a number with its country")
    assert "555" not in said
