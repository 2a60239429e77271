"""What is seen of a device around a gateway, in words: its services, its maker, how strong it is heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from dashboards.i18n import N_, translations

__all__ = ["MAKERS", "SERVICES", "STRENGTHS", "said_of", "strength_of"]

SERVICES: Final[Mapping[str, str]] = {
    "1802": N_("finder"),
    "1803": N_("finder"),
    "1805": N_("clock"),
    "1808": N_("glucose"),
    "1809": N_("thermometer"),
    "180a": N_("device information"),
    "180d": N_("heart rate"),
    "180f": N_("battery"),
    "1810": N_("blood pressure"),
    "1812": N_("keyboard, mouse or remote"),
    "1814": N_("running"),
    "1816": N_("cycling"),
    "1818": N_("cycling"),
    "181a": N_("room climate"),
    "181b": N_("body composition"),
    "181c": N_("user data"),
    "181d": N_("weight"),
    "181f": N_("glucose, continuous"),
    "1822": N_("pulse oximeter"),
    "1826": N_("fitness machine"),
    "183a": N_("insulin pump"),
    "1844": N_("sound"),
    "184e": N_("sound"),
    "1854": N_("hearing aid"),
    "fd6f": N_("warning of infections"),
    "feaa": N_("beacon"),
}
"""The Bluetooth SIG's services in four digits (Assigned Numbers, 3.4.2), of those that people carry."""
MAKERS: Final[Mapping[int, str]] = {
    6: "Microsoft",
    76: "Apple",
    89: "Nordic Semiconductor",
    105: "A&D",
    117: "Samsung",
    224: "Google",
    526: "Omron Healthcare",
    637: "Huawei",
    911: "Xiaomi",
}
"""The Bluetooth SIG's numbers of makers (Assigned Numbers, 7.1), of those that are heard often."""
STRENGTHS: Final = (
    (-60, 4, N_("strong")),
    (-75, 3, N_("good")),
    (-88, 2, N_("weak")),
    (-999, 1, N_("very weak")),
)
"""From so many dBm on: how many of four bars, and what it is called."""


def said_of(services: Iterable[str], company_ids: Iterable[int], language: str) -> list[str]:
    """What its services and makers are called in a language of the pages; numbers where nothing is known."""
    tongue = translations(language)
    named = [tongue.gettext(SERVICES[s]) if s in SERVICES else s for s in services]
    return [*named, *(MAKERS.get(c, str(c)) for c in company_ids)]


def strength_of(rssi: int) -> tuple[int, str]:
    """How many of four bars a signal (dBm) is, and what it is called."""
    return next((bars, name) for least, bars, name in STRENGTHS if rssi >= least)
