"""``hearthward rules list``, ``show`` and ``check``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["add_rule_commands"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def add_rule_commands(group: click.Group, told: Wrap) -> None:
    """Add the commands to ``group``; ``told`` shows errors."""

    @group.command("list")
    @told
    def rules_list() -> None:
        """List the shipped rules. What is in force on a running system stands on its page /rules."""
        from rules import load_rules
        from rules.report import list_text

        click.echo(list_text(load_rules()))

    @group.command("show")
    @click.argument("rule")
    @told
    def rules_show(rule: str) -> None:
        """Show a shipped rule: its limits, timing, texts and source."""
        from rules import load_rules
        from rules.report import show_text

        click.echo(show_text(load_rules(), rule))

    @group.command("check")
    @click.argument("path", required=False, type=click.Path(path_type=Path))
    @click.option(
        "--replace", is_flag=True, help="Rules in PATH take the place of shipped ones of the same id."
    )
    @told
    def rules_check(path: Path | None, *, replace: bool) -> None:
        """Load rules strictly and run their examples. PATH is a file or folder beside the shipped ones."""
        from rules.report import check

        problems = check([path] if path else [], replace=replace)
        for line in problems.lines:
            click.echo(line, err=not problems.ok)
        if not problems.ok:
            sys.exit(1)
