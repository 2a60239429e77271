"""What stands on a patient's own pages is so: high or low, all alarms, of now, no more than allowed."""

from __future__ import annotations

import pytest

from cloud_ingest.records.care import TaskDraft, check_note, check_task
from cloud_ingest.records.scoping import check_text
from cloud_ingest.records.written import legible
from dashboards.links import only_here
from dashboards.own_words import Times, last_days, week_of
from dashboards.trend_models import Trend, TrendPoint
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.test_me import DAY, HOUR, no_alarms, own, sentence
from tests.unit.dashboards.webworld import T0, World, alarm, reading, world

LOW = {"rule": "home-bp-low", "priority": "medium", "limit": "< 90", "values": {"nibp_systolic": 84.0}}
HIGH = {
    "rule": "home-bp-high",
    "limit": "≥ 180/110",
    "values": {"nibp_systolic": 186.0, "nibp_diastolic": 112.0},
}
GLUCOSE = {
    "rule": "glucose-very-low",
    "values": {"blood_glucose": 41.0},
    "limit": "< 54",
    "text": {"en": "Glucose 41 < 54", "zh": "血糖 41 < 54"},
}


def put(made: World, key: str, **more: object) -> None:
    fields = {"started": made.clock.now_ns(), **more}
    made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], key, **fields))


# --- what is asked and what lasts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "en", "zh"),
    [
        (LOW, "Blood pressure 84 – low.", "血压 84 – 偏低。"),  # noqa: RUF001 - as it is set
        (HIGH, "Blood pressure 186/112 – very high.", "血压 186/112 – 很高。"),  # noqa: RUF001
        ({**HIGH, "priority": "medium"}, "Blood pressure 186/112 – high.", "血压 186/112 – 偏高。"),  # noqa: RUF001
        ({**LOW, "limit": ""}, "SpO2 84 &lt; 90.", "血氧 84 &lt; 90。"),
    ],
)
async def test_a_pressure_is_called_what_its_limit_makes_it(fields: dict[str, object], en: str, zh: str):
    async with world() as made:
        no_alarms(made)
        put(made, "alm_2", condition="asked", **fields)
        async with own(made) as client:
            assert sentence((await client.get("/me")).text) == en
        async with own(made, **{"accept-language": "zh"}) as client:
            assert sentence((await client.get("/me")).text) == zh


async def test_no_alarm_is_hidden_by_a_second_measurement_that_is_waited_for():
    async with world() as made, own(made) as client:
        no_alarms(made)
        put(made, "alm_2", condition="asked", **HIGH)
        put(made, "alm_3", **GLUCOSE)
        html = (await client.get("/me")).text
        assert sentence(html) == "Your nurses can see: Glucose 41 &lt; 54"
        assert "And: Blood pressure" in html
        assert "Measure again</a>" in html
        assert "rest for 5 minutes" in html
        put(made, "alm_3", **{**GLUCOSE, "priority": "low"})
        html = (await client.get("/me")).text
        assert sentence(html).startswith("Blood pressure 186/112")
        assert "<strong>Glucose 41 &lt; 54</strong>" in html


async def test_all_alarms_that_last_are_told():
    async with world() as made, own(made) as client:
        no_alarms(made)
        put(made, "alm_2", **GLUCOSE)
        put(made, "alm_3", priority="medium", text={"en": "Pulse 131 > 120"})
        html = (await client.get("/me")).text
        assert sentence(html) == "Your nurses can see: Glucose 41 &lt; 54"
        assert "Your nurses can see, too:" in html
        assert "Pulse 131 &gt; 120" in html


# --- a page that stays open ---------------------------------------------------------------------------------


