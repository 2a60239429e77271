"""The catalogue: every profile that is known, loaded and checked as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

from firmware_profiles.compiler import compile_frame, compile_waves
from firmware_profiles.document import read_document
from firmware_profiles.errors import Problem, ProfileError, did_you_mean
from firmware_profiles.joining import JOINT, clash, disputed, join, joined_id, parts_of
from firmware_profiles.matching import DeviceFacts, matches, rivals
from firmware_profiles.profile import Decoder, Profile, SerialSettings, Timings
from firmware_profiles.resolve import Parsed, Resolved, content_hash, parse, resolve_all
from firmware_profiles.schema import ProfileDocument, TransportSpec
from firmware_profiles.steps import compile_steps
from hearthward.core.errors import ConfigError, UnsupportedDevice

__all__ = ["SHIPPED", "Catalog", "Names", "load_catalog", "profile_files"]

SHIPPED = Path(__file__).parent / "catalog"
"""The folder of the profiles that come with Hearthward."""


Made = dict[tuple[str, int, str | None], Decoder]
"""Decoders by source, frame and record field."""


class Catalog:
    """Profiles by id; immutable.

    A device of several services of the standard has a profile joined of theirs (``a+b``): it is made when it
    is asked for, and is not one of those that are listed.
    """

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self._profiles: Mapping[str, Profile] = MappingProxyType({p.id: p for p in profiles})
        self._joined: dict[str, Profile] = {}

    def get(self, profile_id: str) -> Profile:
        """The profile of that id, or the one joined of those it names.

        Raises ConfigError: one is unknown (with the nearest name), or they cannot be joined.
        """
        found = self._profiles.get(profile_id) or self._joined.get(profile_id)
        return found or self._join(map(self._listed, parts_of(profile_id)))

    def _listed(self, profile_id: str) -> Profile:
        try:
            return self._profiles[profile_id]
        except KeyError:
            msg = f"unknown profile {profile_id!r}{did_you_mean(profile_id, self._profiles)}"
            raise ConfigError(msg, profile=profile_id) from None

    def _join(self, profiles: Iterable[Profile]) -> Profile:
        parts = list(profiles)
        known = joined_id(p.id for p in parts)
        if len(parts) == 1:
            return parts[0]
        if known not in self._joined:
            self._joined[known] = join(parts)
        return self._joined[known]

    def match(self, facts: DeviceFacts) -> Profile:
        """The profile for a device: of those that match, the one of highest priority.

        Where that one is of some services only (``composes``), it is joined with the others of this kind, but
        for what one of higher priority reads instead. Raises UnsupportedDevice when none matches, or several
        that exclude each other.
        """
        found = self._matching(facts)
        if not found:
            msg = f"no profile matches {_described(facts)}; name one in the device's configuration"
            raise UnsupportedDevice(msg, name=facts.name, model=facts.model, firmware=facts.firmware)
        best = [p for p in found if _priority(p) == _priority(found[0])]
        if not all(p.document.composes for p in best):
            if len(best) > 1:
                raise _undecided(facts, best)
            return best[0]
        return self._with([], found, facts)

    def completed(self, profile: Profile, facts: DeviceFacts) -> Profile:
        """A profile that somebody named, joined with what else of the standard the connected device has.

        What a device advertises is often one of its services only. Raises nothing.
        """
        if not profile.document.composes:
            return profile
        try:
            return self._with(profile.parts or [profile], self._matching(facts), facts)
        except (UnsupportedDevice, ConfigError):
            return profile

    def _matching(self, facts: DeviceFacts) -> list[Profile]:
        found = [p for p in self if matches(p.document.match, p.transport, facts)]
        return sorted(found, key=lambda p: (-_priority(p), p.id))

    def _with(self, taken: Iterable[Profile], found: Iterable[Profile], facts: DeviceFacts) -> Profile:
        """``taken`` joined with those of ``found`` that compose; Raises UnsupportedDevice."""
        given = list(taken)
        parts = list(given)
        for one in found:
            if not one.document.composes or one in parts:
                continue
            rivals_of = [other for other in parts if disputed(one, other)]
            if not rivals_of:
                parts.append(one)
            elif any(other not in given and _priority(other) == _priority(one) for other in rivals_of):
                raise _undecided(facts, [one, *rivals_of])
        if any(clash(one, other) for one, other in combinations(parts, 2)):
            raise _undecided(facts, parts)
        return self._join(parts)

    @property
    def names(self) -> Names:
        """The ids, of joined profiles too: for what only has to know whether one exists."""
        return Names(self)

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles.values())

    def __len__(self) -> int:
        return len(self._profiles)

    def __contains__(self, profile_id: object) -> bool:
        if profile_id in self._profiles or profile_id in self._joined:
            return True
        if not isinstance(profile_id, str) or JOINT not in profile_id:
            return False
        try:
            self.get(profile_id)
        except ConfigError:
            return False
        return True


class Names(Collection[str]):
    """The ids of a catalogue; those that are listed, and whether any other can be joined of them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __contains__(self, profile_id: object) -> bool:
        return profile_id in self._catalog

    def __iter__(self) -> Iterator[str]:
        return (p.id for p in self._catalog)

    def __len__(self) -> int:
        return len(self._catalog)


