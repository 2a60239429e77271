"""Deciding: which readings make an alarm, and why. Pure: the same inputs always give the same decisions."""

from rules.model import (
    Alarm,
    Command,
    Condition,
    Configuration,
    Input,
    Readings,
    Rows,
    Rule,
    RuleSet,
    Tick,
    Transition,
)
from rules.state import State

__all__ = [
    "Alarm",
    "Command",
    "Condition",
    "Configuration",
    "Input",
    "Readings",
    "Rows",
    "Rule",
    "RuleSet",
    "State",
    "Tick",
    "Transition",
]
