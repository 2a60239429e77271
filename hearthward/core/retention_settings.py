"""How long what only grows is kept. The audit and readings are kept for ever."""

from __future__ import annotations

from pydantic import Field

from hearthward.core.channel_settings import Part

__all__ = ["RetentionSettings"]


class RetentionSettings(Part):
    """Ages in days (0: for ever) and bounds; what is dropped is counted."""

    journal_h: float = Field(
        24.0, ge=1, le=24 * 366, description="decisions can be stepped again for so long"
    )
    notifications_days: float = Field(
        400.0, ge=0, description="messages to people and how their delivery went, once their alarm is over"
    )
    inactivations_days: float = Field(400.0, ge=0, description="pauses and switched-off signals that ended")
    ledger_days: float = Field(400.0, ge=0, description="the loss ledger's counts by hour")
    dead_letters_days: float = Field(90.0, ge=0)
    dead_letters: int = Field(100_000, ge=100, description="how many at most; the oldest go first")
    dead_letter_bytes: int = Field(1 << 30, ge=1 << 20, description="their size at most")
