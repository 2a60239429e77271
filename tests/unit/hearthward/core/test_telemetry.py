from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest

from hearthward.core.telemetry import Telemetry, setup_logging


def test_counters_add_and_gauges_stand():
    telemetry = Telemetry()
    telemetry.count("readings_total")
    telemetry.count("readings_total", 4)
    telemetry.gauge("backlog", 7)
    telemetry.gauge("backlog", 3)
    assert telemetry.value("readings_total") == 5
    assert telemetry.value("backlog") == 3
    assert telemetry.value("never_set") == 0


def test_labels_make_series_of_their_own_in_any_order():
    telemetry = Telemetry()
    telemetry.count("rejected_total", reason="truncated", device="a")
    telemetry.count("rejected_total", 2, device="a", reason="truncated")
    telemetry.count("rejected_total", reason="oversized", device="b")
    telemetry.count("rejected_total", reason="oversized", device="c")
    telemetry.count("other_total", 99, reason="truncated")
    assert telemetry.value("rejected_total", device="a", reason="truncated") == 3
    assert telemetry.value("rejected_total") == 0
    assert telemetry.by_label("rejected_total", "reason") == {"truncated": 3, "oversized": 2}
    assert telemetry.by_label("rejected_total", "gateway") == {"": 5}
    assert telemetry.by_label("none", "reason") == {}


def test_samples_are_all_numbers_sorted_by_name():
    telemetry = Telemetry()
    telemetry.gauge("b", 2)
    telemetry.count("a_total", 1, z="1", y="2")
    telemetry.count("c_total")
    assert list(telemetry.samples()) == [
        ("a_total", "counter", (("y", "2"), ("z", "1")), 1),
        ("b", "gauge", (), 2),
        ("c_total", "counter", (), 1),
    ]


@pytest.fixture
def _loggers() -> Iterator[None]:
    root = logging.getLogger()
    names = ("bumble", "bleak", "sqlalchemy", "alembic", "asyncio", "uvicorn", "twilio")
    before = root.level, root.handlers[:], [logging.getLogger(n).level for n in names]
    yield
    for handler in root.handlers[:]:
        if handler not in before[1]:
            root.removeHandler(handler)
    for handler in before[1]:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(before[0])
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("_loggers")
@pytest.mark.parametrize(("level", "noisy"), [("DEBUG", "WARNING"), ("INFO", "WARNING"), ("ERROR", "ERROR")])
def test_third_parties_chatter_is_kept_down(level: str, noisy: str):
    setup_logging(level)
    assert logging.getLevelName(logging.getLogger().level) == level
    assert logging.getLevelName(logging.getLogger("bumble").getEffectiveLevel()) == noisy


@pytest.mark.usefixtures("_loggers")
def test_logging_goes_to_stderr_one_line_a_record(capsys: pytest.CaptureFixture[str]):
    setup_logging("INFO")
    logging.getLogger("hearthward.test").info("started on %s", "127.0.0.1")
    logging.getLogger("hearthward.test").debug("not this")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "INFO    hearthward.test: started on 127.0.0.1" in captured.err


@pytest.mark.usefixtures("_loggers")
def test_a_warning_of_python_is_a_line_of_the_log(capsys: pytest.CaptureFixture[str]):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # an earlier test's
        setup_logging("INFO")
        warnings.warn("a library lacks something", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "WARNING py.warnings: " in said
    assert "UserWarning: a library lacks something" in said
