from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.sources import Message
from cloud_ingest.waiting import MAX_BATCH, SMALL_BYTES, Waiting


def message(name: str, size: int) -> Message:
    return Message(name, bytes(size))


def names(batch: list[Message]) -> list[str]:
    return [m.topic for m in batch]


def test_live_readings_wait_for_no_more_than_one_batch_of_a_backlog():
    waiting = Waiting()
    for n in range(5):
        waiting.offer(message(f"backlog {n}", 900_000))
    assert names(waiting.batch()) == ["backlog 0", "backlog 1"]
    waiting.offer(message("live 1", 500))
    waiting.offer(message("live 2", SMALL_BYTES))
    assert names(waiting.batch()) == ["live 1", "live 2"]
    waiting.offer(message("live 3", 500))
    assert names(waiting.batch()) == ["backlog 2", "backlog 3"], "a backlog does not starve, either"
    assert names(waiting.batch()) == ["live 3"]
    assert names(waiting.batch()) == ["backlog 4"]
    assert waiting.batch() == []


@given(st.lists(st.integers(0, 3 * SMALL_BYTES) | st.none(), max_size=200))
def test_everything_comes_out_once_and_in_its_order(steps: list[int | None]):
    """None: a batch is taken."""
    waiting, n = Waiting(), 0
    out: list[Message] = []
    for step in steps:
        if step is None:
            batch = waiting.batch()
            assert len(batch) <= MAX_BATCH
            assert bool(batch) == (len(out) < n)
            out += batch
        else:
            assert waiting.offer(message(str(n), step))
            n += 1
        assert len(waiting) == n - len(out)
    while batch := waiting.batch():
        out += batch
    for large in (True, False):
        order = [int(m.topic) for m in out if (len(m.payload) > SMALL_BYTES) is large]
        assert order == sorted(order)
    assert sorted(int(m.topic) for m in out) == list(range(n))
    assert waiting._bytes == 0
