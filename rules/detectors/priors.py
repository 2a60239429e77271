"""What is known of a vital sign before the patient is: the population's level, and how it varies.

From the 4,000 intensive-care stays of set A of the PhysioNet/CinC Challenge 2012, those with ten values and
more, zeros left out: ``level`` is the median of the patients' medians, ``between`` what these differ by
(1.4826 times the median absolute deviation), ``spread`` the median patient's standard deviation from one
value to the next (root mean square of successive differences, over the root of 2; an hour lies between them,
three for SpO2 and temperature). Made again by ``bench/unusual.py``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rules.detectors.parameters import Prior

__all__ = ["POPULATION", "Population"]


class Population(NamedTuple):
    """Level, what patients differ by, what one varies by: in the metric's unit."""

    level: float
    between: float
    spread: float

    def prior(self, first: float) -> Prior:
        """With a patient's first value: it and the population's level, each by what it is worth.

        Half of the spread is what a patient is taken to vary by at least, however steady at first: records
        begin there, as after an hour of a reading a minute.
        """
        own, others = self.between**2, self.spread**2
        return Prior((first * own + self.level * others) / (own + others), self.spread / 2)


POPULATION: Final[dict[str, Population]] = {
    "heart_rate": Population(86.0, 14.8, 4.6),
    "pulse_rate": Population(86.0, 14.8, 4.6),
    "respiratory_rate": Population(19.0, 3.7, 2.95),
    "spo2": Population(97.0, 1.5, 1.3),
    "body_temperature": Population(37.1, 0.6, 0.33),
    "ibp_mean": Population(77.5, 9.6, 7.7),
    "ibp_systolic": Population(117.0, 16.3, 10.8),
    "nibp_systolic": Population(115.0, 17.8, 9.2),
}
"""By metric; what is not here is learned from the patient alone."""
