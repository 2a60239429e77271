"""What the fake ward's devices need: findings of most kinds, days, frames, work orders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cloud_ingest.device_health.sums import DAY_NS, DaySums, SignalDay, SignalName, day_of
from dashboards.fleet_models import FindingView, FrameValue, FrameView, OrderNote, WorkOrder
from hearthward.core.raw_frames import FieldPart, RawFrame, RawFrames

if TYPE_CHECKING:
    from tests.e2e.fake_ward import Ward

S = 1_000_000_000
DAYS = 60
FINDING = "fnd_1"
ORDER = "wo_1"
FOUND = (
    ("battery", "Battery at 12 %: lasts about 9 days (6 to 13)", "电池电量 12%: 约可用 9 天 (6 至 13 天)"),
    ("link", "Heard at -91 dBm, 14 dB weaker than a month ago", "信号 -91 dBm, 比一个月前弱 14 dB"),
    ("dropouts", "Link lost 41 times in 120 h of use", "使用 120 小时内断开 41 次"),
    ("temperature", "Temperature rises by 0.4 °C a day", "温度每天上升 0.4 °C"),
    ("calibration", "Calibration was due on 2026-10-01", "校准已于 2026-10-01 到期"),
    (
        "service",
        "Service is due in about 12 days (9 to 17): used 1880 of 2000 h since 2026-02-01, 10 h a day",
        "约 12 天后（9 至 17 天）保养到期：自 2026-02-01 起已使用 1880 小时，间隔 2000 小时",  # noqa: RUF001 - Chinese punctuation
    ),
    ("firmware", "Firmware 1.0; 9 of its like have 1.2", "固件为 1.0; 同类设备中有 9 台为 1.2"),
)
EVIDENCE = {"level": 12.0, "days": 31, "since": "2026-10-20", "left": 9.0, "cause": "out_of_range"}


def furnish(ward: Ward) -> None:
    """One device with all of it, and a finding each for five others."""
    backend, now = ward.backend, ward.clock.now_ns()
    for n, (kind, en, zh) in enumerate(FOUND, 1):
        finding = FindingView(
            id=f"fnd_{n}",
            device=f"heart-{n}",
            kind=kind,
            evidence=EVIDENCE,
            confidence=0.99 - n / 20,
            proposed=now + n * DAY_NS,
            text={"en": en, "zh": zh},
            opened=now - n * DAY_NS,
            seen=now,
            acknowledged_at=now if n == 2 else None,
            acknowledged_by="Li Na" if n == 2 else None,
            work_order={3: ORDER, 6: "wo_3"}.get(n),
        )
        backend.put_finding("main", finding)
        left = {"days_left": 9.0, "days_left_low": 6.0, "days_left_high": 13.0} if n == 1 else {}
        backend.put_device_facts(
            "main",
            f"heart-{n}",
            last_seen=now - n * S,
            firmware="1.0",
            rssi=-60.0 - n,
            battery=12.0 * n,
            clock_skew_s=0.3 * n,
            hours_of_use=100 * n,
            **left,
        )
        days(ward, f"heart-{n}", n)
    frames(ward, now)
    looked_at(ward, now)
    orders(ward, now)


def days(ward: Ward, device: str, n: int) -> None:
    """Sixty days, each worse for the later devices."""
    today = day_of(ward.clock.now_ns())
    for ago in range(DAYS, -1, -1):
        signals: dict[SignalName, SignalDay] = {
            "battery": one(12 + ago * 1.2),
            "rssi": one(-62 - 6 * math.sin(ago / 5)),
            "temperature": one(31 + (DAYS - ago) / 20),
            "voltage": one(2.9 + ago / 400),
        }
        sums = DaySums(
            device,
            today - ago,
            hours=(1 << (18 - n)) - 1,
            span=20,
            stored=4000,
            rejected=60 * n,
            repeated=4 * n,
            late=20 * n,
            dropouts=(ago * n) % 7,
            doubts={
                "suspect": 50 * n,
                "bad": 9,
                "implausible": 40 * n,
                "jump": 30 * n,
                "flat": 10,
                "disagrees": 21,
            },
            signals=signals,
        )
        ward.backend.put_device_day("main", sums)


def one(value: float) -> SignalDay:
    return SignalDay(24, value, value - 1, value + 1, value)


def frames(ward: Ward, now: int) -> None:
    """Two frames of a patient's values and one of the device's own."""
    pulse = FrameValue(metric="heart_rate", value=71, unit="/min")
    own = FrameValue(metric="battery_level", value=12, unit="%")
    found = [
        FrameView(received=now - n * S, measured=now - n * S, hex=text, values=[value])
        for n, (text, value) in enumerate((("00 47", pulse), ("0c", own), ("00 48", pulse)))
    ]
    ward.backend.put_frames("main", "heart-1", found)


def looked_at(ward: Ward, now: int) -> None:
    """The engineer looks at a device's bytes: one frame that was read, one that was refused."""
    ward.backend._watch_book("main").open("gw-1", "heart-1", "usr_engineer", 300)
    rate = FieldPart("rate", 1, 1, "71", "/min", "heart_rate")
    read = RawFrame(
        1, now, "2a37", b"\x00\x47", 2, "sig-heart-rate", fields=(FieldPart("flags", 0, 1, "0"), rate)
    )
    cut = RawFrame(2, now, "2a37", b"\x01", 1, "sig-heart-rate", "truncated", "one byte of three")
    ward.backend.put_raw_frames("main", RawFrames("gw-1", "s", "heart-1", now, 300, (read, cut), missed=2))


def orders(ward: Ward, now: int) -> None:
    """One that a rule opened and that is late, one of a person's that is done."""
    rule = WorkOrder(
        id=ORDER,
        device="heart-3",
        kind="dropouts",
        finding="fnd_3",
        text={"en": FOUND[2][1], "zh": FOUND[2][2]},
        state="open",
        due=now - DAY_NS,
        opened=now - 3 * DAY_NS,
        notes=[OrderNote(at=now - 3 * DAY_NS, by="", do="open")],
    )
    done = WorkOrder(
        id="wo_2",
        device="heart-1",
        kind="other",
        text={"en": "Strap is torn", "zh": "Strap is torn"},
        state="done",
        opened=now - 9 * DAY_NS,
        opened_by="Engineer",
        assignee="usr_engineer",
        assignee_name="Engineer",
        assigned=now - 9 * DAY_NS,
        done=now - 8 * DAY_NS,
        done_by="Engineer",
        notes=[
            OrderNote(at=now - 9 * DAY_NS, by="Engineer", do="open"),
            OrderNote(at=now - 8 * DAY_NS, by="Engineer", do="done", text="New strap"),
        ],
    )
    service = WorkOrder(
        id="wo_3",
        device="heart-6",
        kind="service",
        finding="fnd_6",
        text={"en": FOUND[5][1], "zh": FOUND[5][2]},
        state="assigned",
        due=now + 9 * DAY_NS,
        opened=now - 2 * DAY_NS,
        assignee="usr_li",
        assignee_name="Li Na",
        assigned=now - DAY_NS,
        notes=[
            OrderNote(at=now - 2 * DAY_NS, by="", do="open"),
            OrderNote(at=now - 2 * DAY_NS, by="Engineer", do="assign", text="Engineer"),
            OrderNote(at=now - DAY_NS, by="Li Na", do="take", text="Li Na", before="Engineer"),
        ],
    )
    for order in (rule, done, service):
        ward.backend.put_work_order("main", order)
