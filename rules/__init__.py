"""Deciding: which readings make an alarm, and why. Pure: the same inputs always give the same decisions."""

from rules.document import RuleFileError
from rules.loader import load_rules
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
from rules.step import step

__all__ = [
    "Alarm",
    "Command",
    "Condition",
    "Configuration",
    "Input",
    "Readings",
    "Rows",
    "Rule",
    "RuleFileError",
    "RuleSet",
    "State",
    "Tick",
    "Transition",
    "load_rules",
    "step",
]
