"""What a calendar, a clock or a comparison of versions says: calibration, silence, firmware behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from re import findall
from typing import Final

from cloud_ingest.device_health.findings import Finding, date_of
from cloud_ingest.device_health.hours import SHORT, ByHours, due_text
from cloud_ingest.device_health.sums import DAY_NS, day_of
from hearthward.core.device_states import Cause

__all__ = ["calibration_finding", "firmware_finding", "offline_finding", "version_of"]

NOTICE_DAYS: Final = 30
"""A calibration is arranged within a month."""
SILENT_NS: Final = DAY_NS
"""A device in use that has not been heard for a day; shorter silences are alarms' matter."""
MISSED: Final = 3
"""... and of one that measures seldom three times its interval."""
UNSURE: Final = 0.7
FEWEST_NEWER: Final = 2
"""So many of its kind run the newer firmware: a single one may be on trial."""
FIRMWARE: Final = 0.9
"""Not all that is newer is for every device of a profile."""
ROLL_OUT_DAYS: Final = 90
"""A quarter: longer than others try it out, and no device is left two releases behind."""


def calibration_finding(
    calibrated: int, every_days: int, today: int, used: ByHours | None = None
) -> Finding | None:
    """Due, or within the notice; ``calibrated`` is UTC ns. By hours of use, too, where ``used`` has them.

    What comes first counts. The next calibration has findings of its own, and so work orders.
    """
    due, about = day_of(calibrated) + every_days, date_of(day_of(calibrated))
    soon = used is not None and used.soon and used.due is not None
    if today < due - min(NOTICE_DAYS, every_days // SHORT) and not soon:
        return None
    evidence: dict[str, float | int | str] = {
        "calibrated": about,
        "due": date_of(due),
        "every_days": every_days,
    }
    if used is not None:
        evidence |= used.evidence
        if soon and used.due is not None and used.due < due:
            text = due_text(used, calibrated, {"en": "Calibration", "zh": "校准"})
            return Finding("calibration", evidence, used.confidence, text, used.due * DAY_NS, about)
    over = today > due
    text = {
        "en": f"Calibration {'was' if over else 'is'} due on {date_of(due)}",
        "zh": f"校准{'已于' if over else '应于'} {date_of(due)} 到期",
    }
    return Finding("calibration", evidence, 1.0, text, due * DAY_NS, about)


def offline_finding(
    last_seen: int | None, worn: int, interval_s: float | None, cause: str, now: int
) -> Finding | None:
    """A device that somebody has on since ``worn`` and that is silent for too long; times are UTC ns.

    Of one whose interval nobody knows it is not sure: a cuff may be used once a week. Nor of one whose
    gateway is away: it is the gateway that needs somebody, not each of its devices.
    """
    heard = max(worn, last_seen or 0)
    allowed = max(SILENT_NS, round(MISSED * (interval_s or 0.0) * 1e9))
    if now - heard <= allowed:
        return None
    days = (now - heard) // DAY_NS
    evidence: dict[str, float | int | str] = {"days": days, "since": date_of(day_of(heard)), "cause": cause}
    if last_seen is None or last_seen < worn:
        text = {"en": f"Not heard since it was put on somebody on {date_of(day_of(heard))}", "zh": ""}
        text["zh"] = f"自 {date_of(day_of(heard))} 给患者使用以来未收到数据"
    else:
        text = {
            "en": f"Not heard since {date_of(day_of(heard))}",
            "zh": f"自 {date_of(day_of(heard))} 起未收到数据",
        }
    unsure = interval_s is None or cause == Cause.GATEWAY_OFFLINE
    return Finding("offline", evidence, UNSURE if unsure else 1.0, text, proposed=day_of(now) * DAY_NS)


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version, ``V1.02b3`` -> (1, 2, 3); empty: it has none."""
    return tuple(int(number) for number in findall(r"\d{1,9}", text))[:6]


def firmware_finding(own: str, peers: Collection[str], today: int) -> Finding | None:
    """Whether several others of the same profile run a newer one; None: not known, or none."""
    mine = version_of(own)
    newer = [v for v in peers if mine and version_of(v) > mine and len(version_of(v)) == len(mine)]
    counts = Counter(newer)
    known = [v for v in counts if counts[v] >= FEWEST_NEWER]
    if not known:
        return None
    newest = max(known, key=version_of)
    evidence: dict[str, float | int | str] = {"own": own, "newest": newest, "devices": counts[newest]}
    text = {
        "en": f"Firmware {own}; {counts[newest]} others of its kind run {newest}",
        "zh": f"固件为 {own}；同类设备中有 {counts[newest]} 台为 {newest}",  # noqa: RUF001 - Chinese punctuation
    }
    return Finding("firmware", evidence, FIRMWARE, text, proposed=(today + ROLL_OUT_DAYS) * DAY_NS)
