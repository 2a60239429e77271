"""The exact content of every rule ever decided by: kept by hash, so that a past alarm can be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import RuleVersion
from rules import Rule

__all__ = ["keep_versions", "rule_version", "versions_of"]


def keep_versions(
    session: Session, tenant: str, rules: Iterable[Rule], now: int, sources: Mapping[str, str] | None = None
) -> None:
    """Keep those that are not kept yet; ``sources`` maps hashes to the text of the rule's file."""
    wanted = {rule.hash: rule for rule in rules}
    known = set(
        session.scalars(
            select(RuleVersion.hash).where(RuleVersion.tenant == tenant, RuleVersion.hash.in_(wanted))
        )
    )
    for digest, rule in wanted.items():
        if digest not in known:
            session.add(
                RuleVersion(
                    tenant=tenant,
                    hash=digest,
                    rule=rule.id,
                    version=rule.version,
                    content=rule.content(),
                    source=(sources or {}).get(digest),
                    first_seen=now,
                )
            )
    session.flush()


def rule_version(session: Session, tenant: str, digest: str) -> RuleVersion | None:
    """The rule of that hash, as it was; ``Rule.from_content(row.content)`` is the way back."""
    return session.get(RuleVersion, (tenant, digest))


def versions_of(session: Session, tenant: str, rule: str) -> Sequence[RuleVersion]:
    """Every content that a rule of that id ever had, the newest first."""
    query = select(RuleVersion).where(RuleVersion.tenant == tenant, RuleVersion.rule == rule)
    return session.scalars(query.order_by(RuleVersion.first_seen.desc(), RuleVersion.version.desc())).all()
