from __future__ import annotations

import hashlib
from typing import get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.errors import DecodeError
from hearthward.core.model import COLUMNS, Reading, ReadingBatch
from hearthward.core.wire import (
    MAX_BLOCK,
    MAX_FRAME_BYTES,
    Block,
    Frame,
    Gap,
    Receipt,
    StoredBlock,
    TopicKind,
    carries_decisions,
    decode_block,
    decode_decisions,
    encode_block,
    encode_decisions,
    parse_topic,
    topic,
)

INT64 = st.integers(-(2**63) + 1, 2**63 - 1)  # the smallest one stands for None
SMALL = st.integers(-300, 300)
INTS = st.one_of(SMALL, INT64)
TEXT = st.text(max_size=8)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
SEQS = st.integers(1, 2**62)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    return Reading(
        device=draw(TEXT),
        metric=draw(st.sampled_from(["spo2", "heart_rate"])),
        value=draw(st.none() | st.floats(allow_nan=False)),
        code=draw(st.none() | TEXT),
        device_time=draw(st.none() | INTS),
        received=draw(INTS),
        corrected=draw(INTS),
        record=draw(st.none() | INTS),
        digest=draw(INTS),
        ordinal=draw(SMALL),
        group=draw(INTS),
        source=draw(SMALL),
        author=draw(st.none() | TEXT),
        quality=draw(SMALL),
        profile=draw(TEXT),
        error=draw(st.none() | INTS),
    )


BATCHES = st.lists(readings(), min_size=1, max_size=12).map(ReadingBatch.of)
PAIRS = st.tuples(SEQS, st.integers(0, 5000)).map(lambda p: (p[0], p[0] + p[1]))
BLOCKS = st.builds(Block, SEQS, st.integers(1, MAX_BLOCK), st.binary(max_size=30))
FRAMES = st.builds(
    Frame,
    gateway=IDS,
    boot=IDS,
    blocks=st.lists(BLOCKS, max_size=4).map(tuple),
    wall=INT64,
    mono=INT64,
    synchronised=st.booleans(),
    event_time=st.booleans(),
    config=TEXT,
    gaps=st.lists(PAIRS.map(lambda p: Gap(*p, "full")), max_size=3).map(tuple),
    session=TEXT,
)
PLAIN = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DECODERS = [decode_block, Frame.decode, decode_decisions]


def one(**changes: object) -> Reading:
    row = {"device": "d", "metric": "spo2", "value": 97.0, "code": None, "device_time": None}
    return Reading(**{**row, "received": 5, "corrected": 5, **changes})  # type: ignore[arg-type]


# -- blocks


@given(BATCHES)
def test_a_block_comes_back_as_it_went(batch: ReadingBatch):
    out = decode_block(encode_block(batch))
    assert out == batch
    for name in COLUMNS:
        assert [type(v) for v in getattr(out, name)] == [type(v) for v in getattr(batch, name)]


@given(BATCHES)
def test_encoding_is_canonical(batch: ReadingBatch):
    assert encode_block(batch) == encode_block(decode_block(encode_block(batch)))


@given(
    st.lists(st.sampled_from([0, 127, 128, -128, -129, 32767, 32768, -32769, 2**31 - 1, 2**31]), min_size=2)
)
def test_every_width_of_difference_comes_back(steps: list[int]):
    at, batch = 0, ReadingBatch()
    for step in steps:
        at += step
        batch.append(one(received=at))
    assert decode_block(encode_block(batch)).received == batch.received


def test_a_value_is_the_same_to_the_last_bit():
    values = [0.1, 36.6, -0.0, 5e-324, 1.7976931348623157e308, None, 0.0]
    out = decode_block(encode_block(ReadingBatch.of(one(value=v) for v in values)))
    assert list(map(repr, out.value)) == list(map(repr, values))


