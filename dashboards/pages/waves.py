"""A patient's waveforms: the newest seconds on the patient's page, and pages that go back in time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup

from dashboards.access import Context, Guard
from dashboards.api.limits import patient_of
from dashboards.api.readings import instant
from dashboards.api.waves import wave_metric
from dashboards.i18n import translations
from dashboards.pages.render import is_htmx, page
from dashboards.wave_drawing import Scale, scale_of, svg_wave
from dashboards.wave_models import WaveGap, WaveHeld, WavePiece, WaveView
from dashboards.wave_views import gaps_between
from hearthward.core.clock import SECOND, iso
from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Action

__all__ = ["router", "waves_at", "waves_held"]

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)
WINDOWS: Final = (10, 30, 60)
"""Seconds that a page shows at once."""
OLD_NS: Final = 10 * SECOND
"""A waveform of which nothing came for so long is not of now."""
BEFORE_S: Final = 20
"""So much before a moment that is looked at, of a window of thirty seconds."""
MOST_GAPS: Final = 8
"""Are said in words; all are drawn."""

See = Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "patient", reads=True))]


@dataclass(frozen=True, slots=True)
class Strip:
    """One waveform of a period with its picture. ``age_s`` is that of its newest sample there; None: none.

    ``device`` is said where more than one gave it in this time; ``key`` is no other strip's.
    """

    key: str
    device: str | None
    view: WaveView
    drawn: Markup
    scale: Scale | None
    newest: int | None
    age_s: float | None
    gaps: Sequence[WaveGap]
    doubtful: Sequence[WavePiece]

    @property
    def old(self) -> bool:
        """Whether it is not of now."""
        return self.age_s is None or abs(self.age_s) * SECOND > OLD_NS

    @property
    def ahead(self) -> bool:
        """Whether its clock is: nobody knows then how old it is."""
        return self.old and self.age_s is not None and self.age_s < 0

    @property
    def more_gaps(self) -> int:
        """Gaps that are drawn and not said."""
        return len(self.gaps) - MOST_GAPS


@dataclass(frozen=True, slots=True)
class Shown:
    """The period of a page. ``end`` None: up to the newest sample."""

    seconds: int
    end: int | None
    now: int

    def query(self, seconds: int | None = None, end: int | None = None) -> str:
        """As part of an address, with another width or end."""
        to = self.end if end is None else end
        moment = f"&end={iso(to)}" if to is not None and to < self.now else ""
        return f"window={seconds or self.seconds}s{moment}"

    @classmethod
    def of(cls, window: str, end: str, now: int) -> Shown:
        """What an address asks for; what it does not know is the usual."""
        known = next((s for s in WINDOWS if window == f"{s}s"), WINDOWS[0])
        moment = max(instant(end, "end", now), known * SECOND) if end else now
        return cls(known, moment if moment < now else None, now)


@router.get("/patients/{patient}/waves")
async def waves(request: Request, context: See, patient: str, window: str = "10s", end: str = "") -> Response:
    """All waveforms of a patient: the part that the patient's page asks for, or a page of its own."""
    if is_htmx(request):
        return await _part(request, context, patient)
    return await _page(request, context, patient, Shown.of(window, end, context.backend.clock.now_ns()))


@router.get("/patients/{patient}/waves/{wave}")
async def one_wave(
    request: Request, context: See, patient: str, wave: str, window: str = "10s", end: str = ""
) -> Response:
    """One waveform, and the way back in time."""
    wave_metric(wave)
    shown = Shown.of(window, end, context.backend.clock.now_ns())
    return await _page(request, context, patient, shown, wave)


async def _part(request: Request, context: Context, patient: str) -> Response:
    await patient_of(context, patient)
    shown = Shown(WINDOWS[0], None, context.backend.clock.now_ns())
    held = await waves_held(context, patient)
    return page(
        request,
        context,
        "waves_part.html",
        strips=None if held is None else await _strips(context, patient, held, shown),
        address=_address(patient),
        now=shown.now,
    )


