"""Settings of the engineers' side: when a finding opens a work order, when devices are serviced."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hearthward.core.channel_settings import Part

__all__ = ["ServiceHours", "WorkOrderRule"]

ServiceHours = Annotated[int, Field(ge=1, le=100_000)]
"""After how many hours of use a device is to be serviced."""


class WorkOrderRule(Part):
    """When a finding of a kind opens a work order; what is not set stays as shipped."""

    opens: bool = Field(default=True, description="false: never; people open it")
    confidence: float = Field(1.0, ge=0, le=1, description="from which confidence on")
    held_days: float = Field(0.0, ge=0, le=400, description="once it was found in each round for so long")
    within_days: int | None = Field(
        None, ge=0, le=3650, description="not before its proposed date is so near; unset: at once"
    )
