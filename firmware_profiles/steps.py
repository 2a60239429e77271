"""The steps of a device's session, ready to be done by a link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from firmware_profiles.schema_transport import ClockBytes, StepSpec, TransportSpec

__all__ = ["RacpStep", "Step", "compile_steps"]

StepKind = Literal[
    "pair",
    "subscribe",
    "read",
    "write",
    "send",
    "expect",
    "set_time",
    "consent",
    "racp",
    "delay",
    "keepalive",
]


@dataclass(frozen=True, slots=True)
class RacpStep:
    """The device's store: its control point, where its records come, and how they are counted.

    ``cursor``: a record's number is its ``DecodedReading.record`` (``sequence``), or its minutes since the
    start of the device's own session (``offset``); None: records have no number. ``delete``: what is
    committed here is deleted there. ``within_s``: how long the device may say nothing before it is given up.
    """

    control: str
    records: str
    cursor: Literal["sequence", "offset"] | None = None
    delete: bool = False
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do after connecting; an ``optional`` one is skipped when the device lacks or refuses it.

    ``pair`` stands first where the transport asks for a bond, ``keepalive`` last: it goes on from there.
    ``characteristic`` is a short uuid; for ``set_time`` also ``nonin``; else empty. ``clock`` says how a
    characteristic that is not the standard's takes the time.
    ``data`` are the bytes to write, to send, or to wait for; ``seconds`` the length of a delay, how often to
    keep alive, or how long to wait for an answer (None: as the link thinks fit). A step that fails is tried
    ``retries`` times more, as long as the connection stands.
    """

    kind: StepKind
    characteristic: str = ""
    mode: Literal["notify", "indicate", "bond", "passkey"] | None = None
    optional: bool = False
    data: bytes = b""
    seconds: float | None = None
    retries: int = 0
    racp: RacpStep | None = None
    clock: ClockBytes | None = None


def compile_steps(transport: TransportSpec, session: tuple[StepSpec, ...]) -> tuple[Step, ...]:
    """All that is to be done after connecting, in its order."""
    steps = [_step(spec) for spec in session]
    if transport.pairing != "none":
        steps.insert(0, Step("pair", mode=transport.pairing))
    if (alive := transport.keepalive) is not None:
        data = bytes.fromhex(alive.hex)
        steps.append(Step("keepalive", alive.write or "", data=data, seconds=alive.every_s))
    return tuple(steps)


def _step(spec: StepSpec) -> Step:
    step = Step("delay", seconds=spec.delay_s)
    if spec.subscribe is not None:
        step = Step("subscribe", spec.subscribe, spec.mode)
    elif spec.read is not None:
        step = Step("read", spec.read)
    elif spec.write is not None:
        step = Step("write", spec.write, data=bytes.fromhex(spec.hex or ""))
    elif spec.send is not None:
        step = Step("send", data=bytes.fromhex(spec.send))
    elif spec.expect is not None:
        step = Step("expect", spec.source or "", data=bytes.fromhex(spec.expect), seconds=spec.within_s)
    elif spec.set_time is not None:
        step = Step("set_time", spec.set_time, clock=spec.clock)
    elif spec.consent is not None:
        step = Step("consent", spec.consent)
    elif (racp := spec.racp) is not None:
        store = RacpStep(racp.control, racp.records, racp.cursor, racp.delete, spec.within_s)
        step = Step("racp", racp.control, racp=store)
    return replace(step, optional=spec.optional, retries=spec.retries)
