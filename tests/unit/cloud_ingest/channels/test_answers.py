from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.channels.answers import LONGEST_AFTER_S, after_s, refusal
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "99999999"}, LONGEST_AFTER_S),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Sun, 01 Mar 2026 05:31:30 GMT"}, None),  # from when?
        ({"Retry-After": "Sun, 01 Mar 2026 05:31:30 GMT", "Date": "Sun, 01 Mar 2026 05:31:00 GMT"}, 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 05:30:30 GMT", "Date": "Sun, 01 Mar 2026 05:31:00 GMT"}, 0.0),
        ({"Retry-After": "Sun, 01 Mar 2026 05:31:30 GMT", "Date": "Sun, 01 Mar 2026 05:31:00 -0000"}, None),
    ],
)
def test_how_long_a_service_is_left_alone(headers: dict[str, str], wanted: float | None):
    assert after_s(headers) == wanted


@given(st.text(), st.text())
def test_no_header_breaks_it(wanted: str, date: str):
    found = after_s({"Retry-After": wanted, "Date": date})
    assert found is None or 0 <= found <= LONGEST_AFTER_S


@given(st.integers(300, 599))
def test_every_status_is_either_for_now_or_for_good(status: int):
    error = refusal("sms", "Twilio", status, {"Retry-After": "7"}, credentials="sms.auth_token")
    now = status >= 500 or status in {408, 425, 429}
    assert type(error) is (DeliveryTemporary if now else DeliveryPermanent)
    assert error.details["status"] == status
    assert error.details.get("after_s") == (7.0 if now else None)
    assert ("sms.auth_token" in error.message) == (status in {401, 403})
