"""What Twilio calls back: signed or refused; a key decides once; everything else only says how it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from twilio.request_validator import RequestValidator

from cloud_ingest.channels.twilio_callbacks import status_url, verify, voice_url
from dashboards.api.twilio import AUDIT_EVERY_NS, MAX_BODY, TwilioBack
from dashboards.channel_models import Called
from dashboards.response_models import Act
from hearthward.core.errors import RuleError
from hearthward.trust.access import Principal, Role, Scope
from tests.unit.dashboards.webworld import World, world

TOKEN = "ntf_1.token"  # noqa: S105 - of an address
SECRET = "twilio's secret for this account"  # noqa: S105 - made up here
PUBLIC = "https://ward.example.org/hw"
SCOPE = Scope.system("main")


def signed(url: str, form: dict[str, str], secret: str = SECRET) -> str:
    return str(RequestValidator(secret).compute_signature(url, form))


class Line:
    """Twilio's side of the line: it was given addresses under PUBLIC, a proxy leads to the server."""

    def __init__(self, made: World, client: httpx.AsyncClient) -> None:
        self.made = made
        self.client = client

    async def post(self, what: str, form: dict[str, str], *, token: str = TOKEN) -> httpx.Response:
        url = (voice_url if what == "voice" else status_url)(PUBLIC, token)
        return await self.client.post(
            f"/api/v1/channels/twilio/{what}/{token}",
            content=urlencode(form),
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "x-twilio-signature": signed(url, form),
            },
        )

    async def press(self, key: str, *, token: str = TOKEN) -> str:
        """What is said after a key."""
        answer = await self.post("voice", {"CallSid": "CA1", "Digits": key}, token=token)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/xml")
        return " ".join("".join(fromstring(answer.text).itertext()).split())  # noqa: S314 - our own


@asynccontextmanager
async def line(**call: Any) -> AsyncIterator[Line]:
    """A nurse was called because of ward A's alarm."""
    async with world() as made:
        nurse = replace(made.principal(Role.NURSE), user="usr_li", name="Li Na")
        doctor = replace(made.principal(Role.DOCTOR), user="usr_weber", name="Dr Weber")
        made.backend.add_person("li.na", "right horse battery", nurse)
        made.backend.add_person("weber", "right horse battery", doctor)
        made.app.state.twilio = TwilioBack(PUBLIC, partial(verify, SECRET))
        fields: dict[str, Any] = {
            "id": "ntf_1",
            "channel": "voice",
            "alarm": made.ids["main", "alarmA"],
            "who": nurse,
            "text": "ALARM high: SpO2 84 < 90 · Ward A, bed A-01",
            "language": "en",
        }
        made.backend.calls[TOKEN] = Called(**{**fields, **call})
        async with made.client() as client:
            yield Line(made, client)


async def alarm_of(made: World) -> Any:
    found = await made.backend.alarm(SCOPE, made.ids["main", "alarmA"])
    assert found is not None
    return found


async def test_key_1_accepts_as_the_person_called():
    async with line() as phone:
        said = await phone.press("1")
        found = await alarm_of(phone.made)
        assert "You have accepted the alarm" in said
        assert (found.accepted_by, found.accepted_name) == ("usr_li", "Li Na")
        assert phone.made.backend.reported == [("ntf_1", "confirmed", "")]
        line_ = phone.made.backend._of("main").audit[-1]
        assert (line_.actor, line_.action, line_.outcome) == ("usr_li", "accept_alarm", "done")
        assert line_.detail == {"do": "accept", "via": "@voice"}


async def test_key_1_on_what_was_said_before_a_rise_accepts_nothing():
    async with line(risen=True) as phone:
        assert "graver since this call. It is not accepted" in await phone.press("1")
        assert (await alarm_of(phone.made)).accepted_by is None
        assert phone.made.backend.reported == []
        assert "next person will be told" in await phone.press("2")


async def test_key_1_on_what_rises_while_the_answer_waits_for_its_turn_accepts_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    async with line(rule="spo2-low") as phone:

        async def risen(_: object, alarm: str, act: Act) -> None:
            assert act.seen == "spo2-low"
            msg = "it is graver now"
            raise RuleError(msg, code="risen", alarm=alarm)

        monkeypatch.setattr(phone.made.backend, "answer", risen)
        assert "graver since this call. It is not accepted" in await phone.press("1")
        assert phone.made.backend.reported == []


