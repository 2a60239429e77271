"""SMS and voice by the real twilio client: what Twilio answers, what is dialled, keys and reports."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

import pytest

from cloud_ingest.channels import Message, SmsChannel, VoiceChannel
from cloud_ingest.channels.speech import KEYS, answer_twiml, call_twiml
from cloud_ingest.channels.twilio_callbacks import report_of, status_url, verify, voice_url
from hearthward.app.standin_twilio import RETRY_AFTER_S, SID, TOKEN, TwilioStandIn
from hearthward.core.errors import ConfigError, DeliveryError, DeliveryPermanent, DeliveryTemporary
from tests.component.cloud_ingest.benches import NUMBER, OURS, SHORT_S

LINK = "https://alarms.example.org/alarms/alm_1"
MESSAGE = Message(
    "ntf_1",
    NUMBER,
    "ALARM high: SpO2 84 < 90 · #abcdef",
    "en",
    "high",
    "alm_1",
    "tell",
    link=LINK,
    answer="tok-1",
)
CHANNELS = {"sms": SmsChannel, "voice": VoiceChannel}


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def standin() -> Iterator[TwilioStandIn]:
    with TwilioStandIn() as server:
        yield server


def made(name: str, standin: TwilioStandIn, **options: Any) -> SmsChannel | VoiceChannel:
    given = {"account_sid": SID, "auth_token": TOKEN, "from_number": OURS, "base_url": standin.url, **options}
    return CHANNELS[name](**given)


async def refused(channel: SmsChannel | VoiceChannel, message: Message = MESSAGE) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await channel.send(message)
    await channel.close()
    return caught.value


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("500", DeliveryTemporary),
        ("502", DeliveryTemporary),
        ("503", DeliveryTemporary),
        ("429", DeliveryTemporary),
        ("garbage", DeliveryTemporary),
        ("400", DeliveryPermanent),
        ("403", DeliveryPermanent),
        ("404", DeliveryPermanent),
    ],
)
async def test_what_answers_mean(
    name: str, answer: str, error: type[DeliveryError], standin: TwilioStandIn
) -> None:
    standin.behave(answer)
    assert type(await refused(made(name, standin))) is error


@pytest.mark.parametrize("name", CHANNELS)
async def test_a_rate_limit_says_when_to_come_back(name: str, standin: TwilioStandIn) -> None:
    standin.behave("429")
    error = await refused(made(name, standin))
    assert error.details["after_s"] == RETRY_AFTER_S
    assert error.details["status"] == 429


@pytest.mark.parametrize("name", CHANNELS)
async def test_wrong_credentials_name_the_settings_on_sending_and_on_checking(
    name: str, standin: TwilioStandIn
) -> None:
    channel = made(name, standin, auth_token="wrong")  # noqa: S106
    with pytest.raises(DeliveryPermanent, match=r"sms\.account_sid and sms\.auth_token"):
        await channel.check()
    assert "sms.account_sid and sms.auth_token" in str(await refused(channel))


@pytest.mark.parametrize("name", CHANNELS)
async def test_a_check_finds_a_suspended_account_and_an_outage(name: str, standin: TwilioStandIn) -> None:
    channel = made(name, standin)
    standin.account_status = "suspended"
    with pytest.raises(DeliveryPermanent, match="account at Twilio is suspended"):
        await channel.check()
    standin.behave("503")
    with pytest.raises(DeliveryTemporary):
        await channel.check()
    standin.account_status = "active"
    await channel.check()
    assert standin.messages == []
    assert standin.calls == []
    await channel.close()


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("number", ["", "12", "+1abc", "nonsense"])
async def test_an_invalid_number_is_for_good_and_not_repeated_in_the_error(
    name: str, number: str, standin: TwilioStandIn
) -> None:
    error = await refused(made(name, standin), Message("ntf_1", number, "text", "en", "high"))
    assert isinstance(error, DeliveryPermanent)
    assert "number" in error.message
    assert not number or number not in error.message.replace(" 21211", "")


@pytest.mark.parametrize("name", CHANNELS)
async def test_a_timeout_after_acceptance_is_temporary_and_says_so(name: str, standin: TwilioStandIn) -> None:
    standin.behave("timeout")
    error = await refused(made(name, standin, timeout_s=SHORT_S))
    assert isinstance(error, DeliveryTemporary)
    assert "may have been taken" in error.message
    assert len(standin.messages) + len(standin.calls) == 1


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("url", ["http://sms.example.org", "ftp://127.0.0.1", "sms.example.org"])
def test_an_address_in_the_clear_is_refused(name: str, url: str) -> None:
    with pytest.raises(ConfigError, match=r"sms\.base_url"):
        CHANNELS[name](account_sid=SID, auth_token=TOKEN, from_number=OURS, base_url=url)


async def test_sms_goes_from_our_number_to_theirs_with_link_and_report(standin: TwilioStandIn) -> None:
    sms = made("sms", standin, public_url="https://alarms.example.org/")
    handover = await sms.send(MESSAGE)
    assert standin.messages[0].form == {
        "To": NUMBER,
        "From": OURS,
        "Body": f"{MESSAGE.text}\n{LINK}",
        "StatusCallback": "https://alarms.example.org/api/v1/channels/twilio/status/tok-1",
    }
    assert handover.reference == standin.messages[0].sid
    assert not sms.confirms
    await sms.close()


async def test_without_an_address_from_outside_no_report_is_asked_for(standin: TwilioStandIn) -> None:
    sms = made("sms", standin)
    await sms.send(MESSAGE)
    assert "StatusCallback" not in standin.messages[0].form
    await sms.close()


async def test_endpoints_are_numbers_of_the_settings(standin: TwilioStandIn) -> None:
    for name in CHANNELS:
        channel = made(name, standin, endpoints={"number-1": "+15005550009"})
        await channel.send(Message("ntf_1", "@number-1", "text", "en", "high"))
        await channel.close()
    assert standin.messages[0].to == "+15005550009"
    assert standin.calls[0].to == "+15005550009"


async def test_a_call_without_an_address_from_outside_says_that_it_cannot_be_answered(
    standin: TwilioStandIn,
) -> None:
    voice = made("voice", standin, ring_s=20)
    handover = await voice.send(MESSAGE)
    call = standin.calls[0]
    assert handover.reference == call.sid
    assert not voice.confirms
    assert call.action is None
    assert call.text.startswith(f"{MESSAGE.text} {MESSAGE.text} This call cannot take an answer.")
    assert (call.form["Timeout"], call.form["From"], call.form["To"]) == ("20", OURS, NUMBER)
    assert "StatusCallback" not in call.form
    await voice.close()


async def test_an_endpoint_is_asked_for_no_key_that_would_not_be_taken(standin: TwilioStandIn) -> None:
    where: dict[str, Any] = {"public_url": "https://alarms.example.org", "endpoints": {"number-1": NUMBER}}
    voice = made("voice", standin, **where)
    await voice.send(replace(MESSAGE, target="@number-1"))
    await voice.send(replace(MESSAGE, target="@number-1", kind="test"))
    alarm, test = standin.calls
    assert alarm.action is None
    assert "This call cannot take an answer." in alarm.text
    assert "StatusCallback" in alarm.form, "whether it was answered at all is reported"
    assert test.action == voice_url(where["public_url"], "tok-1")
    await voice.close()


async def test_a_call_in_chinese_is_read_by_a_chinese_voice(standin: TwilioStandIn) -> None:
    voice = made("voice", standin)
    await voice.send(Message("ntf_1", NUMBER, "血氧低", "zh", "high"))
    assert 'voice="Polly.Zhiyu"' in standin.calls[0].twiml
    assert standin.calls[0].text.startswith("血氧低 血氧低 本次通话无法接收应答")
    await voice.close()


class _Pages:
    """What the web pages do with callbacks, as short as can be: verify, then say something."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.reports: list[Any] = []
        self.refused = 0
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = dict(parse_qsl(body, keep_blank_values=True))
                url = f"{pages.url}{self.path}"
                answer = pages.answer(url, form, self.headers.get("X-Twilio-Signature", ""))
                self.send_response(403 if answer is None else 200)
                self.end_headers()
                self.wfile.write((answer or "").encode())

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, url: str, form: dict[str, str], signature: str) -> str | None:
        if not verify(TOKEN, url, form, signature):
            self.refused += 1
            return None
        if url == status_url(self.url, "tok-1"):
            self.reports.append(report_of(form))
            return "<Response/>"
        assert url == voice_url(self.url, "tok-1")
        self.keys.append(form["Digits"])
        match KEYS.get(form["Digits"]):
            case "accept":
                return answer_twiml("accepted", "en")
            case "reject":
                return answer_twiml("rejected", "en")
            case "repeat":
                return call_twiml(MESSAGE.text, "en", url)
            case _:
                return answer_twiml("other_key", "en", action=url)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_args: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


