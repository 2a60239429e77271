"""Why a device does not stream, and since when."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.causes import Condition, cause_of
from devices.states import SessionState
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.errors import ConfigError, LinkError, UnsupportedDevice

AT = 1_000_000_000


def raised(error: Exception, *, frm: Exception | None = None) -> Exception:
    """The error as it is caught, with what it came from."""
    error.__cause__ = frm
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (LinkError("x", cause="needs_passkey"), Cause.NEEDS_PASSKEY),
        (ConfigError("x", cause="port_busy"), Cause.PORT_BUSY),
        (LinkError("x", cause="made up"), Cause.OTHER),
        (LinkError("2a35: Insufficient Encryption", cause="other"), Cause.PAIRED_ELSEWHERE),
        (UnsupportedDevice("no profile matches", name="x"), Cause.UNSUPPORTED),
        (UnsupportedDevice("firmware", firmware="2", profile="sig-x"), Cause.WRONG_FIRMWARE),
        (ConfigError("unknown profile", profile="x"), Cause.MISCONFIGURED),
        (RuntimeError("a bug"), Cause.INTERNAL),
        (LinkError("x"), Cause.OTHER),
        (LinkError("C0:01: link lost", address="C0:01"), Cause.LINK_LOST),
        (LinkError("hci0: not powered", radio="bluez", heard=False), Cause.NO_RADIO),
        (LinkError("C0:01: time is up", radio="bluez", heard=True), Cause.CONNECTED_ELSEWHERE),
        (raised(LinkError("x", path="/dev/x"), frm=OSError(errno.EBUSY, "busy")), Cause.PORT_BUSY),
        (raised(LinkError("x", path="/dev/x"), frm=OSError(errno.EIO, "gone")), Cause.PORT_MISSING),
        (raised(LinkError("x", path="/dev/x"), frm=OSError(errno.EACCES, "no")), Cause.PORT_FORBIDDEN),
        (raised(LinkError("x", path="/dev/x"), frm=OSError(errno.E2BIG, "odd")), Cause.OTHER),
        (LinkError("x", path="/dev/x"), Cause.OTHER),
        (
            raised(LinkError("C0:01: 2a35: failed"), frm=RuntimeError("Insufficient Authentication (5)")),
            Cause.PAIRED_ELSEWHERE,
        ),
        (LinkError("[org.bluez.Error.Failed] le-connection-abort-by-local"), Cause.CONNECTED_ELSEWHERE),
        (LinkError("C0:01: the connection was lost", radio="usb:0", heard=True), Cause.LINK_LOST),
        (
            LinkError("C0:01: the Bluetooth controller at usb:0 does not answer", radio="usb:0", heard=True),
            Cause.RADIO_STUCK,
        ),
        (LinkError("C0:01: [org.bluez.Error.NotReady] x", radio="bluez", heard=True), Cause.NO_RADIO),
        (LinkError("C0:01: wrong passkey: Authentication Failed"), Cause.NEEDS_PASSKEY),
    ],
)
def test_each_error_has_its_cause(error: Exception, cause: Cause):
    assert cause_of(error) is cause


def test_a_circle_of_errors_ends():
    error = LinkError("x")
    error.__cause__ = error
    assert cause_of(error) is Cause.OTHER


def lived(*notes: tuple[SessionState, Cause]) -> list[DeviceWord]:
    """The words of a life that has a new state each second."""
    condition = Condition()
    out = []
    for n, (state, cause) in enumerate(notes):
        condition.note(state, cause, n * AT, detail=f"d{n}")
        out.append(condition.word)
    return out


CONNECTING, STREAMING, BACKOFF = SessionState.CONNECTING, SessionState.STREAMING, SessionState.BACKOFF
UNSUPPORTED, STOPPED = SessionState.UNSUPPORTED, SessionState.STOPPED
NONE, AWAY, LOST = Cause.NONE, Cause.OUT_OF_RANGE, Cause.LINK_LOST


def test_out_of_range_is_so_since_the_connection_was_lost_whatever_is_tried_meanwhile():
    words = lived(
        (CONNECTING, NONE), (STREAMING, NONE), (BACKOFF, LOST), (CONNECTING, NONE), (BACKOFF, AWAY),
        (CONNECTING, NONE), (BACKOFF, AWAY), (CONNECTING, NONE), (STREAMING, NONE),
    )  # fmt: skip
    assert [(w.cause, w.since // AT) for w in words[1:]] == [
        (NONE, 1), (LOST, 2), (LOST, 2), (AWAY, 2), (AWAY, 2), (AWAY, 2), (AWAY, 2), (NONE, 8),
    ]  # fmt: skip
    assert [w.detail for w in words[4:6]] == ["d4", "d4"], "the reason stays while it is tried again"
    assert [w.state for w in words[4:6]] == ["backoff", "connecting"]


def test_one_that_was_never_heard_is_out_of_range_since_it_was_first_looked_for():
    words = lived((SessionState.IDLE, NONE), (CONNECTING, NONE), (BACKOFF, AWAY), (CONNECTING, NONE))
    assert [w.since // AT for w in words[1:]] == [1, 1, 1]


def test_another_trouble_begins_when_it_is_met_and_an_absence_after_it_then():
    words = lived(
        (CONNECTING, NONE), (BACKOFF, AWAY), (CONNECTING, NONE), (UNSUPPORTED, Cause.UNSUPPORTED),
        (CONNECTING, NONE), (BACKOFF, AWAY), (STOPPED, NONE),
    )  # fmt: skip
    assert [(w.cause, w.since // AT) for w in words[3:]] == [
        (Cause.UNSUPPORTED, 3), (Cause.UNSUPPORTED, 3), (AWAY, 3), (NONE, 6),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(SessionState), st.sampled_from(Cause)), max_size=12))
def test_no_condition_began_in_the_future_or_goes_backwards_and_streaming_is_well(
    notes: list[tuple[SessionState, Cause]],
):
    for n, ((state, cause), word) in enumerate(zip(notes, lived(*notes), strict=True)):
        assert word.state == state
        assert 0 <= word.since <= n * AT
        if state in {STREAMING, STOPPED}:
            assert word.cause is NONE
        elif cause is not NONE and state is not SessionState.IDLE:
            assert word.cause is cause