async def test_key_2_rejects_and_another_key_asks_again():
    async with line() as phone:
        assert "no meaning" in await phone.press("5")
        assert "accept the alarm" in await phone.press("9")
        assert "84" in await phone.press("")
        assert (await alarm_of(phone.made)).accepted_by is None
        assert "next person will be told" in await phone.press("2")
        found = await alarm_of(phone.made)
        assert (found.rejected, found.accepted_by) == (["Li Na"], None)
        assert found.transitions[-1].note == "by key in a call"


@pytest.mark.parametrize("key", ["1", "2"])
async def test_the_same_call_again_changes_nothing(key: str):
    async with line() as phone:
        first = await phone.press(key)
        before = len((await alarm_of(phone.made)).transitions)
        phone.made.backend.calls[TOKEN] = replace(phone.made.backend.calls[TOKEN], answered=True)
        assert await phone.press(key) == first
        assert await phone.press("2" if key == "1" else "1") == first, "the first key has decided"
        found = await alarm_of(phone.made)
        assert len(found.transitions) == before
        assert len(phone.made.backend.reported) == 1


async def test_who_gave_an_alarm_back_does_not_take_it_again_by_an_old_call():
    async with line() as phone:
        await phone.press("1")
        key = phone.made.ids["main", "alarmA"]
        await phone.made.backend.answer(SCOPE, key, Act("release", "usr_li"))
        phone.made.backend.calls[TOKEN] = replace(phone.made.backend.calls[TOKEN], answered=True)
        assert "The alarm is present, and nobody has accepted it" in await phone.press("1")
        assert (await alarm_of(phone.made)).accepted_by is None


@pytest.mark.parametrize("key", ["1", "2"])
@pytest.mark.parametrize(
    ("language", "said"), [("en", "graver since this call. It is not accepted"), ("zh", "报警已加重")]
)
async def test_who_has_answered_before_a_rise_is_told_of_it_at_the_next_key(
    key: str, language: str, said: str
):
    """It said that the alarm was over, when it was graver and nobody had accepted it."""
    async with line(language=language) as phone:
        await phone.press("1")
        alarm = await alarm_of(phone.made)
        raised = {"accepted_by": None, "accepted_name": None, "accepted_at": None}
        phone.made.backend.put_alarm("main", alarm.model_copy(update=raised))
        calls = phone.made.backend.calls
        calls[TOKEN] = replace(calls[TOKEN], answered=True, risen=True)
        assert said in await phone.press(key)
        assert (await alarm_of(phone.made)).accepted_by is None
        await phone.made.backend.answer(SCOPE, alarm.id, Act("accept", "usr_weber"))
        assert "Dr Weber" in await phone.press(key)


async def test_somebody_else_was_quicker():
    async with line() as phone:
        key = phone.made.ids["main", "alarmA"]
        await phone.made.backend.answer(SCOPE, key, Act("accept", "usr_weber"))
        assert "Dr Weber has already accepted" in await phone.press("1")
        assert (await alarm_of(phone.made)).accepted_by == "usr_weber"


async def test_it_has_ended_meanwhile():
    async with line(language="zh") as phone:
        found = await alarm_of(phone.made)
        phone.made.backend.put_alarm("main", found.model_copy(update={"condition": "inactive"}))
        assert "已经结束" in await phone.press("1")


async def test_nobody_answers_for_an_endpoint_or_for_who_may_no_longer():
    async with line(who=None) as phone:
        assert "could not be recorded" in await phone.press("1")
    async with line() as phone:
        patient = phone.made.principal(Role.PATIENT)
        phone.made.backend.calls[TOKEN] = replace(phone.made.backend.calls[TOKEN], who=patient)
        assert "could not be recorded" in await phone.press("1")
        assert (await alarm_of(phone.made)).accepted_by is None
        assert phone.made.backend.reported == []


async def test_a_nurse_of_another_ward_cannot_accept_by_key():
    async with line() as phone:
        elsewhere = phone.made.principal(Role.NURSE, wards="B")
        phone.made.backend.calls[TOKEN] = replace(phone.made.backend.calls[TOKEN], who=elsewhere)
        assert "could not be recorded" in await phone.press("1")
        assert (await alarm_of(phone.made)).accepted_by is None


