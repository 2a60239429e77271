"""``hearthward rules draft``, ``releases``, ``shadow``...: a site's own rules, through the running cloud.

Each step is taken by a person, who logs in for it: two persons are needed before a rule is in force, and the
token that the cloud leaves for this user signs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cloud_ingest.records.releases import Act
from hearthward.app.lock import FolderLock
from hearthward.app.rest import Rest, rest_of
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings

__all__ = ["draft", "list_releases", "roll_back", "step"]

RULES: Final = "/api/v1/rules"
NEXT: Final[Mapping[str, str]] = {
    "draft": "next: hearthward rules shadow {id}",
    "shadow": "it is decided beside the rule in force and never signalled; next, by a second person: "
    "hearthward rules approve {id}",
    "approved": "next: hearthward rules activate {id}",
    "active": "it is in force; back with: hearthward rules rollback {rule}",
    "rolled_back": "what it replaced is in force again",
    "withdrawn": "nothing has changed",
}


async def draft(settings: Settings, login: str, password: str, file: Path, note: str) -> str:
    """Enter a rule's file as a draft. Raises HearthwardError."""
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise ConfigError(msg, file=str(file)) from error
    except UnicodeDecodeError as error:
        msg = "is not UTF-8 text"
        raise ConfigError(msg, file=str(file)) from error
    async with _person(settings, login, password) as rest:
        return await rest.ask("POST", f"{RULES}/drafts", _told, {"text": text, "note": note})


async def step(settings: Settings, login: str, password: str, release: str, act: Act) -> str:
    """Take a release one step. Raises HearthwardError."""
    async with _person(settings, login, password) as rest:
        return await rest.ask("POST", f"{RULES}/releases/{quote(release, safe='')}/{act}", _told)


async def roll_back(settings: Settings, login: str, password: str, rule: str) -> str:
    """Take a rule's active release out of force. Raises HearthwardError."""
    async with _person(settings, login, password) as rest:
        found = await rest.ask("GET", f"{RULES}/{quote(rule, safe='')}", lambda a: a["releases"])
        active = [release["id"] for release in found if release["state"] == "active"]
        if not active:
            msg = f"rule {rule} has no release of this site in force: there is nothing to roll back"
            raise ConfigError(msg, rule=rule)
        return await rest.ask("POST", f"{RULES}/releases/{active[0]}/rollback", _told)


async def list_releases(settings: Settings) -> str:
    """All releases, one line each, newest first. Raises HearthwardError."""
    rest = _running(settings)
    releases: Sequence[Mapping[str, Any]] = await rest.ask(
        "GET", f"{RULES}/releases", lambda a: list(a["items"])
    )
    if not releases:
        return "no releases yet: hearthward rules draft FILE"
    table = [("RELEASE", "RULE", "VERSION", "STATE", "HASH", "WRITTEN BY", "APPROVED BY", "NOTE")]
    table += [
        (
            r["id"],
            r["rule"],
            str(r["version"]),
            r["state"],
            r["hash"],
            r["author"],
            r["approved_by"] or "-",
            r["note"],
        )
        for r in releases
    ]
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def _told(release: Mapping[str, Any]) -> str:
    said = f"{release['id']}: {release['rule']} version {release['version']} ({release['hash']})"
    more = NEXT.get(release["state"], "").format(id=release["id"], rule=release["rule"])
    return f"{said} is {release['state'].replace('_', ' ')}; {more}" if more else said


@asynccontextmanager
async def _person(settings: Settings, login: str, password: str) -> AsyncIterator[Rest]:
    """The running cloud's API as the person who logs in; they are logged out afterwards."""
    asked = _running(settings).as_somebody("")
    body = {"login": login, "password": password}
    token: str = await asked.ask("POST", "/api/v1/login", lambda a: str(a["token"]), body)
    rest = asked.as_somebody(token)
    try:
        yield rest
    finally:
        await rest.ask("POST", "/api/v1/logout", lambda _: None)


def _running(settings: Settings) -> Rest:
    """The API of the cloud that runs on this folder. Raises ConfigError when none does."""
    folder = settings.data / "cloud"
    if (folder / "records.db").exists():
        lock = FolderLock(folder)
        try:
            lock.acquire()
        except ConfigError as error:
            holder = error.details.get("pid")
            if holder is None:
                raise
            return rest_of(folder, holder, settings.web.tls_certificate)
        lock.release()
    msg = f"no cloud runs on {folder}: rules are released through a running one; start it, or name --data"
    raise ConfigError(msg, file=str(folder))
