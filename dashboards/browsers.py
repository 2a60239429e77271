"""What a browser calls itself, in the few words by which people tell their devices apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from starlette.requests import Request

__all__ = ["agent_of", "described", "sort_of"]

Words = Sequence[tuple[str, str]]
SYSTEMS: Final[Words] = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("OpenHarmony", "HarmonyOS"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)
BROWSERS: Final[Words] = (
    ("MicroMessenger", "WeChat"),
    ("HuaweiBrowser", "Huawei Browser"),
    ("MiuiBrowser", "Mi Browser"),
    ("SamsungBrowser", "Samsung Internet"),
    ("MQQBrowser", "QQ Browser"),
    ("UCBrowser", "UC Browser"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
"""Part of the User-Agent header -> name, the first that fits: most browsers also claim to be others."""
OTHER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}")
PHONES: Final = frozenset({"iPhone", "Android", "HarmonyOS"})


def described(user_agent: str) -> str:
    """Such as ``Chrome · Android``; of other programs their name; "" when it says nothing.

    >>> described("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1")
    'Safari · iPhone'
    >>> described("curl/8.5.0")
    'curl'
    """
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser or system:
        return " · ".join(filter(None, (browser, system)))
    known = OTHER.match(user_agent)
    return known.group() if known else ""


def agent_of(request: Request) -> str:
    """What asks, in a few words."""
    return described(request.headers.get("user-agent", ""))


def sort_of(device: str) -> Literal["phone", "tablet", "computer", "program"]:
    """What a person would call it, from the few words."""
    _, _, system = device.rpartition(" · ")
    if system in PHONES:
        return "phone"
    if system == "iPad":
        return "tablet"
    return "computer" if system in {name for _, name in SYSTEMS} else "program"
