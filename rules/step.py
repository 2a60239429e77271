"""``step``: the one function by which anything about an alarm is decided; the reference for the engine."""

from __future__ import annotations

from rules.model import Command, Configuration, Input, Readings, Tick, Transition
from rules.state import State
from rules.work import Work

__all__ = ["apply", "step"]


def step(state: State, event: Input) -> tuple[State, tuple[Transition, ...]]:
    """Apply one input. Pure: the same state and input always give the same result.

    Raises RuleError for a command on an alarm that is not active or that somebody else accepted; the state
    then stays as it was.
    """
    work = Work(state.fork(), event.seq, event.now, copying=True)
    apply(work, event)
    work.state.seq = event.seq
    return work.state, tuple(work.transitions)


def apply(work: Work, event: Input) -> None:
    """Do what the input asks for. Raises RuleError before anything is changed."""
    match event:
        case Readings():
            work.readings(event)
        case Tick():
            work.tick()
        case Configuration():
            work.configure(event)
        case Command():
            _command(work, event)


def _command(work: Work, command: Command) -> None:
    refusal = work.episodes.refusal(command)
    if refusal is not None:
        raise refusal
    if work.state.alarm(command.alarm).accepted_by is None:
        work.episodes.accept(command, work.subject(work.state.alarms[command.alarm][0]))
