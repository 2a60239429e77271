"""What users of other systems complain of: each is a test here, by its name."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from hearthward.core.errors import RuleError
from rules import Command, Configuration, Context, Engine, Input, Rows, RuleSet, State, Tick, load_rules, step
from rules.conditions import Missing
from rules.episodes import GRACE
from rules.model import Adopt, Readings, Transition
from rules.rule import SECOND, Rule
from tests.unit.rules.made import Row, at, both, episodes, make, play, readings, threshold
from tests.unit.rules.response.scenes import Scene, told

LOW = make(
    "spo2-low", threshold("spo2", "below", 90, 1), explanation={"en": "SpO2 {spo2} {limit}", "zh": "-"}
)
SLOW = make("spo2-low", threshold("spo2", "below", 90, 1), delay_s=10)
SILENT = make("no-data", Missing("spo2", 60), kind="technical", priority="medium")


def row(value: float | None, seconds: float, device: str = "d1", patient: str = "p1") -> Row:
    return patient, device, "spo2", value, seconds


def inputs(*batches: list[Row], wall: float | None = None, now: float | None = None) -> list[Input]:
    return [readings(rows, seq=i, wall=wall, now=now) for i, rows in enumerate(batches, 1)]


def kinds(transitions: list[Transition]) -> list[str]:
    return [t.kind for t in transitions]


def accept(seq: int, alarm: str, actor: str = "usr_1") -> Command:
    return Command(seq, at(1000), "accept", alarm, actor)


def test_batches_evaluated_out_of_order():
    """Within what the gateway has told so far, the order of arrival makes no difference at all."""
    parts = [
        [row(84, 0), row(84, 4)],
        [row(88, 8), row(86, 12)],
        [row(97, 16), row(97, 20)],
        [row(80, 24)],
    ]
    told = set()
    for order in itertools.permutations(parts):
        events: list[Input] = inputs(*order, wall=0.1, now=24)
        last = Readings(9, at(25), Rows.of([("p1", "d1", "spo2", 80, at(25), at(25), 0)]), "gw", at(25))
        found = both([SLOW], [*events, last, Tick(10, at(40))])
        told.add(tuple((t.kind, t.onset, t.at) for t in found))
    assert told == {(("start", 0, at(10)), ("end", 0, at(16)), ("start", at(24), at(34)))}


def test_timers_that_run_only_when_a_message_arrives():
    """A delay ends by the clock: nothing more has to come for the alarm to be told."""
    found = both([SLOW], [*inputs([row(84, 0)]), Tick(2, at(9)), Tick(3, at(10))])
    assert [(t.kind, t.at, t.decided) for t in found] == [("start", at(10), at(10))]
    engine = Engine(State.empty("n", RuleSet((SLOW,))))
    engine.step(inputs([row(84, 0)])[0])
    assert [engine.due(at(s)) for s in (9, 10)] == [False, True]


def test_inactivity_alarms_that_stick():
    """Silence ends with the first word after it, as often as it comes."""
    found = both(
        [SILENT],
        [
            *inputs([row(97, 0)]),
            Tick(2, at(61)),
            readings([row(97, 70)], seq=3),
            Tick(4, at(129)),
            Tick(5, at(131)),
            readings([row(97, 140)], seq=6),
        ],
    )
    assert [(t.kind, t.at) for t in found] == [
        ("start", at(60)),
        ("end", at(70)),
        ("start", at(130)),
        ("end", at(140)),
    ]
    assert len({t.alarm for t in found}) == 2


def test_loss_of_signal_silent_by_default():
    """The shipped rules tell of it on ward and at home, of a signal that stops and of one that never came."""
    shipped = [r for r in load_rules() if r.id in {"no-data", "no-data-home"}]
    known = {
        "p1": Context(setting="ward", expected={"spo2": 0}),
        "p2": Context(setting="ward", expected={"spo2": 0}),
        "p3": Context(setting="home", expected={"nibp_systolic": 0}),
    }
    start = Configuration(1, 0, None, contexts=known)
    rows: list[Row] = [row(97, 5, patient="p1")]
    found = both(shipped, [start, readings(rows, seq=2), Tick(3, at(7 * 86_400))])
    assert {(t.patient, t.rule) for t in found if t.kind == "start"} == {
        ("p1", "no-data"),
        ("p2", "no-data"),
        ("p3", "no-data-home"),
    }
    assert not any(t.kind == "end" for t in found)


def test_no_data_never_ends_an_alarm():
    """A sensor that falls off, a value too old to count: what was alarming still is."""
    off = Readings(2, at(5), Rows.of([("p1", "d1", "spo2", None, at(5), at(5), 8)]), "gw", at(5))
    found = both([LOW], [*inputs([row(84, 0)]), off, Tick(3, at(100_000))])
    assert kinds(found) == ["start"]


@pytest.mark.parametrize("ways", [1, 2, 3])
def test_duplicates_from_concurrent_alarm_creation(ways: int):
    """The same breach by several gateways, devices and batches at the same time is one alarm."""
    events: list[Input] = []
    for n in range(ways):
        for gateway in ("gw-1", "gw-2"):
            seq = len(events) + 1
            rows = [row(84, 0, device=f"d{n}"), row(83, 1, device=f"d{n}")]
            events.append(readings(rows, seq=seq, source=gateway))
    found = both([LOW], [*events, Tick(99, at(30))])
    assert kinds(found) == ["start"]
    state, _ = play([LOW], events)
    assert len(state.active()) == 1


def test_an_acknowledged_alarm_raised_again_by_the_next_reading():
    """Whoever accepted it keeps it: more of the same is no new alarm, and takes it from nobody."""
    (first,) = inputs([row(84, 0)])
    state, (started,) = step(State.empty("node", RuleSet((LOW,))), first)
    state, _ = step(state, accept(2, started.alarm))
    told: list[str] = []
    for n in range(3, 200):
        state, found = step(state, readings([row(84 - n % 7, n)], seq=n))
        told += kinds(list(found))
    assert set(told) <= {"update"}
    (alarm,) = state.active()
    assert (alarm.id, alarm.accepted_by) == (started.alarm, "usr_1")


def test_acknowledging_one_acknowledges_all():
    both_rules = RuleSet((LOW, make("pulse-high", threshold("pulse_rate", "above", 120, 5))))
    rows = [row(84, 0), ("p1", "d1", "pulse_rate", 140.0, 0.0), row(84, 0, patient="p2")]
    state, started = step(State.empty("node", both_rules), readings(rows))
    assert len(started) == 3
    state, (done,) = step(state, accept(2, started[0].alarm))
    accepted = {a.id: a.accepted_by for a in state.active()}
    assert [a for a, who in accepted.items() if who] == [done.alarm] == [started[0].alarm]


def test_a_new_episode_invisible_until_the_old_is_cleared():
    """It ends, and it comes back: a new alarm, whatever was accepted before and however quickly."""
    events = inputs([row(84, 0)])
    state, (first,) = step(State.empty("node", RuleSet((LOW,))), events[0])
    state, _ = step(state, accept(2, first.alarm))
    state, found = step(state, readings([row(95, 10), row(83, 11)], seq=3))
    assert kinds(list(found)) == ["end", "start"]
    (alarm,) = state.active()
    assert alarm.id != first.alarm
    assert alarm.accepted_by is None
    with pytest.raises(RuleError):
        step(state, accept(4, first.alarm))


def late(value: float, seconds: float, received: float, seq: int = 1) -> Readings:
    table = Rows.of([("p1", "d1", "spo2", value, at(seconds), at(received), 0)])
    return Readings(seq, at(received), table, "gw", at(received))


def test_old_readings_alarm_as_new_without_saying_so():
    """One that comes late is told with both times; one that newer ones have overtaken is no alarm at all."""
    (told,) = both([LOW], [late(84, 0, 1800)])
    assert (told.kind, told.late, told.onset, told.decided) == ("start", True, 0, at(1800))
    assert (told.inputs[0]["time"], told.inputs[0]["received"]) == (0, at(1800))
    (entry,) = both([LOW], [late(97, 1700, 1800), late(84, 0, 1801, seq=2)])
    assert (entry.kind, entry.condition, entry.late) == ("late", "inactive", True)
    (entry,) = both([LOW], [late(84, 0, 3601)])
    assert entry.kind == "late", "beyond the rule's max_lateness: for the worklist, and not silent"


@pytest.mark.parametrize(
    ("rule", "scale", "found", "text"),
    [
        ("news2-single-three", 1, {"spo2": 91}, "NEWS2: 3 points for SpO2 alone (limit ≥ 3)"),
        ("news2-single-three", 2, {"spo2": 97, "supplemental_oxygen": 1}, "NEWS2: 3 points for SpO2 alone"),
        ("news2-single-three", 1, {"spo2": 92}, None),
        ("news2-single-three", 2, {"spo2": 91}, None),
        ("news2-urgent", 1, {"consciousness": 2, "supplemental_oxygen": 1}, "NEWS2 ≥5 (limit ≥ 5)"),
        ("news2-urgent", 1, {"consciousness": 2, "heart_rate": 95}, None),
    ],
)
def test_points_that_newer_readings_have_overtaken_are_for_the_worklist(
    rule: str, scale: int, found: dict[str, float], text: str | None
):
    """The points of what came late are judged by themselves: they are the least that the score was."""

    def rows(values: dict[str, float], seconds: float) -> Rows:
        return Rows.of(("p1", "d", m, float(v), at(seconds), at(1900), 0) for m, v in values.items())

    fit = {"spo2": 97, "supplemental_oxygen": 0, "consciousness": 0, "heart_rate": 70}
    if scale == 2:
        fit["spo2"] = 90
    contexts = {"p1": Context(spo2_scale=scale)}
    told = both(
        [load_rules().by_id[rule]],
        [
            Configuration(2, at(0), None, frozenset(), contexts),
            Readings(3, at(1900), rows(fit, 1890), "gw", at(1900)),
            Readings(4, at(1900), rows(found, 0), "gw", at(1900)),
        ],
    )
    assert [(t.kind, t.at) for t in told] == ([] if text is None else [("late", 0)])
    assert text is None or (told[0].text["en"].startswith(text) and told[0].condition == "inactive")


def test_a_score_tells_of_the_parameter_that_has_the_points_now():
    """What began it may be well again when the delay ends."""

    def measured(seq: int, seconds: float, metric: str, value: float) -> Readings:
        return readings([("p1", "d", metric, value, seconds)], seq=seq)

    (told,) = both(
        [load_rules().by_id["news2-single-three"]],
        [
            measured(1, 0, "spo2", 90),
            measured(2, 60, "consciousness", 2),
            measured(3, 120, "spo2", 97),
            Tick(4, at(300)),
        ],
    )
    assert (told.kind, told.onset, told.at) == ("start", 0, at(300))
    assert told.text["en"] == "NEWS2: 3 points for consciousness alone (limit ≥ 3)"
    assert told.detail["score"]["points"] == {"spo2": 0, "consciousness": 3}


def test_one_episode_is_one_alarm_however_many_readings():
    found = both([LOW], inputs(*([row(80 + n % 9, n)] for n in range(50))))
    assert kinds(found) == ["start"]
    assert episodes(found) == [("p1", "spo2-low", 0, None)]


def test_an_alarm_that_comes_and_goes_at_the_limit_has_hysteresis():
    """Chattering: a value that plays around the limit is one alarm, not a dozen."""
    found = both([LOW], inputs(*([row(89.5 + n % 2 * 0.9, n)] for n in range(40))))
    assert kinds(found) == ["start"]


def test_every_shipped_rule_can_say_what_it_found():
    """No alarm without a text, a limit and a source, in both languages."""
    rules: list[Rule] = list(load_rules())
    for rule in rules:
        assert rule.limit or "{limit}" not in rule.explanation["en"] + rule.cleared["en"]
        assert rule.clinical_source
        assert all(rule.explanation[x] and rule.cleared[x] and rule.title[x] for x in ("en", "zh"))


# -- of what becomes of alarms


def test_no_reminders():
    """What nobody accepts is told again and again; who has accepted is reminded while it lasts."""
    scene = Scene()
    alarm = scene.begin()
    scene.tick(500)
    scene.tick(1000)
    assert [t.detail["why"] for t in scene.told if t.kind == "tell"] == ["timetable"] * 2 + ["repeated"] * 2
    scene.do("accept", 1001, alarm)
    found = [scene.tick(now)[0] for now in (1700, 2300, 3000)]
    assert [(t.kind, t.detail["why"], t.at) for t in found] == [
        ("continue", "reminder", at(1601)),
        ("continue", "reminder", at(2201)),
        ("continue", "reminder", at(2801)),
    ]
    scene.read(3001, spo2=97)
    assert scene.tick(90_000) == []


def test_snooze_broken_by_the_next_reading():
    """A pause lasts until its end, whatever is measured meanwhile; then what is still there signals again."""
    scene = Scene()
    alarm = scene.begin()
    scene.do("pause_audio", 20, alarm, until=130)
    for n in range(21, 130):
        scene.read(n, spo2=80 - n % 9)
        assert scene.answer(alarm).signal == "audio_paused"
    assert "continue" not in scene.kinds
    assert [(t.kind, t.at) for t in scene.tick(131) if t.kind == "continue"] == [("continue", at(130))]
    scene.do("pause_alarms", 140, subject="p", note="washing", until=740)
    before = len(scene.told)
    for n in range(141, 740, 7):
        scene.read(n, spo2=80 - n % 9)
        assert scene.answer(alarm).signal == "alarm_paused"
    assert told(scene.told[before:]) == []
    assert told(scene.tick(741))[0][:2] == ("tell", 740)


INPUT = {"metric": "spo2", "device": "d", "value": 82.0}


def adopt(scene: Scene, alarm: str, now: float, **more: Any) -> list[Transition]:
    scene.seq += 1
    known = {"source": "gw", "inputs": ({**INPUT, "time": at(now), "received": at(now)},), **more}
    return scene.take(
        Adopt(scene.seq, at(now), alarm, "p", "low", at(now - 1), at(now), {"spo2": 82.0}, **known)
    )


def over(scene: Scene, alarm: str, now: float) -> list[Transition]:
    """The gateway says that it has seen a value within the limits."""
    clear = {**INPUT, "time": at(now), "received": at(now), "value": 97.0}
    scene.seq += 1
    event = Adopt(scene.seq, at(now), alarm, "p", "low", at(now), at(now), ended=at(now), cleared=(clear,))
    return scene.take(replace(event, source="gw"))


def test_edge_and_cloud_identities_diverge():
    """Whoever opens the episode names it; the other side's name is another name of the same alarm."""
    scene = Scene()
    (start,) = adopt(scene, "edge-1", 10)
    assert (start.kind, start.alarm, start.onset) == ("start", "edge-1", at(9))
    assert scene.read(11, spo2=80) == [], "the cloud sees the same breach: no second alarm"
    assert [a.id for a in scene.state.active()] == ["edge-1"]

    other = Scene()
    ours = other.begin()
    (merged,) = adopt(other, "edge-2", 12)
    assert (merged.kind, merged.alarm, merged.detail["alias"]) == ("update", ours, "edge-2")
    assert adopt(other, "edge-2", 12) == [], "the same again changes nothing"
    (accepted,) = other.do("accept", 14, "edge-2")
    assert accepted.alarm == ours, "a command by either name is about the one alarm"
    assert [a.id for a in other.state.active()] == [ours]


