from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.errors import DecodeError
from hearthward.core.packing import pack, unpack
from hearthward.core.wave_blocks import MAX_CHUNKS, carries_waves, decode_waves, encode_waves, samples_in
from hearthward.core.waves import MAX_SAMPLES, SAMPLE_LIMIT, WaveformChunk
from hearthward.core.wire import Block, decode_block, encode_decisions

COUNTS = st.integers(0, 2**63 - 1)
TEXT = st.text(max_size=8)
CHUNKS = st.builds(
    WaveformChunk,
    device=TEXT,
    metric=st.sampled_from(["pleth", "ecg"]),
    received=st.integers(-(2**62), 2**62 - 1),
    corrected=st.integers(-(2**62), 2**62 - 1),
    run=COUNTS,
    first=COUNTS,
    rate_hz=st.floats(0.1, 100_000),
    scale=st.floats(0.001, 1000) | st.floats(-1000, -0.001),
    unit=st.none() | TEXT,
    samples=st.lists(
        st.one_of(st.integers(-100, 100), st.integers(-SAMPLE_LIMIT, SAMPLE_LIMIT - 1)),
        min_size=1,
        max_size=40,
    ).map(tuple),
    quality=st.integers(0, 2**20),
    profile=TEXT,
)
PLETH = WaveformChunk(
    device="oxi-1",
    metric="pleth",
    received=2_000_000_000,
    corrected=2_000_000_000,
    run=7,
    first=150,
    rate_hz=75.0,
    scale=1.0,
    unit="1",
    samples=tuple(100 + i % 25 for i in range(75)),
    profile="abc",
)


@given(st.lists(CHUNKS, min_size=1, max_size=6))
def test_what_is_encoded_comes_back(chunks: list[WaveformChunk]) -> None:
    payload = encode_waves(chunks)
    assert decode_waves(payload) == tuple(chunks)
    assert samples_in(payload) == sum(len(chunk.samples) for chunk in chunks)


def test_how_many_samples_there_are_is_not_believed_of_damage() -> None:
    payload = encode_waves([PLETH, PLETH])
    assert samples_in(payload[:-1]) == 0
    assert samples_in(b"") == 0
    for n in (-1, 0, MAX_SAMPLES + 1, 1.0, None, "1"):
        assert samples_in(pack([1, "waves", [], [[0, n, ["c", 1]], [0, 5, ["c", 1]]]])) == 0
    assert samples_in(pack([1, "waves", [], [[0, 5, ["c", 1]]] * (MAX_CHUNKS + 1)])) == 0


@given(st.binary(max_size=80))
def test_no_bytes_break_the_decoder(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_waves(payload)


@given(st.data())
def test_no_damage_breaks_the_decoder(data: st.DataObject) -> None:
    payload = bytearray(encode_waves([replace(PLETH, samples=(1, 2, 4)), replace(PLETH, first=3, unit=None)]))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        chunks = decode_waves(bytes(payload))
    except DecodeError:
        return
    assert decode_waves(encode_waves(chunks)) == chunks


@pytest.mark.parametrize("place", range(13))
@pytest.mark.parametrize("wrong", [None, True, -1, 1.5, float("nan"), "x", [], 2**64 - 1])
def test_a_row_with_a_wrong_field_is_refused_or_means_itself(place: int, wrong: object) -> None:
    parts = unpack(encode_waves([PLETH]), "block", 1)
    parts[2][0][place] = wrong
    payload = pack([1, *parts])
    try:
        chunks = decode_waves(payload)
    except DecodeError:
        return
    assert (place, wrong) in {(5, -1), (4, -1), (9, 1.5), (8, 1.5)}  # times, rate and scale
    assert decode_waves(encode_waves(chunks)) == chunks


def test_a_constant_of_many_samples_is_bounded_before_it_is_made() -> None:
    parts = unpack(encode_waves([replace(PLETH, samples=(5, 5))]), "block", 1)
    parts[2][0][11] = 2**40
    with pytest.raises(DecodeError, match="samples"):
        decode_waves(pack([1, *parts]))


def test_a_second_of_pleth_takes_little_more_than_a_byte_a_sample() -> None:
    assert len(encode_waves([PLETH])) < 75 + 80


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": ()},
        {"samples": (0,) * (MAX_SAMPLES + 1)},
        {"samples": (SAMPLE_LIMIT,)},
        {"rate_hz": 0.0},
        {"rate_hz": float("nan")},
        {"scale": 0.0},
        {"scale": float("inf")},
        {"run": -1},
        {"first": -1},
        {"received": 2**63},
        {"received": -(2**63), "corrected": 1},
    ],
)
def test_what_no_block_can_carry_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pleth"):
        encode_waves([replace(PLETH, **wrong)])


def test_a_block_has_its_bounds() -> None:
    with pytest.raises(ValueError, match="1024"):
        encode_waves([])
    with pytest.raises(ValueError, match="1024"):
        encode_waves([PLETH] * (MAX_CHUNKS + 1))
    with pytest.raises(ValueError, match="bytes"):
        encode_waves(
            [replace(PLETH, samples=tuple(i * 1_000_000 % 7919 << 15 for i in range(MAX_SAMPLES)))] * 200
        )
    empty = pack([1, "waves", [], []])
    with pytest.raises(DecodeError, match="0 chunks"):
        decode_waves(empty)


def test_the_kinds_of_blocks_are_told_apart() -> None:
    waves = encode_waves([PLETH])
    assert carries_waves(waves)
    assert not carries_waves(encode_decisions([b"x"]))
    assert Block(1, 1, waves).waves
    assert not Block(1, 1, waves).decisions
    assert not Block(1, 1, encode_decisions([b"x"])).waves
    with pytest.raises(DecodeError):
        decode_block(waves)


def test_a_chunk_says_when_it_begins_and_where_it_ends() -> None:
    assert PLETH.begins == 2_000_000_000 - round(74e9 / 75)
    assert PLETH.end == 225
