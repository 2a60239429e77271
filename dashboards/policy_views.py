"""Escalation policies as the web takes and shows them: YAML in, versions and readable timetables out."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from typing import Any

import yaml

from dashboards.backend import DirectoryError
from dashboards.duty_views import timetables_of
from dashboards.staff_models import PolicyVersion
from rules.response.policies import POLICIES, PolicyError, load_policies, load_policy, to_document
from rules.response.policy import Policy

__all__ = ["check_people", "read_policy", "shipped_policies", "shipped_text", "version_view", "written"]


@cache
def shipped_policies() -> dict[str, tuple[Policy, str]]:
    """The policies that come with the product with their files' text, by id."""
    texts = {}
    for file in sorted(POLICIES.glob("*.yaml")):
        text = file.read_text()
        texts[load_policy(text, file.name).id] = text
    return {key: (policy, texts[key]) for key, policy in load_policies().items()}


def shipped_text(policy: Policy) -> str | None:
    """The text of a shipped policy's file, where it is that very policy."""
    found = shipped_policies().get(policy.id)
    return found[1] if found is not None and found[0] == policy else None


def read_policy(text: str) -> Policy:
    """The policy that a text means. Raises DirectoryError (``text``) with everything that is wrong."""
    try:
        return load_policy(text, "policy")
    except PolicyError as error:
        said = "; ".join(
            p.message if p.line is None else f"line {p.line}: {p.message}" for p in error.problems
        )
        raise DirectoryError(field="text", code="rule", value=said) from error


def check_people(policy: Policy, people: Iterable[str]) -> None:
    """Refuse a policy that names somebody who is not there. Raises DirectoryError (``text``)."""
    known = frozenset(people)
    named = {
        target.user
        for table in policy.timetables.values()
        for step in table.steps
        for target in step.targets
        if target.kind == "user"
    }
    if missing := sorted(named - known):
        said = f"user:{missing[0]}: there is no such user"
        raise DirectoryError(field="text", code="rule", value=said)


def written(policy: Policy) -> str:
    """A policy as YAML, for one whose own text was not kept."""
    out = io.StringIO()
    document: dict[str, Any] = to_document(policy)
    yaml.safe_dump(document, out, allow_unicode=True, sort_keys=False, default_flow_style=None, width=110)
    return out.getvalue()


def version_view(
    policy: Policy,
    *,
    active: bool,
    shipped: bool = False,
    by: str = "",
    at: int | None = None,
    text: str | None = None,
) -> PolicyVersion:
    """A version of a policy for people."""
    return PolicyVersion(
        id=policy.id,
        version=policy.version,
        title=dict(policy.title),
        active=active,
        shipped=shipped,
        by=by,
        at=at,
        text=written(policy) if text is None else text,
        timetables=timetables_of(policy),
    )
