"""What becomes of links between two looks."""

from __future__ import annotations

from cloud_ingest.device_health.links import LinkBook
from hearthward.core.device_states import Cause, DeviceWord

DAY = 86_400 * 10**9


def test_a_link_that_was_lost_is_counted_once() -> None:
    book = LinkBook()
    book.words([("oxi", DeviceWord("streaming", since=1))], DAY)
    book.words([("oxi", DeviceWord("backoff", Cause.LINK_LOST, since=2))], DAY)
    book.words([("oxi", DeviceWord("backoff", Cause.LINK_LOST, since=2))], DAY)
    book.words([("oxi", DeviceWord("streaming", since=3))], DAY)
    assert {key: day.dropouts for key, day in book.take().items()} == {("oxi", 1): 1}


def test_links_that_are_new_because_their_gateway_is_were_not_lost() -> None:
    book = LinkBook()
    book.words([("oxi", DeviceWord("streaming", since=1))], DAY)
    book.forget(["oxi", "never heard of"])
    book.words([("oxi", DeviceWord("streaming", since=9))], DAY)
    assert book.take() == {}