def test_a_cloud_clear_leaves_the_edge_unable_to_alarm_again():
    scene = Scene()
    adopt(scene, "edge-1", 10)
    assert [t.kind for t in over(scene, "edge-1", 20)] == ["end"]
    assert scene.read(20, spo2=97) == []
    found = adopt(scene, "edge-2", 30)
    assert [(t.kind, t.alarm) for t in found] == [("start", "edge-2")]
    assert told(found) == [("start", 30, {"in_app:wall", "in_app:ann"})]
    with pytest.raises(RuleError):
        scene.do("accept", 31, "edge-1")


def test_a_gateway_that_says_no_more_leaves_no_alarm_for_ever():
    """Readings within the limits end it, once the gateway has had the time to say so itself."""
    scene = Scene()
    adopt(scene, "edge-1", 10)
    assert scene.read(20, spo2=97) == []
    assert [t.kind for t in scene.read(20 + GRACE / SECOND, spo2=97)] == ["end"]
    other = Scene()
    adopt(other, "edge-1", 10, limit="< 95")
    assert [t.kind for t in other.read(20, spo2=97)] == ["end"], "it goes by other limits than ours"


def test_duplicates_when_edge_and_cloud_open_at_the_same_time():
    scene = Scene()
    ours = scene.begin(10)
    for n in range(1, 5):
        adopt(scene, f"edge-{n}", 10 + n)
    assert [t.kind for t in scene.told] == ["start", *["update"] * 4]
    assert set(scene.state.responses.aliases) == {f"edge-{n}" for n in range(1, 5)}
    assert [t.kind for t in over(scene, "edge-4", 20)] == ["end"]
    assert scene.state.responses.aliases == {}
    assert {t.alarm for t in scene.told} == {ours}


