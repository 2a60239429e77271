"""Rules as text for people, and the check that each lives up to its own examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hearthward.core.codes import METRICS
from hearthward.core.errors import ConfigError
from rules.conditions import (
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Missing,
    Node,
    Not,
    Number,
    Repeat,
    Score,
    Threshold,
    Unusual,
)
from rules.document import RuleFileError, nearest
from rules.examples import failures, run_example
from rules.loader import load_files, load_rules
from rules.rule import Rule, RuleSet, number, span

__all__ = ["CheckReport", "check", "library_table", "list_text", "run_example", "show_text", "tree"]

_COLUMNS: Final = ("ID", "VERSION", "PRIORITY", "FOR", "LIMIT", "DELAY", "HASH", "TITLE")
_SCORES: Final = {
    "news2": "NEWS2, the sum",
    "news2_three": "NEWS2, the points of the worst parameter",
}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, line by line, and whether all is well."""

    lines: tuple[str, ...]
    ok: bool


def list_text(rules: RuleSet) -> str:
    """One line a rule: id, version, priority, for whom, limit, delay, hash, title."""
    rows = [_COLUMNS]
    rows += [
        (r.id, str(r.version), r.priority, _whom(r), r.limit, span(r.delay_s), r.hash, r.title["en"])
        for r in rules
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, f"{len(rules)} rules, set {rules.hash}"])


def _whom(rule: Rule) -> str:
    if rule.subject != "patient":
        return rule.subject
    who = {"any": "patients", "ward": "ward", "home": "home"}[rule.setting]
    return f"{who}, 16+" if rule.adults else who


def show_text(rules: RuleSet, rule_id: str) -> str:
    """One rule in full. Raises ConfigError with the nearest id when there is none."""
    rule = rules.by_id.get(rule_id)
    if rule is None:
        msg = f"no rule {rule_id!r} ({nearest(rule_id, rules.by_id)})"
        raise ConfigError(msg, rule=rule_id)
    lines = [f"{rule.id} version {rule.version} ({rule.hash})"]
    lines += [f"  {label:<12} {text}" for label, text in _facts(rule)]
    return "\n".join(lines)


def _facts(rule: Rule) -> Iterator[tuple[str, str]]:
    yield "title", f"{rule.title['en']} / {rule.title['zh']}"
    yield "kind", f"{rule.kind}, priority {rule.priority}"
    yield "for", _subjects(rule)
    yield "told to", f"{', '.join(rule.audience)}; escalation {rule.escalation}"
    yield "limit", f"{rule.limit}, told after {span(rule.delay_s)}"
    for i, line in enumerate(tree(rule.condition, rule)):
        yield "condition" if i == 0 else "", line
    for name, p in rule.parameters.items():
        bounds = f"{number(p.low)} to {number(p.high)}"
        yield "parameter", f"{name} {number(p.value)}, may be set for a patient from {bounds}"
    for signal, age in rule.inputs.items():
        yield "input", f"{signal}{_unit(signal)}, counts for {span(age)}"
    if rule.raises:
        yield "raises", f"the alarm of {rule.raises} where that is open, told anew as a new one is"
    if rule.clear_after_s:
        yield "clear after", f"{span(rule.clear_after_s)} without a breach"
    if rule.latching:
        yield "latching", "stays, shown as ended, until somebody acknowledges it"
    yield "lateness", f"signals up to {span(rule.max_lateness_s)} after the measurement, then worklist"
    yield "text", f"{rule.explanation['en']} / {rule.explanation['zh']}"
    yield "cleared", f"{rule.cleared['en']} / {rule.cleared['zh']}"
    yield "source", rule.clinical_source


def _subjects(rule: Rule) -> str:
    if rule.subject != "patient":
        return f"each {rule.subject}"
    where = {"any": "on wards and at home", "ward": "on wards", "home": "at home"}[rule.setting]
    return f"patients {where}" + (", from 16 years on and not pregnant" if rule.adults else "")


def _unit(signal: str) -> str:
    unit = METRICS[signal].unit if signal in METRICS else None
    return f" ({unit})" if unit else ""


def tree(node: Node, rule: Rule, indent: str = "") -> Iterator[str]:
    """A condition as lines, each level indented by two; parameters by name and the rule's own value."""
    match node:
        case All(parts) | Any_(parts):
            yield f"{indent}{'all' if isinstance(node, All) else 'any'} of:"
            for part in parts:
                yield from tree(part, rule, indent + "  ")
        case Not(part):
            yield f"{indent}not:"
            yield from tree(part, rule, indent + "  ")
        case Repeat():
            yield f"{indent}measured twice:"
            yield from tree(node.of, rule, indent + "  ")
            after, timeout = span(node.after_s), span(node.timeout_s)
            yield f"{indent}the second from {after} on decides; none within {timeout}: alarm"
            if node.critical is not None:
                yield f"{indent}at once when:"
                yield from tree(node.critical, rule, indent + "  ")
        case _:
            yield indent + _leaf(node, rule)


