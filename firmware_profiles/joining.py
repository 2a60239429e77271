"""Several profiles of one device joined to one: a scale with weight and body composition, and the like. Pure.

Only profiles that say ``composes`` are joined: each reads services of its own, so that their steps and frames
stand beside each other. Nothing is compiled anew: a joined profile has its parts' decoders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

from firmware_profiles.profile import Profile, Timings
from firmware_profiles.schema import Match, ProfileDocument
from firmware_profiles.schema_base import Certainty
from firmware_profiles.steps import Step
from hearthward.core.errors import ConfigError

__all__ = ["JOINT", "clash", "disputed", "join", "joined_id", "parts_of"]

JOINT: Final = "+"
"""Between the ids of the parts in a joined profile's own; it stands in no file's id."""
_HASHED: Final = "joined"
_CERTAINTIES: Final[tuple[Certainty, ...]] = ("captured", "spec", "inferred")
_T = TypeVar("_T")


def joined_id(parts: Iterable[str]) -> str:
    """The id of what these profiles make together: the same in whichever order they are named."""
    return JOINT.join(sorted(set(parts)))


def parts_of(profile_id: str) -> tuple[str, ...]:
    """The ids of the profiles that an id names."""
    return tuple(profile_id.split(JOINT))


class Part(Protocol):
    """What may be joined: a profile, or one that is still being loaded."""

    @property
    def document(self) -> ProfileDocument:
        """What it says."""
        ...

    @property
    def own(self) -> frozenset[str]:
        """Its sources, without those that it includes."""
        ...


def clash(one: Part, other: Part) -> str:
    """Why two profiles cannot be joined; nothing when they can."""
    a, b = one.document, other.document
    for doc in (a, b):
        if not doc.composes:
            return f"{doc.id} is for a whole device (it does not say `composes: true`)"
    if shared := disputed(one, other):
        return f"{a.id} and {b.id} both read {', '.join(sorted(shared))}"
    if len({doc.time.zone for doc in (a, b) if doc.time is not None}) > 1:
        return f"{a.id} and {b.id} do not agree on what the device's clock shows"
    if all(doc.transport is not None and doc.transport.keepalive is not None for doc in (a, b)):
        return f"{a.id} and {b.id} both keep the connection alive"
    return ""


def disputed(one: Part, other: Part) -> set[str]:
    """The sources that both read for themselves; what both include is the same."""
    a, b = one.document.frames, other.document.frames
    return {name for name in a.keys() & b.keys() if a[name] is not b[name]} | (one.own & other.own)


def join(profiles: Iterable[Profile]) -> Profile:
    """The profile of a device that is all of these; one alone is itself. Raises ConfigError: none can."""
    parts = tuple(sorted({p.id: p for p in profiles}.values(), key=lambda p: p.id))
    if len(parts) == 1:
        return parts[0]
    for one, other in combinations(parts, 2):
        if why := clash(one, other):
            msg = f"profiles {one.id} and {other.id} cannot be joined: {why}"
            raise ConfigError(msg, profiles=joined_id((one.id, other.id)))
    document = _document(parts)
    return Profile(
        id=document.id,
        version=document.version,
        title=document.title,
        hash=hashlib.blake2b(
            " ".join((_HASHED, *(p.hash for p in parts))).encode(), digest_size=8
        ).hexdigest(),
        transport="ble",
        expected_interval_s=_only({p.expected_interval_s for p in parts}),
        timings=_timings(parts),
        serial=None,
        session=tuple(_session(parts)),
        sources=tuple(document.frames),
        file=", ".join(p.file for p in parts),
        document=document,
        decoders=_merged(p.decoders for p in parts),
        wave_decoders=_merged(p.wave_decoders for p in parts),
        own=frozenset(source for p in parts for source in p.own),
        parts=parts,
    )


def _merged(many: Iterable[Mapping[str, _T]]) -> Mapping[str, _T]:
    out: dict[str, _T] = {}
    for one in many:
        out |= one
    return MappingProxyType(out)


def _only(values: set[_T]) -> _T | None:
    return next(iter(values)) if len(values) == 1 else None


def _timings(parts: Sequence[Profile]) -> Timings:
    """What may be silent for one of its services may be silent: another part's limit does not end it."""
    idles = [p.timings.idle_s for p in parts]
    return Timings(
        max(p.timings.connect_timeout_s for p in parts),
        None if None in idles else max(idle for idle in idles if idle is not None),
        min(p.timings.backoff_first_s for p in parts),
        min(p.timings.backoff_max_s for p in parts),
    )


