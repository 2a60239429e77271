"""What the steps of a profile's session must be; each finding with the path it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from firmware_profiles.errors import did_you_mean
from firmware_profiles.field_checks import Finding, bad, is_day
from firmware_profiles.schema import ProfileDocument, StepSpec, TransportSpec

__all__ = ["session_findings", "step_findings"]

_VERBS: Final = ("subscribe", "read", "write", "send", "expect", "set_time", "consent", "racp", "delay_s")
_ON: Final = {
    "ble": frozenset({"subscribe", "read", "write", "expect", "set_time", "consent", "racp", "delay_s"}),
    "serial": frozenset({"send", "expect", "set_time", "delay_s"}),
    "advertisement": frozenset[str](),
}
_CLOCKS: Final = ("2a2b", "2a08")
_USERS: Final = "2a9f"
_MAKERS: Final = ("nonin",)
_ADVERTISED: Final = re.compile(r"[0-9a-f]{4}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|m[0-9a-f]{4}")


def _verbs(step: StepSpec) -> list[str]:
    return [verb for verb in _VERBS if getattr(step, verb) is not None]


def step_findings(step: StepSpec) -> Iterator[Finding]:
    """What can be told from one step alone."""
    verbs = _verbs(step)
    if len(verbs) != 1:
        said = f", not {' and '.join(verbs)}" if verbs else ""
        yield (), f"a step is one of {', '.join(_VERBS)}{said}"
        return
    (verb,) = verbs
    yield from bad(
        (
            (verb == "subscribe") != (step.mode is not None),
            (),
            "mode (notify or indicate) goes with subscribe, and only with it",
        ),
        ((verb == "write") != (step.hex is not None), (), "hex goes with write, and only with it"),
        (
            step.within_s is not None and verb not in {"expect", "racp"},
            ("within_s",),
            "is for expect and racp only",
        ),
        (step.source is not None and verb != "expect", ("source",), "is for expect over Bluetooth only"),
        (step.clock is not None and verb != "set_time", ("clock",), "is for set_time only"),
        (
            step.clock is not None and not is_day(step.clock.epoch),
            ("clock", "epoch"),
            "is no day of the calendar",
        ),
        (verb == "delay_s" and step.retries > 0, ("retries",), "a delay does not fail"),
        (verb == "delay_s" and step.optional, ("optional",), "a delay is always possible"),
    )
    for key in ("hex", "send", "expect"):
        if (text := getattr(step, key)) is not None and not text.strip():
            yield (key,), "needs at least one byte"
    if step.racp is not None and step.racp.control == step.racp.records:
        yield ("racp", "records"), "the records come from another characteristic than the control point"
    if step.racp is not None and step.racp.delete and step.racp.cursor is None:
        yield (
            ("racp", "delete"),
            "needs cursor: without numbers only all can be deleted, and with it what was measured since",
        )


def session_findings(doc: ProfileDocument) -> Iterator[Finding]:
    """What can be told of the whole session with everything extended and included in its place."""
    transport = doc.transport
    if transport is None:
        return
    yield from _transport(transport)
    stored = False
    for i, step in enumerate(doc.session):
        for verb in _verbs(step):
            if verb not in _ON[transport.kind]:
                yield ("session", i), f"{verb} is no step for {_named(transport)}"
        if step.set_time is not None:
            yield from _set_time(transport, step, i)
            if stored:
                yield ("session", i), "set_time stands before racp: the clock is put right first"
        yield from _talk(doc, transport, i)
        if step.racp is not None:
            stored = True
            if step.racp.cursor == "sequence" and doc.dedupe is None:
                yield ("session", i, "racp"), "cursor sequence needs dedupe, which names the record's number"
    yield from _sources(doc, transport)


def _named(transport: TransportSpec) -> str:
    return {"ble": "Bluetooth", "serial": "a serial line", "advertisement": "advertisements"}[transport.kind]


def _transport(transport: TransportSpec) -> Iterator[Finding]:
    heard = transport.kind == "advertisement"
    alive = transport.keepalive
    yield from bad(
        (
            transport.pairing != "none" and transport.kind != "ble",
            ("transport", "pairing"),
            "is for Bluetooth connections only",
        ),
        (heard and alive is not None, ("transport", "keepalive"), "nothing is sent to an advertiser"),
        (
            heard and transport.idle_s is not None,
            ("transport", "idle_s"),
            "an advertiser's silence means nothing: it may be asleep for days",
        ),
    )
    if alive is not None and transport.kind == "ble" and alive.write is None:
        yield ("transport", "keepalive"), "needs write: the characteristic to write to"
    if alive is not None and transport.kind == "serial" and alive.write is not None:
        yield ("transport", "keepalive", "write"), "a serial line has no characteristics"


def _set_time(transport: TransportSpec, step: StepSpec, i: int) -> Iterator[Finding]:
    at, how = ("session", i, "set_time"), step.set_time
    if transport.kind == "ble" and how not in _CLOCKS and (how in _MAKERS or step.clock is None):
        yield at, "over Bluetooth it is 2a2b (Current Time), 2a08 (Date Time), or any other with clock"
    if step.clock is not None and (transport.kind != "ble" or how in _CLOCKS):
        yield ("session", i, "clock"), "is for a Bluetooth characteristic that is not the standard's"
    if transport.kind == "serial" and how not in _MAKERS:
        yield at, "on a serial line it is nonin"


def _talk(doc: ProfileDocument, transport: TransportSpec, i: int) -> Iterator[Finding]:
    """What a step needs that waits for an answer."""
    if doc.session[i].consent not in {None, _USERS}:
        yield ("session", i, "consent"), f"goes to the User Control Point: {_USERS}"
    if doc.session[i].expect is None:
        return
    source = doc.session[i].source
    before = {step.subscribe for step in doc.session[:i]}
    if transport.kind == "serial" and source is not None:
        yield ("session", i, "source"), "a serial line has no characteristics"
    if transport.kind == "ble" and (source is None or source not in before):
        yield ("session", i), "expect needs source: a characteristic that a step before subscribes to"


def _sources(doc: ProfileDocument, transport: TransportSpec) -> Iterator[Finding]:
    """Frames that nobody asks for, and steps whose answers nobody decodes."""
    if transport.kind == "advertisement":
        for source in doc.frames:
            if not _ADVERTISED.fullmatch(source):
                yield (
                    ("frames", source),
                    "an advertiser's frame is named by its service (181b) or its maker (m0157)",
                )
        return
    asked = set()
    for i, step in enumerate(doc.session):
        name = step.subscribe or step.read or (step.racp.records if step.racp else None)
        asked.add(name)
        if name is not None and name not in doc.frames:
            yield ("session", i), f"no frame decodes {name!r}{did_you_mean(name, doc.frames)}"
    if transport.kind == "ble":
        for source in doc.frames:
            if source not in asked:
                yield ("frames", source), f"no step of the session reads or subscribes to {source}"
