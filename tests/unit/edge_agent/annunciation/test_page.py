"""The gateway's own page, asked as a browser asks."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.annunciation import FakeAnnunciator, LocalAlarms
from edge_agent.annunciation.page import Page, create_page, language_of
from edge_agent.annunciation.page_html import View, render
from edge_agent.annunciation.words import LINK, PRIORITY, WORDS
from hearthward.core.clock import SECOND
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.device_words import CAUSES, STATES
from hearthward.core.telemetry import Telemetry
from tests.unit.edge_agent.annunciation.made import T0, alarm, link
from tests.unit.edge_agent.decided import HandClock
from tests.unit.edge_agent.linked import HandLink

AWAY = DeviceWord("connecting", Cause.OUT_OF_RANGE, T0, "C0:00: not heard for 30 s", 12)
ODD = DeviceWord("backoff", Cause.OTHER, 0, "it hums")
SAME = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8081"}


class Served:
    """A page, what it shows, and a client on this machine."""

    def __init__(self, *, beyond: bool = False, code: str | None = None) -> None:
        self.clock = HandClock()
        self.page = Page("gw-1", clock=self.clock, devices=lambda: {"ox-1": AWAY, "hr-1": ODD}, sounds=True)
        self.local = LocalAlarms(
            "always", HandLink(), [self.page, FakeAnnunciator()], clock=self.clock, telemetry=Telemetry()
        )
        self.page.source = self.local
        self.app = create_page(self.page, beyond=beyond, code=code)

    def client(self, url: str = "http://127.0.0.1:8081") -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=url)


async def test_what_is_wrong_is_shown_in_the_browsers_language_and_loads_itself_anew():
    served = Served()
    served.local.update([alarm()])
    async with served.client() as client:
        english = (await client.get("/")).text
        chinese = (await client.get("/", headers={"accept-language": "zh-TW,en;q=0.8"})).text
        style = await client.get("/style.css")
    assert "SpO2 84 &lt; 90" in english
    assert "Low oxygen saturation" in english
    assert "Ward 1 / 3" in english
    assert re.search(r"offline, trying again \(out of range since \d\d:\d\d:\d\d\)", english)
    assert re.search(r"离线, 正在重试 \(自 \d\d:\d\d:\d\d 起超出范围\)", chinese)
    assert "(cannot be connected; it hums)" in english
    assert 'http-equiv="refresh" content="2"' in english
    assert "<script" not in english
    assert "血氧 84 &lt; 90" in chinese
    assert 'lang="zh-Hans"' in chinese
    assert style.headers["content-type"].startswith("text/css")


async def test_answers_let_nothing_in_from_elsewhere():
    async with Served().client() as client:
        for answer in (await client.get("/"), await client.get("/none"), await client.get("/style.css")):
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'")
            assert "unsafe" not in policy
            assert answer.headers["x-frame-options"] == "DENY"


async def test_the_button_pauses_the_sound_and_only_this_page_may_press_it():
    served = Served()
    served.local.update([alarm()])
    async with served.client() as client:
        assert "Pause sound" in (await client.get("/")).text
        for headers in (
            {"origin": "http://evil.example"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-origin", "origin": "https://127.0.0.1:8081"},
            {},
        ):
            assert (await client.post("/pause", headers=headers)).status_code == 403
        assert served.local.quiet_until is None
        assert (await client.post("/pause", headers=SAME)).status_code == 303
        assert "Sound paused, 2:00 left" in (await client.get("/")).text
        served.clock.advance(61)
        assert "0:59 left" in (await client.get("/")).text
        assert (await client.get("/pause")).status_code == 405


async def test_by_a_foreign_name_it_does_not_answer():
    """So no site can have a browser read it under a name of its own."""
    async with Served().client("http://evil.example:8081") as client:
        assert (await client.get("/")).status_code == 400


async def test_beyond_this_machine_it_asks_for_the_code():
    served = Served(beyond=True, code="a long code")
    served.local.update([alarm()])
    async with served.client("https://ward-3.example") as client:
        for auth in (None, ("x", "another"), ("x", "")):
            answer = await client.get("/", auth=auth)
            assert answer.status_code == 401
            assert "SpO2" not in answer.text
        assert (await client.get("/", headers={"authorization": "Basic %%"})).status_code == 401
        assert "SpO2" in (await client.get("/", auth=("anybody", "a long code"))).text


def test_what_the_hospital_tells_of_is_counted_and_trouble_is_said():
    view = View("gw-1", T0, link(reached=True, receipt=T0, backlog=3), elsewhere=2)
    text = render(view, "en")
    assert "2 present, told by the hospital" in text
    assert "Readings waiting: 3" in text
    assert "No alarm is present" in render(View("gw-1", T0, link(reached=True)), "en")
    undecided = render(View("gw-1", T0, link(), decides=False), "en")
    assert "decides on no alarms" in undecided
    assert "No alarm is present" not in undecided, "nobody knows"


def test_yesterdays_alarm_shows_the_day():
    text = render(View("gw-1", T0 + 86_400 * SECOND, link(), (alarm(),)), "en")
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)


@given(
    st.text(),
    st.text(),
    st.dictionaries(st.text(), st.builds(DeviceWord, st.text(), detail=st.text()), max_size=3),
)
def test_whatever_it_is_given_stays_text(place: str, title: str, devices: dict[str, DeviceWord]):
    shown = alarm(place=place, title={"en": title}, text={"en": title})
    text = render(View(place, T0, link(), (shown,), devices=devices), "en")
    bare = render(
        View(
            "x",
            T0,
            link(),
            (alarm(place="", title={"en": "y"}, text={}),),
            devices=dict.fromkeys(devices, DeviceWord("")),
        ),
        "en",
    )
    assert text.count("<") - bare.count("<") == 0


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-Hant-HK", "zh"),
        ("en-GB,zh;q=0.5", "en"),
        ("de,fr;q=0.9", "en"),
        ("de,zh;q=0.2", "zh"),
        ("en;q=0,zh;q=0.1", "zh"),
        ("zh;q=x, en", "en"),
    ],
)
def test_every_kind_of_chinese_is_chinese(header: str, language: str):
    assert language_of(header) == language


def test_every_word_is_there_in_both_languages():
    for table in (WORDS, STATES, CAUSES, PRIORITY, LINK):
        for said in table.values():
            assert set(said) == {"en", "zh"}
            fields = {key: set(re.findall(r"\{\w+\}", text)) for key, text in said.items()}
            assert fields["en"] == fields["zh"]
