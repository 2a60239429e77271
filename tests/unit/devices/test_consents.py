"""The consents that a gateway was given, and what a device answers to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.consents import Consent, Consents
from devices.twins.answering import Users

ADDRESS = "C0:12:34:56:78:9A"


async def test_what_is_kept_is_found_again_by_another_process(tmp_path: Path):
    path = tmp_path / "consents.json"
    here, there = Consents(path), Consents(path)
    assert await there.of(ADDRESS) is None
    await here.keep(ADDRESS.lower(), Consent(1, 1234))
    await here.keep("C0:00:00:00:00:01", Consent(2, 5))
    await here.keep(ADDRESS, Consent(3, 4321))
    assert await there.of(ADDRESS) == Consent(3, 4321)
    assert await there.of("C0:00:00:00:00:01") == Consent(2, 5)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["{", "[]", '{"A": 1}', '{"A": [1]}', '{"A": ["x", 2]}'])
async def test_a_file_that_cannot_be_read_is_said_and_counts_as_none(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "consents.json"
    path.write_text(text)
    assert await Consents(path).of("A") is None
    assert "give them anew" in caplog.text


def test_it_is_asked_as_the_service_says():
    assert Consent(1, 1234).request.hex(" ") == "02 01 d2 04"


@pytest.mark.parametrize(
    ("request_", "answer", "why"),
    [
        (Consent(1, 1234).request, "200201", ""),
        (Consent(1, 1235).request, "200205", "user and code do not go together"),
        (Consent(2, 1234).request, "200205", "user and code do not go together"),
        (b"\x02", "200205", "user and code do not go together"),
    ],
    ids=["right", "another code", "another user", "cut"],
)
def test_a_device_agrees_to_the_right_code_only(request_: bytes, answer: str, why: str):
    told = Users({1: 1234}).answer(request_)
    assert told.hex() == answer
    assert told.startswith(Consent.answered())
    assert Consent.why_not(told) == why


def test_an_answer_that_nobody_knows_is_told_as_it_is():
    assert Consent.why_not(bytes.fromhex("200204")) == "its answer is 0x04"
    assert Consent.why_not(bytes.fromhex("2002")) == "its answer is 0x00"
