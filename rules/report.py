"""Rules as text for people, and the check that each lives up to its own examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hearthward.core.errors import ConfigError
from rules.document import RuleFileError, nearest
from rules.loader import Loaded, load_files
from rules.model import SECOND, Readings, Rows, Rule, RuleSet, Tick, Transition, number
from rules.schema import ExampleFile
from rules.state import State
from rules.step import step

__all__ = ["CheckReport", "check", "list_text", "run_example", "show_text"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, line by line, and whether all is well."""

    lines: tuple[str, ...]
    ok: bool


def list_text(rules: RuleSet) -> str:
    """One line a rule: id, version, priority, limit, delay, hash, title."""
    rows = [("ID", "VERSION", "PRIORITY", "LIMIT", "DELAY", "HASH", "TITLE")]
    rows += [
        (r.id, str(r.version), r.priority, r.limit, _span(r.delay_s), r.hash, r.title["en"]) for r in rules
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, f"{len(rules)} rules, set {rules.hash}"])


def show_text(rules: RuleSet, rule_id: str) -> str:
    """One rule in full. Raises ConfigError with the nearest id when there is none."""
    rule = rules.by_id.get(rule_id)
    if rule is None:
        msg = f"no rule {rule_id!r} ({nearest(rule_id, rules.by_id)})"
        raise ConfigError(msg, rule=rule_id)
    lines = [
        f"{rule.id} version {rule.version} ({rule.hash})",
        f"  title        {rule.title['en']} / {rule.title['zh']}",
        f"  kind         {rule.kind}, priority {rule.priority}",
        f"  limit        {rule.limit}, told after {_span(rule.delay_s)}",
    ]
    lines += [
        f"  condition    {c.metric} {c.op.replace('_', ' ')} {number(c.value)}, "
        f"clear at {number(c.value + c.hysteresis if c.falling else c.value - c.hysteresis)}"
        for c in rule.conditions
    ]
    lines += [f"  input        {m}, counts for {_span(age)}" for m, age in rule.inputs.items()]
    lines += [
        f"  lateness     signals up to {_span(rule.max_lateness_s)} after the measurement, then worklist",
        f"  text         {rule.explanation['en']} / {rule.explanation['zh']}",
        f"  source       {rule.clinical_source}",
    ]
    return "\n".join(lines)


def check(extra: Iterable[Path] = ()) -> CheckReport:
    """Load the shipped rules and ``extra``, and run every example."""
    try:
        files = load_files(*extra)
    except RuleFileError as error:
        return CheckReport(tuple(map(str, error.problems)), ok=False)
    problems = [problem for loaded in files for problem in _failures(loaded)]
    if problems:
        return CheckReport(tuple(problems), ok=False)
    examples = sum(len(f.firing) + len(f.silent) for f in files)
    return CheckReport((f"{len(files)} rules, {examples} examples: ok",), ok=True)


def run_example(rule: Rule, example: ExampleFile) -> tuple[Transition, ...]:
    """Play one example through ``step`` with only this rule, sample by sample, and return what came of it."""
    state = State.empty("example", RuleSet((rule,)))
    out: list[Transition] = []
    seq = 0
    for sample in sorted(example.readings, key=lambda s: s.at if s.received is None else s.received):
        time = round(sample.at * SECOND)
        received = time if sample.received is None else round(sample.received * SECOND)
        rows = Rows.of(
            ("patient", "device", metric, value, time, received, sample.flags)
            for metric, value in sample.values.items()
        )
        seq += 1
        state, transitions = step(state, Readings(seq, received, rows))
        out += transitions
    _, transitions = step(state, Tick(seq + 1, round(example.until * SECOND)))
    return (*out, *transitions)


def _failures(loaded: Loaded) -> list[str]:
    rule = loaded.rule
    out = []
    for i, example in enumerate(loaded.firing):
        starts = [t for t in run_example(rule, example) if t.kind == "start"]
        where = f"{loaded.file}: examples.firing.{i}:"
        if not starts:
            out.append(f"{where} no alarm started")
            continue
        start = starts[0]
        if example.onset is not None and start.onset != round(example.onset * SECOND):
            onset = number(start.onset / SECOND)
            out.append(f"{where} onset at {onset} s, expected {number(example.onset)} s")
        if example.text is not None and start.text["en"] != example.text:
            out.append(f"{where} text {start.text['en']!r}, expected {example.text!r}")
    for i, example in enumerate(loaded.silent):
        started = [t for t in run_example(rule, example) if t.kind == "start"]
        if started:
            out.append(f"{loaded.file}: examples.silent.{i}: an alarm started ({started[0].text['en']})")
    return out


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"