async def _page(request: Request, context: Context, patient: str, shown: Shown, metric: str = "") -> Response:
    person = await patient_of(context, patient)
    if context.scope.patient is not None:
        return RedirectResponse("/me", status_code=303)
    held = [h for h in await context.backend.waves(context.scope, patient) if metric in {"", h.metric}]
    newest = max((h.newest for h in held), default=shown.now) + 1
    stop = newest if shown.end is None else shown.end
    fixed = Shown(shown.seconds, stop, shown.now)
    return page(
        request,
        context,
        "waves.html",
        person=person,
        metric=metric,
        shown=shown,
        stop=stop,
        start=stop - shown.seconds * SECOND,
        newest=newest,
        width=shown.seconds * SECOND,
        windows=WINDOWS,
        kept_since=min((h.first for h in held), default=None),
        strips=await _strips(context, patient, held, fixed),
        address=_address(patient),
        now=shown.now,
    )


async def waves_held(context: Context, patient: str) -> Sequence[WaveHeld] | None:
    """Which waveforms there are; None when their store cannot be read now: the rest of a page is shown."""
    try:
        return await context.backend.waves(context.scope, patient)
    except StoreUnavailable as error:
        log.warning("the store of waveforms cannot be read: %s", error)
        return None


async def waves_at(context: Context, patient: str | None, at: int) -> str | None:
    """Where the waveforms of a patient around a moment are looked at; None when there are none."""
    if patient is None or ":" in patient or not context.may(Action.VIEW_READINGS):
        return None
    held = await waves_held(context, patient) or ()
    start = at - BEFORE_S * SECOND
    stop = start + WINDOWS[1] * SECOND
    if context.scope.patient is not None or not any(h.first < stop and h.newest >= start for h in held):
        return None
    end = iso(stop)
    return f"{_address(patient)}/waves?window={WINDOWS[1]}s&end={end}"


async def _strips(context: Context, patient: str, held: Iterable[WaveHeld], shown: Shown) -> list[Strip]:
    found = []
    for one in held:
        stop = one.newest + 1 if shown.end is None else shown.end
        start = max(0, stop - shown.seconds * SECOND)
        view = await context.backend.wave(context.scope, patient, one.metric, start, stop)
        if stop == one.newest + 1:
            view = _up_to_newest(view)
        devices = _by_device(view)
        found += [
            _strip(context, part, shown.now, device if len(devices) > 1 else None, n)
            for n, (device, part) in enumerate(devices)
        ]
    return sorted(found, key=lambda strip: shown.end is None and strip.old)


def _strip(context: Context, view: WaveView, now: int, device: str | None, n: int) -> Strip:
    scale = scale_of(view)
    newest = max((piece.end for piece in view.pieces), default=None)
    return Strip(
        key=f"{view.metric}-{n}",
        device=device,
        view=view,
        drawn=svg_wave(view, _label(context, view, scale)),
        scale=scale,
        newest=newest,
        age_s=None if newest is None else (now - newest) / SECOND,
        gaps=view.gaps,
        doubtful=[piece for piece in view.pieces if piece.quality],
    )


def _by_device(view: WaveView) -> list[tuple[str | None, WaveView]]:
    """A view apart for each device that gave samples: two lines in one picture are nobody's waveform."""
    devices = list(dict.fromkeys(piece.device for piece in view.pieces))
    if len(devices) < 2:  # noqa: PLR2004 - one alone
        return [(None, view)]
    found = []
    for device in devices:
        pieces = [piece for piece in view.pieces if piece.device == device]
        change = {"pieces": pieces, "gaps": gaps_between(pieces, view.start, view.end)}
        found.append((device, view.model_copy(update={**change, "unit": pieces[-1].unit or view.unit})))
    return found


def _up_to_newest(view: WaveView) -> WaveView:
    """The newest sample is its end: evenly spaced it lies a moment before it came."""
    if not view.pieces:
        return view
    last = max(view.pieces, key=lambda piece: piece.end)
    end = min(view.end, last.end + round(last.step))
    return view.model_copy(update={"end": end, "gaps": [gap for gap in view.gaps if gap.start < end]})


def _label(context: Context, view: WaveView, scale: Scale | None) -> str:
    """What the picture shows, for who cannot see it."""
    gettext = translations(context.language).gettext
    if scale is None:
        return gettext("no sample in this time")
    said = gettext("between {low} and {high}; parts without a sample: {n}")
    return said.format(low=scale.said(scale.low), high=scale.said(scale.high), n=len(view.gaps))


def _address(patient: str) -> str:
    return f"/patients/{quote(patient, safe='')}"
