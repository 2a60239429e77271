"""What Twilio calls back: where to, whether it is Twilio, and what its reports mean.

Sources: Twilio, *Validating requests* (``X-Twilio-Signature``), *Outbound message status in callbacks*,
*Call status callbacks*. The URL that is verified must be the one that Twilio was given: build it from
``web.public_url`` by the functions below, never from the request, which a proxy may have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "SIGNATURE_HEADER",
    "STATUS_PATH",
    "VOICE_PATH",
    "Report",
    "reason_of",
    "report_of",
    "status_url",
    "verify",
    "voice_url",
]

SIGNATURE_HEADER: Final = "X-Twilio-Signature"
VOICE_PATH: Final = "/api/v1/channels/twilio/voice/{token}"
"""Where the keys that are pressed in a call are posted to."""
STATUS_PATH: Final = "/api/v1/channels/twilio/status/{token}"
"""Where it is reported how a message or a call went."""

_REASONS: Final[Mapping[int, str]] = {
    20003: "the credentials are wrong",
    20429: "too many requests",
    21201: "no number to call",
    21210: "the sender's number is not verified",
    21211: "not a valid number",
    21212: "the sender is not a valid number",
    21214: "the number cannot be reached",
    21215: "calls to that country are not permitted for the account",
    21217: "not a valid number",
    21219: "the number is not verified for a trial account",
    21408: "SMS to that country are not permitted for the account",
    21602: "no text",
    21603: "no sender",
    21604: "no number",
    21606: "the sender's number cannot send SMS",
    21608: "the number is not verified for a trial account",
    21609: "web.public_url is no address that Twilio can call",
    21610: "the receiver has opted out (STOP)",
    21612: "no route from the sender to that number",
    21614: "no mobile number",
    21617: "the text is too long",
    30001: "too many messages were waiting",
    30002: "the account is suspended",
    30003: "the phone is off or out of reach",
    30004: "blocked by the receiver or the network",
    30005: "the number does not exist",
    30006: "a landline, or a network that takes no SMS",
    30007: "filtered as spam by the network",
    30008: "not delivered, the network does not say why",
}
_DELIVERED: Final = frozenset({"delivered", "read"})
_NOT_DELIVERED: Final[Mapping[str, str]] = {
    "undelivered": "not delivered",
    "failed": "it failed",
    "busy": "the line was busy",
    "no-answer": "nobody answered the phone",
    "canceled": "it was cancelled",
}


@dataclass(frozen=True, slots=True)
class Report:
    """How a message or a call ended; ``reason`` is for people, without any number."""

    state: Literal["confirmed", "failed"]
    reason: str = ""


def voice_url(public_url: str, token: str) -> str:
    """The URL that keys pressed in a call are posted to."""
    return public_url.rstrip("/") + VOICE_PATH.format(token=token)


def status_url(public_url: str, token: str) -> str:
    """The URL that reports about a message or a call are posted to."""
    return public_url.rstrip("/") + STATUS_PATH.format(token=token)


def verify(auth_token: str, url: str, form: Mapping[str, str], signature: str) -> bool:
    """Whether a POST of ``form`` to ``url`` was signed by Twilio with this account's token."""
    from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

    return bool(signature) and bool(RequestValidator(auth_token).validate(url, form, signature))


def report_of(form: Mapping[str, str]) -> Report | None:
    """What a status callback says: confirmed, failed, or (None) nothing final.

    A call that was taken is not yet confirmed: that may have been an answering machine. The key is.
    """
    status = form.get("MessageStatus") or form.get("CallStatus") or form.get("SmsStatus") or ""
    if status in _DELIVERED:
        return Report("confirmed")
    if status in _NOT_DELIVERED:
        return Report("failed", reason_of(form.get("ErrorCode")) or _NOT_DELIVERED[status])
    return None


def reason_of(code: object) -> str:
    """Twilio's error code in words, with the code; empty when there is none."""
    if code is None or not str(code).isdecimal():
        return ""
    known = _REASONS.get(int(str(code)))
    return f"{known}, error {code}" if known else f"error {code}"