def _document(parts: Sequence[Profile]) -> ProfileDocument:
    """What the parts' documents say together; ``match`` lists what each of them matches by."""
    docs = [p.document for p in parts]
    first = docs[0]
    provenance = first.provenance.model_copy(
        update={
            "source": "; ".join(dict.fromkeys(doc.provenance.source for doc in docs)),
            "licence": "; ".join(dict.fromkeys(doc.provenance.licence for doc in docs)),
            "certainty": max((doc.provenance.certainty for doc in docs), key=_CERTAINTIES.index),
            "field": (),
        }
    )
    update: dict[str, Any] = {
        "id": joined_id(doc.id for doc in docs),
        "version": 1 + sum(doc.version - 1 for doc in docs),
        "title": " + ".join(doc.title for doc in docs),
        "provenance": provenance,
        "match": Match(
            ble=tuple(one for doc in docs for one in doc.match.ble),
            priority=max(doc.match.priority for doc in docs),
        ),
        "extends": None,
        "includes": tuple(dict.fromkeys(name for doc in docs for name in doc.includes)),
        "session": (),
        "frames": {name: frame for doc in docs for name, frame in doc.frames.items()},
        "quirks": (),
        "time": _time(docs),
        "dedupe": None,
        "health": next((doc.health for doc in docs if doc.health is not None), None),
        "vectors": tuple(vector for doc in docs for vector in doc.vectors),
    }
    transport = first.transport
    if transport is not None:
        pairings = [doc.transport.pairing for doc in docs if doc.transport is not None]
        order = ("none", "bond", "passkey")
        update["transport"] = transport.model_copy(update={"pairing": max(pairings, key=order.index)})
    return first.model_copy(update=update)


def _time(docs: Sequence[ProfileDocument]) -> Any:
    """The strictest limit of those whose frames carry the device's time, the coarsest of their steps."""
    times = [doc.time for doc in docs if doc.time is not None]
    if not times:
        return None
    steps = [time.resolution_s for time in times if time.resolution_s is not None]
    limit = min(time.skew_limit_s for time in times)
    return times[0].model_copy(update={"skew_limit_s": limit, "resolution_s": max(steps, default=None)})


def _session(parts: Sequence[Profile]) -> Iterator[Step]:
    """All steps in an order in which each part finds its own.

    The bond first, then each part's steps up to where the clock is set, then its measurements, a user's
    consent, the stores, what the parts include (the battery, who made it), and at the end what keeps the
    connection alive.
    What two parts ask alike is asked once.
    """
    pairs = [step for p in parts for step in p.session if step.kind == "pair"]
    if pairs:
        yield max(pairs, key=lambda step: step.mode == "passkey")
    early = [step for p in parts for step in _until_clock(p) if step.kind != "pair"]
    late = [step for p in parts for step in p.session[len(_until_clock(p)) :] if step.kind != "pair"]
    stores = [step for step in late if step.kind == "racp"]
    alive = [step for step in late if step.kind == "keepalive"]
    consents = [step for step in late if step.kind == "consent"]
    rest = [step for step in late if step.kind not in {"racp", "keepalive", "consent"}]
    beside = {source for p in parts for source in set(p.sources) - p.own}
    yield from _once(early)
    yield from _once(step for step in rest if step.characteristic not in beside)
    yield from _once(consents)
    yield from stores
    yield from _once(step for step in rest if step.characteristic in beside)
    yield from alive


def _until_clock(profile: Profile) -> tuple[Step, ...]:
    """Its steps as far as the last one that sets the clock."""
    last = max((i for i, step in enumerate(profile.session) if step.kind == "set_time"), default=-1)
    return profile.session[: last + 1]


def _once(steps: Iterable[Step]) -> Iterator[Step]:
    """What is read, subscribed to or set twice stands once: needed if any needs it."""
    known: dict[tuple[object, ...], Step] = {}
    for i, step in enumerate(steps):
        twice = step.kind in {"read", "subscribe", "set_time", "consent"}
        key = (step.kind, step.characteristic) if twice else (i,)
        if (first := known.get(key)) is not None:
            known[key] = replace(
                first,
                optional=first.optional and step.optional,
                retries=max(first.retries, step.retries),
            )
        else:
            known[key] = step
    yield from known.values()
