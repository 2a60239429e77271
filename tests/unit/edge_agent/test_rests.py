from __future__ import annotations

import pytest

from edge_agent import rests as module
from edge_agent.rests import KEPT, Rests
from hearthward.core.model import ReadingBatch
from tests.unit.edge_agent.decided import T0, reading


def shown(at: int, device: str = "dev_1", metric: str = "spo2") -> dict[str, object]:
    return {"device": device, "metric": metric, "time": T0 + at * 10**9, "value": 1.0}


def test_readings_are_found_under_their_numbers():
    rests = Rests()
    rests.note(ReadingBatch.of([reading(1, 97), reading(1, 80, metric="heart_rate"), reading(2, 96)]), 11)
    assert rests.of([shown(2), shown(1, metric="heart_rate"), shown(2)]) == [(12, 12), (13, 13)]
    assert rests.of([shown(3), shown(1, "dev_2"), {}]) == []
    rests.clear()
    assert rests.of([shown(2)]) == []


def test_the_newest_of_each_signal_are_kept():
    rests = Rests()
    for n in range(KEPT + 5):
        rests.note(ReadingBatch.of([reading(n, 97)]), n + 1)
    assert rests.of([shown(4)]) == []
    assert rests.of([shown(5), shown(KEPT + 4)]) == [(6, 6), (KEPT + 5, KEPT + 5)]


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SIGNALS", 2)
    rests = Rests()
    for n in range(3):
        rests.note(ReadingBatch.of([reading(1, 97, f"dev_{n}")]), n + 1)
    assert rests.of([shown(1, f"dev_{n}") for n in range(3)]) == [(2, 2), (3, 3)]
