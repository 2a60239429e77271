"""Deciding: which readings make an alarm, and why. Pure: the same inputs always give the same decisions."""

from rules.context import Context, Limit
from rules.document import RuleFileError
from rules.engine import Engine
from rules.loader import load_rules
from rules.model import (
    Alarm,
    Command,
    Configuration,
    Input,
    Readings,
    Rows,
    Tick,
    Transition,
    subject_key,
)
from rules.rule import Rule, RuleSet
from rules.state import State
from rules.step import step

__all__ = [
    "Alarm",
    "Command",
    "Configuration",
    "Context",
    "Engine",
    "Input",
    "Limit",
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
    "subject_key",
]
