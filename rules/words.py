"""Words that texts of alarms take their fields from, in English and Simplified Chinese."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CLOSED",
    "CODE_TEXT",
    "FLAG_TEXT",
    "INVALID",
    "NOT_APPLICABLE",
    "PARAMETER_TEXT",
    "REASON_TEXT",
    "SIGNAL_TEXT",
    "SOURCE_TEXT",
    "UNDATED",
    "WITHDRAWN",
    "duration",
    "followed",
    "skewed",
]

FLAG_TEXT: Final[dict[str, dict[str, str]]] = {
    "sensor_off": {"en": "sensor off", "zh": "传感器脱落"},
    "poor_signal": {"en": "poor signal", "zh": "信号差"},
    "motion": {"en": "motion", "zh": "运动干扰"},
    "clock_unset": {"en": "clock not set", "zh": "时钟未设置"},
    "clock_wrong": {"en": "clock wrong", "zh": "时钟不准"},
    "future": {"en": "reading dated in the future", "zh": "读数时间在未来"},
    "out_of_range": {"en": "out of the device's range", "zh": "超出设备量程"},
    "suspect": {"en": "value in doubt", "zh": "数值可疑"},
    "bad": {"en": "not a measurement", "zh": "非有效测量"},
    "impossible": {"en": "a value that cannot be", "zh": "数值不可能"},
    "dropout": {"en": "signal lost, zeros instead of values", "zh": "信号丢失 (数值为零)"},
    "zero": {"en": "zero: no signal, or the patient's state", "zh": "零值 (无信号或病情所致)"},
    "jump": {"en": "sudden jump", "zh": "数值突变"},
    "spikes": {"en": "jumps away and back again and again", "zh": "反复跳变"},
    "flat": {"en": "the same value for too long", "zh": "数值长时间不变"},
    "disagrees": {"en": "does not agree with another signal", "zh": "与其他信号不一致"},
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
REASON_TEXT: Final[dict[str, dict[str, str]]] = {
    **{name: text for name, text in PARAMETER_TEXT.items() if name != "supplemental_oxygen"},
    "diastolic": {"en": "diastolic BP", "zh": "舒张压"},
    "mean_pressure": {"en": "mean BP", "zh": "平均压"},
    "news2": {"en": "NEWS2 points", "zh": "NEWS2 得分"},
}
"""What a learned risk may be made of."""
SIGNAL_TEXT: Final[dict[str, dict[str, str]]] = {
    "detector:deterioration": {"en": "risk of deterioration", "zh": "病情恶化风险"},
    "heart_rate": {"en": "heart rate", "zh": "心率"},
    "pulse_rate": {"en": "pulse rate", "zh": "脉率"},
    "spo2": {"en": "SpO2", "zh": "血氧"},
    "respiratory_rate": {"en": "respiratory rate", "zh": "呼吸频率"},
    "nibp_systolic": {"en": "systolic BP (cuff)", "zh": "收缩压 (袖带)"},
    "nibp_diastolic": {"en": "diastolic BP (cuff)", "zh": "舒张压 (袖带)"},
    "nibp_mean": {"en": "mean BP (cuff)", "zh": "平均压 (袖带)"},
    "ibp_systolic": {"en": "systolic BP (line)", "zh": "收缩压 (有创)"},
    "ibp_diastolic": {"en": "diastolic BP (line)", "zh": "舒张压 (有创)"},
    "ibp_mean": {"en": "mean BP (line)", "zh": "平均压 (有创)"},
    "body_temperature": {"en": "body temperature", "zh": "体温"},
    "blood_glucose": {"en": "blood glucose", "zh": "血糖"},
    "interstitial_glucose": {"en": "interstitial glucose", "zh": "组织间葡萄糖"},
    "body_weight": {"en": "body weight", "zh": "体重"},
    "etco2": {"en": "etCO2", "zh": "呼气末二氧化碳"},
    "battery_level": {"en": "battery level", "zh": "电池电量"},
    "clock_skew": {"en": "clock is ahead by", "zh": "时钟快"},
    "battery_state": {"en": "battery state", "zh": "电池状态"},
    "pleth_variability": {"en": "PVI", "zh": "脉搏波变异指数"},
    "hemoglobin": {"en": "SpHb", "zh": "血红蛋白"},
    "carboxyhemoglobin": {"en": "SpCO", "zh": "碳氧血红蛋白"},
    "methemoglobin": {"en": "SpMet", "zh": "高铁血红蛋白"},
    "perfusion_index": {"en": "perfusion index", "zh": "灌注指数"},
    "rr_interval": {"en": "RR interval", "zh": "RR 间期"},
    "consciousness": {"en": "consciousness", "zh": "意识"},
    "supplemental_oxygen": {"en": "oxygen", "zh": "吸氧"},
    "pain": {"en": "pain", "zh": "疼痛"},
    "symptom": {"en": "symptom", "zh": "症状"},
    "heartbeat": {"en": "sign of life", "zh": "在线信号"},
    "walls_audible": {"en": "audible walls", "zh": "可发声的大屏"},
    "delivery_failing": {"en": "failing delivery", "zh": "送达故障"},
    "duty_uncovered": {"en": "roles that nobody holds", "zh": "无人值守的岗位"},
    "alarms_in_10_min": {"en": "alarms within 10 minutes", "zh": "10 分钟内的报警"},
    "part_failing": {"en": "failing part", "zh": "部件故障"},
    "config_outdated": {"en": "old configuration", "zh": "配置过期"},
    "gateway_trouble": {"en": "trouble at the gateway", "zh": "网关故障"},
    "identity_conflict": {"en": "identity used twice", "zh": "身份重复使用"},
    "outbox_replaced": {"en": "new buffer", "zh": "缓冲区已更换"},
    "readings_lost": {"en": "lost readings", "zh": "丢失的读数"},
    "readings_unaccounted": {"en": "readings missing in the books", "zh": "账目缺失的读数"},
}
SOURCE_TEXT: Final[dict[str, dict[str, str]]] = {
    "model:deterioration": {"en": "the risk model", "zh": "风险模型"},
}
"""What stands for a device where a reading is computed."""
CODE_TEXT: Final[dict[str, dict[str, dict[str, str]]]] = {
    "supplemental_oxygen": {
        "air": {"en": "air", "zh": "空气"},
        "oxygen": {"en": "oxygen", "zh": "吸氧"},
    },
    "symptom": {
        "none": {"en": "none", "zh": "无"},
        "dizziness": {"en": "dizziness", "zh": "头晕"},
        "headache": {"en": "headache", "zh": "头痛"},
        "nausea": {"en": "nausea", "zh": "恶心"},
        "swelling": {"en": "swelling", "zh": "肿胀"},
        "palpitations": {"en": "palpitations", "zh": "心悸"},
        "blurred_vision": {"en": "blurred vision", "zh": "视物模糊"},
        "weakness": {"en": "weakness", "zh": "乏力"},
        "breathlessness": {"en": "breathlessness", "zh": "呼吸困难"},
        "chest_pain": {"en": "chest pain", "zh": "胸痛"},
        "fainting": {"en": "fainting", "zh": "晕厥"},
    },
    "gateway_trouble": {
        "none": {"en": "no trouble", "zh": "无故障"},
        "unnamed": {"en": "trouble of another kind", "zh": "其他故障"},
        "decisions_lost": {"en": "alarm decisions of its own were lost", "zh": "其自行判断的报警记录丢失"},
        "configuration_unusable": {
            "en": "its stored configuration is damaged or cannot be used",
            "zh": "已存储的配置损坏或无法使用",
        },
        "cloud_refused": {
            "en": "it refuses this cloud, whose signature it does not trust",
            "zh": "不信任本服务器的签名, 拒绝其内容",
        },
        "radio_stuck": {
            "en": "its Bluetooth adapter does not answer, resetting it did not help",
            "zh": "蓝牙适配器无响应, 重置无效",
        },
        "rules_absent": {"en": "it has no rules, it decides on no alarms", "zh": "没有规则, 不判断报警"},
        "rules_failed": {
            "en": "its rules failed, it does not decide on all that it reads",
            "zh": "规则出错, 未能判断全部读数",
        },
        "frames_refused": {
            "en": "the cloud cannot take what it sends; the gateway keeps it",
            "zh": "服务器无法接收其发送的数据, 数据仍保留在网关",
        },
        "decisions_refused": {
            "en": "the cloud refused an alarm that the gateway decided; see the dead letters",
            "zh": "服务器拒收该网关判断的报警, 请查看死信",
        },
        "readings_not_judged": {
            "en": "the cloud's rules fail on its readings: they are stored, but raise no alarms here",
            "zh": "服务器规则处理其读数时出错: 读数已保存, 但不会在此触发报警",
        },
    },
}
"""What coded values are called; those of the others are the same in every language."""
WITHDRAWN: Final = {"en": "Ended: the rule is no longer in force", "zh": "报警结束 (规则已停用)"}
NOT_APPLICABLE: Final = {
    "en": "Ended: the rule does not apply to this patient any more",
    "zh": "报警结束 (规则不再适用于该患者)",
}
CLOSED: Final = {"en": "Ended: the patient's stay is closed", "zh": "报警结束 (患者已离院)"}
UNDATED: Final = {
    "en": " (from the device's memory, time unknown)",
    "zh": " (来自设备存储, 测量时间未知)",
}
INVALID: Final = {"en": " (not valid, says the device)", "zh": " (设备报告无效)"}
"""Why what breaches a limit stands on the worklist only."""
_HOUR_S: Final = 3600
_DAY_H: Final = 24
_NEARLY_S: Final = 120
"""A clock that is an hour wrong to within that was not put forward or back."""
_UNITS: Final = (("d", "天", 86_400), ("h", "小时", 3600), ("min", "分钟", 60))


def followed(text: dict[str, str], words: dict[str, str]) -> dict[str, str]:
    """A text in every language, with words after it."""
    return {language: said + words.get(language, words["en"]) for language, said in text.items()}


def duration(seconds: float) -> dict[str, str]:
    """A duration in the largest unit of which there is one: ``3 min``."""
    for en, zh, size in _UNITS:
        if seconds >= size:
            return {"en": f"{seconds / size:.0f} {en}", "zh": f"{seconds / size:.0f} {zh}"}
    return {"en": f"{seconds:.0f} s", "zh": f"{seconds:.0f} 秒"}


def skewed(device: str, seconds: float) -> dict[str, str]:
    """What is wrong with a clock that is so far ahead, and what to do."""
    off = abs(seconds)
    hours, minutes = divmod(round(off / 60), 60)
    size = duration(hours * _HOUR_S if hours else off)
    if minutes and 0 < hours < _DAY_H:
        rest = duration(minutes * 60)
        size = {language: f"{text} {rest[language]}" for language, text in size.items()}
    ahead, season = seconds > 0, abs(off - _HOUR_S) <= _NEARLY_S
    en, zh = ("ahead", "快") if ahead else ("behind", "慢")
    why_en, why_zh = (" (summer time?)", " (夏令时?)") if season else ("", "")
    return {
        "en": f"{device} is {size['en']} {en}{why_en}, set it",
        "zh": f"{device} {zh} {size['zh']}{why_zh}, 请校准",
    }
