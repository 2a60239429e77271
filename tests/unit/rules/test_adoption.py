"""Episodes that a gateway opened: one alarm each, whatever comes first; ends, limits, rules that change."""

from __future__ import annotations

from typing import Any

import pytest

from hearthward.core.errors import RuleError
from rules import Transition
from rules.adoption import is_news
from rules.conditions import Missing, Smoothing, Unusual
from rules.episodes import GRACE
from rules.model import Adopt
from rules.rule import SECOND
from rules.state import State
from tests.unit.rules.made import Play, at, make, threshold

LOW = make("low", threshold("spo2", "below", 90, 1))
SLOW = make("low", threshold("spo2", "below", 90, 1), delay_s=20)
MEAN = make("low", threshold("spo2", "below", 90, 1, smoothing=Smoothing("mean", 60)))
SILENT = make("low", Missing("spo2", 60), kind="technical")


def seen(time: float, value: float, device: str = "d") -> dict[str, Any]:
    return {"metric": "spo2", "device": device, "time": at(time), "value": value, "received": at(time)}


class Heard(Play):
    """With what a gateway says."""

    def say(self, now: float, onset: float, end: float | None = None, **more: Any) -> list[Transition]:
        self.seq += 1
        made: dict[str, Any] = {
            "values": {"spo2": 84.0},
            "inputs": (seen(onset, 84.0),),
            "cleared": () if end is None else (seen(end, 97.0),),
            "ended": None if end is None else at(end),
            "source": "gw",
            "alarm": "edge",
            "at": at(onset),
            **more,
        }
        return self.take(Adopt(self.seq, at(now), subject="p", rule="low", onset=at(onset), **made))


def kinds(found: list[Transition]) -> list[tuple[str, str]]:
    return [(t.kind, t.alarm) for t in found]


def test_an_older_reading_never_ends_it_even_when_the_rule_changes():
    """The hole of the first design: what was measured before its onset was taken for an all-clear."""
    it = Heard(LOW)
    it.read(5, spo2=97)
    it.say(12, 10, limit="< 90")
    stricter = make("low", threshold("spo2", "below", 91, 1), version=2)
    assert it.configure(stricter, now=13) == []
    assert it.active == ["low"]
    far_lower = make("low", threshold("spo2", "below", 80, 1), version=3)
    assert [t.kind for t in it.configure(far_lower, now=14)] == ["end"], "84 is no breach any more"


def test_the_end_of_the_gateway_ends_ours_as_of_its_time():
    it = Heard(LOW)
    (start,) = it.read(10, spo2=84)
    (merged,) = it.say(11, 10)
    assert (merged.kind, merged.alarm, merged.detail["alias"]) == ("update", start.alarm, "edge")
    (end,) = it.say(21, 10, 20)
    assert (end.kind, end.alarm, end.at, end.values) == ("end", start.alarm, at(20), {"spo2": 97.0})
    assert end.detail["origin"]["gateway"] == "gw"


def test_a_breach_after_the_end_is_a_new_alarm():
    """The reading between came too late here: two episodes are parted again."""
    it = Heard(LOW)
    (first,) = it.read(10, spo2=84)
    it.say(11, 10)
    it.read(30, spo2=85)
    found = it.say(31, 10, 20)
    assert [t.kind for t in found] == ["end", "start"]
    assert (found[0].alarm, found[0].at) == (first.alarm, at(20))
    assert (found[1].onset, found[1].alarm != first.alarm) == (at(30), True)


def test_another_devices_breach_keeps_it_open():
    it = Heard(LOW)
    it.read(10, spo2=84)
    it.say(11, 10)
    it.read(15, device="other", spo2=85)
    assert it.say(21, 10, 20) == []
    assert it.active == ["low"]


