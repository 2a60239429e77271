"""River's own checks of an estimator, with nothing fetched."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from river import base, checks, datasets

RiversChecks: TypeAlias = Callable[[Callable[[], Any]], None]
OF_KIND = {
    base.AnomalyDetector: "check_roc_auc",
    base.Classifier: "check_predict_proba_one_binary",
    base.Transformer: "check_transform_one",
    base.Regressor: "check_predict_one_pure",
}


class CreditCard:
    """Stands in for the data set that river would fetch: as many features, as few anomalies, made here."""

    def __init__(self, count: int = 200) -> None:
        self.count = count

    def take(self, count: int) -> CreditCard:
        return CreditCard(min(count, self.count))

    def __iter__(self) -> Iterator[tuple[dict[str, float], bool]]:
        chance = random.Random(7)
        for n in range(self.count):
            fraud = chance.random() < 0.03
            features = {f"V{k + 1}": chance.gauss(0, 4 if fraud else 1) for k in range(28)}
            yield {"Time": float(n), **features, "Amount": chance.expovariate(0.01)}, fraud


@pytest.fixture
def rivers_checks(monkeypatch: pytest.MonkeyPatch) -> RiversChecks:
    """What makes an estimator, that all of river's checks of its kind are run on a new one each."""
    monkeypatch.setattr(datasets, "CreditCard", CreditCard)

    def passes(make: Callable[[], Any]) -> None:
        done = set()
        for check in checks.yield_checks(make()):
            check(make())
            done.add(check.__name__)
        wanted = {"check_learn_one", "check_pickling", "check_bounded_memory_growth"}
        wanted |= {name for kind, name in OF_KIND.items() if isinstance(make(), kind)}
        assert wanted <= done

    return passes
