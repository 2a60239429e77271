"""``react``: what follows from decided conditions, from time, and from what people do.

The order within one input: first the timers that ended by then, each at its own time; then the conditions
that the rules decided; then the command or the configuration; then what became due by these. Its time is
that of the inputs (``now``, the cloud's clock); it never goes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rules.model import Command, Configuration, Input, Transition
from rules.response.model import NEVER, Responses
from rules.response.rising import Rising
from rules.rule import RuleSet

__all__ = ["due", "react"]


def react(
    before: Responses, event: Input, decided: Sequence[Transition], rules: RuleSet
) -> tuple[Responses, list[Transition]]:
    """The responses after one input, and its transitions: those decided, completed, and what follows them.

    Pure. Raises RuleError (details ``code``) for a command that is refused; nothing has changed then.
    """
    person = isinstance(event, Command | Configuration)
    if not decided and not person and event.now < before.wake:
        return before, []
    now = max(before.clock, event.now)
    acts = Rising(before, event.seq, now, rules)
    acts.run_timers()
    acts.conditions(decided)
    if isinstance(event, Command):
        acts.command(event)
    elif isinstance(event, Configuration):
        acts.configure(event)
    acts.run_timers()
    if not acts.out and not acts.changed:
        return replace(before, wake=acts.wake()), []
    return acts.done(), acts.out


def due(responses: Responses, now: int) -> bool:
    """Whether time alone (a Tick at ``now``) would do anything."""
    return responses.wake <= now and responses.wake != NEVER
