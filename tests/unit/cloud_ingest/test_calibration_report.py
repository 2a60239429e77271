"""What a calibration was learned from stands on top of the rule's file, and is read again there."""

from __future__ import annotations

from cloud_ingest.calibrating import Learned, Score
from cloud_ingest.calibration_report import Evidence, evidence, report
from hearthward.app.recalibrate import rule_text
from rules.conditions import Calibration

BEFORE, AFTER = Score(0.0912, 0.3141, 0.213), Score(0.0527, 0.2104, 0.076)
LEARNED = Learned(412, 31, BEFORE, AFTER, Calibration(1, 0.9, -1.1), None)


def test_what_is_written_into_a_rule_is_read_again():
    assert evidence(rule_text(LEARNED)) == Evidence(412, 31, BEFORE, AFTER)
    assert evidence("\n".join(report(LEARNED, {"too little was measured": 3}))) == Evidence(
        412, 31, BEFORE, AFTER
    )


def test_a_file_that_says_nothing_of_it_gives_none():
    text = rule_text(LEARNED)
    assert evidence(text.replace("stays,", "cases,")) is None
    assert evidence("\n".join(line for line in text.splitlines() if "as shipped" not in line)) is None
    assert evidence("") is None
