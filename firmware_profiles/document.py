"""Reading YAML strictly, with the line of every key and item.

Built from the parser's events: no aliases, anchors, tags or merge keys, no duplicate keys, and only the
scalars of YAML 1.2 (``on``, ``no``, ``1:30`` and ``2a19`` are texts). Lists become tuples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from firmware_profiles.errors import Problem, ProfileError

__all__ = ["Document", "Where", "read_document"]

Where = tuple[str | int, ...]

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 30
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """Plain data of one file and the line (from 1) of each path of keys and indices in it."""

    file: str
    data: Any = None
    lines: dict[Where, int] = field(default_factory=dict)

    def line(self, path: Where) -> int:
        """The line of ``path`` or of the nearest thing around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1

    def problem(self, path: Where, message: str) -> Problem:
        """A finding at ``path``."""
        return Problem(self.file, self.line(path), message)


def read_document(path: Path) -> Document:
    """One YAML file as plain data with lines. Raises ProfileError."""
    file = str(path)
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise ProfileError([Problem(file, None, f"cannot be read: {e.strerror}")]) from e
    if len(raw) > _MAX_BYTES:
        raise ProfileError([Problem(file, None, f"is larger than {_MAX_BYTES} bytes")])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise ProfileError([Problem(file, line, "is not UTF-8 text")]) from e
    builder = _Builder(Document(file))
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        where = None if mark is None else mark.line + 1
        raise ProfileError([Problem(file, where, f"is not valid YAML: {e.problem}")]) from e
    except ReaderError as e:  # it stands where it is met first: nowhere is it allowed
        line = text.count("\n", 0, text.find(chr(e.character))) + 1
        message = f"is not valid YAML: the character U+{e.character:04X} is not allowed"
        raise ProfileError([Problem(file, line, message)]) from e
    return builder.document


_NO_KEY = object()


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    path: Where
    mapping: dict[str, Any] | None
    items: list[Any]
    key: Any = _NO_KEY


class _Builder:
    """Puts the parser's events together; iterative, so that no nesting exhausts the stack."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._stack: list[_Open] = []
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """The next event. Raises ProfileError."""
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._refuse(line, "anchors and aliases are not used in profiles")
        if (tag := getattr(event, "tag", None)) not in {None, "!"}:
            self._refuse(line, f"tag {tag!r} is not used in profiles")
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse(line, "holds a second document; one file is one profile")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            path = self._place(line)
            if len(self._stack) >= _MAX_DEPTH:
                self._refuse(line, f"is nested deeper than {_MAX_DEPTH}")
            self._stack.append(_Open(path, {} if isinstance(event, yaml.MappingStartEvent) else None, []))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            done = self._stack.pop()
            self._put(tuple(done.items) if done.mapping is None else done.mapping)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.mapping is not None and top.key is _NO_KEY:
            key = event.value
            if key in top.mapping:
                first = self.document.line((*top.path, key))
                self._refuse(line, f"key {key!r} stands here a second time (first on line {first})")
            top.key = key
            self.document.lines[*top.path, key] = line
            return
        self._place(line)
        self._put(event.value if event.style else _plain(event.value))

    def _place(self, line: int) -> Where:
        """The path of the value that begins on ``line``."""
        if not self._stack:
            path: Where = ()
        else:
            top = self._stack[-1]
            if top.mapping is not None and top.key is _NO_KEY:
                self._refuse(line, "a key must be a text")
            path = (*top.path, len(top.items) if top.mapping is None else top.key)
        self.document.lines.setdefault(path, line)
        return path

    def _put(self, value: Any) -> None:
        if not self._stack:
            self.document.data = value
            return
        top = self._stack[-1]
        if top.mapping is None:
            top.items.append(value)
        else:
            top.mapping[top.key] = value
            top.key = _NO_KEY

    def _refuse(self, line: int, message: str) -> None:
        raise ProfileError([Problem(self.document.file, line, message)])


def _plain(text: str) -> Any:
    """An unquoted scalar by the rules of YAML 1.2's core schema, without octals and exponents."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) <= 20 else text  # noqa: PLR2004 - longer is no number of ours
    if _HEX.fullmatch(text):
        return int(text, 16)
    return float(text) if _FLOAT.fullmatch(text) else text
