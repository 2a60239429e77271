"""What a client of the pages and the API does, with nothing but the standard library."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any, Final

__all__ = ["get", "log_in", "logins_in", "post"]

TIMEOUT_S: Final = 30.0
_LOGIN: Final = re.compile(r"^ {4}(\w+) +(\S+) +(\S+)(?: +\d+)?\s*$", re.MULTILINE)


def logins_in(said: str) -> dict[str, tuple[str, str]]:
    """Role -> login and password of the first of that role, out of what ``hearthward run`` prints."""
    _, _, rest = said.partition("Logins")
    found: dict[str, tuple[str, str]] = {}
    for role, login, password in _LOGIN.findall(rest):
        found.setdefault(role, (login, password))
    return found


def log_in(url: str, login: str, password: str) -> str:
    """A session's token."""
    body = json.dumps({"login": login, "password": password}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v1/login", body, headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - see above
        token: str = json.load(answer)["token"]
    return token


def get(url: str, token: str, *, accept: str = "application/json") -> Any:
    """GET; JSON is parsed, a page is given as bytes."""
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - see above
        return json.load(answer) if accept == "application/json" else answer.read()


def post(url: str, token: str, content: object) -> tuple[int, Any]:
    """POST JSON; status and content of the answer (None without any), also of a refusal."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(content).encode(), headers)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - see above
            return int(answer.status), json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read() or b"null")
