"""A device's frames byte by byte, as the web shows them while somebody looks; instants are UTC ns."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.frame_watch import FrameWatch
from dashboards.models import Instant
from hearthward.core.clock import SECOND
from hearthward.core.raw_frames import FieldPart, RawFrame

__all__ = ["DeviceWatch", "WatchState", "WatchedField", "WatchedFrame"]

WatchState = Literal["asked", "live", "silent", "unknown", "offline", "over"]
"""``asked``: no answer yet; ``silent``: no word for long; ``unknown``: its gateway does not have it."""
ANSWER_S: Final = 10
"""A gateway answers within two seconds; one of a former release does not know what is asked."""
SILENT_S: Final = 15
"""A gateway tells at least every five seconds."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WatchedField(_View):
    """One field as it was read: ``length`` bytes from ``offset``."""

    name: str = Field(description="as the profile calls it")
    offset: int
    length: int
    value: str = Field("", description="written out; empty: no value, or samples")
    unit: str = Field("", description="UCUM, of the metric")
    metric: str = Field("", description="empty: parsed over")

    @classmethod
    def of(cls, part: FieldPart) -> WatchedField:
        """As the gateway told."""
        return cls(**part._asdict())


class WatchedFrame(_View):
    """One frame as it came; refused where there is a ``reason``."""

    number: int = Field(description="counts the device's frames since its gateway's start")
    received: Instant
    source: str = Field(description="characteristic, or name of the frame; empty: bytes between frames")
    hex: str = Field(description="its bytes, or the first of them")
    size: int = Field(description="how many bytes it had")
    profile: str = ""
    reason: str = ""
    detail: str = Field("", description="why it was refused, in the gateway's English")
    fields: list[WatchedField] = Field(default_factory=list)

    @classmethod
    def of(cls, frame: RawFrame) -> WatchedFrame:
        """As the gateway told."""
        return cls(
            number=frame.number,
            received=frame.received,
            source=frame.source,
            hex=frame.payload.hex(" "),
            size=frame.size,
            profile=frame.profile,
            reason=frame.reason,
            detail=frame.detail,
            fields=[WatchedField.of(part) for part in frame.fields],
        )


class DeviceWatch(_View):
    """What the caller looks at: the newest frames first."""

    device: str
    gateway: str
    software: str = Field("", description="the gateway's version")
    state: WatchState
    until: Instant = Field(description="when the caller's look ends")
    told: Instant | None = Field(None, description="when the gateway told last")
    missed: int = Field(0, description="frames that found no room on the way")
    frames: list[WatchedFrame] = Field(default_factory=list)

    @property
    def running(self) -> bool:
        """Whether more may come."""
        return self.state not in {"over", "unknown"}

    @classmethod
    def of(cls, watch: FrameWatch, user: str, now: int, *, online: bool, software: str) -> DeviceWatch:
        """Of what ``user`` has opened, at ``now`` (real time)."""
        return cls(
            device=watch.device,
            gateway=watch.gateway,
            software=software,
            state=_state(watch, user, now, online=online),
            until=watch.viewers[user],
            told=watch.told,
            missed=watch.missed,
            frames=[WatchedFrame.of(frame) for frame in reversed(watch.frames)],
        )


def _state(watch: FrameWatch, user: str, now: int, *, online: bool) -> WatchState:
    if now >= watch.viewers[user]:
        return "over"
    if not online:
        return "offline"
    if not watch.known:
        return "unknown"
    if watch.told is None:
        return "asked" if now - watch.asked < ANSWER_S * SECOND else "silent"
    return "live" if now - watch.told < SILENT_S * SECOND else "silent"