def test_the_longest_block_is_taken_and_a_longer_one_refused():
    batch = ReadingBatch.of([one(received=i) for i in range(MAX_BLOCK)])
    payload = encode_block(batch)
    assert len(decode_block(payload)) == MAX_BLOCK
    assert len(payload) < MAX_BLOCK * 20
    batch.append(one())
    with pytest.raises(ValueError, match="4096"):
        encode_block(batch)
    with pytest.raises(ValueError, match="not 0"):
        encode_block(ReadingBatch())


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 2**80])
def test_an_integer_of_more_than_64_bits_is_refused_before_it_is_stored(number: int):
    with pytest.raises(ValueError, match="64 bits"):
        encode_block(ReadingBatch.of([one(received=number), one()]))
    with pytest.raises(ValueError, match="64 bits"):
        encode_block(ReadingBatch.of([one(digest=number)]))


def damaged(payload: bytes, **changes: object) -> bytes:
    content = msgpack.unpackb(payload)
    for key, value in changes.items():
        if key in COLUMNS:
            content[3][COLUMNS.index(key)] = value
        else:
            content[{"version": 0, "n": 1, "strings": 2, "columns": 3}[key]] = value
    return msgpack.packb(content)


BLOCK = encode_block(ReadingBatch.of([one(received=5), one(received=9, value=None)]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "malformed"),  # it lacks a column then
        ({"version": 3}, "version"),
        ({"n": 0}, "oversized"),
        ({"n": MAX_BLOCK + 1}, "oversized"),
        ({"n": 3}, "malformed"),
        ({"n": "2"}, "malformed"),
        ({"strings": ["d"]}, "malformed"),
        ({"strings": [1, 2, 3]}, "malformed"),
        ({"columns": []}, "malformed"),
        ({"device": ["c", -1]}, "malformed"),
        ({"device": ["c", 99]}, "malformed"),
        ({"received": ["c", 2**63]}, "malformed"),
        ({"received": ["c", -(2**63)]}, "malformed"),  # None
        ({"received": ["c", "5"]}, "malformed"),
        ({"received": ["c", 5.0]}, "malformed"),
        ({"received": ["c", True]}, "malformed"),
        ({"received": ["b", 2**63 - 1, b"\x01"]}, "malformed"),
        ({"received": ["d", 0, bytes(8)]}, "malformed"),
        ({"received": ["f", 0, bytes(4)]}, "malformed"),
        ({"received": ["u", 0, bytes(4)]}, "malformed"),
        ({"received": ["h", 0, b"\x01"]}, "malformed"),
        ({"received": ["q", bytes(8)]}, "malformed"),
        ({"received": []}, "malformed"),
        ({"value": ["d", [7], bytes(16)]}, "malformed"),
        ({"value": ["d", [-1], bytes(16)]}, "malformed"),
        ({"received": [["c"], 5]}, "malformed"),
        ({"value": ["d", [], bytes(8)]}, "malformed"),
        ({"metric": ["c", 2]}, "malformed"),  # the string None
    ],
)
def test_a_wrong_block_is_refused_with_its_reason(changes: dict[str, object], reason: str):
    assert decode_block(damaged(BLOCK)).received == [5, 9]
    with pytest.raises(DecodeError) as caught:
        decode_block(damaged(BLOCK, **changes))
    assert caught.value.reason == reason
    assert not caught.value.retry


# A block as the release before wrote it: fifteen columns, without ``error``.
FORMER = bytes.fromhex(
    "94010294a164a473706f32c0a09f92a1630092a1630193a1649101c4100000000000405840000000000000000092a163"
    "0292a171c4100000000000000080040000000000000093a16205c4010492a1630592a163d3800000000000000092a163"
    "0092a1630092a1630092a1630092a1630292a1630092a16303"
)


