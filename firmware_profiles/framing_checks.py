"""What a serial profile's framing must be; each finding with its path within the framing."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_profiles.document import Where
from firmware_profiles.errors import did_you_mean
from firmware_profiles.field_checks import Finding, bad
from firmware_profiles.schema import Framing, ProfileDocument
from firmware_profiles.schema_transport import ByteTest

__all__ = ["framing_findings", "serial_findings", "stream_findings"]

_KEYS = {
    "delimiter": frozenset({"delimiter", "max_length", "tests"}),
    "fixed": frozenset({"length", "start", "tests", "group", "lock", "integrity", "unpack"}),
    "packet": frozenset({"length", "start", "tests", "first", "group", "lock", "integrity", "unpack"}),
    "length": frozenset({
        "start", "end", "length", "length_at", "length_type", "length_adds", "max_length", "tests", "lock",
        "integrity",
    }),
}  # fmt: skip
_NEEDED = {
    "delimiter": ("delimiter", "max_length"),
    "fixed": ("length",),
    "packet": ("length", "first", "group"),
    "length": ("start", "length_at", "max_length"),
}


def serial_findings(doc: ProfileDocument) -> Iterator[Finding]:
    """What a profile for a serial line needs besides its steps and frames."""
    if doc.framing is None:
        yield ("transport",), "a serial transport needs framing"
        return
    if doc.framing.source not in doc.frames:
        near = did_you_mean(doc.framing.source, doc.frames)
        yield ("framing", "source"), f"no frame is named {doc.framing.source!r}{near}"
    for i, one in enumerate(doc.match.serial):
        yield from bad(
            (one.usb is None and one.hears is None, ("match", "serial", i), "needs usb or hears"),
            (
                one.hears not in {None, doc.framing.source},
                ("match", "serial", i, "hears"),
                f"is the framing's source: {doc.framing.source}",
            ),
        )
    yield from ((("framing", *path), message) for path, message in framing_findings(doc.framing))


def stream_findings(doc: ProfileDocument) -> Iterator[Finding]:
    """What framing needs over Bluetooth: the notifications of one characteristic are a stream of bytes."""
    framing = doc.framing
    if framing is None:
        return
    if framing.source not in {step.subscribe for step in doc.session}:
        yield ("framing", "source"), "over Bluetooth it is a characteristic that the session subscribes to"
    if doc.composes:
        yield ("framing",), "is for a whole device: take composes away"
    yield from ((("framing", *path), message) for path, message in framing_findings(framing))


def framing_findings(framing: Framing) -> Iterator[Finding]:
    """Everything that is wrong with it."""
    kind = framing.kind
    for key in sorted(framing.model_fields_set - _KEYS[kind] - {"kind", "source"}):
        yield (key,), f"{key} is not for kind {kind}"
    for key in _NEEDED[kind]:
        if not getattr(framing, key):
            yield (), f"kind {kind} needs {key}"
    if kind == "fixed" and not (framing.tests or framing.start or framing.integrity):
        yield (), "kind fixed needs start, tests or integrity: something that tells a frame from other bytes"
    yield from _places(framing)
    if kind == "length":
        yield from _told_length(framing)


def _places(framing: Framing) -> Iterator[Finding]:
    """Tests must look at bytes that a frame has, and be able to hold."""
    fixed = framing.kind in {"fixed", "packet"}
    size = framing.length if fixed else framing.max_length
    start = len(bytes.fromhex(framing.start or ""))
    tests: list[tuple[Where, ByteTest]] = [(("tests", i), test) for i, test in enumerate(framing.tests)]
    if framing.first is not None:
        tests.append((("first",), framing.first))
    for path, test in tests:
        yield from bad(
            (size is not None and test.at >= size, (*path, "at"), f"a frame has {size} bytes"),
            (test.is_ & ~test.mask != 0, (*path, "is"), "has bits that the mask takes away: it never holds"),
        )
    yield from bad(
        (size is not None and start > size, ("start",), f"a frame has {size} bytes"),
        (
            fixed and (framing.integrity or "").endswith("-body"),
            ("integrity",),
            f"{framing.integrity} is for kind length",
        ),
        (
            fixed and framing.integrity == "crc16-mcrf4xx" and (framing.length or 3) < 3,  # noqa: PLR2004
            ("length",),
            "leaves no bytes beside the check",
        ),
        (framing.unpack is not None and not 3 <= (framing.length or 3) <= 9, ("length",), "is 3 to 9 bytes"),  # noqa: PLR2004
    )


def _told_length(framing: Framing) -> Iterator[Finding]:
    start = len(bytes.fromhex(framing.start or ""))
    yield from bad(
        (
            framing.length_at is not None and framing.length_at < start,
            ("length_at",),
            f"the frame begins with {start} other bytes",
        ),
        (
            (framing.length or 0) > (framing.max_length or 0),
            ("length",),
            "is more than max_length",
        ),
    )
