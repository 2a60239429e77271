"""Telling of alarms at the gateway itself: which, when, and by what."""

from edge_agent.annunciation.base import Annunciator, Language, LinkState, LocalAlarm
from edge_agent.annunciation.console import Console
from edge_agent.annunciation.fake import FakeAnnunciator
from edge_agent.annunciation.local import LocalAlarms

__all__ = [
    "Annunciator",
    "Console",
    "FakeAnnunciator",
    "Language",
    "LinkState",
    "LocalAlarm",
    "LocalAlarms",
]
