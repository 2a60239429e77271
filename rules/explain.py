"""What a rule asks for and what there is, predicate by predicate, and which of them stand in the way.

Pure: ``explain`` judges with ``rules.evaluate`` and puts its results into words; it decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from rules.compiled import Compiled, Result
from rules.conditions import (
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Leaf,
    Missing,
    Node,
    Not,
    Repeat,
    Score,
    Threshold,
    Unusual,
    leaves,
    parameter_names,
)
from rules.context import Context
from rules.evaluate import evaluate
from rules.leaf_words import Code, LeafWords
from rules.model import Measured
from rules.rule import Rule, number
from rules.state import Subject
from rules.telling import Text, joined, lasting, moment, said

__all__ = ["Code", "Explanation", "Predicate", "explain", "limit_words"]

_KINDS: Final[dict[type, str]] = {
    Threshold: "threshold",
    Change: "change",
    Deviation: "deviation",
    Unusual: "unusual",
    Score: "score",
    Missing: "missing",
    DeviceFlag: "flag",
    Count: "count",
    All: "all",
    Any_: "any",
    Not: "not",
    Repeat: "repeat",
}
_JOINTS: Final[dict[str, Text]] = {
    "all": {"en": "all of these", "zh": "以下全部满足"},
    "any": {"en": "at least one of these", "zh": "以下至少一项满足"},
    "not": {"en": "not", "zh": "以下不成立"},
    "repeat": {"en": "confirmed by a second measurement", "zh": "经第二次测量确认"},
}


@dataclass(frozen=True, slots=True)
class Predicate:
    """One node of a rule's condition: what it asks for (``text``) and what there is (``found``).

    ``truth`` None: not known. ``blocks``: were it otherwise, the rule might have fired. ``value`` is what
    was compared with ``limit`` (a smoothed value, a change, a score, seconds of silence), ``readings`` what
    that was taken from.
    """

    kind: str
    text: Text
    truth: bool | None
    found: Text
    code: Code
    blocks: bool = False
    value: float | None = None
    limit: float | None = None
    readings: tuple[Measured, ...] = ()
    parts: tuple[Predicate, ...] = ()

    def walk(self) -> Iterator[tuple[int, Predicate]]:
        """(depth, predicate) from the top to the leaves."""
        yield 0, self
        for part in self.parts:
            yield from ((depth + 1, found) for depth, found in part.walk())


@dataclass(frozen=True, slots=True)
class Explanation:
    """A rule judged for one subject at one moment; ``opens`` is whether it would begin an alarm."""

    at: int
    opens: bool
    root: Predicate

    @property
    def blockers(self) -> tuple[Predicate, ...]:
        """The leaves that stand in the way, as they stand in the rule; none when it opens."""
        return tuple(p for _, p in self.root.walk() if p.blocks and not p.parts)

    @property
    def text(self) -> Text:
        """What stands in the way, or what holds, in one sentence."""
        shown = self.blockers or tuple(p for _, p in self.root.walk() if p.truth and not p.parts)
        return joined({p.found["en"]: p.found for p in shown}.values())


def explain(rule: Rule, subject: Subject, context: Context, at: int) -> Explanation:
    """Judge ``rule`` (its parameters not resolved) at ``at`` (UTC ns) as the engine would, in words."""
    limits = context.limits_at(at)
    own = {name: limits[rule.id, name] for name in rule.parameters if (rule.id, name) in limits}
    compiled = Compiled(context.resolve_with(rule, limits), rule.hash, own)
    verdict = evaluate(compiled, subject, context, at)
    known = _Known(rule, compiled, verdict.results, subject, context, at)
    root = known.node(rule.condition, compiled.rule.condition, 0, wanted=True)
    return Explanation(at, verdict.opens, replace(root, blocks=False) if verdict.opens else root)


def limit_words(rule: Rule, compiled: Compiled, node: Node) -> Text | None:
    """Who set the numbers of a node (not resolved) for this patient, until when and why; None: nobody."""
    told = []
    for name in sorted(parameter_names(node)):
        limit = compiled.limits.get(name)
        if limit is None:
            continue
        own = rule.parameters[name]
        if not own.low <= limit.value <= own.high:
            told.append(
                said(
                    "{value} set by {by} lies outside the rule's {low} to {high} and does not count",
                    "{by} 设定的 {value} 超出规则范围 {low} 至 {high},不生效",
                    value=number(limit.value),
                    by=limit.by,
                    low=number(own.low),
                    high=number(own.high),
                )
            )
            continue
        until: Text = {"en": "until changed", "zh": "直至更改"}
        if limit.expires is not None:
            until = said("until {at}", "至 {at}", at=moment(limit.expires))
        told.append(
            said(
                "limit set by {by} on {start} {until}, because: {why}; the rule's own is {own}",
                "限值由 {by} 于 {start} 设定,{until},原因:{why};规则自身为 {own}",
                by=limit.by,
                start=moment(limit.start),
                until=until,
                why=limit.reason,
                own=number(own.value),
            )
        )
    return joined(told) if told else None


class _Known:
    """One rule's results, to be put into words node by node."""

    def __init__(
        self,
        rule: Rule,
        compiled: Compiled,
        results: list[Result],
        subject: Subject,
        context: Context,
        at: int,
    ) -> None:
        self.rule, self.compiled, self.results = rule, compiled, results
        self.words = LeafWords(compiled, subject, context, at)

    def node(self, raw: Node, node: Node, first: int, *, wanted: bool) -> Predicate:
        """A node whose leaves' results begin at ``first``; ``raw`` is the same with names of parameters.

        ``wanted`` is the truth by which it does not stand in the way: under a ``not`` that is False.
        """
        if not isinstance(node, All | Any_ | Not | Repeat):
            return self._leaf(raw, node, self.results[first], wanted=wanted)
        truth = self._truth(node, first, staying=not wanted)
        blocks = truth is not wanted
        inner = wanted is not isinstance(node, Not)
        pairs = list(zip(_below(raw), _below(node), strict=True))
        parts = []
        for below_raw, below in pairs:
            part = self.node(below_raw, below, first, wanted=inner)
            parts.append(part if blocks else _cleared(part))
            first += sum(1 for _ in leaves(below))
        kind = _KINDS[type(node)]
        text = _JOINTS[kind]
        if isinstance(node, Repeat):
            text = self._repeat_text(node)
        return Predicate(kind, text, truth, _truth_words(truth), "parts", blocks, parts=tuple(parts))

    def _truth(self, node: Node, first: int, *, staying: bool) -> bool | None:
        """The truth of a part of the tree by itself: of a rule that asks for nothing else."""
        if isinstance(node, Repeat):
            found = [self._truth(part, first, staying=staying) for part in (node.of,)]
            if node.critical is not None:
                after = first + sum(1 for _ in leaves(node.of))
                found.append(self._truth(node.critical, after, staying=staying))
            return True if True in found else None if None in found else False
        part = self.results[first : first + sum(1 for _ in leaves(node))]
        alone = Compiled(replace(self.compiled.rule, condition=Not(node) if staying else node), "", {})
        truth = alone.opens(part)
        return truth if truth is None or not staying else not truth

    @staticmethod
    def _repeat_text(node: Repeat) -> Text:
        return said(
            "confirmed by a second measurement at least {after} later, or when none comes within {timeout}",
            "至少 {after}后由第二次测量确认,或 {timeout}内无第二次测量",
            after=lasting(node.after_s),
            timeout=lasting(node.timeout_s),
        )

    # -- leaves

    def _leaf(self, raw: Node, leaf: Leaf, result: Result, *, wanted: bool) -> Predicate:
        truth = result.opens if wanted else result.holds
        text, limit = self.words.asked(leaf)
        code, found = self.words.told(leaf, result)
        by = limit_words(self.rule, self.compiled, raw)
        if by is not None:
            found = said("{found} ({by})", "{found} ({by})", found=found, by=by)
        return Predicate(
            _KINDS[type(leaf)],
            text,
            truth,
            found,
            code,
            truth is not wanted,
            result.value,
            limit,
            result.readings,
        )


def _below(node: Node) -> tuple[Node, ...]:
    match node:
        case All(parts) | Any_(parts):
            return parts
        case Not(part):
            return (part,)
        case Repeat(of=of, critical=critical):
            return (of,) if critical is None else (of, critical)
    return ()


def _cleared(predicate: Predicate) -> Predicate:
    """Nothing below what does not stand in the way stands in the way."""
    return replace(predicate, blocks=False, parts=tuple(map(_cleared, predicate.parts)))


def _truth_words(truth: bool | None) -> Text:  # noqa: FBT001 - a truth value of three
    if truth is None:
        return {"en": "not known", "zh": "未知"}
    return {"en": "holds", "zh": "成立"} if truth else {"en": "does not hold", "zh": "不成立"}
