from __future__ import annotations

from dataclasses import replace

import pytest

from rules.response.duty import NOBODY, Assignment, Duty, Person, Shift, Team, channel_of, duty_of, wall_of
from rules.response.policy import Step, Target
from tests.unit.rules.made import at

ALL = ("in_app", "push", "sms")
HOUR = 3600


def person(name: str, *roles: str, wards: tuple[str, ...] | None = ("west",), **more: object) -> Person:
    fields = {"channels": ALL, "patient": None, **more}
    return Person(name, name.title(), roles, wards, **fields)  # type: ignore[arg-type]


PEOPLE = {
    p.id: p
    for p in (
        person("ann", "nurse"),
        person("bea", "nurse"),
        person("cho", "nurse", channels=("in_app",)),
        person("doc", "doctor", wards=None),
        person("eng", "engineer", wards=None),
        person("far", "nurse", wards=("east",)),
        person("pat", "patient", wards=(), patient="p1"),
    )
}
DUTY = Duty(
    people=PEOPLE,
    shifts=(
        Shift("ann", "nurse", "west", at(0), at(8 * HOUR)),
        Shift("bea", "nurse", "west", at(8 * HOUR), at(16 * HOUR)),
        Shift("cho", "charge", "west", at(0), at(16 * HOUR)),
        Shift("doc", "doctor", None, at(0), at(24 * HOUR)),
        Shift("gone", "nurse", "west", at(0), at(24 * HOUR)),
    ),
    scheduled=frozenset({"west"}),
    teams={"blue": Team("blue", ("ann", "bea", "gone"))},
    assignments=(
        Assignment("p1", "ann", None, at(0), at(100 * HOUR)),
        Assignment("p1", None, "blue", at(0), at(100 * HOUR)),
        Assignment("p2", None, "blue", at(0), at(4 * HOUR)),
    ),
    patients={"p1": "west", "p2": "west", "p3": "east", "p4": None},
    gateways={"gw": "west", "gx": None},
    devices={"d1": ("gw", "p1"), "d2": ("gx", "p3"), "d3": ("gw", None)},
    channels=("in_app", "push", "sms", "webhook"),
    endpoints={"sms": ("number-1",), "webhook": ("pager",), "email": ("desk",)},
)


def named(target: Target, subject: str = "p1", hours: float = 1, *audience: str) -> list[str]:
    return DUTY.named(target, subject, at(hours * HOUR), frozenset(audience))


def told(
    targets: list[Target], channels: list[str], subject: str = "p1", hours: float = 1, **more: object
) -> set[tuple[str, str]]:
    step = Step(0.0, tuple(targets), tuple(channels))
    found = DUTY.recipients(step, subject, at(hours * HOUR), **more)  # type: ignore[arg-type]
    assert len(set(found)) == len(found), "nobody twice"
    return set(found)


def test_who_is_on_duty_is_who_has_the_shift_at_that_moment():
    assert DUTY.on_duty("west", "nurse", at(8 * HOUR) - 1) == ["ann"]
    assert DUTY.on_duty("west", "nurse", at(8 * HOUR)) == ["bea"]
    assert DUTY.on_duty("west", "nurse", at(16 * HOUR)) == [], "a hole in the schedule is nobody, not anybody"
    assert DUTY.on_duty("west", "doctor", at(20 * HOUR)) == ["doc"], "a shift without a ward is for all"
    assert DUTY.on_duty("west", "charge", at(0)) == ["cho"]


def test_who_comes_on_first_is_named_first():
    shifts = (Shift("bea", "nurse", "w", 0, 9), Shift("ann", "nurse", "w", 3, 9))
    duty = Duty(people=PEOPLE, shifts=shifts, scheduled=frozenset({"w"}))
    assert duty.on_duty("w", "nurse", 5) == ["bea", "ann"]


def test_where_there_is_no_schedule_all_of_the_ward_are_on_duty():
    assert DUTY.on_duty("east", "nurse", at(0)) == ["far"]
    assert DUTY.on_duty("east", "doctor", at(99 * HOUR)) == ["doc"]
    assert DUTY.on_duty(None, "nurse", at(0)) == ["ann"], "what is in no ward: whoever is on duty anywhere"
    assert DUTY.on_duty(None, "nurse", at(99 * HOUR)) == ["ann", "bea", "cho", "far"], (
        "rather all than nobody"
    )


def test_who_is_on_call_for_the_whole_house_is_told_of_what_is_in_no_ward():
    shifts = (Shift("eng", "engineer", None, at(0), at(8 * HOUR)),)
    duty = Duty(people=PEOPLE | {"two": person("two", "engineer", wards=None)}, shifts=shifts)
    assert duty.on_duty(None, "engineer", at(1)) == ["eng"]
    assert duty.on_duty("east", "engineer", at(1)) == ["eng"], "a ward without a schedule, too"
    assert duty.on_duty(None, "engineer", at(9 * HOUR)) == ["eng", "two"]


