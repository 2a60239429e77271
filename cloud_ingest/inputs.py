"""The inputs of deciding as bytes: what the journal keeps so that every decision can be made again."""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from hearthward.core.errors import StoreError
from rules.context import Context
from rules.model import Adopt, Command, Configuration, Input, Readings, Rows, Tick
from rules.response.duty import Duty
from rules.rule import Rule, RuleSet

__all__ = ["OLDEST", "VERSION", "decode_input", "encode_input", "kind_of", "version_of"]

VERSION: Final = 5
OLDEST: Final = 2
"""The oldest whose inputs are stepped again: without pauses, duty and whom a command is for.

Versions 3 and 4 had less to say of what gateways decide.
"""
_FIRST: Final = 1
"""The first release's: readings without source and wall, rules in another shape, no contexts."""
_THREE: Final = 0x93
"""How bytes begin that MessagePack makes of three things, of which the first is the version (below 128)."""
_ROWS: Final = ("inputs", "cleared")
_OF_ADOPT: Final = (
    "limit",
    "last",
    "ended",
    "closing",
    "source",
    "rule_hash",
    "told",
    "config",
    "decided",
    "terms",
)
_MORE: Final = (*_ROWS, *_OF_ADOPT)
_SAID: Final = {len(names): names for names in ((), _MORE[:-1], _MORE)}
"""What versions 3, 4 and 5 have to say of what gateways decide, besides alarm, values and text."""
_KINDS: Final[dict[type, str]] = {
    Readings: "readings",
    Tick: "tick",
    Command: "command",
    Configuration: "configuration",
    Adopt: "adopt",
}


def kind_of(event: Input) -> str:
    """The journal's word for an input."""
    return _KINDS[type(event)]


def encode_input(event: Input) -> bytes:
    """Input -> bytes; its sequence number is not part of them (the journal's row has it)."""
    match event:
        case Readings():
            body: list[Any] = [_pack_rows(event.rows), event.source, event.wall]
        case Tick():
            body = []
        case Command():
            body = [event.kind, event.alarm, event.actor, event.note, event.subject, event.until, event.to]
        case Configuration():
            body = _pack_configuration(event)
        case Adopt():
            told = [sorted(event.values.items()), sorted(event.text.items())]
            inputs = [[sorted(i.items()) for i in rows] for rows in (event.inputs, event.cleared)]
            rest = [getattr(event, name) for name in _OF_ADOPT]
            body = [event.alarm, event.subject, event.rule, event.onset, event.at, *told, *inputs, *rest]
    return cast("bytes", msgpack.packb([VERSION, event.now, body]))


def version_of(payload: bytes) -> int:
    """The version of the software's inputs that these bytes are of; 0: they are damaged."""
    return payload[1] if len(payload) > 1 and payload[0] == _THREE else 0


def decode_input(seq: int, kind: str, payload: bytes) -> Input:
    """Bytes -> input; of the first release all but its configurations can still be read.

    Raises StoreError when the row is damaged or of another version.
    """
    try:
        version, now, body = msgpack.unpackb(payload, strict_map_key=True)
        if version == _FIRST and kind in {"readings", "tick", "command"}:
            return _build_first(seq, kind, now, body)
        if not OLDEST <= version <= VERSION:
            msg = f"journal row {seq} is of version {version}; this software reads {OLDEST} to {VERSION}"
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
            rows, source, wall = body
            return Readings(seq, now, _unpack_rows(rows), source, wall)
        case "tick":
            return Tick(seq, now)
        case "command":
            return Command(seq, now, *body)
        case "configuration":
            return _unpack_configuration(seq, now, body)
        case "adopt":
            alarm, subject, rule, onset, at, values, text, *rest = body
            more: dict[str, Any] = dict(zip(_SAID[len(rest)], rest, strict=True))
            more |= {name: tuple(dict(i) for i in more.get(name, ())) for name in _ROWS}
            return Adopt(seq, now, alarm, subject, rule, onset, at, dict(values), dict(text), **more)
    msg = f"journal row {seq} is of unknown kind {kind!r}"
    raise StoreError(msg, seq=seq)


def _build_first(seq: int, kind: str, now: int, body: list[Any]) -> Input:
    return Readings(seq, now, _unpack_rows(body)) if kind == "readings" else _build(seq, kind, now, body)


def _pack_configuration(event: Configuration) -> list[Any]:
    rules = None if event.rules is None else [[r.content(), r.shadow] for r in event.rules]
    contexts = [[key, None if c is None else c.content()] for key, c in sorted(event.contexts.items())]
    duty = None if event.duty is None else event.duty.content()
    relearn = sorted(event.relearn.items())
    return [rules, sorted(event.closed_patients), contexts, duty, relearn]


def _unpack_configuration(seq: int, now: int, body: list[Any]) -> Configuration:
    packed, closed, contexts, *rest = body
    duty = Duty.of(rest[0]) if rest and rest[0] is not None else None
    rules = None
    if packed is not None:
        rules = RuleSet(tuple(Rule.from_content(content, shadow=shadow) for content, shadow in packed))
    known = {key: None if content is None else Context.of(content) for key, content in contexts}
    relearn = {name: tuple(metrics) for name, metrics in (rest[1] if len(rest) > 1 else ())}
    return Configuration(seq, now, rules, frozenset(closed), known, duty, relearn)


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
