"""A waveform as an SVG that the server makes: the line, its gaps, and where it is not good. Pure.

The picture has no text: scale and times stand beside it, so that they can be read at any width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from dashboards.wave_models import WavePiece, WaveView
from hearthward.core.clock import SECOND

__all__ = ["Scale", "scale_of", "svg_wave"]

WIDTH: Final = 720
HEIGHT: Final = 120
PAD: Final = 4.0
MOST_LINES: Final = 13
GRID_S: Final = (1, 5, 10, 60, 300, 600)
NARROWEST: Final = {"ecg": 1.0, "ecg_i": 1.0, "ecg_ii": 1.0}
"""What a picture reaches over at least (mV): the noise of a line without a beat must not look like one."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The lowest and highest value that are drawn, and their names; ``flat``: they are the same."""

    low: float
    high: float

    @property
    def flat(self) -> bool:
        """Whether nothing moves."""
        return self.low == self.high

    def said(self, value: float) -> str:
        """A value with as many digits as the scale needs."""
        span = self.high - self.low
        digits = 0 if span <= 0 else max(0, min(6, 2 - math.floor(math.log10(span))))
        text = f"{value:.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


def scale_of(view: WaveView) -> Scale | None:
    """From the lowest to the highest value, and NARROWEST at least; None when there is none."""
    low = [min(p.low or p.values) for p in view.pieces if p.low or p.values]
    high = [max(p.high or p.values) for p in view.pieces if p.high or p.values]
    if not low:
        return None
    bottom, top = min(low), max(high)
    spare = max(0.0, NARROWEST.get(view.metric, 0.0) - (top - bottom)) / 2
    return Scale(round(bottom - spare, 9), round(top + spare, 9))


def svg_wave(view: WaveView, label: str) -> Markup:
    """The picture; ``label`` says what it shows.

    Classes for the style sheet: ``wave``, ``gap``, ``grid``, ``doubt``, ``trace``. It is to be stretched.
    """
    head = Markup(
        '<svg class="wave" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
    ).format(WIDTH, HEIGHT, label)
    place = _Place(view)
    parts = [
        Markup('<rect class="gap" x="{}" y="0" width="{}" height="{}"/>').format(
            f"{place.x(gap.start):.1f}", f"{max(1.0, place.x(gap.end) - place.x(gap.start)):.1f}", HEIGHT
        )
        for gap in view.gaps
    ]
    parts.append(Markup('<path class="grid" d="{}"/>').format(_grid(view, place)))
    for piece in view.pieces:
        if piece.quality:
            x, width = place.x(piece.start), max(2.0, place.x(piece.end) - place.x(piece.start))
            parts.append(
                Markup('<rect class="doubt" x="{}" y="{}" width="{}" height="5"/>').format(
                    f"{x:.1f}", HEIGHT - 5, f"{width:.1f}"
                )
            )
        parts.append(
            Markup('<path class="{}" d="{}"/>').format(
                "trace band" if piece.low or _many(piece, place) else "trace", _trace(piece, place)
            )
        )
    return head + Markup().join(parts) + Markup("</svg>")


class _Place:
    """Where a time and a value lie in the picture."""

    def __init__(self, view: WaveView) -> None:
        self._start, self._span = view.start, max(1, view.end - view.start)
        scale = scale_of(view) or Scale(0.0, 0.0)
        self._low, self._range, self._flat = scale.low, (scale.high - scale.low) or 1.0, scale.flat

    def within(self, piece: WavePiece) -> range:
        """The places of the values of a piece that lie in the picture."""
        first = math.ceil((self._start - piece.start) / piece.step)
        after = math.ceil((self._start + self._span - piece.start) / piece.step)
        return range(max(0, first), min(len(piece.values), after))

    def x(self, time: float) -> float:
        """Pixels from the left."""
        return min(WIDTH, max(0.0, (time - self._start) / self._span * WIDTH))

    def y(self, value: float) -> float:
        """Pixels from the top; what never changes lies in the middle."""
        share = 0.5 if self._flat else (value - self._low) / self._range
        return PAD + (1 - share) * (HEIGHT - 2 * PAD)


def _grid(view: WaveView, place: _Place) -> str:
    """Lines at even seconds."""
    seconds = (view.end - view.start) / SECOND
    step = next((s for s in GRID_S if seconds / s <= MOST_LINES), GRID_S[-1]) * SECOND
    first = -(-view.start // step) * step
    return "".join(f"M{place.x(at):.1f} 0V{HEIGHT}" for at in range(first, view.end, step))


def _many(piece: WavePiece, place: _Place) -> bool:
    """Whether there are more values than can be told apart."""
    return len(piece.values) > 2 * max(1.0, place.x(piece.end) - place.x(piece.start))


def _trace(piece: WavePiece, place: _Place) -> str:
    if piece.low:
        middle = piece.start + piece.step / 2
        return _band(
            [
                (place.x(middle + i * piece.step), place.y(low), place.y(high))
                for i, (low, high) in enumerate(zip(piece.low, piece.high, strict=True))
            ]
        )
    if not _many(piece, place):
        points = [
            f"{place.x(piece.start + i * piece.step):.1f} {place.y(piece.values[i]):.1f}"
            for i in place.within(piece)
        ]
        return f"M{'L'.join(points)}{'h1' if len(points) == 1 else ''}" if points else ""
    columns: dict[int, tuple[float, float]] = {}
    for i in place.within(piece):
        x, value = round(place.x(piece.start + i * piece.step)), piece.values[i]
        low, high = columns.get(x, (value, value))
        columns[x] = min(low, value), max(high, value)
    return _band([(x, place.y(low), place.y(high)) for x, (low, high) in columns.items()])


def _band(columns: Sequence[tuple[float, float, float]]) -> str:
    """From the lowest to the highest of each column: there along one side and back along the other."""
    if not columns:
        return ""
    there = "L".join(f"{x:.1f} {high:.1f}" for x, _, high in columns)
    back = "L".join(f"{x:.1f} {low:.1f}" for x, low, _ in reversed(columns))
    return f"M{there}L{back}Z"
