from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.channels.twilio_callbacks import Report, reason_of, report_of, status_url, verify, voice_url

TOKEN = "12345"  # noqa: S105 - of Twilio's own example
URL = "https://example.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "Digits": "1234",
    "From": "+14158675310",
    "To": "+18005551212",
}
SIGNATURE = "L/OH5YylLD5NRKLltdqwSvS0BnU="
"""By HMAC-SHA1 as Twilio's page on validating requests says, worked out with openssl."""


def test_what_twilio_has_signed_is_believed():
    assert verify(TOKEN, URL, FORM, SIGNATURE)


@pytest.mark.parametrize(
    ("token", "url", "form", "signature"),
    [
        ("other", URL, FORM, SIGNATURE),
        (TOKEN, URL.replace("foo=1", "foo=2"), FORM, SIGNATURE),
        (TOKEN, URL, {**FORM, "Digits": "1"}, SIGNATURE),
        (TOKEN, URL, {**FORM, "More": "1"}, SIGNATURE),
        (TOKEN, URL, FORM, SIGNATURE[:-2]),
        (TOKEN, URL, FORM, ""),
        (TOKEN, URL, {}, ""),
    ],
)
def test_anything_else_is_not(token: str, url: str, form: dict[str, str], signature: str):
    assert not verify(token, url, form, signature)


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_no_signature_breaks_it(signature: str, form: dict[str, str]):
    assert not verify(TOKEN, URL, form, signature)


def test_where_twilio_calls_back():
    assert voice_url("https://x.org/", "t") == "https://x.org/api/v1/channels/twilio/voice/t"
    assert status_url("https://x.org", "t") == "https://x.org/api/v1/channels/twilio/status/t"


@pytest.mark.parametrize(
    ("form", "report"),
    [
        ({"MessageStatus": "queued"}, None),
        ({"MessageStatus": "sent"}, None),
        ({"MessageStatus": "delivered"}, Report("confirmed")),
        ({"SmsStatus": "delivered"}, Report("confirmed")),
        ({"MessageStatus": "undelivered"}, Report("failed", "not delivered")),
        (
            {"MessageStatus": "undelivered", "ErrorCode": "30005"},
            Report("failed", "the number does not exist, error 30005"),
        ),
        ({"MessageStatus": "failed", "ErrorCode": "39999"}, Report("failed", "error 39999")),
        ({"CallStatus": "ringing"}, None),
        ({"CallStatus": "completed"}, None),  # that may have been an answering machine
        ({"CallStatus": "busy"}, Report("failed", "the line was busy")),
        ({"CallStatus": "no-answer"}, Report("failed", "nobody answered the phone")),
        ({}, None),
    ],
)
def test_what_reports_mean(form: dict[str, str], report: Report | None):
    assert report_of(form) == report


@pytest.mark.parametrize("code", [None, "", "x", "<script>", "+15005550006"])
def test_what_is_no_code_is_not_repeated(code: object):
    assert reason_of(code) == ""
