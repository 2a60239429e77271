"""Words that texts of alarms take their fields from, in English and Simplified Chinese."""

from __future__ import annotations

from typing import Final

__all__ = ["CLOSED", "FLAG_TEXT", "NOT_APPLICABLE", "PARAMETER_TEXT", "WITHDRAWN", "duration"]

FLAG_TEXT: Final[dict[str, dict[str, str]]] = {
    "sensor_off": {"en": "sensor off", "zh": "传感器脱落"},
    "poor_signal": {"en": "poor signal", "zh": "信号差"},
    "motion": {"en": "motion", "zh": "运动干扰"},
    "clock_unset": {"en": "clock not set", "zh": "时钟未设置"},
    "future": {"en": "reading dated in the future", "zh": "读数时间在未来"},
    "out_of_range": {"en": "out of the device's range", "zh": "超出设备量程"},
}
PARAMETER_TEXT: Final[dict[str, dict[str, str]]] = {
    "respiratory_rate": {"en": "respiratory rate", "zh": "呼吸频率"},
    "spo2": {"en": "SpO2", "zh": "血氧"},
    "supplemental_oxygen": {"en": "oxygen", "zh": "吸氧"},
    "systolic": {"en": "systolic BP", "zh": "收缩压"},
    "pulse": {"en": "pulse", "zh": "脉搏"},
    "consciousness": {"en": "consciousness", "zh": "意识"},
    "temperature": {"en": "temperature", "zh": "体温"},
}
WITHDRAWN: Final = {"en": "Ended: the rule is no longer in force", "zh": "报警结束 (规则已停用)"}
NOT_APPLICABLE: Final = {
    "en": "Ended: the rule does not apply to this patient any more",
    "zh": "报警结束 (规则不再适用于该患者)",
}
CLOSED: Final = {"en": "Ended: the patient's stay is closed", "zh": "报警结束 (患者已离院)"}
_UNITS: Final = (("d", "天", 86_400), ("h", "小时", 3600), ("min", "分钟", 60))


def duration(seconds: float) -> dict[str, str]:
    """A duration in the largest unit of which there is one: ``3 min``."""
    for en, zh, size in _UNITS:
        if seconds >= size:
            return {"en": f"{seconds / size:.0f} {en}", "zh": f"{seconds / size:.0f} {zh}"}
    return {"en": f"{seconds:.0f} s", "zh": f"{seconds:.0f} 秒"}
