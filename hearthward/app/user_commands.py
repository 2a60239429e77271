"""``hearthward users``: who may log in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import click

__all__ = ["add_user_commands"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
_ROLES: Final = click.Choice(["nurse", "doctor", "engineer", "patient", "family", "admin", "display"])


def add_user_commands(main: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``main``; ``told`` shows errors, ``settings`` reads them from the context."""

    @main.group()
    def users() -> None:
        """People who may log in: add, passwd, link, disable, enable, logout, list."""

    _making(users, told, settings)
    _keeping(users, told, settings)


def _making(users: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @users.command("add")
    @click.argument("login")
    @click.option("--role", "roles", type=_ROLES, multiple=True, required=True)
    @click.option("--name", help="The person's name (default: the login).")
    @click.option("--ward", "wards", multiple=True, help="Ward id; none means every ward.")
    @click.option("--patient", help="Patient id, for the roles patient and family.")
    @click.pass_context
    @told
    def users_add(context: click.Context, /, login: str, **options: Any) -> None:
        """Add a person and print a one-time password."""
        from hearthward.app.people import add_user

        click.echo(asyncio.run(add_user(settings(context), login, **options)))

    @users.command("passwd")
    @click.argument("login")
    @click.pass_context
    @told
    def users_passwd(context: click.Context, login: str) -> None:
        """Give a person a new password and print it; ends their sessions."""
        from hearthward.app.people import new_password

        click.echo(asyncio.run(new_password(settings(context), login)))

    @users.command("link")
    @click.argument("login")
    @click.pass_context
    @told
    def users_link(context: click.Context, login: str) -> None:
        """Print a one-time link by which a person chooses a password of their own."""
        from hearthward.app.people import new_link

        click.echo(asyncio.run(new_link(settings(context), login)))


def _keeping(users: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @users.command("disable")
    @click.argument("login")
    @click.pass_context
    @told
    def users_disable(context: click.Context, login: str) -> None:
        """Let a person in no longer; ends their sessions and links."""
        from hearthward.app.people import let_in

        click.echo(asyncio.run(let_in(settings(context), login, allowed=False)))

    @users.command("enable")
    @click.argument("login")
    @click.pass_context
    @told
    def users_enable(context: click.Context, login: str) -> None:
        """Let a disabled person in again."""
        from hearthward.app.people import let_in

        click.echo(asyncio.run(let_in(settings(context), login, allowed=True)))

    @users.command("logout")
    @click.argument("login")
    @click.pass_context
    @told
    def users_logout(context: click.Context, login: str) -> None:
        """End all sessions of a person."""
        from hearthward.app.people import log_out

        click.echo(asyncio.run(log_out(settings(context), login)))

    @users.command("list")
    @click.pass_context
    @told
    def users_list(context: click.Context) -> None:
        """List the people who may log in."""
        from hearthward.app.people import list_users

        click.echo(asyncio.run(list_users(settings(context))))
