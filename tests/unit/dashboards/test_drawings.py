"""Charts drawn by the server: to scale, bounded, escaped, with title and description; and their pages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.drawings import HEIGHT, WIDTH, Bar, Lane, Series, columns, lanes, nice_top
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import T0, S, alarm, world

NUMBER = re.compile(r'(x|y|width|height)="(-?[\d.]+)"')


def boxes(drawn: str) -> list[dict[str, float]]:
    return [{k: float(v) for k, v in NUMBER.findall(rect)} for rect in re.findall(r"<rect[^>]+>", drawn)]


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 4), (3, 4), (4, 4), (5, 6), (11, 12), (12.5, 20), (39, 40), (101, 120), (950, 1000)],
)
def test_an_axis_ends_at_a_round_number_of_four_steps(highest: float, top: float):
    assert nice_top(highest) == top


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=40),
    st.booleans(),
)
def test_columns_are_to_scale_and_within_the_picture(values: list[tuple[int, int]], stacked: bool):  # noqa: FBT001 - drawn
    series = [Series("a", "h", [a for a, _ in values]), Series("b", "m", [b for _, b in values])]
    labels = [str(n) for n in range(len(values))]
    drawn = columns(labels, series, title="t", description="d", stacked=stacked)
    found = boxes(drawn)
    assert len(found) == sum(v > 0 for pair in values for v in pair)
    assert all(b["x"] >= 0 and b["x"] + b["width"] <= WIDTH and 0 <= b["y"] <= HEIGHT for b in found)
    numbers = [v for pair in values for v in pair if v]
    if numbers:
        scale = max(b["height"] for b in found) / max(numbers)
        for number, box in zip(numbers, found, strict=True):
            assert box["height"] == pytest.approx(number * scale, abs=0.1)


def test_a_chart_says_what_it_is_and_lets_no_markup_in():
    drawn = columns(["<b>"], [Series("<i>", "h", [1])], title="<t>", description="<d>", stacked=True)
    assert 'role="img"' in drawn
    (label,) = re.findall(r'aria-labelledby="(\w+) (\w+)"', drawn)
    assert all(f'id="{key}"' in drawn for key in label)
    assert not re.search(r"<[bid]>", drawn)
    assert "&lt;t&gt;" in drawn


def test_a_timeline_shows_the_shortest_and_clips_what_is_outside():
    found = [Lane("A-01 · " + "x" * 40, [Bar(0, 1, "h", "short"), Bar(-50, 5000, "l", "long")])]
    drawn = lanes(found, start=0, end=1000, ticks=[(500, "12:00")], title="t", description="d")
    short, long = boxes(drawn)
    assert short["width"] == 3
    assert long["x"] + long["width"] <= WIDTH
    edge = lanes(found, start=0, end=1000, ticks=[(999, "12月31日")], title="t", description="d")
    assert float(re.findall(r'<text class="mid" x="([\d.]+)"', edge)[0]) <= WIDTH - 28, "no label is cut off"
    assert "…" in drawn
    assert "x" * 30 not in drawn


async def test_burden_and_list_have_their_pictures_and_the_same_figures_as_a_table():
    async with world() as here:
        patient = here.ids["main", "patientA"]
        for n in range(3):
            at = T0 - (n + 1) * 3600 * S
            here.backend.put_alarm(
                "main", alarm(patient, f"old-{n}", onset=at, started=at, ended=at + 60 * S)
            )
        async with here.client(here.principal(Role.NURSE), cookie=True) as client:
            for by, rows in (("ward", 8), ("day", 8), ("hour", 24)):
                page = (await client.get(f"/burden?by={by}")).text
                assert '<svg class="chart"' in page
                table = page.split('class="chart-table"')[1].split("</details>")[0]
                assert table.count('<th scope="row">') in {rows, rows - 1}, by
            listed = (await client.get("/alarms?show=all")).text
            assert '<svg class="chart"' in listed
            assert listed.count('<rect class="h"') == 5, "three and one in each ward"
            assert '<svg class="chart"' not in (await client.get("/alarms?show=mine")).text