def test_its_readings_make_nothing_of_what_is_over():
    it = Heard(LOW)
    (entry,) = it.say(500, 10, 20)
    assert (entry.kind, entry.alarm, entry.at, entry.detail["ended"]) == ("late", "edge", at(10), at(20))
    for time, value in ((10, 84), (15, 80), (20, 97)):
        assert it.read(time, now=500, spo2=value) == []
    assert kinds(it.read(501, spo2=84))[0][0] == "start", "armed again"


def test_nor_when_newer_ones_have_come_first():
    it = Heard(LOW)
    it.read(500, spo2=97)
    it.say(500, 10, 20)
    assert it.read(15, now=501, spo2=80) == []


@pytest.mark.parametrize(("now", "expected"), [(600, ["start", "end"]), (9000, ["late"])])
def test_told_nowhere_it_signals_while_its_rule_may(now: float, expected: list[str]):
    it = Heard(LOW)
    found = it.say(now, 10, 20, told=False)
    assert [t.kind for t in found] == expected
    assert all(t.late for t in found if t.kind == "start")


def test_it_escalates_from_when_it_is_known_here():
    it = Heard(LOW)
    (start,) = it.say(5000, 10)
    assert start.at == at(10)
    response = it.state.responses.open["edge"]
    assert (response.armed, response.started) == (at(5000), at(10))


def test_other_limits_under_which_it_is_none_here_make_an_entry():
    it = Heard(LOW)
    high = {"values": {"spo2": 93.0}, "inputs": (seen(10, 93.0),), "limit": "< 95"}
    (entry,) = it.say(11, 10, **high)
    assert entry.kind == "late"
    assert it.active == []
    assert it.say(12, 10, **high) == []
    (worse,) = it.say(13, 10, last=at(13), inputs=(seen(13, 84.0),), limit="< 95")[:1]
    assert worse.kind == "start", "now it is one by ours, too"


def test_what_a_gateway_holds_ends_by_readings_after_its_time_to_say_so():
    it = Heard(LOW)
    it.say(11, 10)
    assert it.read(20, spo2=97) == []
    assert it.tick(20 + 2 * GRACE / SECOND) == [], "silence is no all-clear"
    (end,) = it.read(20 + 3 * GRACE / SECOND, spo2=97)
    assert end.kind == "end"


def test_a_window_is_waited_for_too():
    it = Heard(MEAN)
    it.say(11, 10)
    wait = 60 + GRACE / SECOND
    told = [t.kind for s in range(20, int(20 + wait), 10) for t in it.read(s, spo2=97)]
    assert told == []
    assert [t.kind for t in it.read(20 + wait, spo2=97)] == ["end"]


def test_what_waits_for_its_delay_here_is_active_there():
    it = Heard(SLOW)
    assert it.read(10, spo2=84) == []
    (start,) = it.say(31, 10, at=at(30))
    assert (start.kind, start.alarm, start.onset) == ("start", "edge", at(10))
    assert it.tick(40) == []


def test_a_gateway_that_was_started_anew_has_one_alarm_here():
    it = Heard(LOW)
    it.say(11, 10)
    (merged,) = it.say(31, 30, alarm="edge-2")
    assert merged.detail["alias"] == "edge-2"
    assert [t.kind for t in it.say(41, 30, 40, alarm="edge-2")] == ["end"]


def test_an_end_that_was_lost_on_the_way_does_not_keep_the_next_alarm_silent():
    it = Heard(LOW)
    it.say(11, 10)
    it.read(12, spo2=97)
    assert it.active == ["low"], "the gateway is given the time to say so itself"
    found = it.say(23, 22, alarm="edge-2")
    assert [(t.kind, t.alarm, t.at) for t in found] == [("end", "edge", at(12)), ("start", "edge-2", at(22))]
    assert found[0].detail["why"] == "next_came"