def test_an_acknowledged_alarm_is_not_heard_again_for_the_next_reading():
    scene = Scene()
    alarm = scene.begin(spo2=80)
    scene.do("accept", 20, alarm)
    scene.do("acknowledge", 21, alarm)
    for n in range(22, 600):
        assert scene.read(n, spo2=80 + n % 9) == []
        assert scene.answer(alarm).signal == "acknowledged"


def test_acknowledging_one_leaves_the_others_as_they_were():
    scene = Scene()
    alarm, second = scene.begin(), scene.begin(11, heart_rate=150)
    third = scene.begin(12, "q")
    scene.do("accept", 20, alarm)
    scene.do("acknowledge", 21, alarm)
    for other in (second, third):
        answer = scene.answer(other)
        assert (answer.owner, answer.signal) == (None, "on")
    assert {t.alarm for t in scene.tick(80) if t.kind == "tell"} == {second, third}
    scene.read(81, heart_rate=80)
    scene.do("acknowledge", 82, second)
    assert {a.id for a in scene.state.active()} == {alarm, third}


def test_a_new_episode_while_the_old_one_is_latched_is_a_visible_update():
    scene = Scene()
    first = scene.begin(heart_rate=150)
    scene.read(20, heart_rate=80)
    update, start = scene.read(30, heart_rate=160)
    assert (update.kind, update.alarm, update.condition) == ("update", first, "inactive")
    assert update.detail["succeeded_by"] == start.alarm
    assert (start.kind, start.detail["before"], start.detail["episodes"]) == ("start", first, 1)
    assert start.detail["axes"]["since"] == at(10)
    assert told([start]) == [("start", 30, {"in_app:wall", "in_app:ann"})]
    scene.read(40, heart_rate=80)
    _, third = scene.read(50, heart_rate=160)
    assert (third.detail["episodes"], third.detail["axes"]["since"]) == (2, at(10))
    assert len(scene.state.responses.open) == 1


