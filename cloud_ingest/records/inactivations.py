"""What people have switched off, for whom, why and until when; the pipeline's transitions write it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select

from cloud_ingest.records.models import InactivationRow
from cloud_ingest.records.scoping import SUBJECT_KINDS, Repository
from hearthward.trust.access import Scope

__all__ = ["Inactivations"]


class Inactivations(Repository):
    """Inactivations of patients, devices, gateways and components within a scope."""

    def list(
        self,
        scope: Scope,
        *,
        open: bool | None = True,  # noqa: A002 - the domain's word
        subject: str | None = None,
        ward: str | None = None,
        kind: str | None = None,
        equipment: bool | None = None,
        since: int | None = None,
        limit: int = 500,
    ) -> Sequence[InactivationRow]:
        """The newest first; those that still hold, or (``open`` False) that have ended, or (None) all.

        ``ward``: of its patients, gateways, their devices and its components. ``equipment``: of what is no
        patient, or (False) of patients. ``since``: still held after it (UTC ns).
        """
        query = select(InactivationRow).where(
            InactivationRow.tenant == scope.tenant, *self._subject_limit(InactivationRow.subject, scope)
        )
        if open is not None:
            query = query.where(
                InactivationRow.ended.is_(None) if open else InactivationRow.ended.is_not(None)
            )
        if subject is not None:
            query = query.where(InactivationRow.subject == subject)
        if ward is not None:
            within = Scope(scope.tenant, frozenset({ward}))
            query = query.where(*self._subject_limit(InactivationRow.subject, within))
        if kind is not None:
            query = query.where(InactivationRow.kind == kind)
        if equipment is not None:
            technical = or_(*(InactivationRow.subject.startswith(f"{k}:") for k in SUBJECT_KINDS))
            query = query.where(technical if equipment else ~technical)
        if since is not None:
            query = query.where(or_(InactivationRow.ended.is_(None), InactivationRow.ended > since))
        order = InactivationRow.start.desc(), InactivationRow.id
        return self.session.scalars(query.order_by(*order).limit(limit)).all()

    def get(self, scope: Scope, inactivation: str) -> InactivationRow:
        """One of them. Raises ConfigError (``not_found``)."""
        limits = self._subject_limit(InactivationRow.subject, scope)
        return self._find(InactivationRow, scope, inactivation, "inactivation", *limits)
