"""What the web shows of the loss ledger."""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.balance import AskedLedger, By, Figures, LedgerReport, Line, Standing
from cloud_ingest.loss_ledger import hour_of
from dashboards.ledger_words import summary
from dashboards.models import Instant
from hearthward.core.clock import SECOND

__all__ = ["SINCE", "FiguresView", "LedgerView", "LineView", "OutboxView", "WriteOff", "asked_of"]

HOUR: Final = 3600 * SECOND
MOST_DAYS: Final = 400
SINCE: Final = re.compile(r"(\d{1,5})([hd])")
Balance = Literal["balanced", "waiting", "missing", "unknown"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def asked_of(
    since: str, now: int, *, by: str = "", gateway: str | None = None, device: str | None = None
) -> AskedLedger:
    """The last ``since`` (``24h``, ``7d``), the hour now going on included. Raises ValueError.

    Unless ``by`` says otherwise: by gateway, of a gateway by device, of a device by hour.
    """
    found = SINCE.fullmatch(since)
    hours = 0 if found is None else int(found[1]) * (24 if found[2] == "d" else 1)
    if not 1 <= hours <= MOST_DAYS * 24:
        msg = f"{since[:20]!r} is no period: write 1h to {MOST_DAYS}d, such as 24h or 7d"
        raise ValueError(msg)
    usual: By = (
        "gateway" if gateway is None and device is None else "hour" if device is not None else "device"
    )
    chosen = {"gateway": "gateway", "device": "device", "hour": "hour", "": usual}
    if by not in chosen:
        msg = f"{by[:20]!r} is none of gateway, device, hour"
        raise ValueError(msg)
    end = hour_of(now) + 1
    return AskedLedger(end - hours, end, cast("By", chosen[by]), gateway, device)


class FiguresView(_View):
    """Readings in the order of their way; `null` is what the gateway does not tell."""

    read: int | None
    rejected_at_gateway: dict[str, int] = Field(description="reason -> frames of devices refused there")
    accepted: int | None = Field(description="committed to the gateway's synced buffer")
    dropped: dict[str, int] = Field(description="reason -> readings that the gateway had to give up")
    waiting: int = Field(description="accepted, and still at the gateway")
    sent: int | None
    stored: int
    duplicate: int = Field(description="came, and were stored already under another number")
    rejected: dict[str, int] = Field(description="reason -> readings put aside as dead letters")
    late: int = Field(description="of those stored: received more than 60 s before they came here")
    missing: int = Field(description="accepted, and nowhere")
    written_off: int
    unknown: int = Field(
        description="lacking here, but counted without a device: rejected unread, or damaged at the gateway"
    )
    untold: int = Field(description="came here, but the gateway has not told of them yet")
    clones: int = Field(description="came under numbers of other readings; not part of the balance")
    balance: Balance

    @classmethod
    def of(cls, found: Figures) -> FiguresView:
        """As they are."""
        told = found.told
        balance: Balance = "unknown"
        if told:
            balance = "missing" if found.missing else "waiting" if found.waiting else "balanced"
        return cls(
            read=max(found.read, found.accepted) if told else None,
            rejected_at_gateway=dict(sorted(found.rejected_at_gateway.items())),
            accepted=found.accepted if told else None,
            dropped=_some(found.dropped),
            waiting=found.waiting,
            sent=found.sent if told else None,
            stored=found.stored,
            duplicate=found.duplicate,
            rejected=_some(found.rejected),
            late=found.late,
            missing=found.missing,
            written_off=found.written_off,
            unknown=found.unknown,
            untold=found.untold,
            clones=found.clones,
            balance=balance,
        )


def _some(reasons: dict[str, int]) -> dict[str, int]:
    return {reason: n for reason, n in sorted(reasons.items()) if n}


class LineView(_View):
    """The figures of a gateway, a device or an hour."""

    gateway: str | None = None
    device: str | None = Field(None, description="empty: readings of which nobody can say whose they were")
    hour: Instant | None = Field(None, description="its beginning")
    figures: FiguresView

    @classmethod
    def of(cls, line: Line) -> LineView:
        """As it is."""
        hour = None if line.hour is None else line.hour * HOUR
        return cls(gateway=line.gateway, device=line.device, hour=hour, figures=FiguresView.of(line.figures))


class OutboxView(_View):
    """An outbox of a gateway by the numbers that it has given out, of all time."""

    gateway: str
    boot: str
    state: Literal["in_use", "replaced"]
    told: Instant | None = Field(description="when its gateway last told of its books; null: never")
    heard: Instant
    numbers: int | None = Field(description="readings and decisions that it has accepted")
    committed: int
    dropped: int = Field(description="declared lost")
    waiting: int
    unaccounted: int
    written_off: int

    @classmethod
    def of(cls, found: Standing) -> OutboxView:
        """As it stands."""
        return cls(
            gateway=found.gateway,
            boot=found.boot,
            state="replaced" if found.replaced else "in_use",
            told=found.told,
            heard=found.heard,
            numbers=None if found.told is None else found.numbers,
            committed=found.committed,
            dropped=found.dropped,
            waiting=found.waiting,
            unaccounted=found.unaccounted,
            written_off=found.written_off,
        )


class LedgerView(_View):
    """What became of the readings of a period."""

    start: Instant
    end: Instant
    by: Literal["gateway", "device", "hour"]
    text: dict[str, str] = Field(description="all of it in a sentence, by language")
    lines: list[LineView]
    total: FiguresView
    earlier: int = Field(description="numbers unaccounted for that belong to none of the lines")
    outboxes: list[OutboxView]

    @classmethod
    def of(cls, found: LedgerReport) -> LedgerView:
        """As it is."""
        asked = found.asked
        return cls(
            start=asked.start * HOUR,
            end=asked.end * HOUR,
            by=asked.by,
            text=summary(found),
            lines=[LineView.of(line) for line in found.lines],
            total=FiguresView.of(found.total),
            earlier=found.earlier,
            outboxes=[OutboxView.of(book) for book in found.books],
        )


class WriteOff(_View):
    """Numbers of an outbox that somebody has closed the books on."""

    id: str
    gateway: str
    boot: str
    numbers: int
    reason: str
    by: str
    at: Instant
