"""Where a device's session stands, and what of it a person should read in the log."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Final

__all__ = ["NEXT_TRY", "SessionState", "StateLog"]

logger = logging.getLogger(__name__)

NEXT_TRY: Final = "; next try in "
"""Parts a reason from the time of the next try, which differs each time."""


class SessionState(StrEnum):
    """Where a session stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    IDENTIFYING = "identifying"
    SUBSCRIBING = "subscribing"
    STREAMING = "streaming"
    BACKOFF = "backoff"
    STOPPED = "stopped"
    UNSUPPORTED = "unsupported"


class StateLog:
    """Logs one session's states: routine for debugging only, trouble once, and that it is over.

    A device that streamed and is lost is a warning; one that is not there from the beginning (a cuff sleeps
    most of the day) or that hangs up when it has told everything is a mere notice; each is said once until it
    streams again.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._streaming = False
        self._told: tuple[SessionState, str] | None = None

    def note(self, state: SessionState, reason: str, *, hung_up: bool = False) -> None:
        """The session is in a new state; ``hung_up``: the device left as such devices do."""
        level = self._level(state, reason.partition(NEXT_TRY)[0], hung_up=hung_up)
        logger.log(level, "device %s: %s%s", self._device, state.value, f": {reason}" if reason else "")

    def _level(self, state: SessionState, reason: str, *, hung_up: bool) -> int:
        if state is SessionState.STREAMING:
            troubled, self._streaming, self._told = self._told is not None, True, None
            return logging.INFO if troubled else logging.DEBUG
        if state is SessionState.BACKOFF:
            lost, self._streaming = self._streaming and not hung_up, False
            told, self._told = self._told, (state, "")
            return logging.WARNING if lost else logging.DEBUG if told == self._told else logging.INFO
        if state is SessionState.UNSUPPORTED:
            self._streaming = False
            told, self._told = self._told, (state, reason)
            return logging.DEBUG if told == self._told else logging.WARNING
        return logging.DEBUG