async def test_all_that_changes_is_asked_for_again():
    async with world() as made, own(made) as client:
        page = (await client.get("/me")).text
        assert "As of 00:01." in page
        assert "hx-swap-oob" not in page
        made.clock.advance(8 * 3600)
        made.backend.put_readings(
            "main", [reading(made.ids["main", "deviceA"], "spo2", 93.0, made.clock.now_ns())]
        )
        again = (await client.get("/me/now")).text
        assert '<div id="rest" class="stack" hx-swap-oob="outerMorph">' in again
        for said in ("As of 08:01.", "Who is there", 'id="today"', ">93</span>"):
            assert said in again, said


async def test_a_relatives_open_page_goes_when_the_consent_is_taken_back():
    async with world() as made:
        family = made.principal(Role.FAMILY)
        async with made.client(family, cookie=True, accept="text/html") as client:
            assert "hx-refresh" not in (await client.get("/me/now", headers={"hx-request": "true"})).headers
            made.backend._end_consents("main", family.user)
            gone = await client.get("/me/now", headers={"hx-request": "true"})
            assert (gone.status_code, gone.headers["hx-refresh"]) == (404, "true")


# --- what people write --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("有点晕\u3000胸口疼", "有点晕 胸口疼"),
        ("8\u00a0mg\u202f", "8 mg"),
        ("one\u200b\ufeff two\r\n three\t4", "one two\n three 4"),
        ("\U0001f469\u200d\u2695\ufe0f thanks", "\U0001f469\u200d\u2695\ufe0f thanks"),
        ("a\u2028b\x0bc", "a\nb\nc"),
    ],
)
def test_what_keyboards_give_is_taken(typed: str, kept: str):
    assert check_note(typed) == kept


@pytest.mark.parametrize("typed", ["a\x00b", "\x1b[2J", "\ud800", "\ue000", "\u3000\u200b\u200d", "x" * 2001])
def test_what_is_no_text_is_refused(typed: str):
    with pytest.raises(ConfigError):
        check_note(typed)


def test_names_and_titles_are_taken_as_keyboards_give_them():
    assert check_text("王\u3000芳", "name") == "王 芳"
    assert legible("\u200b \u3000") == ""
    with pytest.raises(ConfigError):
        check_text("two\nlines", "name")
    draft = TaskDraft("other", None, "散步\u300030\u00a0分钟\u200b", ("08:00",), None, "UTC")
    assert check_task(draft).title == "散步 30 分钟"


async def test_a_message_with_a_full_width_space_reaches_the_nurses():
    async with world() as made, made.client(made.principal(Role.PATIENT)) as client:
        path = f"/api/v1/patients/{made.ids['main', 'patientA']}/messages"
        sent = await client.post(path, json={"client": "c1", "text": "有点晕\u3000胸口疼"})
        assert (sent.status_code, sent.json()["text"]) == (201, "有点晕 胸口疼")


# --- what a relative reads, and until when ------------------------------------------------------------------


async def test_without_values_it_is_not_said_that_nothing_was_received():
    async with world() as made:
        no_alarms(made)
        family, patient = made.principal(Role.FAMILY), made.principal(Role.PATIENT)
        made.backend.add_person("ann", "right horse battery", family)
        for sees, said in (
            (["alarms"], "There is no alarm now."),
            (["plan"], "It is time (00:05): Take: Pill A"),
        ):
            await made.backend.give_consent(patient, family.user, sees=sees, until=None)
            async with made.client(family, cookie=True, accept="text/html") as client:
                html = (await client.get("/me")).text
                assert sentence(html) == said
                assert "Nothing was received" not in html
        made.clock.advance(12 * 3600)
        async with made.client(family, cookie=True, accept="text/html") as client:
            html = (await client.get("/me")).text
            assert sentence(html) == "Nothing is to be done now."
            assert "Measured values are not shown to you." in html


async def test_a_relatives_sheet_has_neither_birth_date_nor_number():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        kept = made.backend._of("main").items["patient"]
        kept[patient] = kept[patient].model_copy(update={"birth_date": "1951-02-03", "mrn": "MRN-77"})
        async with own(made) as client:
            html = (await client.get("/me/sheet")).text
            assert "1951-02-03" in html
            assert "MRN-77" in html
        async with made.client(made.principal(Role.FAMILY), cookie=True, accept="text/html") as client:
            html = (await client.get("/me/sheet")).text
            assert "1951-02-03" not in html
            assert "MRN-77" not in html


