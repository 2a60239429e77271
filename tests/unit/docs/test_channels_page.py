"""``docs/channels.md`` says what the code does: settings load, the receiver's check runs, texts are right."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from cloud_ingest.channel_health import CHANNELS, NEEDS
from cloud_ingest.channels.base import Message
from cloud_ingest.channels.push import TTL_S
from cloud_ingest.channels.speech import KEYS, WAIT_S
from cloud_ingest.channels.twilio_callbacks import STATUS_PATH, VOICE_PATH
from cloud_ingest.channels.webhook import body_of
from cloud_ingest.channels.webhook_signature import ID, SIGNATURE, TIMESTAMP, TOLERANCE_S, sign
from cloud_ingest.notifier import (
    ATTEMPTS,
    LEASE_S,
    SEND_TIMEOUT_S,
    URGENT_ATTEMPTS,
    USEFUL_S,
    attempts_for,
    backoff_s,
)
from cloud_ingest.telling.wording import _KIND, _WHY, Place, Wording, body, heading
from hearthward.core import channel_settings
from hearthward.core.clock import SECOND
from hearthward.core.settings import Settings, endpoints_of, load_settings
from rules.model import Transition
from rules.response.policy import CONFIRMING
from tests.unit.docs.pages import ROOT, all_paths, blocks, prose, table

PAGE = (ROOT / "docs" / "channels.md").read_text("utf-8")
AT = 1_795_356_162 * SECOND
ALARM = "alm_d65f0ba10edbc9f5fe7d"


def transition(kind: str = "start", **detail: object) -> Transition:
    return Transition(
        alarm=ALARM,
        patient="p",
        rule="spo2-low",
        rule_hash="h",
        kind=kind,  # type: ignore[arg-type]
        condition="active",
        priority="high",
        at=AT,
        onset=AT,
        seq=1,
        values={},
        limit="< 90",
        text={"en": "SpO2 84 < 90", "zh": "血氧 84 < 90"},
        detail=dict(detail),
    )


@pytest.fixture
def all_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """All examples in one file."""
    monkeypatch.chdir(tmp_path)
    text = "\n".join(blocks(PAGE, "toml"))
    path = tmp_path / "hearthward.toml"
    path.write_text(text.replace('auth_token = "..."', 'auth_token = "secret"'), "utf-8")
    return load_settings(path)


def test_the_settings_of_the_page_are_taken_and_switch_everything_on(all_settings: Settings):
    assert all_settings.sms.enabled
    assert all_settings.voice.enabled
    assert all_settings.email.enabled
    assert all_settings.push.enabled
    names = {name for found in endpoints_of(all_settings).values() for name in found}
    assert names == {"number-1", "address-1", "pager", "ward-chat", "duty"}
    for name in names:
        assert f"@{name}" in PAGE


def test_what_is_left_out_by_a_comment_is_taken_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hearthward.toml"
    for block in blocks(PAGE, "toml"):
        if "# " in block and "[voice]" not in block:
            path.write_text(re.sub(r"^# ", "", block, flags=re.MULTILINE), "utf-8")
            load_settings(path)


@pytest.mark.parametrize(
    ("part", "known"),
    [
        ("sms", {"base_url"}),  # for a stand-in
        ("voice", set()),
        ("email", set()),
        ("push", set()),
        ("messages", set()),
    ],
)
def test_every_key_of_a_channel_is_explained(part: str, known: set[str]):
    model = getattr(channel_settings, f"{part.capitalize()}Settings".replace("Messages", "Message"))
    section = next(b for b in blocks(PAGE, "toml") if f"[{part}]" in b)
    for key in set(model.model_fields) - known:
        assert re.search(rf"^(# )?{key} = ", section, re.MULTILINE) or f"`{part}.{key}`" in PAGE, key


def test_every_channel_is_there_with_the_setting_that_switches_it_on():
    rows = {row[0].strip("`"): row for row in table(PAGE, "channel")}
    assert set(rows) == set(CHANNELS)
    for name, row in rows.items():
        needs = {key.removesuffix(".url").removesuffix(".secret") for key in NEEDS[name]}
        assert row[3] == "always on" if not needs else row[3].strip("`") in needs
    assert {name for name in rows if "accept" in rows[name][2]} == CONFIRMING


def test_the_receivers_check_knows_our_signature_and_no_other():
    (code,) = blocks(PAGE, "python")
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - what readers are told to run
    check = names["is_from_hearthward"]
    assert callable(check)
    message = Message("ntf_1", "@pager", "SpO2 84 < 90", "en", "high", alarm=ALARM, kind="tell")
    content, now = body_of(message), int(time.time())
    headers = {ID: message.id, TIMESTAMP: str(now), SIGNATURE: sign("a secret of the two", now, content)}
    assert check("a secret of the two", headers, content)
    assert not check("another secret of two", headers, content)
    assert not check("a secret of the two", headers, content + b" ")
    old = now - TOLERANCE_S - 60
    late = {**headers, TIMESTAMP: str(old), SIGNATURE: sign("a secret of the two", old, content)}
    assert not check("a secret of the two", late, content)


def test_the_webhooks_body_is_the_one_that_is_shown():
    (text,) = blocks(PAGE, "json")
    shown = json.loads(text)
    told = transition("tell", step=2, of=4)
    place = Place({"en": "Ward 1", "zh": ""}, {"en": "Ward 1 bed 3", "zh": ""})
    message = Message(
        shown["id"],
        "@pager",
        body(told, place, "webhook", "en", Wording()),
        "en",
        "high",
        alarm=ALARM,
        kind="tell",
        subject=f"{heading(told, 'en')} #{ALARM[-6:]}",
        link=f"https://alarms.example.org/alarms/{ALARM}",
    )
    assert json.loads(body_of(message)) == shown


def test_messages_say_what_is_shown_for_each_level():
    place = Place({"en": "Ward 1", "zh": ""}, {"en": "Ward 1 bed 3", "zh": ""})
    rows = table(PAGE, "`detail`")
    assert [row[0].split("`")[1] for row in rows] == ["reference", "place", "values"]
    for level, shown in rows:
        wording = Wording(level.split("`")[1])  # type: ignore[arg-type]
        assert body(transition(), place, "sms", "en", wording) == shown.strip("`")


def test_every_reason_to_be_told_is_there():
    words = {t["en"] for t in (*_WHY.values(), *_KIND.values()) if t["en"] != "CHANGED"}
    assert {word for word in words if f"`{word}`" not in PAGE} == set()


def test_what_is_tried_again_is_as_long_as_it_says():
    waits = [backoff_s(n, 0.0) for n in range(1, ATTEMPTS)]
    *first, last = (f"{wait:g}" for wait in waits)
    assert f"after {', '.join(first)} and {last} s" in prose(PAGE)
    minutes = {
        priority: round(sum(waits[: attempts_for(priority, "start") - 1]) / 60)
        for priority in ("high", "medium", "low")
    }
    assert minutes == {"high": 2, "medium": 6, "low": 11}
    assert {**URGENT_ATTEMPTS, "low": attempts_for("low", "start")} == {"high": 6, "medium": 7, "low": 8}
    assert attempts_for("high", "end") == 8
    assert [s / 60 for s in USEFUL_S.values()] == [3, 10, 30]
    assert f"takes {SEND_TIMEOUT_S:g} s at most" in prose(PAGE)
    assert f"leased for {LEASE_S:g} s" in prose(PAGE)


def test_calls_and_push_are_as_it_says():
    assert dict(KEYS) == {"1": "accept", "2": "reject", "9": "repeat"}
    assert f"within {WAIT_S} s" in prose(PAGE)
    assert TTL_S == 3600  # "for an hour at most"


def test_twilios_paths_are_there():
    shown = {path.strip("`") for path, _ in table(PAGE, "path")}
    assert shown == {VOICE_PATH, STATUS_PATH}
    assert {*shown, "/channels", "/account", "/notifications", "/api/v1/channels"} <= all_paths()
