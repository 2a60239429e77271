"""Who looks at which device's frames, and what gateways tell of it."""

from __future__ import annotations

import pytest

from cloud_ingest.asks import Asks
from cloud_ingest.frame_watch import KEPT_S, MOST_WATCHES, FrameWatches
from cloud_ingest.sources.fake import MemorySource
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError, UplinkError
from hearthward.core.raw_frames import MOST_FRAMES, RawFrame, RawFrames
from hearthward.core.telemetry import Telemetry
from hearthward.trust.keys import SigningKey


class Rig:
    def __init__(self) -> None:
        self.telemetry, self.clock = Telemetry(), EventClock(5)
        asks = Asks("main", MemorySource(), SigningKey.new(), self.clock)
        self.watches = FrameWatches(asks, self.clock, self.telemetry)
        self.book = self.watches.book

    def tell(self, *numbers: int, device: str = "oxi", session: str = "s", **more: int) -> None:
        frames = tuple(RawFrame(n, n, "2a5f", b"\x00", 1) for n in numbers)
        self.watches.take("gw-1", RawFrames("gw-1", session, device, 1, 60, frames, **more).encode())

    def kept(self, user: str = "ann") -> list[int]:
        watch = self.book.seen_by("oxi", user)
        return [] if watch is None else [frame.number for frame in watch.frames]


def test_what_nobody_looks_at_is_not_taken():
    rig = Rig()
    rig.tell(1)
    assert rig.kept() == []
    assert rig.telemetry.value("messages_ignored_total", kind="raw") == 1


def test_the_newest_frames_are_kept_once_each_for_who_opened_the_view():
    rig = Rig()
    rig.book.open("gw-1", "oxi", "ann", 60)
    rig.tell(1, 2)
    rig.tell(1, 2, 3, missed=4)  # told again, for a second viewer
    assert rig.kept() == [1, 2, 3]
    assert rig.kept("bob") == []
    rig.tell(*range(4, 24))
    assert rig.kept() == list(range(4, 4 + MOST_FRAMES))
    watch = rig.book.seen_by("oxi", "ann")
    assert watch is not None
    assert (watch.missed, watch.told, watch.known) == (4, 5, True)


def test_a_gateway_that_starts_anew_counts_from_the_beginning():
    rig = Rig()
    rig.book.open("gw-1", "oxi", "ann", 60)
    rig.tell(7, 8)
    rig.tell(1, session="t")
    assert rig.kept() == [1]


def test_frames_are_forgotten_soon_after_the_watch_has_ended():
    rig = Rig()
    rig.book.open("gw-1", "oxi", "ann", 60)
    rig.book.open("gw-1", "oxi", "bob", 10)
    rig.tell(1)
    rig.clock.advance(61)
    rig.tell(2)
    assert rig.kept() == [1], "the time is over"
    rig.clock.advance(KEPT_S - 11)
    assert (rig.kept("bob"), rig.kept()) == ([], [1])
    rig.clock.advance(11)
    assert rig.kept() == []
    rig.book.open("gw-1", "oxi", "ann", 60)
    assert rig.kept() == []


def test_a_watch_that_is_over_begins_anew_and_one_that_runs_goes_on():
    rig = Rig()
    rig.book.open("gw-1", "oxi", "ann", 10)
    rig.tell(1)
    assert len(rig.book.open("gw-1", "oxi", "bob", 10).frames) == 1
    rig.clock.advance(11)
    assert len(rig.book.open("gw-1", "oxi", "ann", 10).frames) == 0
    assert rig.kept("bob") == []


def test_only_so_many_are_watched_at_once():
    rig = Rig()
    for n in range(MOST_WATCHES):
        rig.book.open("gw-1", f"d{n}", "ann", 10)
    rig.book.open("gw-1", "d0", "bob", 10)
    with pytest.raises(ConfigError) as caught:
        rig.book.open("gw-1", "oxi", "ann", 10)
    assert caught.value.details["code"] == "full"
    rig.clock.advance(11 + KEPT_S)
    rig.book.open("gw-1", "oxi", "ann", 10)


def test_noise_and_who_speaks_for_another_are_counted_and_kept_out():
    rig = Rig()
    rig.book.open("gw-1", "oxi", "ann", 60)
    rig.watches.take("gw-1", b"noise")
    rig.watches.take("gw-1", RawFrames("gw-2", "s", "oxi", 1, 60).encode())
    assert rig.telemetry.value("messages_rejected_total", kind="raw") == 2
    watch = rig.book.seen_by("oxi", "ann")
    assert watch is not None
    assert watch.told is None


async def test_without_a_broker_nobody_can_be_asked():
    rig = Rig()
    with pytest.raises(UplinkError):
        await rig.watches.watch("gw-1", "oxi", "ann", 10)
    assert rig.book.seen_by("oxi", "ann") is None