@pytest.mark.parametrize("days", [7, None])
async def test_who_changes_what_is_seen_leaves_until_when_as_it_is(days: int | None):
    async with world() as made, own(made) as client:
        family, patient = made.principal(Role.FAMILY), made.principal(Role.PATIENT)
        made.backend.add_person("ann", "right horse battery", family)
        until = None if days is None else made.clock.now_ns() + days * DAY
        await made.backend.give_consent(patient, family.user, sees=["values", "plan"], until=until)
        html = (await client.get("/me/consent")).text
        assert '<option value="as_now" selected>as now: until' in html
        assert "measured values and trends, symptoms and pain" in html
        form = {"person": family.user, "sees": ["plan"], "days": "as_now"}
        assert (await client.post("/me/consent", data=form)).status_code == 303
        held = await made.backend.consent_of(Scope("main", None, None), family.user)
        assert (held.sees, held.until) == (["plan"], until)


# --- weeks, links, windows ----------------------------------------------------------------------------------


def test_a_week_is_the_days_that_are_shown():
    now = Times("en", "UTC", T0 + 20 * HOUR)
    points = [
        TrendPoint(time=T0 - days * DAY + 22 * HOUR, low=v, high=v, mean=v, last=v, count=1)
        for days, v in ((1, 130.0), (6, 120.0), (7, 200.0))
    ]
    trend = Trend(
        metric="nibp_systolic", unit="mm[Hg]", start=T0 - 14 * DAY, end=T0, step=HOUR, points=points
    )
    week = week_of(trend, now)
    assert week is not None
    assert {d.day for d in week.days} <= set(last_days(now))
    assert (week.high, week.count, week.before) == (130.0, 2, 200.0)


def test_an_address_that_no_telephone_can_open():
    here = ("http://127.0.0.1:8000/link/x", "http://localhost/link/x", "http://[::1]:80/")
    assert all(only_here(url) for url in here)
    assert not any(only_here(url) for url in ("https://care.example.org/link/x", "http://192.168.1.4:8000/"))


async def test_a_link_that_only_this_computer_opens_says_so():
    async with world() as made, own(made) as client:
        form, path = {"name": "Zhou Min", "sees": "values", "days": "7"}, "/me/consent/relatives"
        assert "it leads to this computer only" not in (await client.post(path, data=form)).text
        made.app.state.public_url = "http://127.0.0.1:8000"
        form["name"] = "Zhou Lan"
        assert "it leads to this computer only" in (await client.post(path, data=form)).text


@pytest.mark.parametrize("window", ["²", "9" * 5000, "-1", ""])
async def test_a_window_that_is_no_number_is_no_fault_of_the_server(window: str):
    async with (
        world() as made,
        made.client(made.principal(Role.NURSE), cookie=True, accept="text/html") as client,
    ):
        form = {"kind": "other", "title": "Walk", "times": "08:00", "timezone": "UTC", "window": window}
        sent = await client.post(f"/patients/{made.ids['main', 'patientA']}/plan", data=form)
        assert sent.status_code == 303


# --- for people who read slowly -----------------------------------------------------------------------------


async def test_days_that_are_over_are_one_line_each():
    async with world() as made, own(made) as client:
        made.clock.advance(2 * 24 * 3600)
        html = (await client.get("/me/plan")).text
        days = html.split('<details class="card past">')[1:]
        assert days
        assert all("were done.</span></span></summary>" in day for day in days)


async def test_chinese_has_no_gap_after_its_wide_signs():
    async with world() as made, own(made, **{"accept-language": "zh"}) as client:
        no_alarms(made)
        html = (await client.get("/me")).text
        assert sentence(html) == "00:05 到时间了：服用：Pill A"  # noqa: RUF001 - as it is set
