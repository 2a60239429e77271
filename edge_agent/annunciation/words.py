"""What the gateway itself says to people, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge_agent.annunciation.base import Language, LocalAlarm

__all__ = ["LINK", "PRIORITY", "WORDS", "said", "says"]

Said = Mapping[str, str]

PRIORITY: Final[dict[str, Said]] = {
    "high": {"en": "HIGH", "zh": "高"},
    "medium": {"en": "MEDIUM", "zh": "中"},
    "low": {"en": "LOW", "zh": "低"},
}
LINK: Final[dict[bool, Said]] = {
    True: {
        "en": "The hospital is reached: it tells of alarms",
        "zh": "已连接医院: 报警由医院通知",
    },
    False: {
        "en": "The hospital cannot be reached: alarms are only told here",
        "zh": "无法连接医院: 报警仅在此处通知",
    },
}
WORDS: Final[dict[str, Said]] = {
    "alarm": {"en": "ALARM", "zh": "报警"},
    "technical": {"en": "technical", "zh": "技术报警"},
    "over": {"en": "over", "zh": "报警结束"},
    "gateway": {"en": "Gateway {name}", "zh": "网关 {name}"},
    "none": {"en": "No alarm is present", "zh": "目前没有报警"},
    "told_there": {
        "en": "{n} present, told by the hospital",
        "zh": "{n} 个报警, 由医院通知",
    },
    "since": {"en": "since {time}", "zh": "自 {time}"},
    "limit": {"en": "limit", "zh": "限值"},
    "receipt": {"en": "Last confirmed by the hospital", "zh": "医院最近确认"},
    "never": {"en": "not yet", "zh": "尚未"},
    "backlog": {"en": "Readings waiting", "zh": "待发送的数据"},
    "devices": {"en": "Devices", "zh": "设备"},
    "no_devices": {"en": "No device is configured", "zh": "未配置设备"},
    "pause": {"en": "Pause sound for 2 minutes", "zh": "声音暂停 2 分钟"},
    "paused": {"en": "Sound paused, {time} left", "zh": "声音已暂停, 剩余 {time}"},
    "as_of": {"en": "As of {time}", "zh": "更新时间 {time}"},
    "undecided": {
        "en": "This gateway decides on no alarms: it has no rules, or they failed",
        "zh": "此网关不判断报警: 没有规则或规则出错",
    },
    "not_certified": {
        "en": "Not a certified medical device",
        "zh": "未经认证的医疗器械",
    },
}


def says(word: str, language: Language, **fields: object) -> str:
    """One of ``WORDS``."""
    return WORDS[word][language].format(**fields)


def said(alarm: LocalAlarm, language: Language) -> str:
    """What is wrong: the alarm's text, which has the value and the limit."""
    text = alarm.text.get(language) or alarm.text.get("en") or ""
    title = alarm.title.get(language) or alarm.title.get("en") or alarm.rule
    return f"{title}: {text}" if text else title
