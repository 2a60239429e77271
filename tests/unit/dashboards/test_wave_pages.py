"""Waveforms on pages: the panel, the way back in time, what is old or missing, and the picture itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dashboards.wave_drawing import Scale, scale_of, svg_wave
from dashboards.wave_models import WaveGap, WavePiece, WaveView
from dashboards.wave_views import gaps_between
from hearthward.core.clock import iso
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Quality
from hearthward.trust.access import Role, Scope
from tests.unit.cloud_ingest.waves.made import chunk
from tests.unit.dashboards.webworld import T0, S, World, alarm, world

HTMX = {"hx-request": "true"}


@pytest.fixture
async def made() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def where(made: World, rest: str = "") -> str:
    return f"/patients/{made.ids['main', 'patientA']}{rest}"


async def test_the_patients_page_has_a_panel_only_where_there_are_waveforms(made: World):
    async with made.client(made.principal(Role.NURSE)) as nurse:
        page = (await nurse.get(where(made))).text
        part = (await nurse.get(where(made, "/waves"), headers=HTMX)).text
        made.backend.wave_store._chunks.clear()
        without = (await nurse.get(where(made))).text
    assert f'hx-get="{where(made, "/waves")}" hx-trigger="intersect once"' in page
    assert "Waveforms" not in without
    assert part.lstrip().startswith('<div id="waves-now"')
    assert 'hx-trigger="intersect delay:5s, every 60s"' in part
    assert "Pulse wave (pleth)" in part
    assert 'class="trace"' in part
    assert iso(chunk(58).corrected)[:19] in part, "when the last sample was taken"
    assert "old:" not in part
    assert part.count('class="gap"') == 1, "the tenth second is not there"


async def test_what_is_not_of_now_says_so_and_stands_last(made: World):
    ecg = replace(chunk(58, device="main-oxi-A"), metric="ecg_ii", scale=0.001, unit="mV")
    made.backend.put_waves("main", [ecg])
    made.clock.follow(T0 + 65 * S)
    made.backend.put_waves("main", [chunk(64, device="main-oxi-A")])
    made.clock.follow(T0 + 70 * S)
    async with made.client(made.principal(Role.NURSE)) as nurse:
        part = (await nurse.get(where(made, "/waves"), headers=HTMX)).text
        chinese = (await nurse.get(where(made, "/waves"), headers={**HTMX, "accept-language": "zh-CN"})).text
    assert part.count("old:") == 1
    assert part.index("Pulse wave") < part.index("ECG lead II") < part.index("old: 11 s ago")
    assert "已过时:11 秒前" in chinese
    assert "no sample" in part, "five seconds are missing in the pulse wave"


async def test_what_is_dated_ahead_does_not_look_like_now(made: World):
    made.backend.put_waves("main", [chunk(90, device="main-oxi-A")])
    async with made.client(made.principal(Role.NURSE)) as nurse:
        part = (await nurse.get(where(made, "/waves"), headers=HTMX)).text
    assert "? dated in the future" in part
    assert 'class="strip aged"' in part
    assert "old:" not in part


async def test_a_store_that_is_away_takes_no_page_with_it(made: World, monkeypatch: pytest.MonkeyPatch):
    async def away(*_: object, **__: object) -> None:
        msg = "away"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(made.backend.wave_store, "held", away)
    made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], onset=T0 + 55 * S))
    async with made.client(made.principal(Role.NURSE)) as nurse:
        page = await nurse.get(where(made))
        part = await nurse.get(where(made, "/waves"), headers=HTMX)
        own = await nurse.get(where(made, "/waves"))
        told = await nurse.get("/alarms/alm_1")
    assert (page.status_code, part.status_code, own.status_code, told.status_code) == (200, 200, 503, 200)
    assert "The waveforms cannot be read now." in part.text


async def test_the_page_goes_back_in_time_and_forth_again(made: World):
    async with made.client(made.principal(Role.DOCTOR)) as doctor:
        newest = (await doctor.get(where(made, "/waves/pleth?window=10s"))).text
        back = re.search(r'href="([^"]+)">← Earlier', newest)
        assert back is not None
        earlier = (await doctor.get(back[1].replace("&amp;", "&"))).text
        odd = (await doctor.get(where(made, "/waves/pleth?window=7s"))).text
        bad = await doctor.get(where(made, "/waves/pleth?end=soon"))
        none = await doctor.get(where(made, "/waves/spo2"))
        everything = (await doctor.get(where(made, "/waves"))).text
    assert ("Later" in newest, "Later" in earlier) == (False, True)
    assert "No sample in this time." in earlier
    assert "samples.csv?from=" in newest
    assert 'aria-current="true">10 s' in odd
    assert (bad.status_code, none.status_code) == (422, 404)
    assert f"{where(made, '/waves/pleth')}" in everything
    async with made.client(made.principal(Role.DISPLAY)) as wall:
        assert "samples.csv" not in (await wall.get(where(made, "/waves/pleth"))).text


async def test_an_alarm_leads_to_the_waveforms_of_its_time_where_there_are(made: World):
    patient = made.ids["main", "patientA"]
    made.backend.put_alarm("main", alarm(patient, "alm_1", onset=T0 + 55 * S))
    made.backend.put_alarm("main", alarm(patient, "alm_2", onset=T0 + 5 * S))
    async with made.client(made.principal(Role.NURSE)) as nurse:
        with_waves = (await nurse.get("/alarms/alm_1")).text
        without = (await nurse.get("/alarms/alm_2")).text
    assert f"/patients/{patient}/waves?window=30s" in with_waves
    assert "/waves?" not in without


async def test_an_alarm_for_silence_leads_to_the_waveforms_before_it(made: World):
    patient = made.ids["main", "patientA"]
    made.clock.follow(T0 + 200 * S)
    made.backend.put_alarm("main", alarm(patient, "alm_1", onset=T0 + 70 * S))
    made.backend.put_alarm("main", alarm(patient, "alm_2", onset=T0 + 45 * S))
    made.backend.put_alarm("main", alarm(patient, "alm_3", onset=T0 + 90 * S))
    async with made.client(made.principal(Role.NURSE)) as nurse:
        told = [(await nurse.get(f"/alarms/alm_{n}")).text for n in (1, 2, 3)]
        there = re.search(r'href="([^"]+/waves[?][^"]+)"', told[0])
        assert there is not None
        page = (await nurse.get(there[1].replace("&amp;", "&"))).text
    assert ["/waves?" in text for text in told] == [True, True, False]
    assert 'class="trace band"' in page


async def test_devices_that_give_the_same_waveform_at_once_are_drawn_apart(made: World):
    patient = made.ids["main", "patientA"]
    scope = Scope.system("main")
    for name in ("oxi-X", "oxi-Y"):
        gateway = made.ids["main", "gatewayA"]
        values = {"id": name, "gateway": gateway, "transport": "ble", "address": "C4:12:5D:00:AE:92"}
        device = await made.backend.create(scope, "device", {**values, "profile": "sig-pulse-oximeter"})
        await made.backend.create(
            scope, "association", {"device": device.id, "patient": patient, "start": T0 + 40 * S}
        )
        made.backend.put_waves("main", [chunk(n, device=name, scale=0.5) for n in range(55, 59)])
    async with made.client(made.principal(Role.NURSE)) as nurse:
        part = (await nurse.get(where(made, "/waves"), headers=HTMX)).text
        alone = (await nurse.get(where(made, f"/waves?end={iso(T0 + 55 * S)}"))).text
    assert part.count('<svg class="wave"') == 3
    assert [part.count(f"<small>{name}</small>") for name in ("main-oxi-A", "oxi-X", "oxi-Y")] == [1, 1, 1]
    assert len(set(re.findall(r'id="(wave-[^"]+)"', part))) == 3
    assert alone.count('<svg class="wave"') == 1


def piece(*values: float, start: int = T0, step: float = S / 10, **more: Any) -> WavePiece:
    fields: dict[str, Any] = {"start": start, "step": step, "values": list(values), **more}
    n = len(values) or len(fields["low"])
    return WavePiece(end=start + round((n - (0 if "low" in more else 1)) * step), **fields)


def view(*pieces: WavePiece, seconds: int = 10) -> WaveView:
    start, end = T0, T0 + seconds * S
    gaps = gaps_between(pieces, start, end)
    return WaveView(metric="ecg", start=start, end=end, envelope=False, pieces=list(pieces), gaps=gaps)


def test_gaps_are_where_no_sample_is_and_nowhere_else():
    whole = piece(*range(100))
    assert gaps_between([whole], T0, T0 + 10 * S) == []
    assert gaps_between([], T0, T0 + S) == [WaveGap(start=T0, end=T0 + S)]
    two = [piece(*range(10)), piece(*range(10), start=T0 + 2 * S)]
    assert gaps_between(two, T0, T0 + 3 * S) == [WaveGap(start=T0 + S, end=T0 + 2 * S)]
    close = [piece(*range(10)), piece(*range(10), start=T0 + S + S // 25)]
    assert gaps_between(close, T0, T0 + 2 * S) == [], "not half a sample's time"
    buckets = [piece(low=[1.0, 2.0], high=[3.0, 4.0], step=float(S), start=T0 + S)]
    assert gaps_between(buckets, T0, T0 + 4 * S) == [
        WaveGap(start=T0, end=T0 + S),
        WaveGap(start=T0 + 3 * S, end=T0 + 4 * S),
    ]


def test_the_line_stops_at_a_gap_and_marks_what_is_not_good():
    two = view(piece(*range(10)), piece(*range(10), start=T0 + 5 * S, quality=["poor_signal"]))
    drawn = svg_wave(two, "a <label>")
    assert drawn.count('class="trace"') == 2
    assert drawn.count('class="gap"') == 2
    assert drawn.count('class="doubt"') == 1
    assert "a &lt;label&gt;" in drawn
    first = re.findall(r'class="trace" d="([^"]+)"', drawn)[0]
    assert first.startswith("M0.0 116.0L7.2 ")
    assert first.endswith("64.8 4.0")


def test_many_samples_are_a_band_and_what_lies_beside_the_picture_is_left_out():
    many = svg_wave(view(piece(*(n % 7 for n in range(5000)), step=S / 500)), "")
    assert many.count('class="trace band"') == 1
    assert len(many) < 20_000
    beside = view(piece(*range(100), start=T0 - 5 * S))
    path = re.findall(r'class="trace" d="([^"]+)"', svg_wave(beside, ""))[0]
    assert path.startswith("M0.0 ")
    assert path.count("L") == 49
    buckets = view(piece(low=[0.0, 1.0], high=[2.0, 3.0], step=5.0 * S))
    assert re.findall(r'band" d="([^"]+)"', svg_wave(buckets, "")) == [
        "M180.0 41.3L540.0 4.0L540.0 78.7L180.0 116.0Z"
    ]


def test_one_sample_a_flat_line_and_nothing_can_be_drawn():
    assert "h1" in svg_wave(view(piece(5.0)), "")
    flat = svg_wave(view(piece(5.0, 5.0)), "")
    assert "60.0" in flat
    assert "trace" not in svg_wave(view(), "")
    assert scale_of(view()) is None


def test_the_noise_of_an_ecg_without_a_beat_is_not_drawn_as_one():
    still = view(piece(0.01, -0.01, 0.02))
    assert scale_of(still) == Scale(-0.495, 0.505)
    ys = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", svg_wave(still, "").split("trace")[1])]
    assert max(ys) - min(ys) < 5
    beats = view(piece(-0.2, 1.1))
    assert scale_of(beats) == Scale(-0.2, 1.1)
    pulse = beats.model_copy(update={"metric": "pleth", "pieces": [piece(0.01, 0.02)]})
    assert scale_of(pulse) == Scale(0.01, 0.02)


@pytest.mark.parametrize(
    ("low", "high", "value", "said"),
    [(0, 255, 210, "210"), (-0.21, 1.09, 1.09, "1.09"), (0, 0, 4.0, "4"), (1, 1.001, 1.0004, "1.0004")],
)
def test_a_scale_says_as_many_digits_as_it_needs(low: float, high: float, value: float, said: str):
    assert Scale(low, high).said(value) == said


async def test_flaws_are_said_in_words(made: World):
    poor = chunk(59, device="main-oxi-A", quality=int(Quality.POOR_SIGNAL | Quality.DEMO))
    made.backend.put_waves("main", [poor])
    async with made.client(made.principal(Role.NURSE)) as nurse:
        part = (await nurse.get(where(made, "/waves"), headers=HTMX)).text
    assert "demo data, poor signal" in part
    assert 'class="doubt"' in part
    flicker = [chunk(n, device="main-oxi-A", quality=16 * (n % 2), run=9) for n in range(60, 90)]
    made.backend.put_waves("main", flicker)
    made.clock.follow(T0 + 90 * S)
    async with made.client(made.principal(Role.NURSE)) as nurse:
        page = (await nurse.get(where(made, "/waves?window=30s"))).text
    assert page.count('class="doubt"') == 15
    assert "and 7 more" in page
