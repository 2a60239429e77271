"""What every annunciator must do, the fake included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from edge_agent.annunciation import Annunciator, Console, FakeAnnunciator
from edge_agent.annunciation.page import Page
from edge_agent.annunciation.page_html import render
from hearthward.core.clock import EventClock
from tests.unit.edge_agent.annunciation.made import T0, alarm, link


@dataclass
class Told:
    """An annunciator, and whether somebody would see an alarm on it or that the hospital is not reached."""

    annunciator: Annunciator
    text: Callable[[], str]


def fake() -> Told:
    made = FakeAnnunciator()

    def text() -> str:
        lost = "" if not made.shown or made.shown[-1][1].reached else "cannot be reached"
        return lost + " ".join(f"{a.place} {a.text['en']}" for a in made.alarms)

    return Told(made, text)


def console() -> Told:
    """A console's lines stay: what is over is said to be."""
    lines: list[str] = []
    made = Console(lines.append, "en", EventClock(T0))

    def text() -> str:
        present, over = [], []
        for line in lines:
            (over if "  over  " in line else present).append(line)
        gone = [o for o in over for p in present if o.split("  ")[2] in p and o.split("  ")[3].strip() in p]
        lost = "cannot be reached" if "cannot be reached" in "".join(lines[-3:]) else ""
        return lost if gone else "".join(present)

    return Told(made, text)


def page() -> Told:
    made = Page("gw-1", clock=EventClock(T0))
    return Told(made, lambda: render(made.view(), "en").replace("&lt;", "<"))


@pytest.fixture(params=[fake, console, page], ids=["fake", "console", "page"])
def told(request: pytest.FixtureRequest) -> Told:
    made: Told = request.param()
    return made


def test_an_alarm_is_told_with_its_place_value_and_limit(told: Told):
    told.annunciator.show([alarm()], link(reached=True))
    assert "Ward 1 / 3" in told.text()
    assert "SpO2 84 < 90" in told.text()


def test_what_is_over_is_told_no_more(told: Told):
    told.annunciator.show([alarm()], link(reached=True))
    told.annunciator.show([], link(reached=True))
    assert "SpO2 84 < 90" not in told.text()


def test_that_the_hospital_is_not_reached_is_told_also_where_nothing_else_is(told: Told):
    told.annunciator.show([], link(reached=True))
    assert "cannot be reached" not in told.text()
    told.annunciator.show([], link(reached=False))
    assert "cannot be reached" in told.text()


def test_the_same_again_and_again_and_the_end_are_taken_quietly(told: Told):
    for _ in range(3):
        told.annunciator.show([alarm(), alarm("alm_2", "low", place="Ward 1 / 4")], link())
    assert "Ward 1 / 4" in told.text()
    told.annunciator.close()
    told.annunciator.show([], link())


def test_it_has_a_name(told: Told):
    assert told.annunciator.name
