"""Charts as SVG, drawn by the server: no script, both themes, with a title and a description for everybody.

A chart is never alone: the page has the same figures as a table. Colours are classes of ``css/charts.css``;
what they tell apart is told apart by order, side or text as well.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

__all__ = ["Bar", "Lane", "Series", "columns", "lanes", "nice_top"]

WIDTH: Final = 720
HEIGHT: Final = 232
LEFT: Final = 48
RIGHT: Final = 8
TOP: Final = 16
BOTTOM: Final = 28
MOST_LABELS: Final = 12
STEPS: Final = 4
TOPS: Final = (1.2, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0)
LANE: Final = 24
LANE_LEFT: Final = 168
LANE_NAME: Final = 22
HALF_LABEL: Final = 28
"""So far from the edge a label is not cut off."""
LEAST_BAR: Final = 3.0
"""So wide is the shortest alarm, that it can be seen."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, one a label; ``style`` is the class that draws them."""

    name: str
    style: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that went on from ``start`` to ``end``; ``tip`` is shown by the pointer."""

    start: int
    end: int
    style: str
    tip: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A line of a timeline."""

    name: str
    bars: Sequence[Bar]


def nice_top(highest: float) -> float:
    """The end of an axis of four even steps: at least 4, then the next of 12, 20, 40, 60, 80, 100, 120..."""
    if highest <= STEPS:
        return float(STEPS)
    size = 10.0 ** math.floor(math.log10(highest))
    return next(top * size for top in TOPS if top * size >= highest)


def columns(
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    description: str,
    stacked: bool,
) -> Markup:
    """Columns over labels: the series on top of each other, or side by side."""
    rows = list(zip(*(one.values for one in series), strict=True))
    top = nice_top(max((sum(row) if stacked else max(row) for row in rows), default=0.0))
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    every = max(1, math.ceil(len(labels) / MOST_LABELS))
    parts = [_grid(top)]
    for i, (label, row) in enumerate(zip(labels, rows, strict=True)):
        left = LEFT + i * slot
        parts += _column(left, slot, label, list(zip(series, row, strict=True)), top, stacked=stacked)
        if i % every == 0:
            parts.append(_text(left + slot / 2, HEIGHT - 8, label, "mid"))
    return _svg(HEIGHT, title, description, parts)


def _column(
    left: float, slot: float, label: str, found: Sequence[tuple[Series, float]], top: float, *, stacked: bool
) -> list[Markup]:
    wide = min(slot * 0.72, 64.0)
    part = wide if stacked else wide / len(found)
    x, base = left + (slot - wide) / 2, float(HEIGHT - BOTTOM)
    out = []
    for one, value in found:
        high = (HEIGHT - BOTTOM - TOP) * value / top
        if high:
            tip = f"{label} · {one.name}: {value:g}"
            out.append(_rect((x, base - high, part, high), one.style, tip))
        if stacked:
            base -= high
        else:
            x += part
    return out


def lanes(
    found: Sequence[Lane],
    *,
    start: int,
    end: int,
    ticks: Sequence[tuple[int, str]],
    title: str,
    description: str,
) -> Markup:
    """A timeline from ``start`` to ``end``: a line for each subject, a bar for each thing that went on."""
    height = TOP + LANE * len(found) + BOTTOM
    plot, span = WIDTH - LANE_LEFT - RIGHT, max(1, end - start)

    def place(at: int) -> float:
        return LANE_LEFT + plot * (min(max(at, start), end) - start) / span

    parts = []
    for at, label in ticks:
        parts.append(_line(place(at), TOP, place(at), height - BOTTOM))
        parts.append(_text(min(place(at), WIDTH - HALF_LABEL), height - 8, label, "mid"))
    for n, lane in enumerate(found):
        y = TOP + LANE * n
        parts.append(_line(0, y + LANE, WIDTH, y + LANE))
        parts.append(_text(0, y + LANE - 7, _short(lane.name), "lane"))
        for bar in lane.bars:
            wide = max(LEAST_BAR, place(bar.end) - place(bar.start))
            x = min(place(bar.start), WIDTH - RIGHT - wide)
            parts.append(_rect((x, y + 4, wide, LANE - 8), bar.style, bar.tip))
    return _svg(height, title, description, parts)


def _short(name: str) -> str:
    return name if len(name) <= LANE_NAME else f"{name[: LANE_NAME - 1]}…"


def _grid(top: float) -> Markup:
    out = []
    for n in range(STEPS + 1):
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * n / STEPS
        out += [_line(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 8, y + 4, f"{top * n / STEPS:g}", "end")]
    return Markup("").join(out)


def _svg(height: int, title: str, description: str, parts: Sequence[Markup]) -> Markup:
    key = hashlib.blake2b(f"{title}|{description}".encode(), digest_size=4).hexdigest()
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-labelledby="t{k} d{k}">'
        '<title id="t{k}">{t}</title><desc id="d{k}">{d}</desc>{parts}</svg>'
    ).format(w=WIDTH, h=height, k=key, t=title, d=description, parts=Markup("").join(parts))


def _rect(box: tuple[float, float, float, float], style: str, tip: str) -> Markup:
    x, y, wide, high = box
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2">'
        "<title>{}</title></rect>"
    ).format(style, x, y, wide, high, tip)


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<path class="grid" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(x1, y1, x2, y2)


def _text(x: float, y: float, text: str, style: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(style, x, y, text)
