"""What all tables share: the declarative base, keys that count up, and constraints within a tenant."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKeyConstraint, Index, Integer, LargeBinary, MetaData, text
from sqlalchemy.orm import DeclarativeBase

__all__ = ["Base", "Seq", "one_open", "within_tenant"]

Seq = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database counts up (SQLite does so for INTEGER only)."""


class Base(DeclarativeBase):
    """The root of all models; ``metadata`` is what ``alembic check`` compares."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        bytes: LargeBinary,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
    }


def within_tenant(column: str, table: str) -> ForeignKeyConstraint:
    """A reference to a row of the same tenant."""
    return ForeignKeyConstraint(["tenant", column], [f"{table}.tenant", f"{table}.id"])


def one_open(name: str, *columns: str, also: str = "") -> Index:
    """At most one row without an end for ``columns``."""
    condition = text(f'"end" IS NULL{also}')
    return Index(name, "tenant", *columns, unique=True, sqlite_where=condition, postgresql_where=condition)
