"""Putting in what a profile extends and includes, and taking its quirks into account."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from firmware_profiles.checks import own_findings, resolved_findings
from firmware_profiles.document import Document, Where
from firmware_profiles.errors import Problem, ProfileError, by_line, did_you_mean
from firmware_profiles.schema import FieldSpec, Frame, ProfileDocument

__all__ = ["Parsed", "Resolved", "content_hash", "parse", "resolve_all"]

_INHERITED = (
    "transport",
    "session",
    "framing",
    "time",
    "store",
    "dedupe",
    "health",
    "update",
    "includes",
    "composes",
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file that is right in itself."""

    source: Document
    doc: ProfileDocument


@dataclass(slots=True)
class Resolved:
    """A profile with everything in its place; ``origins`` says where a part of it is written."""

    source: Document
    doc: ProfileDocument
    origins: dict[Where, tuple[Document, Where]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    """Its sources, without those that it includes."""

    @property
    def document(self) -> ProfileDocument:
        """The same as ``doc``, as the finished profile names it."""
        return self.doc

    def problem(self, path: Where, message: str) -> Problem:
        """A finding at ``path`` of the whole, placed where that part is written."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                document, written = self.origins[path[:end]]
                return document.problem((*written, *path[end:]), message)
        return self.source.problem(path, message)


def parse(source: Document) -> Parsed:
    """One file's data as a checked document. Raises ProfileError with every finding."""
    try:
        doc = ProfileDocument.model_validate(source.data)
    except ValidationError as e:
        raise ProfileError(_problems(e, source, ())) from e
    if findings := [source.problem(path, message) for path, message in own_findings(doc)]:
        raise ProfileError(by_line(findings))
    return Parsed(source, doc)


def _problems(error: ValidationError, source: Document, at: Where) -> list[Problem]:
    """Pydantic's findings with their lines; an unknown key is named with the nearest known one."""
    out: list[Problem] = []
    for item in error.errors(include_url=False):
        path = (*at, *item["loc"])
        if item["type"] == "unknown_keys":
            known = item["ctx"]["known"]
            for key in item["ctx"]["unknown"]:
                message = f"unknown key {key!r}{did_you_mean(key, known)}"
                out.append(source.problem((*path, key), message))
        elif item["type"] == "missing":
            out.append(source.problem(path[:-1], f"key {path[-1]!r} is missing"))
        else:
            name = ".".join(map(str, path)) or "the file"
            hint = " (put it in quotes)" if item["type"] == "string_type" else ""
            out.append(source.problem(path, f"{name}: {item['msg']}{hint}, not {_short(item['input'])}"))
    return by_line(out)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line of a terminal


def resolve_all(parsed: Mapping[str, Parsed]) -> dict[str, Resolved]:
    """All profiles by id, each complete. Raises ProfileError with every finding of every file."""
    resolver = _Resolver(parsed)
    out: dict[str, Resolved] = {}
    for profile_id in parsed:
        try:
            out[profile_id] = resolver.whole(profile_id)
        except ProfileError as e:
            resolver.problems += [p for p in e.problems if p not in resolver.problems]
    if resolver.problems:
        raise ProfileError(resolver.problems)
    return out


class _Resolver:
    """Resolves each profile once; remembers what it is at, to notice circles."""

    def __init__(self, parsed: Mapping[str, Parsed]) -> None:
        self.problems: list[Problem] = []
        self._parsed = parsed
        self._extended: dict[str, Resolved] = {}
        self._open: list[str] = []

    def whole(self, profile_id: str) -> Resolved:
        """The profile with what it extends and includes. Raises ProfileError."""
        own = self._extend(profile_id)
        out = Resolved(own.source, own.doc, dict(own.origins))
        frames, session = dict(own.doc.frames), list(own.doc.session)
        out.own = frozenset(frames)
        for i, name in enumerate(own.doc.includes):
            part = self._other(own, name, ("includes", i))
            self._fits(own, part, ("includes", i))
            for source, frame in part.doc.frames.items():
                if source in frames:
                    message = f"{name} has a frame {source!r}, and so has this profile"
                    raise ProfileError([own.problem(("includes", i), message)])
                frames[source] = frame
                out.origins["frames", source] = part.source, ("frames", source)
            asked = {(step.read, step.subscribe) for step in session} - {(None, None)}
            more = [step for step in part.doc.session if (step.read, step.subscribe) not in asked]
            session += [step.model_copy(update={"optional": True}) for step in more]
        out.doc = own.doc.model_copy(update={"frames": frames, "session": tuple(session)})
        if findings := [out.problem(path, message) for path, message in resolved_findings(out.doc)]:
            raise ProfileError(by_line(findings))
        return out

    def _other(self, user: Resolved, name: str, at: Where) -> Resolved:
        if name not in self._parsed:
            message = f"no profile is named {name!r}{did_you_mean(name, self._parsed)}"
            raise ProfileError([user.problem(at, message)])
        return self._extend(name)

    def _fits(self, own: Resolved, part: Resolved, at: Where) -> None:
        """Refuse to include what cannot be asked over the same connection."""
        if part.doc.includes:
            message = f"{part.doc.id} includes others itself; name them here"
            raise ProfileError([own.problem(at, message)])
        kinds = [doc.transport.kind if doc.transport else None for doc in (own.doc, part.doc)]
        if kinds != ["ble", "ble"]:
            message = f"{part.doc.id} cannot be included: both must be on Bluetooth"
            raise ProfileError([own.problem(at, message)])

    def _extend(self, profile_id: str) -> Resolved:
        if profile_id in self._extended:
            return self._extended[profile_id]
        parsed = self._parsed[profile_id]
        own = Resolved(parsed.source, parsed.doc)
        if profile_id in self._open:
            message = f"extends itself: {' > '.join([*self._open, profile_id])}"
            raise ProfileError([own.problem(("extends",), message)])
        if parsed.doc.extends is not None:
            self._open.append(profile_id)
            try:
                base = self._other(own, parsed.doc.extends, ("extends",))
            finally:
                self._open.pop()
            own = _extended(parsed, base)
        elif parsed.doc.quirks:
            raise ProfileError([own.problem(("quirks",), "quirks are differences to what a profile extends")])
        self._extended[profile_id] = own
        return own


def _extended(parsed: Parsed, base: Resolved) -> Resolved:
    """``base`` with the file's own sections instead of its own, and its quirks."""
    doc, out = parsed.doc, Resolved(parsed.source, parsed.doc)
    update: dict[str, Any] = {}
    for key in _INHERITED:
        if key not in doc.model_fields_set:
            update[key] = getattr(base.doc, key)
            out.origins[key,] = base.origins.get((key,), (base.source, (key,)))
    frames = dict(base.doc.frames)
    for name in frames:
        out.origins["frames", name] = base.source, ("frames", name)
    out.origins |= {path: at for path, at in base.origins.items() if path[0] == "frames"}
    for name, frame in doc.frames.items():
        frames[name] = frame
        out.origins = {path: at for path, at in out.origins.items() if path[:2] != ("frames", name)}
    for i in range(len(doc.quirks)):
        _apply_quirk(out, frames, i)
    out.doc = doc.model_copy(update={**update, "frames": frames})
    return out


def _apply_quirk(out: Resolved, frames: dict[str, Frame], i: int) -> None:
    """Patch one field of ``frames`` in place. Raises ProfileError."""
    quirk, at = out.doc.quirks[i], ("quirks", i)
    frame = frames.get(quirk.frame)
    if frame is None:
        message = f"no frame is named {quirk.frame!r}{did_you_mean(quirk.frame, frames)}"
        raise ProfileError([out.source.problem((*at, "frame"), message)])
    names = [spec.name for spec in frame.fields]
    if quirk.field not in names:
        message = f"frame {quirk.frame} has no field {quirk.field!r}{did_you_mean(quirk.field, names)}"
        raise ProfileError([out.source.problem((*at, "field"), message)])
    index = names.index(quirk.field)
    data = {**_written(frame.fields[index]), **quirk.set}
    try:
        spec = FieldSpec.model_validate({key: value for key, value in data.items() if value is not None})
    except ValidationError as e:
        raise ProfileError(_problems(e, out.source, (*at, "set"))) from e
    specs = (*frame.fields[:index], spec, *frame.fields[index + 1 :])
    frames[quirk.frame] = frame.model_copy(update={"fields": specs})
    out.origins["frames", quirk.frame, "fields", index] = out.source, (*at, "set")


def _written(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(by_alias=True, exclude_unset=True)


def content_hash(doc: ProfileDocument) -> str:
    """16 hex digits over the resolved content; defaults, vectors and what it is joined with do not count."""
    data = doc.model_dump(
        mode="json",
        by_alias=True,
        exclude_defaults=True,
        exclude={"vectors", "extends", "includes", "quirks", "composes"},
    )
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
