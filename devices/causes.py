"""Why a device does not stream, out of the error that says so, and since when."""

from __future__ import annotations

import errno
from typing import Final

from devices.states import SessionState
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.errors import ConfigError, LinkError, UnsupportedDevice

__all__ = ["Condition", "cause_of"]

_KNOWN: Final = frozenset(cause.value for cause in Cause)
_ERRNOS: Final = {
    errno.ENOENT: Cause.PORT_MISSING,
    errno.ENODEV: Cause.PORT_MISSING,
    errno.ENXIO: Cause.PORT_MISSING,
    errno.EIO: Cause.PORT_MISSING,
    errno.EACCES: Cause.PORT_FORBIDDEN,
    errno.EPERM: Cause.PORT_FORBIDDEN,
    errno.EBUSY: Cause.PORT_BUSY,
    errno.EISDIR: Cause.MISCONFIGURED,
    errno.ENOTTY: Cause.MISCONFIGURED,
}
_BLUETOOTH: Final = (
    ("the bluetooth controller", Cause.RADIO_STUCK),
    ("org.bluez.error.notready", Cause.NO_RADIO),
    ("passkey", Cause.NEEDS_PASSKEY),
    ("pin or key missing", Cause.PAIRED_ELSEWHERE),
    ("pairing not allowed", Cause.PAIRED_ELSEWHERE),
    ("authentication", Cause.PAIRED_ELSEWHERE),
    ("encryption", Cause.PAIRED_ELSEWHERE),
    ("not paired", Cause.PAIRED_ELSEWHERE),
    ("le-connection-abort", Cause.CONNECTED_ELSEWHERE),
    ("connection-already-exists", Cause.CONNECTED_ELSEWHERE),
    ("failed to be established", Cause.CONNECTED_ELSEWHERE),
    ("was not found", Cause.OUT_OF_RANGE),
    ("link lost", Cause.LINK_LOST),
    ("connection was lost", Cause.LINK_LOST),
    ("disconnected", Cause.LINK_LOST),
)
"""What stacks say in their errors: BlueZ's over D-Bus, names of the HCI and ATT codes; most telling first."""
_DEPTH: Final = 8
_AWAY: Final = frozenset({Cause.LINK_LOST, Cause.SILENT, Cause.OUT_OF_RANGE, Cause.PORT_MISSING})
"""One absence in several words: how it began, and what it turned out to be."""


def cause_of(error: BaseException) -> Cause:
    """The cause that an error names in its details, or else what it and those it came from tell."""
    named = getattr(error, "details", {}).get("cause")
    if isinstance(named, str) and named in _KNOWN and named != Cause.OTHER.value:
        return Cause(named)
    if isinstance(error, UnsupportedDevice):
        return Cause.WRONG_FIRMWARE if error.details.get("profile") else Cause.UNSUPPORTED
    if isinstance(error, ConfigError):
        return Cause.MISCONFIGURED
    return _of_link(error) if isinstance(error, LinkError) else Cause.INTERNAL


def _of_link(error: LinkError) -> Cause:
    if "path" in error.details and (number := _errno(error)) is not None:
        return _ERRNOS.get(number, Cause.OTHER)
    text = " ".join(str(one) for one in _chain(error)).casefold()
    otherwise = Cause.NO_RADIO if "radio" in error.details else Cause.OTHER
    otherwise = Cause.CONNECTED_ELSEWHERE if error.details.get("heard") else otherwise
    return next((cause for words, cause in _BLUETOOTH if words in text), otherwise)


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those it was raised from, so many at most."""
    found = [error]
    while found[-1].__cause__ is not None and len(found) < _DEPTH:
        found.append(found[-1].__cause__)
    return found


def _errno(error: BaseException) -> int | None:
    """The operating system's number in it; serial libraries hand it on as the first argument."""
    for one in _chain(error)[1:]:
        if one.args and isinstance(one.args[0], int):
            return one.args[0]
    return None


class Condition:
    """What is known of one device, through its session's states: ``word`` is what to tell.

    A cause stays until the device streams, whatever is tried meanwhile; an absence began when the device was
    last there, or when it was first looked for.
    """

    def __init__(self) -> None:
        self.word = DeviceWord(SessionState.IDLE.value)
        self._looking = 0

    def note(self, state: SessionState, cause: Cause, now: int, *, detail: str = "", next_s: int = 0) -> None:
        """The session is in a new state at ``now`` (UTC ns); NONE: nothing new is known of the cause."""
        old = self.word
        if state is SessionState.STREAMING:
            since = old.since if old.state == state.value else now
            self.word, self._looking = DeviceWord(state.value, Cause.NONE, since), 0
        elif state in {SessionState.IDLE, SessionState.STOPPED}:
            self.word, self._looking = DeviceWord(state.value, Cause.NONE, now, detail), 0
        elif cause is Cause.NONE:
            self._looking = self._looking or now
            since, said = (self._looking, detail) if old.cause is Cause.NONE else (old.since, old.detail)
            self.word = DeviceWord(state.value, old.cause, since, said, next_s)
        else:
            since = old.since if cause is old.cause else self._began(cause, now)
            self._looking = self._looking if cause in _AWAY else now
            self.word = DeviceWord(state.value, cause, since, detail, next_s)

    def _began(self, cause: Cause, now: int) -> int:
        """Since when a new cause holds: an absence goes on from what it was first taken for."""
        if cause in _AWAY and self.word.cause in _AWAY:
            return self.word.since
        return self._looking or now if cause in {Cause.OUT_OF_RANGE, Cause.PORT_MISSING} else now
