"""The inputs of deciding as bytes: what the journal keeps so that every decision can be made again."""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from hearthward.core.errors import StoreError
from rules import Command, Configuration, Input, Readings, Rows, Rule, RuleSet, Tick

__all__ = ["decode_input", "encode_input", "kind_of"]

_VERSION: Final = 1
_KINDS: Final[dict[type, str]] = {
    Readings: "readings",
    Tick: "tick",
    Command: "command",
    Configuration: "configuration",
}


def kind_of(event: Input) -> str:
    """The journal's word for an input."""
    return _KINDS[type(event)]


def encode_input(event: Input) -> bytes:
    """Input -> bytes; its sequence number is not part of them (the journal's row has it)."""
    match event:
        case Readings(rows=rows):
            body: list[Any] = _pack_rows(rows)
        case Tick():
            body = []
        case Command():
            body = [event.kind, event.alarm, event.actor, event.note]
        case Configuration():
            body = [[r.content() for r in event.rules], sorted(event.closed_patients)]
    return cast("bytes", msgpack.packb([_VERSION, event.now, body]))


def decode_input(seq: int, kind: str, payload: bytes) -> Input:
    """Bytes -> input. Raises StoreError when the row is damaged or of another version."""
    try:
        version, now, body = msgpack.unpackb(payload, strict_map_key=True)
        if version != _VERSION:
            msg = f"journal row {seq} is of version {version}; this software reads {_VERSION}"
            raise StoreError(msg, seq=seq)
        return _build(seq, kind, now, body)
    except StoreError:
        raise
    except Exception as error:
        msg = f"journal row {seq} is damaged: {type(error).__name__}"
        raise StoreError(msg, seq=seq) from error


def _build(seq: int, kind: str, now: int, body: list[Any]) -> Input:
    match kind:
        case "readings":
            return Readings(seq, now, _unpack_rows(body))
        case "tick":
            return Tick(seq, now)
        case "command":
            return Command(seq, now, *body)
        case "configuration":
            rules = RuleSet(tuple(Rule.from_content(content) for content in body[0]))
            return Configuration(seq, now, rules, frozenset(body[1]))
    msg = f"journal row {seq} is of unknown kind {kind!r}"
    raise StoreError(msg, seq=seq)


def _pack_rows(rows: Rows) -> list[Any]:
    words: dict[str, int] = {}
    named = [
        [words.setdefault(word, len(words)) for word in column]
        for column in (rows.patient, rows.device, rows.metric)
    ]
    lags = [r - t for r, t in zip(rows.received, rows.time, strict=True)]
    return [list(words), *named, rows.value, rows.time, lags, rows.quality]


def _unpack_rows(body: list[Any]) -> Rows:
    words, patient, device, metric, value, time, lags, quality = body
    return Rows(
        patient=[words[i] for i in patient],
        device=[words[i] for i in device],
        metric=[words[i] for i in metric],
        value=value,
        time=time,
        received=[t + lag for t, lag in zip(time, lags, strict=True)],
        quality=quality,
    )
