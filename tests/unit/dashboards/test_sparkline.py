"""Small trends drawn by the server."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from dashboards.sparkline import svg_line


def drawn(*points: tuple[float, float | None], **more: float | str | None) -> ET.Element:
    made = svg_line(points, width=120, height=24, **more)  # type: ignore[arg-type]
    return ET.fromstring(str(made))  # noqa: S314 - our own


def moves(svg: ET.Element) -> int:
    path = svg.find("path")
    assert path is not None
    return path.attrib["d"].count("M")


def test_a_line_runs_from_the_oldest_to_the_newest_and_marks_it():
    svg = drawn((0, 10), (1, 20), (2, 15))
    path = svg.find("path")
    assert path is not None
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", path.attrib["d"])]
    assert xs == sorted(xs)
    assert (xs[0], xs[-1]) == (3.0, 117.0)
    dot = svg.find("circle")
    assert dot is not None
    assert float(dot.attrib["cx"]) == 117.0


def test_points_in_any_order_make_the_same_picture():
    assert svg_line([(2, 15), (0, 10), (1, 20)], width=120, height=24) == svg_line(
        [(0, 10), (1, 20), (2, 15)], width=120, height=24
    )


def test_higher_values_are_higher_up_and_limits_are_always_in_the_picture():
    svg = drawn((0, 90), (1, 95), low=50, high=120)
    ys = [float(line.attrib["y1"]) for line in svg.findall("line")]
    assert ys == [21.0, 3.0], "low at the bottom, high at the top"


def test_no_line_bridges_a_gap_or_an_unknown_value():
    steady = [(float(t), 70.0) for t in range(5)]
    assert moves(drawn(*steady)) == 1
    assert moves(drawn(*steady, (60.0, 71.0), (61.0, 72.0))) == 2
    assert moves(drawn((0, 70), (1, None), (2, 71))) == 2


def test_one_value_and_none_are_drawn_without_a_fall():
    assert drawn((0, 70)).find("circle") is not None
    assert list(drawn()) == []
    assert list(drawn((0, None))) == []


def test_a_label_is_said_and_cannot_break_out():
    svg = drawn((0, 70), (1, 71), label='HR <"70">')
    assert svg.attrib["aria-label"] == 'HR <"70">'
    assert drawn((0, 70)).attrib["aria-hidden"] == "true"
