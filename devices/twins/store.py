"""A device's memory behind a Record Access Control Point: what it answers to each request (pure).

Source: Bluetooth SIG, Glucose Service 1.0 and Continuous Glucose Monitoring Service 1.0 (2A52). The codes
stand here a second time, apart from the gateway's, so that each side proves the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final

__all__ = ["Outcome", "RecordStore", "StoredRecord", "response"]

REPORT, DELETE, ABORT, COUNT, COUNT_RESPONSE, RESPONSE = range(1, 7)
_NULL, _ALL, _UP_TO, _FROM, _RANGE, _FIRST, _LAST = range(7)
_BY_KEY: Final = 1
_BY_TIME: Final = 2


class Said(IntEnum):
    """The control point's response codes."""

    OK = 1
    OP_UNSUPPORTED = 2
    BAD_OPERATOR = 3
    OPERATOR_UNSUPPORTED = 4
    BAD_OPERAND = 5
    NO_RECORDS = 6
    ABORT_FAILED = 7
    NOT_COMPLETED = 8
    OPERAND_UNSUPPORTED = 9


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record: its sequence number or minutes since the start, its time, and its payloads by source."""

    key: int
    at: datetime | None
    payloads: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request leads to: records to be sent, then the control point's indication."""

    indication: bytes
    records: tuple[StoredRecord, ...] = ()


def response(op: int, said: Said) -> bytes:
    """The control point's answer to a request."""
    return bytes((RESPONSE, _NULL, op, said))


class _RefusedError(Exception):
    def __init__(self, said: Said) -> None:
        super().__init__(said)
        self.said = said


@dataclass(slots=True)
class RecordStore:
    """Records in the order of their making, ``capacity`` at most (the oldest go).

    ``ignores_filters``: it answers whatever was asked with everything it has, as some devices do.
    ``only_all``: it knows no operator but "all records".
    """

    capacity: int = 500
    ignores_filters: bool = False
    only_all: bool = False
    records: list[StoredRecord] = field(default_factory=list)

    def add(self, record: StoredRecord) -> None:
        """Keep a record."""
        self.records.append(record)
        del self.records[: -self.capacity]

    def ask(self, request: bytes) -> Outcome:
        """Answer one request; what it deletes is gone."""
        op = request[0] if request else 0
        if op not in {REPORT, DELETE, COUNT}:
            return Outcome(response(op, Said.OK if op == ABORT else Said.OP_UNSUPPORTED))
        try:
            found = tuple(self._found(request[1:2], request[2:]))
        except _RefusedError as refused:
            return Outcome(response(op, refused.said))
        if op == COUNT:
            return Outcome(struct.pack("<BBH", COUNT_RESPONSE, _NULL, len(found)))
        if not found:
            return Outcome(response(op, Said.NO_RECORDS))
        if op == DELETE:
            self.records = [record for record in self.records if record not in found]
            return Outcome(response(op, Said.OK))
        return Outcome(response(op, Said.OK), found)

    def _found(self, operator: bytes, operand: bytes) -> Iterator[StoredRecord]:
        which = operator[0] if operator else _NULL
        if which == _NULL or which > _LAST:
            raise _RefusedError(Said.BAD_OPERATOR if which == _NULL else Said.OPERATOR_UNSUPPORTED)
        if self.only_all and which != _ALL:
            raise _RefusedError(Said.OPERATOR_UNSUPPORTED)
        if which in {_ALL, _FIRST, _LAST}:
            if operand:
                raise _RefusedError(Said.BAD_OPERAND)
            chosen = {_ALL: slice(None), _FIRST: slice(1), _LAST: slice(-1, None)}[which]
            return iter(self.records if self.ignores_filters else self.records[chosen])
        low, high = self._bounds(which, operand)
        if self.ignores_filters:
            return iter(self.records)
        by_time = operand[0] == _BY_TIME
        return (
            record for record in self.records if low <= (_stamp(record.at) if by_time else record.key) <= high
        )

    def _bounds(self, which: int, operand: bytes) -> tuple[int, int]:
        """The least and greatest key (or time, as a number that grows with it)."""
        kind = operand[0] if operand else 0
        if kind not in {_BY_KEY, _BY_TIME}:
            raise _RefusedError(Said.OPERAND_UNSUPPORTED if operand else Said.BAD_OPERAND)
        size = 2 if kind == _BY_KEY else 7
        count = 2 if which == _RANGE else 1
        if len(operand) != 1 + count * size:
            raise _RefusedError(Said.BAD_OPERAND)
        parts = [operand[1 + i * size : 1 + (i + 1) * size] for i in range(count)]
        numbers = [int.from_bytes(p, "little") if kind == _BY_KEY else _number(p) for p in parts]
        if which == _RANGE:
            if numbers[0] > numbers[1]:
                raise _RefusedError(Said.BAD_OPERAND)
            return numbers[0], numbers[1]
        return (numbers[0], 1 << 64) if which == _FROM else (-1, numbers[0])


def _number(dt7: bytes) -> int:
    year, *rest = struct.unpack("<H5B", dt7)
    return int.from_bytes(bytes((year >> 8, year & 0xFF, *rest)), "big")


def _stamp(at: datetime | None) -> int:
    """A record without a time is older than all others."""
    if at is None:
        return -1
    parts = (at.year >> 8, at.year & 0xFF, at.month, at.day, at.hour, at.minute, at.second)
    return int.from_bytes(bytes(parts), "big")
