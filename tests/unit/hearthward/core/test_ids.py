from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.errors import ConfigError
from hearthward.core.ids import GATEWAY_ID, Ids, RandomIds, SeededIds, check_id, digest63, stable_id


@pytest.mark.parametrize("ids", [RandomIds(), SeededIds()], ids=["random", "seeded"])
def test_ids_are_new_and_fit_a_topic(ids: Ids):
    made = [ids.new("pat") for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(GATEWAY_ID.fullmatch(i) and i.startswith("pat_") for i in made)
    draws = [ids.uniform() for _ in range(1000)]
    assert all(0 <= d < 1 for d in draws)
    assert len(set(draws)) > 990


def test_the_fake_gives_the_same_for_the_same_seed():
    def some(seed: int) -> list[str | float]:
        ids = SeededIds(seed)
        return [ids.new("a"), ids.uniform(), ids.new("b")]

    assert some(1) == some(1)
    assert some(1) != some(2)


@pytest.mark.parametrize("text", ["gw-1", "A", "a_b-C9", "x" * 64])
def test_good_ids_pass(text: str):
    assert check_id(text, "gateway") == text


@pytest.mark.parametrize("text", ["", "a b", "a/b", "a+", "#", "é", "a\n", "x" * 65, "a.b"])
def test_bad_ids_are_refused_by_name(text: str):
    with pytest.raises(ConfigError, match="gateway") as caught:
        check_id(text, "gateway")
    assert caught.value.details == {"what": "gateway"}


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_digest_fits_a_signed_64_bit_column_and_repeats(parts: list[bytes]):
    assert 0 <= digest63(*parts) < 2**63
    assert digest63(*parts) == digest63(*parts)


def test_where_one_part_ends_and_the_next_begins_matters():
    splits = [digest63(b"abc"[:i], b"abc"[i:]) for i in range(4)]
    assert len({*splits, digest63(b"abc"), digest63()}) == 6
    ids = [stable_id("alm", "ab", "c"), stable_id("alm", "a", "bc"), stable_id("alm", "abc")]
    assert all(a != b for a, b in itertools.combinations(ids, 2))


def test_digests_are_stored_so_they_never_change():
    assert digest63(b"2a37", bytes.fromhex("0648")) == 1_456_051_011_317_505_992
    assert stable_id("alm", "cloud", "spo2-low", "pat_1", 1_000, 7) == "alm_36b6e8f4ddca10ae1ddb"
    assert GATEWAY_ID.fullmatch(stable_id("alm", "ü", -5))