def test_a_word_that_was_overtaken_opens_nothing():
    it = Heard(LOW)
    it.say(50, 30, 40, alarm="second")
    (entry,) = it.say(51, 10, alarm="first")
    assert (entry.kind, entry.detail["ended"]) == ("late", at(30)), "it was over when the next one began"
    (known,) = it.say(52, 10, 20, alarm="first")
    assert known.detail["ended"] == at(20)
    assert it.active == []


def test_a_reset_says_nothing_of_the_patient():
    it = Heard(LOW)
    it.read(10, spo2=84)
    it.say(11, 10)
    assert it.say(12, 10, 12, closing="reset", cleared=()) == []
    assert it.active == ["low"], "our own reading breaches"
    other = Heard(LOW)
    other.say(11, 10)
    found = other.say(300, 10, 299, closing="reset", cleared=(), text={"en": "withdrawn", "zh": "-"})
    assert [(t.kind, t.text["en"]) for t in found] == [("reset", "withdrawn")]


def test_silence_counts_from_when_the_gateway_heard_again():
    it = Heard(SILENT)
    it.read(10, spo2=97)
    assert [t.kind for t in it.tick(80)] == ["start"]
    assert [t.kind for t in it.say(101, 70, 100, values={}, inputs=())] == ["update", "end"]
    assert it.tick(159) == []
    assert [t.kind for t in it.tick(161)] == ["start"], "nothing since"


ODD = make(
    "low", Unusual("spo2", "below", 0.7, 0.3), Unusual("heart_rate", "above", 0.7, 0.3), priority="low"
)


def unusual(score: float) -> dict[str, Any]:
    parts = [["range", "below", 3.0, 1.0, 84.0, 95.0]]
    told = {"score": score, "device": "d", "value": 84.0, "known_s": 3600.0, "parts": parts}
    return {"unusual": {"spo2": told}}


def test_the_terms_that_a_gateway_tells_stand_with_the_decision():
    it = Heard(ODD)
    (start,) = it.say(12, 10, terms=unusual(0.8))
    assert start.detail["unusual"] == unusual(0.8)["unusual"]
    assert start.detail["origin"]["terms"] == ["unusual"]
    (worse,) = it.say(20, 10, last=at(20), terms=unusual(0.9))
    assert (worse.kind, worse.detail["unusual"]) == ("update", unusual(0.9)["unusual"])
    assert it.say(30, 10, last=at(30), terms=unusual(0.85)) == [], "the score got no higher"
    assert State.from_bytes(it.state.to_bytes()).to_bytes() == it.state.to_bytes()
    past = Heard(ODD)
    (entry,) = past.say(500, 10, 20, terms=unusual(0.8))
    assert (entry.kind, entry.detail["unusual"]) == ("late", unusual(0.8)["unusual"])
    silent = Heard(ODD)
    began, _ = silent.say(600, 10, 20, told=False, terms=unusual(0.8))
    assert (began.kind, began.detail["unusual"]) == ("start", unusual(0.8)["unusual"])


def test_what_cannot_be_read_or_is_not_sent_is_said_with_the_decision():
    for terms, told in ((None, None), ({}, []), ({"unreadable": ["unusual"]}, ["unreadable"])):
        (start,) = Heard(ODD).say(12, 10, terms=terms)
        assert (start.kind, start.detail["origin"]["terms"]) == ("start", told)
        assert not {"unusual", "unreadable"} & start.detail.keys()


def test_the_same_is_no_news():
    it = Heard(LOW)
    it.say(11, 10)
    again = Adopt(9, at(12), "edge", "p", "low", at(10), at(10), source="gw")
    assert not is_news(it.state, again)
    assert it.say(12, 10) == []
    it.say(21, 10, 20)
    assert it.say(22, 10, 20) == it.say(23, 10) == []


def test_a_rule_that_is_not_there_changes_nothing():
    it = Heard(LOW)
    before = it.state.to_bytes()
    with pytest.raises(RuleError):
        it.engine.step(Adopt(1, 1, "edge", "p", "other", 1, 1))
    assert it.engine.state.to_bytes() == before