def test_a_block_that_waited_in_an_outbox_of_the_release_before_is_read():
    batch = decode_block(FORMER)
    assert batch == ReadingBatch.of([one(received=5), one(received=9, value=None, device_time=4)])
    assert encode_block(batch) == FORMER, "what has no error is told as before: an older cloud reads it, too"
    with_error = ReadingBatch.of([one(received=5), one(received=9, error=7)])
    payload = encode_block(with_error)
    assert msgpack.unpackb(payload)[0] == 2
    assert decode_block(payload) == with_error


# -- blocks of decisions


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_decisions_come_back_as_they_went_and_are_never_taken_for_readings(decisions: list[bytes]):
    payload = encode_decisions(decisions)
    assert decode_decisions(payload) == tuple(decisions)
    assert carries_decisions(payload)
    assert Block(1, len(decisions), payload).decisions
    with pytest.raises(DecodeError):
        decode_block(payload)


@given(BATCHES)
def test_readings_are_never_taken_for_decisions(batch: ReadingBatch):
    payload = encode_block(batch)
    assert not carries_decisions(payload)
    with pytest.raises(DecodeError):
        decode_decisions(payload)


def test_a_block_has_no_more_decisions_than_readings():
    assert len(decode_decisions(encode_decisions([b""] * MAX_BLOCK))) == MAX_BLOCK
    for bad in ([], [b""] * (MAX_BLOCK + 1)):
        with pytest.raises(ValueError, match="4096"):
            encode_decisions(bad)


@pytest.mark.parametrize(
    "content", [[1, "decisions"], [1, "decisions", []], [1, "decisions", ["text"]], [1, "readings", [b"a"]]]
)
def test_wrong_decisions_are_refused(content: list[object]):
    with pytest.raises(DecodeError) as caught:
        decode_decisions(msgpack.packb(content))
    assert caught.value.reason == "malformed"


# -- frames


@given(FRAMES)
def test_a_frame_comes_back_as_it_went(frame: Frame):
    assert Frame.decode(frame.encode()) == frame


@pytest.mark.parametrize("decode", DECODERS)
@given(noise=st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else(decode, noise: bytes):  # noqa: ANN001
    with pytest.raises(DecodeError):
        decode(noise)


@pytest.mark.parametrize("decode", DECODERS)
@given(content=PLAIN.filter(lambda c: not isinstance(c, list) or c[:1] not in ([1], [2]) or c[0] is True))
def test_other_content_is_refused_and_nothing_else(decode, content: object):  # noqa: ANN001
    with pytest.raises(DecodeError):
        decode(msgpack.packb(content))


SAMPLES = [
    BLOCK,
    Frame("g", "b", (Block(1, 2, BLOCK),), 5, 6, gaps=(Gap(3, 4, "full"),)).encode(),
    encode_decisions([b"one", b"two"]),
]


@pytest.mark.parametrize(("decode", "payload"), list(zip(DECODERS, SAMPLES, strict=True)))
@given(data=st.data())
def test_damage_anywhere_is_refused_or_gives_what_can_be_sent_again(
    decode,  # noqa: ANN001
    payload: bytes,
    data: st.DataObject,
):
    at = data.draw(st.integers(0, len(payload) - 1))
    byte = data.draw(st.integers(0, 255))
    try:
        out = decode(payload[:at] + bytes([byte]) + payload[at + 1 :])
    except DecodeError:
        return
    if isinstance(out, Frame):
        again = out.encode()
    else:
        again = encode_block(out) if isinstance(out, ReadingBatch) else encode_decisions(out)
    assert repr(decode(again)) == repr(out)  # repr: a damaged value may be NaN


@pytest.mark.parametrize(("decode", "payload"), list(zip(DECODERS, SAMPLES, strict=True)))
def test_a_cut_message_is_refused(decode, payload: bytes):  # noqa: ANN001
    for length in range(len(payload)):
        with pytest.raises(DecodeError):
            decode(payload[:length])


@pytest.mark.parametrize("decode", DECODERS)
def test_what_is_too_large_is_refused_unread(decode):  # noqa: ANN001
    with pytest.raises(DecodeError) as caught:
        decode(b"\xc0" * (MAX_FRAME_BYTES + 1))
    assert caught.value.reason == "oversized"
    with pytest.raises(DecodeError):
        decode(b"\x91" * 100_000)  # nested deeper than any stack


@pytest.mark.parametrize(("decode", "payload"), list(zip(DECODERS, SAMPLES, strict=True)))
def test_another_version_is_refused_as_such(decode, payload: bytes):  # noqa: ANN001
    raw = msgpack.unpackb(payload)
    raw[0] = 9
    with pytest.raises(DecodeError) as caught:
        decode(msgpack.packb(raw))
    assert caught.value.reason == "version"


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (1, "a/b", "identity"),
        (1, "", "identity"),
        (1, 5, "malformed"),
        (2, "x" * 65, "identity"),
        (3, [[0, 1, b""]], "malformed"),
        (3, [[1, 0, b""]], "malformed"),
        (3, [[1, MAX_BLOCK + 1, b""]], "malformed"),
        (3, [[2**63 - 1, 2, b""]], "malformed"),
        (3, [[1.0, 1, b""]], "malformed"),
        (3, [[1, True, b""]], "malformed"),
        (3, [[1, 1, "text"]], "malformed"),
        (3, [[1, 1]], "malformed"),
        (4, 2**63, "malformed"),
        (4, "now", "malformed"),
        (6, 1, "malformed"),
        (8, None, "malformed"),
        (9, [[5, 4, "full"]], "malformed"),
        (9, [[0, 4, "full"]], "malformed"),
        (9, [[1, 4, 0]], "malformed"),
        (10, ["text"], "malformed"),
    ],
)
def test_a_wrong_frame_is_refused_with_its_reason(at: int, value: object, reason: str):
    raw = msgpack.unpackb(SAMPLES[1])
    raw[at] = value
    with pytest.raises(DecodeError) as caught:
        Frame.decode(msgpack.packb(raw))
    assert caught.value.reason == reason


