"""A week of alarms and a day of messages for the fake ward: what the pages of burden and channels show."""

from __future__ import annotations

import random
from typing import Final

from cloud_ingest.channel_health import Try
from cloud_ingest.channels.fake import FakeChannel
from dashboards.fake_backend import FakeBackend
from dashboards.models import AlarmDetail, AlarmTransition
from hearthward.core.errors import DeliveryPermanent
from hearthward.core.model import Reading

__all__ = ["remember"]

S: Final = 1_000_000_000
DAY: Final = 86_400 * S
ALARMS: Final = 160
RULES: Final = (
    ("spo2-low", "high", "physiological"),
    ("heart-rate-high", "medium", "physiological"),
    ("respiratory-rate-low", "medium", "physiological"),
    ("sensor-off", "low", "technical"),
    ("no-data", "low", "technical"),
)
PUSH_KEY: Final = "BEl62iUYgUivxIkv69yViEuiBIa-Ib9-SkvMeAtA3LFgDzkrxZJjSgSnfckjBJuBkr3qBUYIHBQFLXYp5Nksh8U"
"""A public key of the shape that browsers take; nothing is ever sent with it."""


def remember(backend: FakeBackend, patients: list[str]) -> None:
    """Put them in."""
    _alarms(backend, patients)
    _dips(backend)
    _channels(backend)


def _dips(backend: FakeBackend) -> None:
    """In the last day's readings of six oximeters: falls of the oxygen saturation, most of them short."""
    draw = random.Random(11)
    now = backend.clock.now_ns()
    rows = []
    for n in range(1, 7):
        for hour in range(2, 22, 4):
            start = now - hour * 3600 * S - n * 600 * S
            low = draw.choice((89, 88, 87, 86, 84, 82))
            values = [96, *[low + draw.randrange(2) for _ in range(draw.choice((2, 3, 3, 12)))], 96, 97]
            for k, value in enumerate(values):
                at = start + k * 15 * S
                rows.append(Reading(f"pulse-{n}", "spo2", value, None, None, at, at))
    backend.put_readings("main", rows)


def _alarms(backend: FakeBackend, patients: list[str]) -> None:
    draw = random.Random(7)
    now = backend.clock.now_ns()
    for n in range(ALARMS):
        rule, priority, kind = draw.choices(RULES, (5, 3, 2, 3, 1))[0]
        started = now - round(draw.uniform(0.1, 6.5) * DAY)
        lasted = round(draw.expovariate(1 / 240) * S) + 20 * S
        subject = "device:pulse-3" if rule == "sensor-off" else draw.choice(patients[:8])
        backend.put_alarm(
            "main",
            AlarmDetail(
                id=f"alm_old_{n}",
                patient=subject,
                rule=rule,
                kind=kind,
                priority=priority,
                condition="inactive",
                onset=started,
                started=started,
                ended=started + lasted,
                text={"en": rule, "zh": rule},
                transitions=_lines(draw, started, lasted, priority),
            ),
        )


def _lines(draw: random.Random, started: int, lasted: int, priority: str) -> list[AlarmTransition]:
    lines = [AlarmTransition(kind="start", at=started, priority=priority)]
    wait = round(draw.expovariate(1 / 70) * S)
    if wait > 60 * S:
        told = [["sms", "usr_nurse"]] if wait < 120 * S else [["voice", "usr_doctor"]]
        lines.append(AlarmTransition(kind="tell", at=started + 60 * S, detail={"step": 1, "told": told}))
    if draw.random() < 0.1:
        paused = {"axes": {"signal": "audio_paused"}}
        lines.append(
            AlarmTransition(kind="signal", at=started + 5 * S, actor="usr_nurse", detail=dict(paused))
        )
    if draw.random() < 0.03:
        lines.append(AlarmTransition(kind="undelivered", at=started + 70 * S, actor="@notifier"))
    if wait < lasted:
        lines.append(AlarmTransition(kind="accept", at=started + wait, actor="usr_nurse"))
    return [*lines, AlarmTransition(kind="end", at=started + lasted)]


def _channels(backend: FakeBackend) -> None:
    draw = random.Random(8)
    now = backend.clock.now_ns()
    backend.ways["voice"] = FakeChannel("voice", confirms=True)
    backend.ways["push"] = FakeChannel("push")
    backend.push_public = PUSH_KEY
    backend.contacts["usr_engineer", "sms"] = "+8613800138009"
    backend.contacts["usr_admin", "sms"] = "+8613800138008"

    def times(n: int) -> list[int]:
        return sorted(now - round(draw.uniform(0.05, 0.9) * DAY) for _ in range(n))

    backend.tries["in_app"] = [
        Try(at, "handed_over", "", draw.uniform(1, 6), i) for i, at in enumerate(times(84))
    ]
    backend.tries["sms"] = [
        Try(at, "handed_over", "", draw.lognormvariate(5.8, 0.4), i) for i, at in enumerate(times(31))
    ]
    backend.tries["voice"] = [
        *(Try(at, "handed_over", "", draw.lognormvariate(6.2, 0.3), i) for i, at in enumerate(times(6))),
        Try(now - 1500 * S, "temporary", "the voice service cannot take the message now (503)", 900.0, "a"),
        Try(now - 1380 * S, "failed", "the voice service refuses the credentials (401)", 700.0, "b"),
    ]
    backend.waiting["voice"] = [now - 240 * S, now - 30 * S]
    backend.ways["voice"].broken = DeliveryPermanent("the voice service refuses the credentials (401)")
