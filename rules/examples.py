"""Playing a rule's own examples through ``step``, and what does not come out as they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rules.context import Context, Limit
from rules.loader import Loaded
from rules.model import Configuration, Readings, Rows, Tick, Transition, subject_key
from rules.rule import SECOND, Rule, RuleSet
from rules.schema import ContextFile, ExampleFile, SampleFile
from rules.state import State
from rules.step import step

__all__ = ["failures", "run_example"]

SOURCE: Final = "example"


def run_example(rule: Rule, example: ExampleFile) -> tuple[Transition, ...]:
    """Play one example with only this rule, sample by sample as received; return what came of it."""
    state = State.empty("example", RuleSet((rule,)))
    subject = "patient" if rule.subject == "patient" else subject_key(rule.subject, "example")
    out: list[Transition] = []
    seq = 0
    if example.context is not None:
        seq += 1
        contexts = {subject: _context(rule, example.context)}
        state, transitions = step(state, Configuration(seq, 0, None, contexts=contexts))
        out += transitions
    for received, at, sample in _arrivals(example):
        seq += 1
        rows = Rows.of(
            (subject, sample.device, signal, value, at, received, sample.flags)
            for signal, value in sample.numbers().items()
        )
        state, transitions = step(state, Readings(seq, received, rows, SOURCE, received))
        out += transitions
    _, transitions = step(state, Tick(seq + 1, round(example.until * SECOND)))
    return (*out, *transitions)


def _arrivals(example: ExampleFile) -> list[tuple[int, int, SampleFile]]:
    """(received, measured, sample) in order of receipt, in ns."""
    found = [
        (round(received * SECOND), round(at * SECOND), sample)
        for sample in example.readings
        for at, received in sample.times()
    ]
    return sorted(found, key=lambda arrival: arrival[0])


def _context(rule: Rule, content: ContextFile) -> Context:
    limits = tuple(
        Limit(rule.id, name, value, "example", 0, "example") for name, value in sorted(content.limits.items())
    )
    expected = None if content.expected is None else dict.fromkeys(content.expected, 0)
    return Context(
        setting=content.setting,
        adult=content.adult,
        pregnant=content.pregnant,
        spo2_scale=content.spo2_scale,
        limits=limits,
        expected=expected,
    )


def failures(loaded: Loaded) -> Iterator[str]:
    """What each example of the rule does otherwise than it says, with its place."""
    for i, example in enumerate(loaded.firing):
        where = f"{loaded.file}: examples.firing.{i}:"
        for wrong in _firing(example, run_example(loaded.rule, example)):
            yield f"{where} {wrong}"
    for i, example in enumerate(loaded.silent):
        where = f"{loaded.file}: examples.silent.{i}:"
        transitions = run_example(loaded.rule, example)
        started = next((t for t in transitions if t.kind == "start"), None)
        if started is not None:
            yield f"{where} an alarm started ({started.text['en']})"
        if example.asks and not any(t.kind == "ask" for t in transitions):
            yield f"{where} no second measurement was asked for"


def _firing(example: ExampleFile, transitions: tuple[Transition, ...]) -> Iterator[str]:
    start = next((t for t in transitions if t.kind == "start"), None)
    if start is None:
        yield "no alarm started"
        return
    if example.onset is not None and start.onset != round(example.onset * SECOND):
        yield f"onset at {_s(start.onset)}, expected {example.onset:.15g} s"
    if example.text is not None and start.text["en"] != example.text:
        yield f"text {start.text['en']!r}, expected {example.text!r}"
    why = start.detail.get("why")
    if example.why is not None and why != example.why:
        yield f"decided by {why}, expected {example.why}"
    if example.asks and not any(t.kind == "ask" for t in transitions):
        yield "no second measurement was asked for"
    end = next((t for t in transitions if t.kind == "end" and t.alarm == start.alarm), None)
    if example.lasts and end is not None:
        yield f"ended at {_s(end.at)}, expected to last"
    if example.end is not None and (end is None or end.at != round(example.end * SECOND)):
        ended = "did not end" if end is None else f"ended at {_s(end.at)}"
        yield f"{ended}, expected at {example.end:.15g} s"


def _s(time: int) -> str:
    return f"{time / SECOND:.15g} s"
