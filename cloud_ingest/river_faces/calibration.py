"""The learned risk's calibration at a site, learned online by river's logistic regression.

river takes seconds to import, which only a recalibration pays: nothing that serves or decides imports this.
"""

from __future__ import annotations

from typing import Any, Final

from river import linear_model, optim

__all__ = ["OnlineCalibration"]

CENTRE: Final = -2.0
"""Where risks lie: slope and intercept are learned round it, so that the one does not pull the other."""
RATE: Final = 0.03


class OnlineCalibration:
    """River's online logistic regression on one feature; it begins with what is shipped.

    >>> learner = OnlineCalibration()
    >>> (learner.slope, learner.intercept)
    (1.0, 0.0)
    >>> for _ in range(50):
    ...     learner.learn(-1.0, bad=False)
    >>> learner.intercept < 0.0
    True
    """

    def __init__(self) -> None:
        self._model: Any = linear_model.LogisticRegression(
            optimizer=optim.SGD(RATE),
            intercept_init=CENTRE,
            intercept_lr=RATE,
            initializer=optim.initializers.Constant(1.0),
        )

    @property
    def slope(self) -> float:
        """What the log-odds are multiplied by."""
        return float(self._model.weights.get("risk", 1.0))

    @property
    def intercept(self) -> float:
        """What is added."""
        return float(self._model.intercept) - self.slope * CENTRE

    def learn(self, log_odds: float, *, bad: bool) -> None:
        """Take one more case."""
        self._model.learn_one({"risk": log_odds - CENTRE}, bad)
