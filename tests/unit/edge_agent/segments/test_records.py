from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.segments.records import (
    HEAD_BYTES,
    Kind,
    block_digest,
    deflate,
    inflate,
    record,
    scan,
    touched,
)
from hearthward.core.wire import Block

BODIES = st.lists(st.binary(max_size=60), min_size=1, max_size=6)


@given(BODIES, st.integers(0, 2**32 - 1))
def test_what_is_written_is_found_again(bodies: list[bytes], serial: int):
    data = b"".join(
        record(Kind.BLOCK, serial, body, first=10 * n, count=3, ends=n % 2 == 0)
        for n, body in enumerate(bodies)
    )
    rows = list(scan(data + bytes(50), serial))
    assert [(r.first, r.last, r.body(data), r.ends) for r in rows] == [
        (10 * n, 10 * n + 2, body, n % 2 == 0) for n, body in enumerate(bodies)
    ]
    assert list(scan(data, serial ^ 1)) == []
    assert len(list(scan(data))) == len(bodies)


@given(BODIES, st.data())
def test_a_flipped_bit_costs_one_record_and_no_other(bodies: list[bytes], data: st.DataObject):
    parts = [record(Kind.BLOCK, 7, body, first=n, count=1) for n, body in enumerate(bodies)]
    raw = bytearray(b"".join(parts))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
    hit = next(n for n, end in enumerate(ends) if at < end)
    assert [r.first for r in scan(bytes(raw), 7)] == [n for n in range(len(parts)) if n != hit]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_noise_and_cut_off_records_are_never_taken(noise: bytes, cut: int):
    good = record(Kind.CHANGE, 3, b"content")
    assert [r.body(noise + good) for r in scan(noise + good, 3) if r.end == len(noise + good)] == [b"content"]
    assert list(scan(good[: min(cut, len(good) - 1)], 3)) == []


def test_a_record_begun_shows():
    good = record(Kind.BLOCK, 3, b"content")
    assert touched(good[:-1] + bytes(HEAD_BYTES), 0, 3)
    assert not touched(good + bytes(HEAD_BYTES), 0, 4)
    assert not touched(bytes(100), 0, 0)
    assert not touched(good[:10], 0, 3)


@given(st.binary(max_size=500), st.binary(max_size=200))
def test_payloads_come_back_from_what_they_have_in_common_with_words(payload: bytes, words: bytes):
    body, small = deflate(payload, words)
    assert (inflate(body, words) if small else body) == payload
    assert len(body) <= len(payload)


def test_words_make_alike_payloads_small_and_others_do_not_open_them():
    payload = b"monitor-3 spo2 pulse_rate respiratory_rate temperature" * 2
    body, small = deflate(payload, payload)
    assert small
    assert len(body) < 12
    with pytest.raises(zlib.error):
        inflate(body, b"")


def test_the_digest_is_the_receipts():
    assert block_digest(b"abc") == Block(1, 1, b"abc").stored().digest
