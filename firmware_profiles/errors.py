"""What is wrong with a profile file, each finding with its file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hearthward.core.errors import ConfigError

__all__ = ["Problem", "ProfileError", "by_line", "did_you_mean"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding; ``line`` counts from 1, None when the file as a whole is meant."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.message}"


class ProfileError(ConfigError):
    """A profile file is refused; ``file`` and ``line`` are the first problem's, ``problems`` has them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first, *more = problems
        message = "\n".join([first.message, *map(str, more)])
        super().__init__(message, file=first.file, line=first.line)
        self.problems = tuple(problems)


def by_line(problems: Iterable[Problem]) -> list[Problem]:
    """The findings in the order in which a person meets them in the files."""
    return sorted(problems, key=lambda problem: (problem.file, problem.line or 0))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint `` (did you mean 'x'?)`` with the nearest of ``known``, else the list of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f" (did you mean {near[0]!r}?)"
    return f" (known: {', '.join(names)})" if names else ""
