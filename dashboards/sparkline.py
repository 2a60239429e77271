"""A small trend as an SVG that the server makes: for pages without script, on paper, and in tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from markupsafe import Markup, escape

__all__ = ["svg_line"]

GAP: Final = 3.0
"""So many times the usual distance between two points is a gap, which no line bridges."""
PAD: Final = 3.0
"""Room for the line's width and the last point's dot, in pixels."""


def svg_line(
    points: Sequence[tuple[float, float | None]],
    *,
    width: int,
    height: int,
    low: float | None = None,
    high: float | None = None,
    label: str = "",
) -> Markup:
    """Draw ``points`` (time in any unit, value; None: nothing known) as a line with its newest point marked.

    ``low`` and ``high`` are the limits that hold, drawn as dashed lines; the scale always shows them. Points
    farther apart than usual are not joined. ``label`` says what it shows; without one it is decoration for
    those who cannot see it. Classes for the style sheet: ``spark``, ``limit``, ``newest``.
    """
    name = Markup(' role="img" aria-label="{}"').format(label) if label else Markup(' aria-hidden="true"')
    known = sorted((t, v) for t, v in points if v is not None)
    start = Markup('<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}"{}>').format(
        width, height, width, height, name
    )
    if not known:
        return start + Markup("</svg>")
    limits = [limit for limit in (low, high) if limit is not None]
    place = _Scale(known, limits, width, height)
    parts = [
        Markup('<line class="limit" x1="0" x2="{}" y1="{}" y2="{}"/>').format(
            width, *(f"{place.y(limit):.1f}",) * 2
        )
        for limit in limits
    ]
    runs = _runs(sorted(points, key=lambda p: p[0]))
    path = "".join(
        f"{'L' if i else 'M'}{place.x(t):.1f} {place.y(v):.1f}" + ("h0.1" if len(run) == 1 else "")
        for run in runs
        for i, (t, v) in enumerate(run)
    )
    t, v = known[-1]
    dot = Markup('<circle class="newest" cx="{}" cy="{}" r="2.5"/>').format(
        f"{place.x(t):.1f}", f"{place.y(v):.1f}"
    )
    line = Markup('<path d="{}" fill="none" stroke="currentColor" stroke-width="1.6"/>').format(escape(path))
    return start + Markup().join(parts) + line + dot + Markup("</svg>")


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The points cut at gaps and at unknown values."""
    steps = [b - a for (a, _), (b, _) in pairwise(points) if b > a]
    most = GAP * median(steps) if steps else 0.0
    runs: list[list[tuple[float, float]]] = [[]]
    before: float | None = None
    for time, value in points:
        if value is None or (before is not None and time - before > most):
            runs.append([])
        if value is not None:
            runs[-1].append((time, value))
        before = time
    return [run for run in runs if run]


class _Scale:
    """Where a time and a value lie in the picture."""

    def __init__(
        self, points: Sequence[tuple[float, float]], limits: Sequence[float], width: int, height: int
    ) -> None:
        values = [*(v for _, v in points), *limits]
        self._first = points[0][0]
        self._span = (points[-1][0] - self._first) or 1.0
        self._low = min(values)
        self._range = (max(values) - self._low) or 1.0
        self._flat = max(values) == self._low
        self._width, self._height = width - 2 * PAD, height - 2 * PAD

    def x(self, time: float) -> float:
        """Pixels from the left."""
        return PAD + (time - self._first) / self._span * self._width

    def y(self, value: float) -> float:
        """Pixels from the top; what never changes lies in the middle."""
        share = 0.5 if self._flat else (value - self._low) / self._range
        return PAD + (1 - share) * self._height
