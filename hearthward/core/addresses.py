"""Addresses in settings: what is this machine only, and what may be sent in the clear."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

__all__ = ["MAIL_ADDRESS", "NUMBER", "check_https", "is_loopback", "is_mail_address"]

NUMBER: Final = r"^\+[1-9][0-9]{6,14}$"
"""A telephone number with its country (E.164)."""
MAIL_ADDRESS: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$"
"""An address without a name, and nothing that could end a header."""
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_https(url: str) -> str:
    """The URL if it is https (or http on this machine). Raises ValueError that does not show it."""
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname and _HOST.fullmatch(parts.hostname)) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.scheme not in {"http", "https"} or any(c.isspace() for c in url):
        msg = "must be an address such as https://host/path"
        raise ValueError(msg)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        msg = "would send secrets and texts in the clear: use https (http only on this machine)"
        raise ValueError(msg)
    return url


def is_mail_address(text: str) -> bool:
    """Whether a text is one e-mail address and nothing else."""
    return re.fullmatch(MAIL_ADDRESS, text) is not None and not text.endswith("\n")
