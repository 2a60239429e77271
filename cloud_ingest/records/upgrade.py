"""Bring a database to this version's schema; Alembic is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect, text

from hearthward.core.errors import ConfigError

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["HEAD", "REVISIONS", "alembic_config", "current", "upgrade"]

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")
"""All revisions, oldest first (a test compares them with the scripts)."""
HEAD: Final = REVISIONS[-1]


def current(connection: Connection) -> str | None:
    """The revision a database stands at, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def upgrade(engine: Engine, shown: str) -> None:
    """Upgrade in one transaction: done wholly or not at all.

    Raises ConfigError for a database of a newer version, and for one that is not ours.
    """
    with engine.connect() as connection:
        revision = current(connection)
        tables = inspect(connection).get_table_names() if revision is None else []
    if revision == HEAD:
        return
    if revision is not None and revision not in REVISIONS:
        msg = (
            f"database {shown} is of schema {revision}, newer than this version's {HEAD}: "
            "start the newer hearthward, or choose another data folder"
        )
        raise ConfigError(msg, found=revision, known=HEAD)
    if set(tables) - {"alembic_version"}:
        msg = f"database {shown} has tables that are not hearthward's: choose another data folder"
        raise ConfigError(msg, found=tables[0])
    _migrate(engine)


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for the shipped scripts, working on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _migrate(engine: Engine) -> None:
    from alembic import command

    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), HEAD)
