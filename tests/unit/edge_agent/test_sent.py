from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.sent import SentBook, Verdict
from hearthward.core.messages import StoredBlock
from hearthward.core.ranges import RangeSet

ONE, TWO = StoredBlock(1, 10, b"11111111"), StoredBlock(11, 5, b"22222222")


def book(*blocks: StoredBlock) -> SentBook:
    made = SentBook(100)
    made.note(blocks)
    return made


def test_exactly_what_was_sent_is_news_once():
    sent = book(ONE, TWO)
    assert sent.judge(ONE) is sent.judge(ONE) is Verdict.NEWS
    sent.done(ONE)
    assert sent.judge(ONE) is Verdict.REPEATED
    assert sent.judge(TWO) is Verdict.NEWS


def test_other_content_under_these_numbers_is_told_apart_from_what_never_left():
    sent = book(ONE, TWO)
    assert sent.judge(StoredBlock(1, 10, b"xxxxxxxx")) is Verdict.DIGEST
    assert sent.judge(StoredBlock(1, 5, ONE.digest)) is Verdict.DIGEST
    assert sent.judge(StoredBlock(5, 8, ONE.digest)) is Verdict.DIGEST
    assert sent.judge(StoredBlock(1, 16, ONE.digest)) is Verdict.NEVER
    assert sent.judge(StoredBlock(16, 1, ONE.digest)) is Verdict.NEVER


def test_gaps_are_believed_only_if_they_were_declared():
    sent = SentBook(100)
    sent.note_gap(5, 9)
    assert sent.declared(5, 9)
    assert not sent.declared(5, 10)


def test_what_is_dropped_is_not_waited_for():
    sent = book(ONE, TWO)
    sent.drop(RangeSet([(1, 12)]))
    assert len(sent) == 1
    assert sent.judge(TWO) is Verdict.NEWS


def test_what_was_sent_long_ago_is_sent_again_before_it_is_deleted():
    """A broker that comes and goes, and no cloud behind it: each time other blocks are the newest."""
    sent = SentBook(3)
    blocks = [StoredBlock(1 + 10 * n, 10, bytes([n]) * 8) for n in range(200)]
    for n in range(0, 200, 2):
        sent.note(blocks[n : n + 2])
        sent.note([blocks[n]])  # sent again: it is not the oldest any more
        assert len(sent) <= 3
    assert [sent.judge(b) for b in blocks[-3:]] == [Verdict.REPEATED, Verdict.NEWS, Verdict.NEWS]
    assert sent.judge(blocks[0]) is Verdict.REPEATED, "no effect"
    sent.note([blocks[0]])
    assert sent.judge(blocks[0]) is Verdict.NEWS
    assert len(sent) == 3


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("sdj"), st.integers(0, 2)), max_size=60))
def test_news_is_only_what_was_sent_and_not_yet_done(steps: list[tuple[int, str, int]]):
    sent, waiting, known = SentBook(100), {}, set()
    for n, act, content in steps:
        block = StoredBlock(1 + 10 * n, 10, bytes([content]) * 8)
        if act == "s":
            sent.note([block])
            waiting[n] = block
            known.add(n)
        elif act == "d":
            sent.done(block)
            waiting.pop(n, None)
        verdict = sent.judge(block)
        assert (verdict is Verdict.NEWS) == (waiting.get(n) == block)
        assert (verdict is Verdict.NEVER) == (n not in known)
    assert len(sent) == len(waiting)
