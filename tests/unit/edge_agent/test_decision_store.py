from __future__ import annotations

import hashlib
import stat
import zlib
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.decision_store import DecisionStore, Kept
from hearthward.core.errors import RuleError, StoreUnavailable
from rules import State
from tests.unit.edge_agent.decided import RULES

STATE = State.empty("gw-1", RULES).to_bytes()
KEPT = Kept("boot-1", 42, STATE, (b"a word", b"another"), (("pat_1", "spo2", 7), ("pat_2", "spo2", 9)))


def test_what_is_kept_comes_back(tmp_path: Path):
    store = DecisionStore(tmp_path / "edge" / "decisions.snapshot")
    assert store.load() is None
    store.save(KEPT)
    store.save(Kept("boot-1", 43, STATE))
    found = store.load()
    assert found is not None
    kept, state = found
    assert (kept.boot, kept.stepped, state.node) == ("boot-1", 43, "gw-1")
    assert state.rules.hash == RULES.hash
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert [p.name for p in store.path.parent.iterdir()] == [store.path.name]


def test_the_files_of_releases_before_have_no_words_or_no_levels():
    for version, words in ((1, []), (2, [[b"a word"]])):
        packed = zlib.compress(msgpack.packb([version, "boot-1", 42, STATE, *words]))
        raw = hashlib.blake2b(packed, digest_size=16).digest() + packed
        assert Kept.decode(raw)[0] == Kept("boot-1", 42, STATE, *map(tuple, words))
    assert Kept.decode(KEPT.encode())[0] == KEPT


@given(st.integers(0, len(KEPT.encode()) - 1), st.integers(0, 7))
def test_any_bit_that_flips_is_noticed(byte: int, bit: int):
    raw = bytearray(KEPT.encode())
    raw[byte] ^= 1 << bit
    with pytest.raises(RuleError):
        Kept.decode(bytes(raw))


@given(st.binary(max_size=200))
def test_anything_else_is_refused(raw: bytes):
    with pytest.raises(RuleError):
        Kept.decode(raw)


def test_a_damaged_file_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    store = DecisionStore(tmp_path / "decisions.snapshot")
    store.path.write_bytes(KEPT.encode()[:-3])
    assert store.load() is None
    assert (tmp_path / "decisions.snapshot.garbled").exists()
    assert "deciding begins anew" in caplog.text


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    store = DecisionStore(tmp_path / "file" / "decisions.snapshot")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        store.save(KEPT)
    store = DecisionStore(tmp_path)
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        store.load()
