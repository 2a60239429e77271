from __future__ import annotations

import pytest

from edge_agent.annunciation import Console
from edge_agent.annunciation.base import Language
from edge_agent.annunciation.console import BELL_S
from tests.unit.edge_agent.annunciation.made import alarm, link
from tests.unit.edge_agent.decided import HandClock


class Terminal:
    def __init__(self, language: Language = "en") -> None:
        self.out: list[str] = []
        self.clock = HandClock()
        self.console = Console(self.out.append, language, self.clock)

    def take(self) -> str:
        text, self.out[:] = "".join(self.out), []
        return text


@pytest.mark.parametrize(
    ("language", "begun", "over"),
    [
        (
            "en",
            "ALARM HIGH  Ward 1 / 3  Low oxygen saturation: SpO2 84 < 90\n",
            "over  Ward 1 / 3  Low oxygen",
        ),
        ("zh", "报警 高  Ward 1 / 3  血氧饱和度过低: 血氧 84 < 90\n", "报警结束  Ward 1 / 3  血氧饱和度过低"),
    ],
)
def test_a_line_a_change(language: Language, begun: str, over: str):
    terminal = Terminal(language)
    terminal.console.show([alarm()], link(reached=True))
    line = terminal.take()
    assert line.startswith("\a")
    assert line.endswith(begun)
    terminal.console.show([alarm()], link(reached=True))
    assert terminal.take() == ""
    terminal.console.show([], link(reached=True))
    assert over in terminal.take()


def test_a_worsening_is_a_line_and_a_new_alarm_rings():
    terminal = Terminal()
    terminal.console.show([alarm()], link(reached=True))
    terminal.take()
    terminal.console.show([alarm(text={"en": "SpO2 80 < 90"})], link(reached=True))
    line = terminal.take()
    assert "SpO2 80" in line
    assert "\a" not in line
    terminal.console.show(
        [alarm(text={"en": "SpO2 80 < 90"}), alarm("b", "low", kind="technical")], link(reached=True)
    )
    line = terminal.take()
    assert line.startswith("\a")
    assert "LOW (technical)" in line


def test_the_bell_rings_again_in_the_time_of_the_gravest_and_not_while_paused():
    terminal = Terminal()
    told = [alarm("b", "low"), alarm()]
    terminal.console.show(told, link(reached=True))
    terminal.take()
    terminal.clock.advance(BELL_S["high"] - 1)
    terminal.console.show(told, link(reached=True))
    assert terminal.take() == ""
    terminal.clock.advance(1)
    terminal.console.show(told, link(reached=True))
    assert terminal.take() == "\a"
    terminal.clock.advance(60)
    terminal.console.show([alarm(audible=False)], link(reached=True))
    assert "\a" not in terminal.take()
    terminal.console.show([alarm()], link(reached=True))
    assert terminal.take() == "\a", "when the pause ends"


def test_that_the_hospital_is_lost_rings_once_and_that_it_is_back_is_said():
    terminal = Terminal()
    terminal.console.show([], link(reached=False))
    assert "cannot be reached: alarms are only told here" in terminal.take()
    terminal.console.show([], link(reached=False))
    assert terminal.take() == ""
    terminal.console.show([], link(reached=True))
    assert "The hospital is reached" in terminal.take()


def test_nothing_from_outside_controls_the_terminal():
    terminal = Terminal()
    terminal.console.show([alarm(place="bed\x1b[2J\n3")], link(reached=True))
    assert "bed [2J 3" in terminal.take()
