"""Loading rules: the shipped library and further files or folders, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from rules.document import Document, Problem, RuleFileError, read_document
from rules.model import Rule, RuleSet
from rules.schema import ExampleFile, RuleFile

__all__ = ["LIBRARY", "Loaded", "load_files", "load_rules"]

LIBRARY: Final = Path(__file__).parent / "library"
"""The rules that are shipped, one file each."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rule, the file it came from, and the examples it must live up to."""

    rule: Rule
    file: str
    firing: tuple[ExampleFile, ...]
    silent: tuple[ExampleFile, ...]


def load_rules(*extra: Path) -> RuleSet:
    """The shipped rules and those of ``extra`` files and folders. Raises RuleFileError (file, line)."""
    return RuleSet(tuple(loaded.rule for loaded in load_files(*extra)))


def load_files(*extra: Path) -> tuple[Loaded, ...]:
    """The same with examples, ordered by id. Raises RuleFileError with all problems of all files."""
    found: dict[str, Loaded] = {}
    problems: list[Problem] = []
    for path in _files(LIBRARY, *extra):
        try:
            document = read_document(path)
            loaded = _read(document)
        except RuleFileError as error:
            problems += error.problems
            continue
        other = found.setdefault(loaded.rule.id, loaded)
        if other is not loaded:
            message = f"rule {loaded.rule.id!r} is already defined in {other.file}"
            problems.append(document.problem(("id",), message))
    if problems:
        raise RuleFileError(problems)
    return tuple(loaded for _, loaded in sorted(found.items()))


def _files(*paths: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        files = [path]
        if path.is_dir():
            files = sorted(f for f in path.iterdir() if f.suffix in {".yaml", ".yml"})
            if not files:
                raise RuleFileError([Problem(str(path), None, "is a folder without any .yaml file")])
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _read(document: Document) -> Loaded:
    try:
        content = RuleFile.model_validate(document.data)
    except ValidationError as error:
        problems = []
        for finding in error.errors(include_url=False, include_input=False):
            path = (*finding["loc"], *finding.get("ctx", {}).get("where", ()))
            name = ".".join(str(part) for part in path)
            missing = finding["type"] == "missing"
            message = "is missing" if missing else finding["msg"]
            problems.append(document.problem(path, f"{name}: {message}" if name else message))
        raise RuleFileError(problems) from error
    examples = content.examples
    return Loaded(content.rule(), document.file, tuple(examples.firing), tuple(examples.silent))
