"""What pages and API show of logins: how each stands, and links just made."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant, User

__all__ = ["Account", "AccountPage", "NewLink", "OwnSession", "Texted"]

Texted = Literal["handed_over", "no_channel", "no_number", "failed"]
"""What became of a link that was to be sent by SMS; handed over to the channel is not yet received."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Account(_View):
    """A login and how it stands."""

    user: User
    phone: str | None = None
    joined: bool = Field(description="whether a password is set")
    sessions: int = Field(0, description="browsers that are logged in now")
    since: Instant | None = Field(None, description="when the newest of them logged in")
    link_until: Instant | None = Field(None, description="a one-time link waits to be used until then")


class AccountPage(_View):
    """Some of the logins asked for, by login, and how many there are in all."""

    items: list[Account]
    total: int


class OwnSession(_View):
    """Where the caller is logged in."""

    id: str = Field(description="what it is called; it opens nothing")
    device: str = Field("", description="in a few words, such as `Chrome · Android`; empty: not known")
    created: Instant = Field(description="when somebody logged in there")
    used: Instant = Field(description="when it last asked for something, within five minutes")
    expires: Instant | None = Field(None, description="null: a wall display")
    here: bool = Field(default=False, description="whether it is the one that asks")


class NewLink(_View):
    """A one-time link just made; its ``secret`` is shown only here."""

    user: User
    phone: str | None = None
    expires: Instant
    secret: str = Field(repr=False)
