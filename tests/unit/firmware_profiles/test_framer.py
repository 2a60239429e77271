from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles import FramedBytes, load_catalog
from firmware_profiles.framing import DelimiterFramer, Framed
from hearthward.core.errors import DecodeError

LIMIT = 12
DELIMITERS = st.sampled_from([b"\r\n", b"\n", b"ab"])
STREAMS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"b", b"0123456789"]) | st.binary(max_size=20)
).map(b"".join)


def told(results: list[Framed]) -> list[tuple[str, object]]:
    return [
        (r.source, r.payload) if isinstance(r, FramedBytes) else ("refused", (r.reason, r.details["count"]))
        for r in results
    ]


def refusals(results: list[Framed]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for result in results:
        if isinstance(result, DecodeError):
            counts[result.reason] += int(result.details["count"] or 0)
    return counts


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200)), delimiter=DELIMITERS)
def test_chunks_do_not_matter_and_memory_is_bounded(stream: bytes, cuts: list[int], delimiter: bytes):
    whole = told(DelimiterFramer("x", delimiter, LIMIT).feed(stream))
    framer = DelimiterFramer("x", delimiter, LIMIT)
    results: list[Framed] = []
    for start, end in pairwise(sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})):
        results += framer.feed(stream[start:end])
        assert framer.pending <= LIMIT + len(delimiter)
    assert told(results) == whole


@given(stream=STREAMS, delimiter=DELIMITERS)
def test_it_is_splitting_with_a_limit(stream: bytes, delimiter: bytes):
    *lines, rest = stream.split(delimiter)
    expected = [line for line in lines if len(line) <= LIMIT]
    oversized = len(lines) - len(expected) + (len(rest) > LIMIT + len(delimiter) - 1)
    framer = DelimiterFramer("x", delimiter, LIMIT)
    results = [*framer.feed(stream), *framer.end()]
    assert [r.payload for r in results if isinstance(r, FramedBytes)] == expected
    assert refusals(results) == Counter({"oversized": oversized} if oversized else {})


def test_a_line_too_long_is_refused_once_and_the_next_one_is_whole():
    framer = DelimiterFramer("x", b"\r\n", 4)
    results = [r for byte in b"toolong again\r\nnext\r\n" for r in framer.feed(bytes([byte]))]
    assert told(results) == [("refused", ("oversized", 1)), ("x", b"next")]
    assert isinstance(results[0], DecodeError)
    assert results[0].details["head"] == b"toolon".hex()


def test_a_noisy_line_costs_one_line():
    profile = load_catalog().get("masimo-ascii1")
    framer = profile.framer()
    line = b"02/22/16 22:47:45 SPO2=098% BPM=097 EXC=000800\r\n"
    outcomes: list[object] = []
    for result in framer.feed(line[20:] + line + b"\xff\x00" + line + line[:30] + line + line):
        if isinstance(result, DecodeError):
            outcomes.append(result.reason)
            continue
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


def test_short_lines_of_another_instrument_do_not_make_an_error_each():
    framer = load_catalog().get("masimo-ascii1").framer()
    results = [result for _ in range(20_000) for result in framer.feed(b"\x80\r\n")]
    results += framer.end()
    assert len(results) < 30
    assert refusals(results) == Counter(malformed=20_000)
