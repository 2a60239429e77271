from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles import FramedBytes, Framer, load_catalog
from hearthward.core.errors import DecodeError

LIMIT = 12
DELIMITERS = st.sampled_from([b"\r\n", b"\n", b"ab"])
STREAMS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"b", b"0123456789"]) | st.binary(max_size=20)
).map(b"".join)


def told(results: list[FramedBytes | DecodeError]) -> list[tuple[str, object]]:
    return [(r.source, r.payload) if isinstance(r, FramedBytes) else ("refused", r.reason) for r in results]


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200)), delimiter=DELIMITERS)
def test_chunks_do_not_matter_and_memory_is_bounded(stream: bytes, cuts: list[int], delimiter: bytes):
    whole = told(Framer("x", delimiter, LIMIT).feed(stream))
    framer = Framer("x", delimiter, LIMIT)
    results: list[FramedBytes | DecodeError] = []
    for start, end in pairwise(sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})):
        results += framer.feed(stream[start:end])
        assert framer.pending <= LIMIT + len(delimiter)
    assert told(results) == whole


@given(stream=STREAMS, delimiter=DELIMITERS)
def test_it_is_splitting_with_a_limit(stream: bytes, delimiter: bytes):
    *lines, rest = stream.split(delimiter)
    expected = [("x", line) if len(line) <= LIMIT else ("refused", "oversized") for line in lines]
    if len(rest) > LIMIT + len(delimiter) - 1:
        expected.append(("refused", "oversized"))
    assert told(Framer("x", delimiter, LIMIT).feed(stream)) == expected


def test_a_line_too_long_is_refused_once_and_the_next_one_is_whole():
    framer = Framer("x", b"\r\n", 4)
    results = [r for byte in b"toolong again\r\nnext\r\n" for r in framer.feed(bytes([byte]))]
    assert told(results) == [("refused", "oversized"), ("x", b"next")]
    assert isinstance(results[0], DecodeError)
    assert results[0].details["head"] == b"toolon".hex()


def test_a_noisy_line_costs_one_line():
    profile = load_catalog().get("masimo-ascii1")
    framer = profile.framer()
    line = b"02/22/16 22:47:45 SPO2=098% BPM=097 EXC=000800\r\n"
    outcomes: list[object] = []
    for result in framer.feed(line[20:] + line + b"\xff\x00" + line + line[:30] + line + line):
        assert isinstance(result, FramedBytes)
        try:
            outcomes.append(profile.decode(result.source, result.payload)[0].value)
        except DecodeError as e:
            outcomes.append(e.reason)
    assert outcomes == ["malformed", 98, "malformed", "malformed", 98]


def test_a_stream_without_end_is_held_back():
    framer = load_catalog().get("masimo-ascii1").framer()
    refused = sum(len(framer.feed(b"x" * 1000)) for _ in range(1000))
    assert refused == 1
    assert framer.pending <= 2
