"""Reading a rule file's YAML strictly, with the line of every key and item.

Only mappings, lists and plain scalars: no tags, anchors or aliases, no key twice, and no scalar that means
something unexpected (``on``, ``1:30`` and dates are texts).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from hearthward.core.errors import ConfigError

__all__ = ["Document", "Problem", "RuleFileError", "Where", "nearest", "parse_document", "read_document"]

Where = tuple[str | int, ...]
_MAX_BYTES: Final = 256 * 1024
_MAX_DEPTH: Final = 20
_YAML: Final = "tag:yaml.org,2002:"
_SCALARS: Final = frozenset(_YAML + name for name in ("str", "int", "float", "bool", "null"))


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding; ``line`` counts from 1, None when the file as a whole is meant."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.message}"


class RuleFileError(ConfigError):
    """A rule file is refused; ``file`` and ``line`` are the first problem's, ``problems`` has them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first, *more = problems
        super().__init__("\n".join([first.message, *map(str, more)]), file=first.file, line=first.line)
        self.problems = tuple(problems)


@dataclass(slots=True)
class Document:
    """Plain data of one file, the line of each path of keys and indices in it, and where its scalars stand.

    ``spans`` are places in the decoded text: from, until before.
    """

    file: str
    data: Any = None
    lines: dict[Where, int] = field(default_factory=dict)
    spans: dict[Where, tuple[int, int]] = field(default_factory=dict)

    def line(self, path: Where) -> int:
        """The line of ``path`` or of the nearest thing around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1

    def problem(self, path: Where, message: str) -> Problem:
        """A finding at ``path``."""
        return Problem(self.file, self.line(path), message)


class _Loader(yaml.SafeLoader):
    """SafeLoader whose unquoted scalars are only true/false, null and decimal numbers."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - yaml's own way


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]+", "-+0123456789"),
):
    _Loader.add_implicit_resolver(_YAML + _tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or else all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def read_document(path: Path) -> Document:
    """One YAML file as plain data with lines. Raises RuleFileError."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        _refuse(Document(str(path)), None, f"cannot be read: {e.strerror}", e)
    return parse_document(raw, str(path))


def parse_document(raw: bytes, name: str) -> Document:
    """The same of bytes at hand; ``name`` stands for the file in what is told. Raises RuleFileError."""
    document = Document(name)
    try:
        if len(raw) > _MAX_BYTES:
            _refuse(document, None, f"is larger than {_MAX_BYTES} bytes")
        loader = _Loader(raw.decode())
        try:
            node = loader.get_single_node()
            document.data = _Reader(document, loader).plain(node, ())
        finally:
            loader.dispose()
    except UnicodeDecodeError as e:
        _refuse(document, e.object.count(b"\n", 0, e.start) + 1, "is not UTF-8 text", e)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        _refuse(document, mark.line + 1 if mark else None, f"is not valid YAML: {e.problem}", e)
    except (yaml.YAMLError, RecursionError) as e:
        _refuse(document, None, f"is not valid YAML: {e}", e)
    return document


def _refuse(document: Document, line: int | None, message: str, cause: Exception | None = None) -> NoReturn:
    raise RuleFileError([Problem(document.file, line, message)]) from cause


@dataclass(slots=True)
class _Reader:
    """Turns YAML nodes into plain data and notes their lines."""

    document: Document
    loader: _Loader
    seen: set[int] = field(default_factory=set)

    def plain(self, node: yaml.Node | None, path: Where) -> Any:
        """The node's data. Raises RuleFileError."""
        if node is None:
            return None
        line = node.start_mark.line + 1
        self.document.lines.setdefault(path, line)
        if id(node) in self.seen:
            _refuse(self.document, line, "anchors and aliases are not used in rules")
        self.seen.add(id(node))
        if len(path) > _MAX_DEPTH:
            _refuse(self.document, line, f"is nested deeper than {_MAX_DEPTH}")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_YAML}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_YAML}seq":
            return [self.plain(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            self.document.spans[path] = node.start_mark.index, node.end_mark.index
            return self.loader.construct_object(node)
        _refuse(self.document, line, f"tag {node.tag!r} is not used in rules")

    def _mapping(self, node: yaml.MappingNode, path: Where) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                _refuse(self.document, line, "a key must be a text")
            key = key_node.value
            if key in out:
                first = self.document.line((*path, key))
                _refuse(self.document, line, f"key {key!r} stands here again (first on line {first})")
            self.document.lines[*path, key] = line
            out[key] = self.plain(value_node, (*path, key))
        return out