async def test_a_call_is_answered_by_key_and_reported(standin: TwilioStandIn) -> None:
    with _Pages() as pages:
        voice = made("voice", standin, public_url=pages.url)
        assert voice.confirms
        await voice.send(MESSAGE)
        call = standin.wait_for_call()
        assert call.text == (
            f"{MESSAGE.text} {MESSAGE.text} "
            "Press 1 to accept the alarm. Press 2 if you cannot come. Press 9 to hear it again. "
            "No key was pressed. The alarm has not been accepted. Goodbye."
        )
        heard = [await asyncio.to_thread(standin.press, call, key) for key in "951"]
        assert heard[0].startswith(f"{MESSAGE.text} {MESSAGE.text}")
        assert heard[1].startswith("That key has no meaning here.")
        assert heard[2] == "Thank you. You have accepted the alarm. Goodbye."
        assert pages.keys == ["9", "5", "1"]
        assert call.over
        with pytest.raises(ValueError, match="waits for no key"):
            standin.press(call, "1")
        assert await asyncio.to_thread(standin.end, call, "no-answer") == 200
        assert [r.state for r in pages.reports] == ["failed"]
        await voice.close()


async def test_an_sms_is_reported_and_a_forged_report_is_not_believed(standin: TwilioStandIn) -> None:
    with _Pages() as pages:
        sms = made("sms", standin, public_url=pages.url)
        await sms.send(MESSAGE)
        taken = standin.wait_for_sms()
        assert await asyncio.to_thread(standin.report, taken, "sent") == 200
        assert await asyncio.to_thread(standin.report, taken) == 200
        assert await asyncio.to_thread(standin.report, taken, "undelivered", 30003) == 200
        assert [None if r is None else (r.state, r.reason) for r in pages.reports] == [
            None,
            ("confirmed", ""),
            ("failed", "the phone is off or out of reach, error 30003"),
        ]
        forged, _ = await asyncio.to_thread(
            lambda: standin.post(
                taken.form["StatusCallback"], {"MessageStatus": "delivered"}, signature="bm90IG91cnM="
            )
        )
        assert (forged, pages.refused, len(pages.reports)) == (403, 1, 3)
        await sms.close()