def _leaf(node: Node, rule: Rule) -> str:
    text = ""
    match node:
        case Threshold():
            text = _threshold(node, rule)
        case Change(direction=direction):
            way = "above the lowest" if direction == "rise" else "below the highest"
            by = f"{_number(node.by, rule)} {way} of {span(node.within_s)}"
            text = f"{node.metric} {by}, clear at {_back(node, rule)}"
        case Deviation(direction=direction):
            way = "above or below" if direction == "either" else direction
            learned = f"learned over {span(node.learn_s)}, forgets in {span(node.tau_s)}"
            of = {None: "", "spreads": " spreads", "trend": " a week, as a trend,"}[node.asked]
            level = f"{_number(node.by, rule)}{of} {way} the patient's own level ({learned})"
            text = f"{node.metric} {level}, clear at {_back(node, rule)}"
        case Unusual(metric=metric, direction=direction):
            way = "above or below" if direction == "either" else direction
            value, clear = _number(node.value, rule), _number(node.clear_below, rule)
            pace = f"a mean of {span(node.pace_s)}"
            text = f"{metric} unusual for the patient, {way} ({pace}), by {value} of 1, clear below {clear}"
        case Score():
            value, clear = _number(node.value, rule), _number(node.clear_below, rule)
            text = f"{_SCORES[node.score]} at or above {value}, clear below {clear}"
        case Missing():
            unseen = " (or has never come)" if node.unseen else ""
            text = f"{node.metric} has not come for {_seconds(node.for_s, rule)}{unseen}"
        case DeviceFlag():
            where = "any of the signals" if node.metric is None else node.metric
            text = f"the device says of {where}: {node.flag.replace('_', ' ')}"
        case Count(of=of):
            limit = f"{of.metric} {of.op.replace('_', ' ')} {_value(of, of.value, rule)}"
            text = f"{node.at_least} readings within {span(node.within_s)}: {limit}"
    return text


def _number(value: Number, rule: Rule) -> str:
    text = number(_plain(value, rule))
    return f"{text} [{value}]" if isinstance(value, str) else text


def _back(node: Change | Deviation, rule: Rule) -> str:
    return number(_plain(node.by, rule) - _plain(node.hysteresis, rule))


def _threshold(leaf: Threshold, rule: Rule) -> str:
    smooth = leaf.smoothing
    what = leaf.metric if smooth is None else f"{smooth.kind} of {leaf.metric} over {span(smooth.window_s)}"
    if smooth is not None and smooth.min_count > 1:
        what += f" (at least {smooth.min_count} values)"
    if smooth is not None and smooth.above is not None:
        what += f" (of values above {number(smooth.above)})"
    if (own := leaf.calibration) is not None:
        what += f" (recalibrated: slope {number(own.slope)}, intercept {number(own.intercept)})"
    text = f"{what} {leaf.op.replace('_', ' ')} {_value(leaf, leaf.value, rule)}"
    back = _plain(leaf.hysteresis, rule)
    if not back:
        return text
    limit = _plain(leaf.value, rule)
    return f"{text}, clear at {number(limit + back if leaf.falling else limit - back)}"


def _plain(value: Number, rule: Rule) -> float:
    return rule.parameters[value].value if isinstance(value, str) else float(value)


def _value(leaf: Threshold, value: Number, rule: Rule) -> str:
    text = number(_plain(value, rule))
    codes = METRICS[leaf.metric].codes if leaf.metric in METRICS else ()
    if codes and not isinstance(value, str):
        text = codes[int(value)]
    return f"{text} [{value}]" if isinstance(value, str) else text


def _seconds(value: Number, rule: Rule) -> str:
    text = span(_plain(value, rule))
    return f"{text} [{value}]" if isinstance(value, str) else text


def library_table() -> str:
    """The shipped rules as a table in Markdown: it stands in ``docs/rules.md``."""
    lines = [
        "| rule | title | kind, priority | for | limit | delay | may be set for a patient |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule in load_rules():
        bounds = "; ".join(
            f"{name} {number(p.value)} ({number(p.low)} to {number(p.high)})"
            for name, p in rule.parameters.items()
        )
        cells = (
            f"`{rule.id}`",
            rule.title["en"],
            f"{rule.kind}, {rule.priority}",
            _whom(rule),
            rule.limit,
            span(rule.delay_s),
            bounds or "nothing",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def check(extra: Iterable[Path] = (), *, replace: bool = False) -> CheckReport:
    """Load the shipped rules and ``extra``, and run every example; ``replace`` as for ``load_files``."""
    try:
        files = load_files(*extra, replace=replace)
    except RuleFileError as error:
        return CheckReport(tuple(map(str, error.problems)), ok=False)
    problems = [problem for loaded in files for problem in failures(loaded)]
    if problems:
        return CheckReport(tuple(problems), ok=False)
    examples = sum(len(f.firing) + len(f.silent) for f in files)
    return CheckReport((f"{len(files)} rules, {examples} examples: ok",), ok=True)
