"""Stages of one condition: whether a rule that raises another one's alarm fits it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rules.conditions import Repeat
from rules.document import nearest
from rules.rule import Rule

__all__ = ["misfits", "misfits_with"]

_GRAVER: Final = ("low", "medium", "high")


def misfits(rule: Rule, others: Mapping[str, Rule]) -> Iterator[str]:
    """What is wrong with the rule that ``rule`` raises, a sentence each; ``others`` are all rules by id."""
    if not rule.raises:
        return
    other = others.get(rule.raises)
    if other is None:
        yield f"there is no rule {rule.raises!r} ({nearest(rule.raises, list(others))})"
        return
    if (other.kind, other.subject) != (rule.kind, rule.subject):
        yield f"{other.id!r} is about something else: {other.kind}, {other.subject}"
    if _GRAVER.index(other.priority) > _GRAVER.index(rule.priority):
        yield f"{other.id!r} is of {other.priority} priority already"
    if other.raises:
        yield f"{other.id!r} raises {other.raises!r} itself: there are two stages"
    if isinstance(other.condition, Repeat):
        yield f"{other.id!r} asks for a second measurement: it has an alarm of its own"
    if not set(rule.inputs) & set(other.inputs):
        yield f"{other.id!r} looks at none of this rule's signals"


def misfits_with(rule: Rule, others: Mapping[str, Rule]) -> Iterator[str]:
    """The same of ``rule`` among ``others``, whose rule of its id it replaces, and of those that raise it."""
    known = {**others, rule.id: rule}
    yield from (f"raises: {wrong}" for wrong in misfits(rule, known))
    for other in known.values():
        if other.raises == rule.id:
            yield from (f"{other.id!r} raises it: {wrong}" for wrong in misfits(other, known))
