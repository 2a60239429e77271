"""Counters and gauges of one process, and its logging; patient data never goes to a log at info level."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Iterator

__all__ = ["Telemetry", "setup_logging"]

Labels = tuple[tuple[str, str], ...]


class Telemetry:
    """Named numbers with labels, read by ``/metrics``, the reports and the tests; single-threaded adds."""

    def __init__(self) -> None:
        self._counters: defaultdict[tuple[str, Labels], float] = defaultdict(float)
        self._gauges: dict[tuple[str, Labels], float] = {}

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        """Add ``n`` to a counter (names end in ``_total``)."""
        self._counters[name, tuple(sorted(labels.items()))] += n

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._gauges[name, tuple(sorted(labels.items()))] = value

    def value(self, name: str, **labels: str) -> float:
        """A counter's or gauge's present value; 0 when never set."""
        key = name, tuple(sorted(labels.items()))
        return self._gauges.get(key, self._counters.get(key, 0.0))

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """A counter's values summed by one of its labels."""
        out: defaultdict[str, float] = defaultdict(float)
        for (counter, labels), value in self._counters.items():
            if counter == name:
                out[dict(labels).get(label, "")] += value
        return dict(out)

    def samples(self) -> Iterator[tuple[str, str, Labels, float]]:
        """All numbers as (name, ``counter`` | ``gauge``, labels, value), sorted by name."""
        rows = [(n, "counter", lab, v) for (n, lab), v in self._counters.items()]
        rows += [(n, "gauge", lab, v) for (n, lab), v in self._gauges.items()]
        return iter(sorted(rows))


def _one_line(record: logging.LogRecord) -> bool:
    """Put a Python warning, which brings the line of code with it, on one line."""
    record.msg, record.args = " ".join(record.getMessage().split()), None
    return True


def setup_logging(level: str = "INFO") -> None:
    """Log to stderr, one line a record; third parties' chatter only from WARNING on."""
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").addFilter(_one_line)
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
    for noisy in ("bumble", "bleak", "sqlalchemy", "alembic", "asyncio", "uvicorn", "twilio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # aiomqtt raises what matters; what it logs are answers that come after their request was cancelled.
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)
    logging.getLogger("bumble.smp").setLevel(logging.ERROR)  # a failed pairing is told by whoever wanted it
