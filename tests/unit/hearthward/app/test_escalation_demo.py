"""The demonstration of an escalation: whom it can reach, and what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hearthward.app.channels import names_of
from hearthward.app.cli import main
from hearthward.app.escalation_demo import NUMBERS, SHORT, demo_settings, short_policy
from hearthward.core.settings import endpoints_of, load_settings
from rules.response.policies import load_policies, policy_of, to_document
from rules.response.policy import CONFIRMING

FICTION = "+120255501"
"""Numbers that nobody has: 555-0100 to 555-0199."""


def test_whatever_is_set_nothing_leaves_the_machine(tmp_path: Path):
    everything = load_settings(
        data=tmp_path,
        sms={
            "account_sid": "AC" + "1" * 32,
            "auth_token": "x",
            "from_number": "+4930123456",
            "to_numbers": ["+4930123457"],
        },
        voice={"from_number": "+4930123456", "to_numbers": ["+4930123457"]},
        email={
            "host": "mail.example.org",
            "from_address": "a@example.org",
            "to_addresses": ["b@example.org"],
        },
        push={"contact": "mailto:a@example.org"},
        webhooks={"one": {"url": "https://example.org/hook", "secret": "0123456789abcdef"}},
        apprise={"two": "json://example.org"},
        heartbeat={"url": "https://example.org/beat"},
        broker={"url": "mqtt://example.org"},
    )
    assert set(names_of(everything)) == {"in_app", "sms", "voice", "email", "push", "webhook", "apprise"}
    own = demo_settings(everything, "http://127.0.0.1:9", 8081)
    assert names_of(own) == ("in_app", "sms", "voice")
    assert endpoints_of(own) == {}
    assert own.sms.base_url == "http://127.0.0.1:9"
    assert own.web.public_url == "http://127.0.0.1:8081"
    assert (own.heartbeat.url, own.broker.url) == (None, "embedded")
    assert all(number.startswith(FICTION) for number in NUMBERS.values())
    assert len(set(NUMBERS.values())) == len(NUMBERS)


def test_its_policy_is_one_that_would_be_accepted_from_anybody():
    policy = short_policy(load_policies()["default"])
    assert policy_of(to_document(policy)) == policy
    assert policy.timetables["physiological.high"] is SHORT
    assert CONFIRMING & {*SHORT.steps[-1].channels}


@pytest.mark.parametrize(
    "more", [["--play", "x.csv"], ["--seconds", "5"], ["--speed", "10"]], ids=lambda more: more[0]
)
def test_it_goes_by_its_own_script(more: list[str]):
    result = CliRunner().invoke(main, ["demo", "--escalation", *more])
    assert result.exit_code == 2
    assert "leave --play, --speed and --seconds away" in result.stderr
