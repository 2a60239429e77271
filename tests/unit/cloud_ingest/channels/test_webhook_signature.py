from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.channels.webhook_signature import sign, verify

SECRET = "a-secret-of-the-test"  # noqa: S105
NOW = 1_767_225_600


def headers(timestamp: object = NOW, signature: str | None = None, body: bytes = b"{}") -> dict[str, str]:
    made = sign(SECRET, NOW, body) if signature is None else signature
    return {"Hearthward-Id": "ntf_1", "Hearthward-Timestamp": str(timestamp), "Hearthward-Signature": made}


def test_the_signature_is_as_documented():
    mac = hmac.new(SECRET.encode(), b"1767225600.{}", hashlib.sha256).hexdigest()
    assert sign(SECRET, NOW, b"{}") == f"v1={mac}"


@given(st.binary(), st.text(min_size=16), st.integers(0, 2**33))
def test_what_is_signed_is_believed_by_who_has_the_secret(body: bytes, secret: str, timestamp: int):
    given_headers = {
        "hearthward-timestamp": str(timestamp),
        "HEARTHWARD-SIGNATURE": sign(secret, timestamp, body),
    }
    assert verify(secret, given_headers, body, timestamp)
    assert not verify(secret + "x", given_headers, body, timestamp)
    assert not verify(secret, given_headers, body + b"x", timestamp)


@pytest.mark.parametrize(
    ("late_s", "taken"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_old_ones_are_not_taken(late_s: int, taken: bool):  # noqa: FBT001
    assert verify(SECRET, headers(), b"{}", NOW + late_s) is taken


def test_the_time_is_signed_too():
    assert not verify(SECRET, headers(timestamp=NOW + 1), b"{}", NOW)


@given(st.text(), st.text())
def test_no_header_breaks_it(timestamp: str, signature: str):
    assert not verify(SECRET, headers(timestamp, signature), b"{}", NOW)
    assert not verify(SECRET, headers(NOW, signature), b"{}", NOW)
    assert not verify(SECRET, {}, b"{}", NOW)
