"""Wards and beds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import ColumnElement, exists, or_, select

from cloud_ingest.records.models import Bed, Encounter, Ward
from cloud_ingest.records.scoping import Repository, check_text, refuse, require_whole
from hearthward.core.text import natural
from hearthward.trust.access import Scope

__all__ = ["Beds", "Wards"]


class WardFields(TypedDict, total=False):
    """What can be changed of a ward; ``wall_expected``: whether it has a wall display."""

    name: str
    wall_expected: bool


class BedFields(TypedDict, total=False):
    """What can be changed of a bed."""

    label: str


class Wards(Repository):
    """Wards, and teams that care for people at home."""

    def create(
        self, scope: Scope, *, name: str, wall_expected: bool = False, ident: str | None = None
    ) -> Ward:
        """Make a ward. Raises ConfigError when the name is taken or cannot be used."""
        require_whole(scope, "making a ward")
        row = Ward(
            tenant=scope.tenant,
            id=self._new_id(Ward, scope, ident, "wrd", "ward"),
            name=self._name(scope, name),
            wall_expected=wall_expected,
            created=self.now,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, ward: str, **fields: Unpack[WardFields]) -> Ward:
        """Rename a ward, or say whether it has a wall (then it is missed when it is not there)."""
        row = self.get(scope, ward)
        if "name" in fields and fields["name"] != row.name:
            self._change(row, {"name": self._name(scope, fields["name"])})
        if "wall_expected" in fields:
            self._change(row, {"wall_expected": fields["wall_expected"]})
        return row

    def end(self, scope: Scope, ward: str, *, at: int | None = None) -> Ward:
        """Close a ward and its beds. Refused while it cares for a patient."""
        row = self.get(scope, ward)
        when = self._when(at, "end")
        busy = select(Encounter.patient).where(
            Encounter.tenant == scope.tenant,
            Encounter.ward == ward,
            or_(Encounter.end.is_(None), Encounter.end > when),
        )
        count = len(self.session.scalars(busy).all())
        if count:
            refuse(
                "ward",
                f"{row.name} still cares for {count} patients; end or move their stays first",
                reason="conflict",
            )
        for bed in self.session.scalars(
            select(Bed).where(Bed.tenant == scope.tenant, Bed.ward == ward, Bed.ended.is_(None))
        ):
            bed.ended = when
        self._change(row, {"ended": when})
        return row

    def get(self, scope: Scope, ward: str) -> Ward:
        """One ward. Raises ConfigError (``not_found``)."""
        return self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope))

    def list(self, scope: Scope, *, ended: bool = False) -> Sequence[Ward]:
        """The wards by name; closed ones only when asked for."""
        query = select(Ward).where(*self.limits(scope))
        if not ended:
            query = query.where(Ward.ended.is_(None))
        return self.session.scalars(query.order_by(Ward.name, Ward.id)).all()

    def limits(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Which rows a scope covers."""
        return [Ward.tenant == scope.tenant, *self._ward_limit(Ward.id, scope)]

    def _name(self, scope: Scope, name: str) -> str:
        name = check_text(name, "name")
        if self.session.scalar(select(exists().where(Ward.tenant == scope.tenant, Ward.name == name))):
            refuse("name", f"there is a ward {name!r} already; choose another name", reason="conflict")
        return name


class Beds(Repository):
    """The beds of wards."""

    def create(self, scope: Scope, *, ward: str, label: str, ident: str | None = None) -> Bed:
        """Make a bed in a ward. Raises ConfigError: unknown or closed ward, label taken there."""
        place = self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope))
        if place.ended is not None:
            refuse("ward", f"{place.name} is closed; choose another", reason="conflict")
        row = Bed(
            tenant=scope.tenant,
            id=self._new_id(Bed, scope, ident, "bed", "bed"),
            ward=ward,
            label=self._label(scope, ward, label),
            created=self.now,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, bed: str, **fields: Unpack[BedFields]) -> Bed:
        """Relabel a bed (a bed never changes its ward: close it and make another)."""
        row = self.get(scope, bed)
        if "label" in fields and fields["label"] != row.label:
            self._change(row, {"label": self._label(scope, row.ward, fields["label"])})
        return row

    def end(self, scope: Scope, bed: str, *, at: int | None = None) -> Bed:
        """Take a bed away. Refused while a patient is in it."""
        row = self.get(scope, bed)
        when = self._when(at, "end")
        occupied = exists().where(
            Encounter.tenant == scope.tenant,
            Encounter.bed == bed,
            or_(Encounter.end.is_(None), Encounter.end > when),
        )
        if self.session.scalar(select(occupied)):
            refuse("bed", f"{row.label} is occupied; end or move that stay first", reason="conflict")
        self._change(row, {"ended": when})
        return row

    def get(self, scope: Scope, bed: str) -> Bed:
        """One bed. Raises ConfigError (``not_found``)."""
        return self._find(Bed, scope, bed, "bed", *self._ward_limit(Bed.ward, scope))

    def list(self, scope: Scope, *, ward: str | None = None, ended: bool = False) -> Sequence[Bed]:
        """The beds by ward and label; those taken away only when asked for."""
        query = select(Bed).where(*self.limits(scope))
        if ward is not None:
            query = query.where(Bed.ward == ward)
        if not ended:
            query = query.where(Bed.ended.is_(None))
        beds = self.session.scalars(query).all()
        return sorted(beds, key=lambda bed: (bed.ward, natural(bed.label), bed.id))

    def limits(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Which rows a scope covers."""
        return [Bed.tenant == scope.tenant, *self._ward_limit(Bed.ward, scope)]

    def _label(self, scope: Scope, ward: str, label: str) -> str:
        label = check_text(label, "label")
        taken = exists().where(Bed.tenant == scope.tenant, Bed.ward == ward, Bed.label == label)
        if self.session.scalar(select(taken)):
            refuse("label", f"the ward has a bed {label!r} already; choose another", reason="conflict")
        return label