@pytest.mark.parametrize(
    ("subject", "hours", "expected"),
    [
        ("p1", 1, ["ann"]),  # assigned by name
        ("p1", 9, ["bea"]),  # ann has gone home: the ward's nurses on duty
        ("p1", 17, []),  # nobody there at all
        ("p2", 1, ["ann"]),  # of the team only who is there
        ("p2", 5, ["ann"]),  # the assignment has ended: the ward's nurses
        ("p3", 1, ["far"]),  # nobody assigned
        ("p4", 1, ["ann"]),
        ("device:d1", 1, ["ann"]),  # nobody is assigned to a device: its ward's nurses
    ],
)
def test_an_alarm_goes_to_who_looks_after_the_patient_or_else_to_the_wards_nurses(
    subject: str, hours: float, expected: list[str]
):
    assert named(Target("assigned"), subject, hours) == expected


def test_who_looked_after_a_patient_in_another_ward_is_not_told_of_them_here():
    moved = replace(DUTY, patients={**DUTY.patients, "p1": "east"})  # east has no schedule
    assert moved.named(Target("assigned"), "p1", at(HOUR)) == ["far"]
    assert moved.named(Target("team"), "p1", at(HOUR)) == []


def test_the_other_targets():
    assert named(Target("team")) == ["ann"], "only those who are there"
    assert named(Target("team"), "p2", 5) == []
    assert named(Target("on_duty", role="charge")) == ["cho"]
    assert named(Target("on_duty", role="engineer"), hours=1) == []
    assert named(Target("user", user="eng")) == ["eng"], "on duty or not"
    assert named(Target("user", user="nobody")) == []
    assert named(Target("wall")) == named(Target("endpoints")) == []


def test_a_patient_is_told_only_what_is_meant_for_patients():
    assert named(Target("patient"), "p1", 1, "nurse") == []
    assert named(Target("patient"), "p1", 1, "nurse", "patient") == ["pat"]
    assert named(Target("patient"), "p2", 1, "patient") == []


def test_a_relative_is_told_of_nothing_whatever_the_duty_holds():
    relative = person("rel", "family", wards=None, patient="p1")
    duty = replace(DUTY, people={**PEOPLE, "rel": relative})
    step = Step(0.0, (Target("patient"), Target("user", user="rel")), ALL)
    told = duty.recipients(step, "p1", at(HOUR), audience=("patient",))
    assert set(told) == {(channel, "pat") for channel in ALL}
    assert not duty.may_know(relative, "p1")


def test_a_step_tells_each_by_what_they_can_be_reached_by():
    assert told([Target("wall"), Target("assigned"), Target("on_duty", "charge")], ["in_app", "sms"]) == {
        ("in_app", "wall"),
        ("in_app", "ann"),
        ("sms", "ann"),
        ("in_app", "cho"),
    }


def test_a_person_meant_twice_is_told_once():
    both = [Target("assigned"), Target("on_duty", "nurse"), Target("team")]
    assert told(both, ["sms"]) == {("sms", "ann")}


def test_endpoints_are_told_by_the_channels_that_name_them():
    found = told([Target("endpoints")], ["in_app", "sms", "webhook", "email", "voice"])
    assert found == {("sms", "@number-1"), ("webhook", "@pager")}, "e-mail is not set up here"


def test_dead_channels_and_missing_walls_are_left_out():
    step = [Target("wall"), Target("assigned")]
    assert told(step, ["in_app", "sms"], dead=frozenset({"sms"})) == {("in_app", "wall"), ("in_app", "ann")}
    assert told(step, ["in_app"], wall=False) == {("in_app", "ann")}
    assert told(step, ["voice"]) == set(), "no such channel is set up"


def test_a_hole_in_the_schedule_is_told_to_nobody_and_so_to_the_next():
    assert told([Target("assigned"), Target("on_duty", "nurse")], ["in_app", "sms"], hours=17) == set()


@pytest.mark.parametrize(
    ("subject", "ward"),
    [
        ("p1", "west"),
        ("p4", None),
        ("unknown", None),
        ("gateway:gw", "west"),
        ("gateway:gx", None),
        ("device:d1", "west"),
        ("device:d2", "east"),  # the patient's ward, as its gateway has none
        ("device:d3", "west"),  # of nobody: the gateway's
        ("device:unknown", None),
        (wall_of("west"), "west"),
        (duty_of("west"), "west"),
        ("component:flood-west", "west"),
        (channel_of("sms"), None),
        ("component:ingest", None),
    ],
)
def test_everything_belongs_to_a_ward_or_to_none(subject: str, ward: str | None):
    assert DUTY.ward_of(subject) == ward


def test_what_a_silence_may_be_the_fault_of():
    assert DUTY.gateways_of("p1", ()) == {"gw"}
    assert DUTY.gateways_of("p1", ("d2",)) == {"gx"}, "the devices that the alarm rests on"
    assert DUTY.gateways_of("p1", ("unknown",)) == {"gw"}
    assert DUTY.gateways_of("device:d2", ()) == {"gx"}
    assert DUTY.gateways_of("gateway:gw", ()) == DUTY.gateways_of("p4", ()) == frozenset()


def test_it_goes_through_plain_data_and_back():
    from rules.response.policies import load_policies

    duty = Duty.of(DUTY.content())
    assert duty == DUTY
    assert Duty.of(NOBODY.content()) == NOBODY
    full = Duty(policies=load_policies())
    assert Duty.of(full.content()).content() == full.content()
    assert Duty.of(full.content()) == full
