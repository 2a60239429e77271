"""Alarms of the fake ward in every state that people deal with."""

from __future__ import annotations

from typing import Any

from dashboards.models import AlarmTransition, Delivery
from dashboards.response_models import Act

S = 1_000_000_000


async def furnish(ward: Any) -> None:
    """Alarms in all states that people deal with, and what is switched off."""
    now = ward.clock.now_ns()
    step = {"axes": {"signal": "on"}, "told": [["sms", "usr_nurse"]], "step": 1, "of": 3, "why": "timetable"}
    ward.alarm(
        *("alm_1", 2, "high", "SpO2 84 < 90", "血氧 84 < 90", 102),
        next_at=now + 78 * S,
        next_to=["Dr Weber"],
        step=2,
        rejected=["Li Na"],
        transitions=[
            AlarmTransition(kind="start", at=now - 92 * S, detail={"told": [["in_app", "wall"]], "axes": {}}),
            AlarmTransition(kind="tell", at=now - 62 * S, detail=step),
            AlarmTransition(
                kind="reject", at=now - 40 * S, actor="usr_nurse", note="with bed 7", detail=step
            ),
        ],
        deliveries=[
            Delivery(channel="in_app", recipient="wall", state="handed_over", at=now - 92 * S, latency_ms=2),
            Delivery(
                channel="sms",
                recipient="usr_nurse",
                state="failed",
                at=now - 61 * S,
                latency_ms=812,
                reason="HTTP 503",
            ),
            Delivery(
                channel="sms",
                recipient="usr_nurse",
                state="handed_over",
                attempt=2,
                at=now - 58 * S,
                latency_ms=640,
            ),
        ],
    )
    ward.alarm("alm_2", ward.beds, "high", "BP 186/92 >= 180", "血压 186/92 >= 180", 605, "usr_nurse")
    ward.alarm(
        *("alm_3", 5, "medium", "Heart rate 128 > 120", "心率 128 > 120", 95),
        signal="audio_paused",
        signal_until=now + 112 * S,
        next_at=now + 25 * S,
        next_to=["Li Na", "Dr Weber"],
    )
    ward.alarm(
        *("alm_4", 1, "medium", "SpO2 88 < 90", "血氧 88 < 90", 700),
        condition="latched",
        ended=now - 300 * S,
        episodes=2,
        since=now - 9000 * S,
    )
    ward.alarm("alm_5", 6, "low", "Respiratory rate 22 > 20", "呼吸 22 > 20", 310)
    act = Act("pause_alarms", "usr_nurse", note="in the shower", until=now + 1500 * S)
    await ward.backend.switch(ward.scope, ward.patients[6], act)
    act = Act("maintenance", "usr_engineer", note="new battery", until=now + 7200 * S)
    await ward.backend.switch(ward.scope, "device:heart-1", act)
    ward.alarm(
        *("alm_6", 0, "high", "Gateway gw-1: no word for 30 s", "网关 gw-1: 30 秒无消息", 60),
        patient="gateway:gw-1",
        kind="technical",
        rule="gateway-silent",
        next_at=now + 240 * S,
        next_to=["wall"],
    )
    for n in (3, 4):
        ward.alarm(
            *(f"alm_7{n}", n, "medium", "No heart rate for 60 s", "60 秒无心率", 50),
            kind="technical",
            rule="no-data-ward",
            root="alm_6",
        )
