"""The Record Access Control Point (2A52): its bytes, and how a device's store is fetched through it. Pure.

Source: Bluetooth SIG, Glucose Service 1.0 (3.4), Continuous Glucose Monitoring Service 1.0 (3.7), Pulse
Oximeter Service 1.0 (3.4); numbers little-endian.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from typing import Final

from hearthward.core.errors import DecodeError

__all__ = [
    "ABORT",
    "MAX_NUMBER",
    "REPORT_ALL",
    "REPORT_LAST",
    "Answer",
    "Code",
    "Cursor",
    "Fetching",
    "Op",
    "Operator",
    "Record",
    "answers",
    "count_from",
    "delete_up_to",
    "parse_answer",
    "report_from",
]

MAX_NUMBER: Final = 0xFFFF
_FILTER_NUMBER: Final = 1
"""The filter that means the sequence number (glucose) or the time offset in minutes (CGM)."""


class Op(IntEnum):
    """What is asked or answered."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    COUNT = 4
    COUNT_RESPONSE = 5
    RESPONSE = 6


class Operator(IntEnum):
    """Which records are meant."""

    NULL = 0
    ALL = 1
    UP_TO = 2
    FROM = 3
    RANGE = 4
    FIRST = 5
    LAST = 6


class Code(IntEnum):
    """How a request went; a number of its own maker's is ``REFUSED``."""

    REFUSED = 0
    SUCCESS = 1
    OP_UNSUPPORTED = 2
    BAD_OPERATOR = 3
    OPERATOR_UNSUPPORTED = 4
    BAD_OPERAND = 5
    NO_RECORDS = 6
    ABORT_FAILED = 7
    NOT_COMPLETED = 8
    OPERAND_UNSUPPORTED = 9


_CODES: Final = frozenset(map(int, Code))

REPORT_ALL: Final = bytes((Op.REPORT, Operator.ALL))
REPORT_LAST: Final = bytes((Op.REPORT, Operator.LAST))
ABORT: Final = bytes((Op.ABORT, Operator.NULL))


def _numbered(op: Op, operator: Operator, number: int) -> bytes:
    if not 0 <= number <= MAX_NUMBER:
        msg = f"a record's number is 0..{MAX_NUMBER}, not {number}"
        raise ValueError(msg)
    return struct.pack("<BBBH", op, operator, _FILTER_NUMBER, number)


def report_from(number: int) -> bytes:
    """Ask for the records of that number and above. Raises ValueError."""
    return _numbered(Op.REPORT, Operator.FROM, number)


def count_from(number: int) -> bytes:
    """Ask how many records of that number and above there are. Raises ValueError."""
    return _numbered(Op.COUNT, Operator.FROM, number)


def delete_up_to(number: int) -> bytes:
    """Have the records up to that number deleted. Raises ValueError."""
    return _numbered(Op.DELETE, Operator.UP_TO, number)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the control point indicated: how ``request`` went, or (``count``) how many records there are."""

    request: int
    code: Code
    count: int | None = None


_COUNT: Final = struct.Struct("<BBH")
_RESPONSE: Final = struct.Struct("<BBBB")


def parse_answer(payload: bytes) -> Answer:
    """An indication of the control point. Raises DecodeError."""
    if payload and payload[0] not in {Op.COUNT_RESPONSE, Op.RESPONSE}:
        msg = f"a control point answers with operation 5 or 6, not {payload[0]}"
        raise DecodeError(msg, reason="malformed", offset=0)
    if len(payload) != _RESPONSE.size:
        msg = f"a control point's answer has {_RESPONSE.size} bytes, not {len(payload)}"
        raise DecodeError(msg, reason="truncated" if len(payload) < _RESPONSE.size else "oversized")
    if payload[0] == Op.COUNT_RESPONSE:
        return Answer(Op.COUNT, Code.SUCCESS, _COUNT.unpack(payload)[2])
    _, _, request, code = _RESPONSE.unpack(payload)
    return Answer(request, Code(code) if code in _CODES else Code.REFUSED)


def answers(request: bytes, answer: Answer) -> bool:
    """Whether an answer is to that request, and not to one given up before it."""
    return bool(request) and answer.request == request[0]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last record that is committed here: its ``number``, and a digest of what it said (``mark``).

    ``spoiled``: the hash of the profile under which a record before it was refused; nothing is deleted from
    the device while that profile is in use, and another one asks for everything again.
    """

    number: int
    mark: int
    spoiled: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it arrived; ``at`` is the device's own time of it (naive ns; 0: it has none)."""

    number: int
    mark: int
    at: int = 0


class _Stage(Enum):
    """What is being asked for."""

    FROM = auto()
    LAST = auto()
    ALL = auto()


