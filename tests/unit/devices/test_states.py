"""What of a session's states is said in the log, and how loud."""

from __future__ import annotations

import logging

import pytest

from devices.states import SessionState, StateLog

STREAMING, BACKOFF = SessionState.STREAMING, SessionState.BACKOFF


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def levels(said: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in said.records]


def test_a_strap_that_is_lost_is_a_warning_once(said: pytest.LogCaptureFixture):
    log = StateLog("hr")
    for _ in range(2):
        log.note(STREAMING, "")
        log.note(BACKOFF, "link lost; next try in 1 s")
        log.note(BACKOFF, "not heard; next try in 2 s")
    assert levels(said) == ["WARNING", "INFO", "WARNING"]


def test_a_cuff_that_hangs_up_is_none(said: pytest.LogCaptureFixture):
    log = StateLog("cuff")
    for _ in range(2):
        log.note(BACKOFF, "not heard")
        log.note(STREAMING, "")
        log.note(BACKOFF, "link lost", hung_up=True)
        log.note(BACKOFF, "not heard")
    assert set(levels(said)) == {"INFO"}


def test_one_that_fails_otherwise_is_a_warning_all_the_same(said: pytest.LogCaptureFixture):
    log = StateLog("cuff")
    log.note(STREAMING, "")
    log.note(BACKOFF, "internal error")
    log.note(SessionState.UNSUPPORTED, "no profile")
    assert levels(said) == ["WARNING", "WARNING"]