def test_a_block_knows_its_last_number_and_tells_other_content_apart():
    assert Block(10, 3, b"a").last == 12
    assert Block(1, 1, b"a").digest() != Block(1, 1, b"b").digest()
    assert len(Block(1, 1, b"a").digest()) == 8
    assert Block(10, 3, b"a").stored() == StoredBlock(10, 3, Block(1, 1, b"a").digest())


def test_the_bytes_on_the_wire_stay_what_they_are():
    """What lies in outboxes must stay readable: a change here needs a new VERSION and both readers."""
    batch = ReadingBatch.of(
        [
            one(device_time=7, received=1_000_000_000, digest=3, quality=2),
            one(metric="heart_rate", value=61.5, received=1_000_000_001, group=9, author="nurse", record=4),
        ]
    )
    assert hashlib.sha256(encode_block(batch)).hexdigest()[:16] == "449b0a7081b816d8"
    receipt = Receipt("gw-1", "boot", "s", (StoredBlock(1, 2, b"12345678"),), ((3, 4),), b"sig")
    assert (
        receipt.encode().hex() == "9702a467772d31a4626f6f74a17391930102c408313233343536373891920304c403736967"
    )


def test_topics_go_both_ways():
    for kind in get_args(TopicKind):
        text = topic("main", "gw-1", kind)
        assert text == f"hw/1/main/gw-1/{kind}"
        assert parse_topic(text) == ("main", "gw-1", kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hw/1/main/gw-1",
        "hw/1/main/gw-1/other",
        "hw/2/main/gw-1/frame",
        "hw/1/m n/gw-1/frame",
        "hw/1/main/gw#/frame",
        "hw/1/main//frame",
        "/hw/1/main/gw-1/frame",
        "hw/1/main/gw-1/frame/x",
    ],
)
def test_other_topics_are_refused(text: str):
    with pytest.raises(DecodeError) as caught:
        parse_topic(text)
    assert caught.value.reason == "topic"
