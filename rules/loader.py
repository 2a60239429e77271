"""Loading rules: the shipped library, further files or folders, or one document at hand; all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rules.checks import findings
from rules.document import Document, Problem, RuleFileError, Where, parse_document, read_document
from rules.rule import Rule, RuleSet
from rules.schema import ExampleFile, RuleFile
from rules.shapes import is_tag
from rules.stages import misfits

__all__ = [
    "LIBRARY",
    "Loaded",
    "load_files",
    "load_folder",
    "load_rule",
    "load_rules",
    "load_rules_only",
]

LIBRARY: Final = Path(__file__).parent / "library"
"""The rules that are shipped, one file each."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rule, the file it came from, and the examples it must live up to."""

    rule: Rule
    file: str
    firing: tuple[ExampleFile, ...]
    silent: tuple[ExampleFile, ...]


def load_rules(*extra: Path, replace: bool = False) -> RuleSet:
    """The shipped rules and those of ``extra`` files and folders; ``replace`` as for ``load_files``.

    Raises RuleFileError (file, line).
    """
    return RuleSet(tuple(loaded.rule for loaded in load_files(*extra, replace=replace)))


def load_rules_only(*paths: Path) -> RuleSet:
    """The rules of these files and folders and no others. Raises RuleFileError (file, line)."""
    return RuleSet(tuple(loaded.rule for loaded in load_files(*paths, library=False)))


def load_folder(path: Path, *, library: bool) -> RuleSet:
    """The rules of a file or folder; with ``library`` they stand beside the shipped ones or replace them.

    Raises RuleFileError (file, line).
    """
    return load_rules(path, replace=True) if library else load_rules_only(path)


def load_rule(text: str | bytes, name: str) -> Loaded:
    """One rule from a document at hand; ``name`` stands for the file in errors. Raises RuleFileError."""
    return _read(parse_document(text.encode() if isinstance(text, str) else text, name))


def load_files(*extra: Path, library: bool = True, replace: bool = False) -> tuple[Loaded, ...]:
    """The rules with their examples, ordered by id.

    ``library`` False leaves out the shipped ones. An id may stand in one file only, except that with
    ``replace`` one of ``extra`` takes the place of a shipped rule. Raises RuleFileError with all problems of
    all files.
    """
    found: dict[str, Loaded] = {}
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    shipped = {path.resolve() for path in _files(LIBRARY)} if library else set()
    for path in _files(*((LIBRARY,) if library else ()), *extra):
        try:
            document = read_document(path)
            loaded = _read(document)
        except RuleFileError as error:
            problems += error.problems
            continue
        other = found.get(loaded.rule.id)
        if other is None or (replace and Path(other.file).resolve() in shipped):
            found[loaded.rule.id], documents[loaded.rule.id] = loaded, document
        else:
            message = f"rule {loaded.rule.id!r} is already defined in {other.file}"
            if library and Path(other.file).resolve() in shipped:
                message += "; to take a shipped rule's place, check it with --replace and release it"
            problems.append(document.problem(("id",), message))
    known = {ident: loaded.rule for ident, loaded in found.items()}
    for ident, rule in known.items() if not problems else ():
        if library or rule.raises in known:  # alone it opens alarms of its own
            problems += [documents[ident].problem(("raises",), f"raises: {m}") for m in misfits(rule, known)]
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
        problems = [_problem(document, e) for e in error.errors(include_url=False, include_input=False)]
        raise RuleFileError(problems) from error
    wrong = [_told(document, f.where, f.message) for f in findings(content)]
    if wrong:
        raise RuleFileError(sorted(wrong, key=lambda p: p.line or 0))
    examples = content.examples
    return Loaded(content.rule(), document.file, tuple(examples.firing), tuple(examples.silent))


def _problem(document: Document, finding: ErrorDetails) -> Problem:
    path = (*finding["loc"], *finding.get("ctx", {}).get("where", ()))
    message = "is missing" if finding["type"] == "missing" else finding["msg"]
    return _told(document, tuple(part for part in path if not is_tag(part)), message)


def _told(document: Document, path: Where, message: str) -> Problem:
    name = ".".join(str(part) for part in path)
    return document.problem(path, f"{name}: {message}" if name else message)
