"""A new level that has held is told to the rules by a command: they learn it anew, in every replay alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cloud_ingest.inputs import decode_input, encode_input, kind_of
from cloud_ingest.level_watch import ACTOR, HOLDS, Level, LevelWatch
from cloud_ingest.river_faces.drift import EVERY, AdwinLevel
from hearthward.core.errors import RuleError
from hearthward.core.telemetry import Telemetry
from rules import Command, Engine, Input, Readings, Rows, RuleSet, State, Transition, load_rules, step
from rules.rule import SECOND

RULES = RuleSet(tuple(r for r in load_rules() if r.id == "vital-unusual"))
MINUTE = 60 * SECOND
BEFORE, SHIFTED = 600, 400
"""Minutes at the usual level, and at the new one."""


class Counted:
    """A level that holds as long as nothing differs by more than ten from the first value."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def update(self, value: float) -> int:
        self.values.append(value)
        if abs(value - self.values[0]) > 10:
            self.values = [value]
        return len(self.values)


class Bed:
    """One patient under the shipped rule, decided by the engine; ``journal`` has every input."""

    def __init__(self, make: type[Level] | None = None) -> None:
        self.engine = Engine(State.empty("cloud", RULES))
        self.telemetry = Telemetry()
        self.make = make
        self.watch = LevelWatch(lambda: self.engine.state, self.act, self.telemetry, make)
        self.journal: list[Input] = []
        self.told: list[Transition] = []
        self.minute = 0
        self.chance = random.Random(3)

    @property
    def now(self) -> int:
        return (self.minute + 1) * MINUTE

    def take(self, event: Input) -> None:
        self.told += self.engine.step(event)
        self.journal.append(event)

    async def act(self, command: Command) -> None:
        self.take(replace(command, seq=len(self.journal) + 1, now=self.now))

    async def minutes(self, count: int, level: float, *, watched: bool) -> None:
        for _ in range(count):
            self.minute += 1
            value = level + self.chance.choice((-2.0, -1.0, 0.0, 1.0, 2.0))
            rows = Rows.of([("p", "d", "heart_rate", value, self.now, self.now, 0)])
            self.take(Readings(len(self.journal) + 1, self.now, rows, "gw", self.now))
            if watched:
                await self.watch.look()

    def restart(self) -> None:
        """As after a kill: what is left is the rules' state, and nothing of the watch."""
        self.engine = Engine(State.from_bytes(self.engine.state.to_bytes()))
        self.watch = LevelWatch(lambda: self.engine.state, self.act, self.telemetry, self.make)

    def kinds(self) -> Iterator[tuple[str, int]]:
        yield from (
            (t.kind, t.at // MINUTE - BEFORE) for t in self.told if t.kind in {"start", "end", "note"}
        )


async def test_without_it_a_lasting_shift_stays_an_alarm_and_with_it_it_ends_once_it_has_held():
    alone, watched = Bed(), Bed()
    for bed, is_watched in ((alone, False), (watched, True)):
        await bed.minutes(BEFORE, 75.0, watched=is_watched)
        await bed.minutes(SHIFTED, 110.0, watched=is_watched)
    (start,) = alone.kinds()
    assert start[0] == "start"
    assert "p" in alone.engine.state.subjects
    assert len(alone.engine.state.alarms) == 1
    kinds = list(watched.kinds())
    assert [kind for kind, _ in kinds] == ["start", "note", "end"]
    assert HOLDS - 1 <= kinds[1][1] - kinds[0][1] <= 2 * HOLDS
    assert kinds[2][1] - kinds[1][1] <= 17  # 15 minutes clear
    assert watched.telemetry.value("levels_relearned_total", metric="heart_rate") == 1
    note = next(t for t in watched.told if t.kind == "note")
    assert (note.actor, note.detail["why"], note.detail["metric"]) == (None, "relearn", "heart_rate")
    assert [e.actor for e in watched.journal if isinstance(e, Command)] == [ACTOR]
    await watched.minutes(60, 75.0, watched=True)  # and back: that is no news of this kind
    assert len(watched.engine.state.alarms) == 0


async def test_the_journal_alone_gives_the_same_state_by_engine_and_by_reference():
    bed = Bed(Counted)
    await bed.minutes(60, 75.0, watched=True)
    await bed.minutes(HOLDS + 40, 120.0, watched=True)
    assert "relearn" in {e.kind for e in bed.journal if isinstance(e, Command)}
    engine, scalar = Engine(State.empty("cloud", RULES)), State.empty("cloud", RULES)
    for event in bed.journal:
        again = decode_input(event.seq, kind_of(event), encode_input(event))
        engine.step(again)
        scalar, _ = step(scalar, again)
    assert engine.state.digest() == scalar.digest() == bed.engine.state.digest()


@pytest.mark.parametrize("every", [None, 1, 7, 50])
async def test_restarts_change_no_decision(every: int | None):
    bed = Bed(AdwinLevel)
    await bed.minutes(300, 75.0, watched=True)
    for n in range(HOLDS + 60):
        if every and n % every == 0:
            bed.restart()
        await bed.minutes(1, 110.0, watched=True)
    kinds = [(kind, minute - 300 + BEFORE) for kind, minute in bed.kinds()]
    assert kinds == [("start", 2), ("note", HOLDS + 2), ("end", HOLDS + 18)]
    assert bed.telemetry.value("levels_relearned_total", metric="heart_rate") == 1


async def test_a_level_that_goes_on_rising_is_not_one_that_has_held():
    bed = Bed(AdwinLevel)
    await bed.minutes(120, 75.0, watched=True)
    for n in range(3 * HOLDS):
        await bed.minutes(1, 105.0 + n / 10, watched=True)
    assert "note" not in dict(bed.kinds())


async def test_what_returns_is_never_taken_for_usual():
    bed = Bed(Counted)
    await bed.minutes(120, 75.0, watched=True)
    for _ in range(4):
        await bed.minutes(HOLDS - 20, 110.0, watched=True)
        await bed.minutes(30, 75.0, watched=True)
    assert "note" not in dict(bed.kinds())


async def test_a_refusal_is_borne_and_an_alarm_that_is_over_is_forgotten():
    bed = Bed(Counted)

    async def refuse(_command: Command) -> None:
        msg = "no active alarm"
        raise RuleError(msg)

    bed.watch = LevelWatch(lambda: bed.engine.state, refuse, bed.telemetry, Counted)
    await bed.minutes(60, 75.0, watched=True)
    await bed.minutes(HOLDS + 10, 120.0, watched=True)
    assert bed.telemetry.value("levels_relearned_total", metric="heart_rate") == 0
    assert bed.watch._seen
    await bed.minutes(30, 75.0, watched=True)
    assert not bed.watch._seen


async def test_without_river_it_ends_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr("cloud_ingest.level_watch.import_module", missing)
    monkeypatch.setattr("cloud_ingest.level_watch.EVERY_S", 0.0)
    bed = Bed()
    await bed.minutes(60, 75.0, watched=False)
    await bed.minutes(5, 120.0, watched=False)
    await bed.watch.run()  # it returns
    assert "river is not installed" in caplog.text


def test_what_is_kept_is_looked_at_to_the_last():
    assert HOLDS % EVERY == 0


def test_rivers_window_is_as_long_as_the_level_has_held():
    chance, level = random.Random(1), AdwinLevel()
    lengths = [level.update(chance.gauss(0.0, 2.0)) for _ in range(200)]
    lengths += [level.update(chance.gauss(30.0, 2.0)) for _ in range(300)]
    assert lengths[199] == 200
    assert 200 < lengths[-1] < 360
