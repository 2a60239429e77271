"""Frames cut out of streams: whatever the bytes and their chunks, nothing raises, nothing is lost unseen."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles.framing import BURST, EVERY, RUN, Framed, FramedBytes, Framer, framer_of
from firmware_profiles.schema import Framing
from hearthward.core.errors import DecodeError

SYNC = {"at": 0, "mask": 0x80, "is": 0x80}
REST = [{"at": i, "mask": 0x80, "is": 0} for i in (1, 2, 3)]
FIXED = {"kind": "fixed", "source": "f", "length": 4, "tests": [SYNC, *REST]}
SUMMED = {"kind": "fixed", "source": "f", "length": 5, "tests": [{"at": 0, "is": 1}], "integrity": "sum8"}
PACKET = {**SUMMED, "kind": "packet", "group": 3, "first": {"at": 1, "mask": 1, "is": 1}}
TOLD = {
    "kind": "length",
    "source": "f",
    "start": "00 02",
    "length_at": 2,
    "length_type": "u16be",
    "length_adds": 6,
    "max_length": 30,
    "end": "03",
    "integrity": "sum8-body",
    "length": 6,
}
PACKED = {
    "kind": "fixed",
    "source": "f",
    "length": 9,
    "tests": [{"at": 0, "is": 1}, *({"at": i, "mask": 0x80, "is": 0x80} for i in range(1, 9))],
    "unpack": "high-bits",
}
KINDS = {
    "fixed": FIXED,
    "locked": {**FIXED, "lock": 3},
    "grouped": {**FIXED, "group": 5},
    "begun": {"kind": "fixed", "source": "f", "length": 3, "start": "7E 03"},
    "summed": SUMMED,
    "packet": PACKET,
    "locked packet": {**PACKET, "lock": 2},
    "told": TOLD,
    "checked": {
        "kind": "length",
        "source": "f",
        "start": "77",
        "length_at": 1,
        "length_adds": 2,
        "max_length": 30,
        "integrity": "crc8-body",
    },
    "told by one byte": {"kind": "length", "source": "f", "start": "7E", "length_at": 1, "max_length": 40},
    "packed": PACKED,
}


def framer(spec: dict[str, object]) -> Framer:
    return framer_of(Framing.model_validate(spec, strict=False))


def summed(*body: int) -> bytes:
    return bytes([*body, sum(body) & 0xFF])


def told_frame(body: bytes) -> bytes:
    return b"\x00\x02" + len(body).to_bytes(2, "big") + body + bytes([sum(body) & 0xFF]) + b"\x03"


def payloads(results: list[Framed]) -> list[bytes]:
    return [result.payload for result in results if isinstance(result, FramedBytes)]


def refusals(results: list[Framed]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for result in results:
        if isinstance(result, DecodeError):
            counts[result.reason] += int(result.details["count"] or 0)
    return counts


def skipped(results: list[Framed]) -> int:
    return sum(int(r.details["skipped"] or 0) for r in results if isinstance(r, DecodeError))


def outcome(results: list[Framed]) -> list[object]:
    return [r.payload if isinstance(r, FramedBytes) else (r.reason, r.details) for r in results]


GOOD = [
    b"\x81\x02\x03\x04",
    summed(1, 0x81, 5, 6),
    summed(1, 0x80, 5, 6),
    told_frame(b"\x10\x20"),
    told_frame(b"\x10\x20\x30\x40\x50"),
    b"\x7e\x03\x09",
    bytes([1, 0x81, *range(0x80, 0x87)]),
]
STREAMS = st.lists(st.sampled_from(GOOD) | st.binary(max_size=6), max_size=30).map(b"".join)
CUTS = st.lists(st.integers(0, 250), max_size=20)


@pytest.mark.parametrize("kind", KINDS)
@given(stream=STREAMS, cuts=CUTS)
def test_chunks_do_not_matter_memory_is_bounded_and_every_byte_is_accounted_for(
    kind: str, stream: bytes, cuts: list[int]
):
    whole = framer(KINDS[kind])
    expected = [*whole.feed(stream), *whole.end()]
    pieces = framer(KINDS[kind])
    results: list[Framed] = []
    for start, end in pairwise(sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})):
        results += pieces.feed(stream[start:end])
        assert pieces.pending <= 400
    waiting = pieces.pending
    results += pieces.end()
    assert outcome(results) == outcome(expected)
    assert pieces.pending == 0
    if kind not in {"told", "packed"}:  # theirs are handed on shorter than they came
        assert skipped(results) + sum(map(len, payloads(results))) + waiting == len(stream)


@pytest.mark.parametrize("kind", KINDS)
@given(noise=st.binary(max_size=200))
def test_no_bytes_raise(kind: str, noise: bytes):
    cutter = framer(KINDS[kind])
    for byte in noise:
        cutter.feed(bytes([byte]))
    assert {error.reason for error in cutter.end()} <= {"malformed", "integrity", "oversized"}


@given(
    lost=st.integers(0, 4 * 40 - 1),
    instead=st.binary(max_size=3).filter(lambda noise: all(byte < 0x80 for byte in noise)),
)
def test_a_lost_or_changed_byte_costs_one_frame_and_the_next_is_whole(lost: int, instead: bytes):
    frames = [bytes([0x80 | n & 3, n, 2 * n, 7]) for n in range(40)]
    stream = b"".join(frames)
    cutter = framer(FIXED)
    found = payloads(cutter.feed(stream[:lost] + instead + stream[lost + 1 :]))
    hit = lost // 4
    others = [frame for i, frame in enumerate(frames) if i != hit]
    assert [frame for frame in found if frame in others] == others
    assert len(found) <= 40


def test_a_wrong_sum_is_told_as_such_with_the_bytes():
    cutter = framer(SUMMED)
    good = summed(1, 0x80, 7, 7)
    bad = b"\x01\x80\x07\x07\x00"
    results = cutter.feed(good + bad + good)
    assert payloads(results) == [good, good]
    (error,) = [r for r in results if isinstance(r, DecodeError)]
    assert (error.reason, error.details["head"], error.details["skipped"]) == ("integrity", bad.hex(), 5)


def test_a_packet_is_whole_or_refused():
    cutter = framer(PACKET)
    first, other = summed(1, 0x81, 5, 6), summed(1, 0x80, 5, 6)
    results = cutter.feed(other + first + other + other)  # joined in the middle of one
    assert payloads(results) == [first + other + other]
    assert refusals(results) == Counter(malformed=1)
    results = cutter.feed(first + other + first + other + other)  # a frame was lost
    assert payloads(results) == [first + other + other]
    assert refusals(results) == Counter(malformed=1)
    results = cutter.feed(first + other + b"\xff" + other + first + other + other)  # a byte too many
    assert payloads(results) == [first + other + other]
    broken = refusals(results)
    assert broken == Counter(malformed=3)  # the byte, the packet, and the frame after it


def test_frames_after_noise_are_believed_when_the_next_ones_confirm_them():
    cutter = framer({**FIXED, "lock": 3})
    frames = [bytes([0x80, n, n, n]) for n in range(6)]
    assert payloads(cutter.feed(frames[0] + frames[1])) == []
    assert payloads(cutter.feed(frames[2])) == frames[:3]
    assert payloads(cutter.feed(frames[3])) == [frames[3]]
    results = cutter.feed(b"\x01" + frames[4] + b"\x01" + b"".join(frames[:3]))
    assert payloads(results) == frames[:3]
    assert refusals(results) == Counter(malformed=3)  # two bytes, and the frame between them


def test_a_payload_says_when_its_last_byte_came_also_when_it_waited_to_be_confirmed():
    cutter = framer({**FIXED, "lock": 3})
    one = b"\x81\x02\x03\x04"
    chunks = [b"\x01", one[:2], one[2:], b"\x01", one[:3], one[3:], one, one, one + one]
    told = [(now, item) for now, chunk in enumerate(chunks) for item in cutter.feed(chunk, now)]
    came = [(now, item.at) for now, item in told if isinstance(item, FramedBytes)]
    assert came == [(7, 5), (7, 6), (7, 7), (8, 8), (8, 8)]


def test_a_frame_that_tells_its_length_is_cut_to_what_is_known_of_it():
    cutter = framer(TOLD)
    results = cutter.feed(told_frame(b"\x10\x20") + told_frame(b"\x10\x20\x30\x40\x50"))
    assert payloads(results) == [b"\x00\x02\x00\x02\x10\x20", b"\x00\x02\x00\x05\x10\x20"]


def test_a_check_of_the_body_leaves_out_what_stands_before_it():
    told = bytes.fromhex("77140163101f00030100170010e6000000f600000018")  # of a MightySat, published
    results = framer(KINDS["checked"]).feed(told + told[:-1] + b"\x19" + told)
    assert payloads(results) == [told, told]
    assert refusals(results)["integrity"] == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\x00\x02\x00\xff\x10\x20", "oversized"),
        (b"\x00\x02\x00\x00\x00\x03", "malformed"),
        (b"\x00\x02\x00\x02\x10\x20\x31\x03", "integrity"),
        (b"\x00\x02\x00\x02\x10\x20\x30\x04", "malformed"),
        (b"\x00\x03\x00\x02\x10\x20\x30\x03", "malformed"),
    ],
)
def test_a_bent_frame_is_refused_by_its_reason_and_the_next_is_found(bad: bytes, reason: str):
    good = told_frame(b"\x10\x20\x30")
    results = framer(TOLD).feed(bad + good)
    assert payloads(results) == [good[:6]]
    assert refusals(results) == Counter({reason: 1})


def test_high_bits_are_put_back():
    body = [0x80, 0x01, 0xFF, 0x00, 0x7F, 0xAA, 0x55]
    high = sum((byte >> 7) << i for i, byte in enumerate(body))
    wire = bytes([1, 0x80 | high, *(byte | 0x80 for byte in body)])
    assert payloads(framer(PACKED).feed(wire)) == [bytes([1, *body])]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_of_noise_is_told_a_few_times(kind: str):
    noise = random.Random(7).randbytes(200_000)
    cutter = framer(KINDS[kind])
    results = [r for start in range(0, len(noise), 997) for r in cutter.feed(noise[start : start + 997])]
    errors = [r for r in results if isinstance(r, DecodeError)]
    # each reason once for so many bytes, besides the first few
    assert 0 < len(errors) <= 3 * (BURST + len(noise) // EVERY)
    assert all(len(str(error.details["head"])) <= 64 for error in errors)


def test_noise_without_an_end_is_told_soon():
    cutter = framer(FIXED)
    assert not cutter.feed(b"\x00" * (RUN - 1))
    (error,) = cutter.feed(b"\x00")
    assert isinstance(error, DecodeError)
    assert error.details["skipped"] == RUN


def test_wrong_baud_gives_no_grouped_payload():
    """Random bytes hold frames by chance, but no group of them without a byte between."""
    cutter = framer({**FIXED, "group": 20})
    assert not payloads(cutter.feed(random.Random(3).randbytes(300_000)))
