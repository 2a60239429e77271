"""How a profile file says to reach a device: its line, its framing, and the steps of a session."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from firmware_profiles.schema_base import Day, Hex, Name, Positive, Strict, Uuid

__all__ = ["ByteTest", "ClockBytes", "Framing", "KeepAlive", "Racp", "StepSpec", "TransportSpec"]

Byte = Annotated[int, Field(ge=0, le=255)]


class KeepAlive(Strict):
    """Bytes sent again and again while the session streams, so that the device goes on."""

    every_s: Positive
    write: Uuid | None = None
    hex: Hex


class TransportSpec(Strict):
    """How to reach the device and how long to wait; the port's settings are for ``serial`` only."""

    kind: Literal["ble", "advertisement", "serial"]
    """``advertisement``: never connected to; the service or manufacturer data it sends are its frames."""
    expected_interval_s: Positive | None = None
    connect_timeout_s: Positive = 20.0
    idle_s: Positive | None = None
    backoff_first_s: Positive = 1.0
    backoff_max_s: Positive = 60.0
    pairing: Literal["none", "bond", "passkey"] = "none"
    """``bond``: paired by "just works" and remembered; ``passkey``: with the six digits the device shows."""
    keepalive: KeepAlive | None = None
    farewell: Hex | None = None
    """On a serial line: sent before the port is closed, so that the instrument stops streaming."""
    baudrate: Annotated[int, Field(ge=50, le=4_000_000)] | None = None
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1


class Racp(Strict):
    """Fetching the device's store through a Record Access Control Point."""

    control: Uuid
    records: Uuid
    """The characteristic in whose notifications the records come."""
    cursor: Literal["sequence", "offset"] | None = None
    """Ask from the last record kept on: by its number, or its minutes since the start."""
    delete: bool = False
    """Delete from the device's store what is committed here, by its number (so ``cursor`` is needed)."""


class ClockBytes(Strict):
    """How a maker's own characteristic takes the time: ``before``, the seconds since ``epoch`` (32 bits)."""

    epoch: Day = "1970-01-01"
    endian: Literal["little", "big"] = "little"
    before: Hex = ""


class StepSpec(Strict):
    """Exactly one of the verbs; the others say how."""

    subscribe: Uuid | None = None
    mode: Literal["notify", "indicate"] | None = None
    read: Uuid | None = None
    write: Uuid | None = None
    """Write ``hex`` to a characteristic."""
    send: Hex | None = None
    """Send bytes on a serial line."""
    expect: Hex | None = None
    """Wait until the serial line has brought these bytes, or ``source`` a message that begins with them."""
    source: Uuid | None = None
    """Of ``expect`` over Bluetooth: the characteristic, subscribed to before."""
    set_time: Uuid | Literal["nonin"] | None = None
    """Give the device the local time: a Current Time (2a2b) or Date Time (2a08), or a maker's command;
    over Bluetooth also a maker's own characteristic, with ``clock``."""
    clock: ClockBytes | None = None
    """How ``set_time`` writes the time to a characteristic that is not the standard's."""
    consent: Uuid | None = None
    """Give the consent of one of the device's users through its User Control Point (2a9f)."""
    racp: Racp | None = None
    delay_s: Positive | None = None
    hex: Hex | None = None
    within_s: Positive | None = None
    """How long to ``expect``, or how long a store may say nothing while it is fetched."""
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    optional: bool = False
    """Leave it out when the device lacks or refuses it."""


class ByteTest(Strict):
    """Whether the byte at a place, masked, is a value: how a frame is told from its neighbours."""

    at: Annotated[int, Field(ge=0, le=65_535)]
    mask: Byte = 255
    is_: Byte = Field(alias="is")


class Framing(Strict):
    """How frames are cut from a byte stream; they belong to the frame named ``source``.

    ``delimiter``: they end with it, and it is taken off. ``fixed``: ``length`` bytes that pass ``tests``.
    ``length``: a length field says how long. ``packet``: ``group`` fixed frames, of which only the first
    passes ``first``. What is no frame is refused and counted, and the next whole frame is found.
    """

    kind: Literal["delimiter", "fixed", "length", "packet"]
    source: Name | Uuid
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    max_length: Annotated[int, Field(ge=1, le=65_536)] | None = None
    length: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Of a fixed frame; with ``kind: length``: so many bytes of a frame are handed on, however long it is."""
    start: Hex | None = None
    end: Hex | None = None
    length_at: Annotated[int, Field(ge=0, le=64)] | None = None
    length_type: Literal["u8", "u16", "u16be"] = "u8"
    length_adds: Annotated[int, Field(ge=0, le=64)] = 0
    """Bytes of the whole frame that the length field does not count."""
    tests: tuple[ByteTest, ...] = ()
    first: ByteTest | None = None
    lock: Annotated[int, Field(ge=1, le=16)] = 1
    """After noise, so many frames in a row must pass before the first is believed."""
    group: Annotated[int, Field(ge=1, le=1024)] | None = None
    """So many frames make one payload (a slotted packet, or a second's worth of samples)."""
    integrity: (
        Literal["sum8", "xor8", "crc8", "crc8-maxim", "crc16-mcrf4xx", "sum8-body", "crc8-body"] | None
    ) = None
    """The check before ``end``, over every byte before; ``...-body``: over those after the length field."""
    unpack: Literal["high-bits"] | None = None
    """``high-bits``: the second byte holds the top bits of the seven after it."""
