"""Sixty real records of pressure: one alarm that rises tells what two alarms told, at the same moments."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.real_data import recordings
from hearthward.app.tracks import Timescale, read_events, read_tracks
from rules import RuleSet, load_rules
from rules.replay import Replay, replay
from rules.rule import SECOND
from rules.tally import catch, days_by_patient, median_warning

FOLDER = recordings("ahe")
LIBRARY = load_rules().by_id
LOW, DEEP = LIBRARY["ibp-mean-low"], LIBRARY["ibp-mean-low-severe"]

pytestmark = pytest.mark.skipif(FOLDER is None, reason="no ../shared/data/ahe (or set HEARTHWARD_DATA)")


def spans(found: Replay, rule: str) -> list[tuple[str, int, int | None]]:
    return sorted((e.patient, s.onset, s.end) for e in found.episodes for s in e.stages if s.rule == rule)


def test_nothing_told_by_two_alarms_is_lost_or_late_in_one_that_rises():
    assert FOLDER is not None
    scale = Timescale("s")
    gathered = read_tracks(FOLDER / "train.csv.gz", scale)
    events = read_events(FOLDER / "train-events.csv", scale.parsed, gathered)
    tracks = list(gathered.tracks.values())
    one = replay(RuleSet((LOW, DEEP)), tracks)
    two = replay(RuleSet((LOW, replace(DEEP, raises=""))), tracks)
    days = sum(days_by_patient(tracks).values())
    assert len(one.episodes) / days < 4 < len(two.episodes) / days
    for rule in (LOW.id, DEEP.id):
        assert spans(one, rule) == spans(two, rule), "each stage as if it were alone"
    called = {(e.patient, e.started) for e in one.episodes}
    called |= {(e.patient, s.at) for e in one.episodes for s in e.rises}
    assert {(e.patient, e.started) for e in two.episodes if e.rule == DEEP.id} <= called
    first = {(e.patient, e.started) for e in two.episodes}
    assert called <= first
    for e in two.episodes:
        assert (e.patient, e.started) in called or any(
            o.patient == e.patient and o.active(e.started) for o in one.episodes
        ), "who was not called anew had the alarm already"
    apart, joined = (catch(x.episodes, events, 3600 * SECOND, 1800 * SECOND) for x in (two, one))
    assert all(c.episode is not None for c in joined)
    assert [c.warning for c in joined] == [c.warning for c in apart]
    assert median_warning(joined) == 44 * 60 * SECOND
