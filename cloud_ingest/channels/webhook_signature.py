"""How receivers of our webhooks know that a message is ours, new, and which one.

A message is a POST of JSON with three headers:

    Hearthward-Id: ntf_...            the notification's id: the same when it is sent again
    Hearthward-Timestamp: 1767225600  when it was sent, seconds since 1970 (UTC)
    Hearthward-Signature: v1=...      hex of HMAC-SHA256(secret, timestamp + "." + body)

A receiver takes the body's bytes as they came, calls ``verify`` (or does the same in its own language),
refuses what is not signed, and does nothing, but answers 200, for an id that it has had before.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

__all__ = ["ID", "SIGNATURE", "TIMESTAMP", "sign", "verify"]

ID: Final = "Hearthward-Id"
TIMESTAMP: Final = "Hearthward-Timestamp"
SIGNATURE: Final = "Hearthward-Signature"
TOLERANCE_S: Final = 300
"""How old, or how far ahead, a message may be; older ones may be repeated by somebody else."""
_VERSION: Final = "v1="


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The signature header of a body sent at ``timestamp`` (s since 1970)."""
    mac = hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256)
    return _VERSION + mac.hexdigest()


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, now_s: float, *, tolerance_s: int = TOLERANCE_S
) -> bool:
    """Whether a message with these headers and this body is signed with the secret and not too old.

    ``headers`` are found whatever the case of their names.
    """
    found = {name.lower(): value for name, value in headers.items()}
    timestamp, signature = found.get(TIMESTAMP.lower(), ""), found.get(SIGNATURE.lower(), "")
    if not (timestamp.isascii() and timestamp.isdecimal()) or abs(now_s - int(timestamp)) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, int(timestamp), body).encode(), signature.encode())