async def test_the_key_of_a_test_call_confirms_the_test_only():
    async with line(test=True, id="tst_1", alarm="") as phone:
        assert "The test has arrived" in await phone.press("1")
        assert phone.made.backend.reported == [("tst_1", "confirmed", "")]
        assert (await alarm_of(phone.made)).accepted_by is None


@pytest.mark.parametrize(
    ("form", "reported"),
    [
        ({"MessageSid": "SM1", "MessageStatus": "delivered"}, [("ntf_1", "confirmed", "")]),
        (
            {"MessageStatus": "undelivered", "ErrorCode": "30005"},
            [("ntf_1", "failed", "the number does not exist, error 30005")],
        ),
        ({"CallStatus": "no-answer"}, [("ntf_1", "failed", "nobody answered the phone")]),
        ({"CallStatus": "completed"}, []),
        ({"MessageStatus": "sent"}, []),
        ({}, []),
    ],
)
async def test_how_a_message_or_a_call_went(form: dict[str, str], reported: list[tuple[str, str, str]]):
    async with line() as phone:
        assert (await phone.post("status", form)).status_code == 204
        assert phone.made.backend.reported == reported


@pytest.mark.parametrize("what", ["voice", "status"])
@pytest.mark.parametrize("how", ["none", "wrong", "other url", "other form", "other account"])
async def test_what_twilio_has_not_signed_is_refused_counted_and_audited(what: str, how: str):
    form = {"CallSid": "CA1", "Digits": "1", "MessageStatus": "undelivered"}
    url = (voice_url if what == "voice" else status_url)(PUBLIC, TOKEN)
    signature = {
        "none": "",
        "wrong": "AAAA",
        "other url": signed(f"{url}x", form),
        "other form": signed(url, {**form, "Digits": "2"}),
        "other account": signed(url, form, "another"),
    }[how]
    async with line() as phone:
        address = f"/api/v1/channels/twilio/{what}/{TOKEN}"
        for _ in range(3):
            answer = await phone.client.post(
                address,
                content=urlencode(form),
                headers={
                    "content-type": "application/x-www-form-urlencoded",
                    **({"x-twilio-signature": signature} if signature else {}),
                },
            )
            assert answer.status_code == 403
        made = phone.made
        assert made.telemetry.value("hearthward_callbacks_refused_total", channel="twilio") == 3
        refused = [e for e in made.backend._of("main").audit if e.action == "callback"]
        assert [(e.actor, e.outcome) for e in refused] == [("@twilio", "refused")], "nobody fills the audit"
        assert TOKEN not in str(refused)
        made.app.state.twilio.audited -= AUDIT_EVERY_NS
        await phone.client.post(address, content="")
        assert made.backend._of("main").audit[-1].detail["calls"] == 3
        assert (await alarm_of(made)).accepted_by is None
        assert made.backend.reported == []


async def test_without_an_account_no_call_from_outside_is_taken():
    async with line() as phone:
        phone.made.app.state.twilio = None
        assert (await phone.post("voice", {"Digits": "1"})).status_code == 403
        assert (await alarm_of(phone.made)).accepted_by is None


async def test_a_token_that_stands_for_nothing_and_a_body_that_is_too_long():
    async with line() as phone:
        assert (await phone.post("voice", {"Digits": "1"}, token="ntf_2.x")).status_code == 404  # noqa: S106
        long = await phone.client.post(f"/api/v1/channels/twilio/voice/{TOKEN}", content="a" * (MAX_BODY + 1))
        strange = await phone.client.post(f"/api/v1/channels/twilio/voice/{TOKEN}", content=b"\xff\xfe")
        assert (long.status_code, strange.status_code) == (413, 400)


async def test_the_person_called_is_the_one_of_the_token_whoever_is_logged_in():
    async with line() as phone:
        doctor = next(
            p.principal for p in phone.made.backend._people.values() if p.principal.name == "Dr Weber"
        )
        assert isinstance(doctor, Principal)
        async with phone.made.client(doctor) as client:
            await Line(phone.made, client).press("1")
        assert (await alarm_of(phone.made)).accepted_by == "usr_li"