class Fetching:
    """One fetch of a store, from its first request to its end: what to write next, and how far it got.

    The records from the last committed one on are asked for, that one included, and then the very last one:
    only if the one is there as it was known, all others follow it in order, and the last is one of them, do
    the numbers still mean the same. If not - a new battery, numbers that started over or ran out, a store
    that was cleared - or if the device knows no such filter, everything is asked for.

    A record is ``taken`` with the ticket under which it was queued; ``committed`` tells the tickets that are
    safe by now, and moves ``cursor``, one record behind what is safe: a live value that came in between
    shows only by the next one. ``spoiled`` keeps the device's store from being deleted (see ``Cursor``).
    """

    def __init__(self, cursor: Cursor | None) -> None:
        self.cursor = cursor
        self.spoiled = cursor.spoiled if cursor else ""
        self.complete = False
        self._known = cursor
        self._stage = _Stage.ALL if cursor is None else _Stage.FROM
        self._proven = self._top = self._lost = self._unknown = self._whole = False
        self._ascending = True
        self._seen: set[tuple[int, int]] = set()
        self._highest = -1
        self._waiting: deque[tuple[Record, int]] = deque()
        self._last: Record | None = None
        self._newest: Record | None = None

    @property
    def request(self) -> bytes | None:
        """What to ask the device now; None when it has told all it has."""
        if self.complete:
            return None
        if self._stage is _Stage.FROM and self._known is not None:
            return report_from(self._known.number)
        return REPORT_LAST if self._stage is _Stage.LAST else REPORT_ALL

    def knows(self, record: Record) -> bool:
        """Whether this is the record at which the last fetch ended, told again."""
        known = self._known
        return known is not None and (record.number, record.mark) == (known.number, known.mark)

    def taken(self, record: Record, ticket: int) -> None:
        """A record arrived; it is safe when ``committed`` is told this ticket."""
        self._top = self._top or record.number == MAX_NUMBER
        self._proven = self._proven or self.knows(record)
        if self._stage is _Stage.LAST:
            if (record.number, record.mark) in self._seen:
                return
            self._unknown = self._unknown or record.number <= self._highest
        elif self._stage is _Stage.FROM:
            self._unknown = self._unknown or record.number <= self._highest
            self._seen.add((record.number, record.mark))
            self._highest = max(self._highest, record.number)
        if not self._lost:
            self._waiting.append((record, ticket))

    def lost(self) -> None:
        """A record arrived and could not be kept: nothing from here on counts, and all is asked for again."""
        self._lost = True

    def committed(self, ticket: int) -> None:
        """Everything up to this ticket is safe."""
        while self._waiting and self._waiting[0][1] <= ticket:
            self._advance(self._waiting.popleft()[0])

    def _advance(self, record: Record) -> None:
        last, self._last = self._last, record
        if self._newest is None or record.at >= self._newest.at:
            self._newest = record
        if last is None:
            return
        if last.number >= record.number:
            self._ascending = False
        elif self._stage is _Stage.ALL or (self._stage is _Stage.FROM and self._proven and not self._unknown):
            self._note(last)

    def _note(self, record: Record) -> None:
        self.cursor = Cursor(record.number, record.mark, self.spoiled)

    @property
    def deletable(self) -> bool:
        """Whether "up to the cursor" means nothing but what was told: all of it came, in order, and was kept.

        Numbers that ran over, or a cursor of a store that is empty by now, would name records that are yet to
        be fetched.
        """
        told = self._newest is not None and self.complete and self._whole and self._ascending
        return told and not (self._top or self._lost or self.spoiled)

    def answered(self, code: Code) -> None:
        """The device has answered the request: go on with another, or be ``complete``."""
        doubtful = self._unknown or self._top or not self._proven or code is not Code.SUCCESS
        if self._stage is _Stage.FROM and not doubtful:
            self._stage = _Stage.LAST
        elif self._stage is _Stage.FROM or (self._stage is _Stage.LAST and self._unknown):
            self._stage = _Stage.ALL
            self._waiting.clear()  # queued like the rest, but it says nothing of where to begin next time
            self._last = self._newest = None
            self._ascending = True
        else:
            self._whole = code in {Code.SUCCESS, Code.NO_RECORDS}
            self.complete = not self._lost

    def finish(self) -> Cursor | None:
        """Everything that was taken is safe: where the next fetch begins after a complete one."""
        newest = self._last if self._ascending else self._newest
        cut_off = self._stage is _Stage.ALL and not self._whole  # of what else there is nothing is known
        if self.complete and not cut_off and newest is not None:
            self._note(newest)
        elif self.cursor is not None:
            self.cursor = replace(self.cursor, spoiled=self.spoiled)
        return self.cursor
