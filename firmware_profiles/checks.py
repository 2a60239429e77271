"""What a profile's parts must be to each other; each finding with the path it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from firmware_profiles.errors import did_you_mean
from firmware_profiles.field_checks import Finding, bad, carries_clock, frame_findings
from firmware_profiles.framing_checks import serial_findings, stream_findings
from firmware_profiles.schema import Match, ProfileDocument, TransportSpec, Vector
from firmware_profiles.step_checks import session_findings, step_findings
from firmware_profiles.types import INTEGERS
from hearthward.core.clock import parse_iso
from hearthward.core.codes import METRICS

__all__ = ["own_findings", "resolved_findings"]

_PORT_KEYS = frozenset({"baudrate", "bytesize", "parity", "stopbits", "farewell"})


def _under(prefix: tuple[str | int, ...], findings: Iterable[Finding]) -> Iterator[Finding]:
    return (((*prefix, *path), message) for path, message in findings)


def own_findings(doc: ProfileDocument) -> Iterator[Finding]:
    """What can be told from the file alone."""
    yield from _under(("match",), _match(doc.match))
    for i, step in enumerate(doc.session):
        yield from _under(("session", i), step_findings(step))
    if not doc.vectors:
        yield ("vectors",), "at least one vector is needed: bytes and what they mean"
    for i, vector in enumerate(doc.vectors):
        yield from _under(("vectors", i), _vector(vector))


def _match(match: Match) -> Iterator[Finding]:
    for i, ble in enumerate(match.ble):
        if not ble.model_fields_set:
            yield ("ble", i), "no criterion: it would match every device"
        for key in ("name", "manufacturer", "model"):
            try:
                re.compile(getattr(ble, key) or "")
            except re.error as e:
                yield ("ble", i, key), f"{getattr(ble, key)!r} is no regular expression: {e}"
    try:
        _ = match.firmware_range
    except ValueError as e:
        yield ("firmware",), str(e)


def _vector(vector: Vector) -> Iterator[Finding]:
    yield from bad(
        ((vector.hex is None) == (vector.text is None), (), "a vector has either hex or text"),
        (
            (vector.readings is None) == (vector.refused is None),
            (),
            "a vector has either readings or refused",
        ),
    )
    for j, reading in enumerate(vector.readings or ()):
        if reading.metric not in METRICS:
            near = did_you_mean(reading.metric, METRICS)
            yield ("readings", j, "metric"), f"unknown metric {reading.metric!r}{near}"
        try:
            parse_iso(reading.time or "2000-01-01")
        except ValueError:
            yield ("readings", j, "time"), f"{reading.time!r} is no ISO 8601 time"


def resolved_findings(doc: ProfileDocument) -> Iterator[Finding]:
    """What can be told when everything extended and included is in its place."""
    if doc.transport is None:
        yield (), "has no transport"
        return
    if not doc.frames:
        yield (), "has no frames and extends and includes none"
    yield from _transport(doc, doc.transport)
    yield from serial_findings(doc) if doc.transport.kind == "serial" else _ble(doc)
    for name, frame in doc.frames.items():
        yield from _under(("frames", name), frame_findings(frame))
    yield from session_findings(doc)
    yield from _references(doc)
    metrics = {spec.metric for frame in doc.frames.values() for spec in frame.fields}
    yield from bad(
        (
            doc.health is not None and doc.health.battery not in metrics,
            ("health", "battery"),
            "no field gives this metric",
        ),
        (
            doc.time is not None and not any(map(carries_clock, doc.frames.values())),
            ("time",),
            "no frame carries the device's time",
        ),
    )
    if doc.dedupe is not None:
        yield from _record(doc, doc.dedupe.record)


def _transport(doc: ProfileDocument, transport: TransportSpec) -> Iterator[Finding]:
    serial = transport.kind == "serial"
    yield from bad(
        (doc.composes and transport.kind != "ble", ("composes",), "is for Bluetooth connections only"),
        (
            transport.backoff_first_s > transport.backoff_max_s,
            ("transport", "backoff_first_s"),
            "is longer than backoff_max_s",
        ),
        (serial and transport.baudrate is None, ("transport",), "a serial transport needs its baudrate"),
        (serial and bool(doc.match.ble), ("match", "ble"), "the transport is serial"),
        (not serial and bool(doc.match.serial), ("match", "serial"), "the transport is ble"),
    )


def _ble(doc: ProfileDocument) -> Iterator[Finding]:
    if doc.transport is not None and doc.transport.kind == "ble":
        yield from stream_findings(doc)
    elif doc.framing is not None:
        yield ("framing",), "an advertisement is a whole payload: there is nothing to cut"
    if doc.transport is not None:
        for key in sorted(_PORT_KEYS & doc.transport.model_fields_set):
            yield ("transport", key), "is for a serial transport only"


def _references(doc: ProfileDocument) -> Iterator[Finding]:
    """Names of frames that are not there."""
    for i, vector in enumerate(doc.vectors):
        if vector.source not in doc.frames:
            near = did_you_mean(vector.source, doc.frames)
            yield ("vectors", i, "source"), f"no frame is named {vector.source!r}{near}"


def _record(doc: ProfileDocument, name: str) -> Iterator[Finding]:
    specs = [spec for frame in doc.frames.values() for spec in frame.fields if spec.name == name]
    if not specs:
        known = {spec.name for frame in doc.frames.values() for spec in frame.fields}
        yield ("dedupe", "record"), f"no field is named {name!r}{did_you_mean(name, known)}"
    for spec in specs:
        if spec.type not in INTEGERS - {"hex"} or spec.present_if or spec.of or spec.repeat:
            yield ("dedupe", "record"), f"{name} must be an integer field that is always there"
