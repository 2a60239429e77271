"""``step``: the one function by which anything about an alarm is decided; the reference for the engine."""

from __future__ import annotations

from rules.model import Adopt, Command, Configuration, Input, Readings, Tick, Transition
from rules.response.orders import RELEARN
from rules.response.react import react
from rules.risk import with_risk
from rules.state import State
from rules.work import Work

__all__ = ["answer", "apply", "step"]


def step(state: State, event: Input) -> tuple[State, tuple[Transition, ...]]:
    """Apply one input. Pure: the same state and input always give the same result.

    Raises RuleError for a command that is refused; the state then stays as it was.
    """
    work = Work(state.fork(), event.seq, event.now, copying=True)
    apply(work, event)
    return work.state, answer(work, event)


def apply(work: Work, event: Input) -> None:
    """Do what the input asks for. Raises RuleError before anything is changed."""
    match event:
        case Readings():
            work.readings(with_risk(work, work.refined(event)))
        case Tick():
            work.tick()
        case Configuration():
            work.configure(event)
        case Adopt():
            work.adopt(event)
        case Command():
            pass  # the business of ``answer``


def answer(work: Work, event: Input) -> tuple[Transition, ...]:
    """What follows from all that: signals, responsibility, escalation. Raises RuleError for a command.

    A command of which nothing comes leaves no trace: it is no input, and nobody journals it.
    """
    state = work.state
    responses, transitions = react(state.responses, event, work.transitions, state.rules)
    if transitions or not isinstance(event, Command):
        state.responses, state.seq = responses, event.seq
    if isinstance(event, Command) and event.kind == RELEARN:
        for name in {t.patient for t in transitions if t.detail.get("why") == RELEARN}:
            work.relearn(name, event.to)
    return tuple(transitions)