def _priority(profile: Profile) -> int:
    return profile.document.match.priority


def _undecided(facts: DeviceFacts, profiles: Iterable[Profile]) -> UnsupportedDevice:
    names = ", ".join(sorted({p.id for p in profiles}))
    msg = f"several profiles match {_described(facts)}: {names}; name one in the device's configuration"
    return UnsupportedDevice(msg, name=facts.name, model=facts.model, profiles=names)


def _described(facts: DeviceFacts) -> str:
    known = [
        f"{key} {value}"
        for key in ("name", "manufacturer", "model", "firmware", "usb")
        if (value := getattr(facts, key)) is not None
    ]
    if facts.hears:
        known.append(f"sends {' '.join(sorted(facts.hears))}")
    if facts.services:
        known.append(f"services {' '.join(sorted(facts.services))}")
    return f"the {facts.transport} device ({', '.join(known) or 'nothing known of it'})"


def load_catalog(*extra: Path) -> Catalog:
    """The shipped profiles and those in ``extra`` files or folders (``*.yaml``), checked as a whole.

    Raises ProfileError with every finding: in a file, in what it extends or includes, an id that stands
    in two files, or two profiles that would claim the same device at equal priority.
    """
    problems: list[Problem] = []
    parsed: dict[str, Parsed] = {}
    for path in profile_files(SHIPPED, *extra):
        try:
            one = _shipped(path) if path.parent == SHIPPED else parse(read_document(path))
        except ProfileError as e:
            problems += e.problems
            continue
        if one.doc.id in parsed:
            message = f"profile {one.doc.id!r} is already in {parsed[one.doc.id].source.file}"
            problems.append(one.source.problem(("id",), message))
            continue
        parsed[one.doc.id] = one
    if problems:
        raise ProfileError(problems)
    resolved = resolve_all(parsed)
    _refuse_rivals(resolved)
    made: Made = {}
    return Catalog(_compiled(one, made) for one in resolved.values())


@cache
def _shipped(path: Path) -> Parsed:
    """One of our own files: they do not change while a process runs, so each is read once."""
    return parse(read_document(path))


def profile_files(*paths: Path) -> list[Path]:
    """The profile files that ``paths`` (files or folders) mean, each once. Raises ProfileError."""
    out: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml"})
            if not found:
                raise ProfileError([Problem(str(path), None, "the folder holds no *.yaml file")])
        elif path.exists():
            found = [path]
        else:
            raise ProfileError([Problem(str(path), None, "no such file or folder")])
        for file in found:
            out.setdefault(file.resolve(), file)
    return list(out.values())


def _refuse_rivals(resolved: Mapping[str, Resolved]) -> None:
    known = ((i, one.doc.transport.kind, one.doc.match) for i, one in resolved.items() if one.doc.transport)
    problems = []
    for first, second in rivals(known):
        if not clash(resolved[first], resolved[second]):
            continue  # in one device, they are joined
        message = (
            f"{second} and {first} both match the same devices at priority "
            f"{resolved[second].doc.match.priority}: give one a higher priority or another firmware range"
        )
        problems.append(resolved[second].source.problem(("match",), message))
    if problems:
        raise ProfileError(problems)


def _compiled(one: Resolved, made: Made) -> Profile:
    doc = one.doc
    transport = doc.transport
    if transport is None:  # resolve_all has refused it
        raise ProfileError([one.problem((), "has no transport")])
    return Profile(
        id=doc.id,
        version=doc.version,
        title=doc.title,
        hash=content_hash(doc),
        transport=transport.kind,
        expected_interval_s=transport.expected_interval_s,
        timings=Timings(
            transport.connect_timeout_s, transport.idle_s, transport.backoff_first_s, transport.backoff_max_s
        ),
        serial=_serial(transport),
        session=compile_steps(transport, doc.session),
        sources=tuple(doc.frames),
        file=one.source.file,
        document=doc,
        decoders=_decoders(doc, made),
        wave_decoders=compile_waves(doc.frames),
        own=one.own,
    )


def _decoders(doc: ProfileDocument, made: Made) -> Mapping[str, Decoder]:
    """A frame that many profiles include is compiled once; ``made`` lives no longer than the frames."""
    record = doc.dedupe.record if doc.dedupe else None
    out = {}
    for name, frame in doc.frames.items():
        own = record if any(spec.name == record for spec in frame.fields) else None
        key = name, id(frame), own
        if key not in made:
            made[key] = compile_frame(name, frame, own)
        out[name] = made[key]
    return MappingProxyType(out)


def _serial(transport: TransportSpec) -> SerialSettings | None:
    if transport.baudrate is None:
        return None
    return SerialSettings(transport.baudrate, transport.bytesize, transport.parity, transport.stopbits)