def test_escalation_that_runs_only_when_a_message_arrives():
    """Steps, reminders and the ends of pauses come by ticks alone, each when it is due and not before."""
    scene = Scene()
    alarm = scene.begin()
    for due in (70, 190, 490):
        assert not scene.engine.due(at(due) - 1)
        assert scene.engine.due(at(due))
        assert [t.at for t in scene.tick(due)] == [at(due)]
    scene.do("accept", 500, alarm)
    assert not scene.engine.due(at(1100) - 1)
    assert scene.engine.due(at(1100))


def silence(name: str, metric: str, for_s: float, subject: Any = "patient") -> Rule:
    return make(name, Missing(metric, for_s), kind="technical", subject=subject, max_age_s=1e6)


def test_one_dead_gateway_is_a_dozen_alarms():
    """Only the outermost silence is told; what is under it is shown there, and told if it outlasts it."""
    scene = Scene(silence("no-data", "spo2", 60), silence("gateway-silent", "heartbeat", 30, "gateway"))
    scene.read(0, patient="gateway:gw", device="gw", heartbeat=1)
    scene.read(0, spo2=97)
    found = scene.tick(100)
    starts = {t.rule: t for t in found if t.kind == "start"}
    assert starts["no-data"].detail["axes"]["root"] == starts["gateway-silent"].alarm
    assert {t.rule for t in found if t.detail.get("told")} == {"gateway-silent"}
    scene.tick(199)
    back = scene.read(200, patient="gateway:gw", device="gw", heartbeat=1)
    assert [t.kind for t in back if t.rule == "gateway-silent"] == ["end"]
    assert [(t.kind, t.detail.get("why")) for t in back if t.rule == "no-data"] == [
        ("signal", "root"),
        ("tell", "resumed"),
    ]
    assert [t.kind for t in scene.read(201, spo2=97)] == ["end"], "and it does not stick"


def test_loss_of_signal_that_nobody_is_told_of():
    """Silence escalates as anything else does."""
    scene = Scene(silence("no-data", "spo2", 60))
    scene.read(0, spo2=97)
    (start,) = scene.tick(300)
    assert (start.at, start.decided) == (at(60), at(300))
    assert told(scene.tick(500)) == [("tell", 360, {"sms:ann"}), ("tell", 480, {"voice:doc", "sms:doc"})]


def test_an_old_reading_says_so_in_all_that_is_told_of_it():
    scene = Scene()
    (start,) = scene.read(0, received=1800, spo2=80)
    assert start.late
    assert all(t.late for t in scene.tick(2000))
    assert start.detail["axes"]["next_at"] == at(1860), "its timetable counts from when it could be told"
