"""Where a device stands and why, in plain words, for whoever looks: English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from hearthward.core.device_states import Cause, DeviceWord

__all__ = [
    "ADVICE",
    "CAUSES",
    "SEEN",
    "STATES",
    "Language",
    "is_away",
    "is_open",
    "is_well",
    "reason",
    "reason_parts",
    "state_word",
    "why_unmatched",
]

Language = Literal["en", "zh"]
Said = Mapping[str, str]

_CONNECTED: Final[Said] = {"en": "connected", "zh": "已连接"}
_CONNECTING: Final[Said] = {"en": "connecting", "zh": "正在连接"}
_LOGGED: Final[Said] = {"en": "the gateway's log has the cause", "zh": "原因见网关日志"}
STATES: Final[Mapping[str, Said]] = {
    "streaming": _CONNECTED,
    "connected": _CONNECTED,
    "connecting": _CONNECTING,
    "identifying": _CONNECTING,
    "subscribing": _CONNECTING,
    "backoff": {"en": "offline, trying again", "zh": "离线, 正在重试"},
    "idle": {"en": "not started", "zh": "未启动"},
    "stopped": {"en": "stopped", "zh": "已停止"},
    "offline": {"en": "offline", "zh": "离线"},
    "unsupported": {"en": "not usable", "zh": "无法使用"},
    "": {"en": "unknown", "zh": "未知"},
}
CAUSES: Final[Mapping[Cause, Said]] = {
    Cause.OUT_OF_RANGE: {"en": "out of range", "zh": "超出范围"},
    Cause.PAIRED_ELSEWHERE: {"en": "paired with another host", "zh": "已与另一主机配对"},
    Cause.NEEDS_PAIRING: {"en": "asks to be paired", "zh": "要求配对"},
    Cause.NEEDS_PASSKEY: {"en": "asks for a passkey", "zh": "要求输入配对码"},
    Cause.NEEDS_CONSENT: {"en": "asks for a user's consent", "zh": "要求用户授权码"},
    Cause.CONNECTED_ELSEWHERE: {
        "en": "heard, but takes no connection: another host may have it",
        "zh": "可收到广播但无法连接: 可能已被另一主机占用",
    },
    Cause.LINK_LOST: {"en": "connection lost", "zh": "连接中断"},
    Cause.SILENT: {"en": "connected, but silent", "zh": "已连接但无数据"},
    Cause.NO_RADIO: {"en": "the gateway has no usable Bluetooth radio", "zh": "网关没有可用的蓝牙"},
    Cause.RADIO_STUCK: {
        "en": "the gateway's Bluetooth radio gives no answer and is being reset",
        "zh": "网关的蓝牙无响应, 正在重置",
    },
    Cause.PORT_MISSING: {"en": "port is not there: unplugged?", "zh": "端口不存在: 是否已拔出?"},
    Cause.PORT_BUSY: {"en": "port is used by another program", "zh": "端口被其他程序占用"},
    Cause.PORT_FORBIDDEN: {"en": "the gateway may not open the port", "zh": "网关无权打开端口"},
    Cause.ONLY_NOISE: {
        "en": "sends bytes that its profile does not know: wrong speed, or another instrument",
        "zh": "发送的数据不符合其设备型号描述: 速率错误或是其他仪器",
    },
    Cause.LACKS_SERVICE: {"en": "lacks a service that its profile needs", "zh": "缺少设备型号描述所需的服务"},
    Cause.UNSUPPORTED: {"en": "no profile fits it", "zh": "没有匹配的设备型号描述"},
    Cause.WRONG_FIRMWARE: {
        "en": "has another firmware than its profile is for",
        "zh": "固件版本与设备型号描述不符",
    },
    Cause.MISCONFIGURED: {"en": "its configuration cannot be used", "zh": "其设置无法使用"},
    Cause.GATEWAY_OFFLINE: {"en": "its gateway is offline", "zh": "其网关离线"},
    Cause.INTERNAL: {"en": "internal error of the gateway", "zh": "网关内部错误"},
    Cause.OTHER: {"en": "cannot be connected", "zh": "无法连接"},
}
ADVICE: Final[Mapping[Cause, Said]] = {
    Cause.OUT_OF_RANGE: {
        "en": "switch it on, bring it nearer, check its battery",
        "zh": "请开机, 靠近网关, 检查电池",
    },
    Cause.PAIRED_ELSEWHERE: {
        "en": "remove it from the other host, then pair it here anew",
        "zh": "请在另一主机上解除配对, 再在此重新配对",
    },
    Cause.NEEDS_PAIRING: {
        "en": "put it into pairing mode, then pair it on the gateway: hearthward devices pair",
        "zh": "请使其进入配对模式, 再在网关上配对: hearthward devices pair",
    },
    Cause.NEEDS_PASSKEY: {
        "en": "pair it on the gateway: hearthward devices pair",
        "zh": "请在网关上配对: hearthward devices pair",
    },
    Cause.NEEDS_CONSENT: {
        "en": "give the user's number and code that it shows: on the page of its adoption, or on the "
        "gateway: hearthward devices consent",
        "zh": "请在其接入页面, 或在网关上用 hearthward devices consent 输入设备显示的用户编号与授权码",
    },
    Cause.CONNECTED_ELSEWHERE: {
        "en": "close its app on phones nearby, or switch it off and on",
        "zh": "请关闭附近手机上的应用, 或重启设备",
    },
    Cause.LINK_LOST: {"en": "it is tried again by itself", "zh": "系统会自动重试"},
    Cause.SILENT: {
        "en": "check its sensor; some send only when they measure",
        "zh": "请检查传感器; 部分设备仅在测量时发送",
    },
    Cause.NO_RADIO: {"en": "plug a Bluetooth adapter into the gateway", "zh": "请为网关接入蓝牙适配器"},
    Cause.RADIO_STUCK: {
        "en": "if it lasts, unplug the adapter and plug it in again",
        "zh": "若持续, 请拔下适配器后重新插入",
    },
    Cause.PORT_MISSING: {"en": "plug the cable in again", "zh": "请重新插好电缆"},
    Cause.PORT_BUSY: {"en": "stop the other program on the gateway", "zh": "请停止网关上的其他程序"},
    Cause.PORT_FORBIDDEN: {
        "en": "let the gateway's user into the group of the port",
        "zh": "请将网关用户加入该端口的用户组",
    },
    Cause.ONLY_NOISE: {
        "en": "check the instrument's output setting and the profile chosen",
        "zh": "请检查仪器的输出设置与所选设备型号描述",
    },
    Cause.LACKS_SERVICE: {"en": "choose another profile", "zh": "请选择其他设备型号描述"},
    Cause.UNSUPPORTED: {"en": "choose a profile to try", "zh": "请指定一个设备型号描述试用"},
    Cause.WRONG_FIRMWARE: {
        "en": "choose the profile for its firmware, or update the device",
        "zh": "请选择适用其固件的设备型号描述, 或更新设备",
    },
    Cause.MISCONFIGURED: {"en": "correct its entry in the directory", "zh": "请更正目录中的条目"},
    Cause.GATEWAY_OFFLINE: {"en": "check the gateway's power and network", "zh": "请检查网关的电源与网络"},
    Cause.INTERNAL: _LOGGED,
    Cause.OTHER: _LOGGED,
}
"""What a person can do about it."""
SEEN: Final[Mapping[str, Said]] = {
    "several": {
        "en": "several profiles fit ({what}): name one",
        "zh": "匹配多个设备型号描述 ({what}): 请指定其一",
    },
    "none": {
        "en": "no profile fits what it says of itself; some say more once connected: name a profile to try",
        "zh": "没有匹配其广播内容的设备型号描述; 部分设备连接后才提供更多信息: 可指定一个试用",
    },
    "silent": {
        "en": "says nothing of itself: name a profile to try",
        "zh": "未说明自身信息: 可指定设备型号描述试用",
    },
    "port": {
        "en": "a port does not say which instrument is behind it: name its profile",
        "zh": "端口不说明所接的仪器: 请指定设备型号描述",
    },
}
"""Why a sighting has no profile: its ``why`` up to the colon; what comes after it is ``{what}``."""
_WELL: Final = frozenset({"streaming", "connected"})
_AWAY: Final = frozenset({Cause.OUT_OF_RANGE, Cause.LINK_LOST, Cause.SILENT})
_ON_ITS_WAY: Final = frozenset({"connecting", "identifying", "subscribing"})
_SINCE: Final[Mapping[bool, Said]] = {
    True: {"en": "{why} since {time}", "zh": "自 {time} 起{why}"},
    False: {"en": "{why} (since {time})", "zh": "{why} (自 {time})"},
}


def is_well(word: DeviceWord) -> bool:
    """Whether its values come."""
    return word.state in _WELL


def is_away(word: DeviceWord) -> bool:
    """Whether it merely is not there: it sleeps, or was taken along. Nothing has to be mended."""
    return not is_well(word) and word.cause in _AWAY


def is_open(word: DeviceWord) -> bool:
    """Whether it is about to connect, or was never asked to: nothing speaks against it."""
    return not is_well(word) and word.cause is Cause.NONE and word.state != "unsupported"


def state_word(word: DeviceWord, language: Language) -> str:
    """Its state in a word or two; one that tries again in vain is offline, whatever step it is at."""
    state = "backoff" if word.state in _ON_ITS_WAY and word.cause is not Cause.NONE else word.state
    known = STATES.get(state)
    return word.state if known is None else known[language]


def reason_parts(word: DeviceWord, language: Language) -> tuple[str, str]:
    """What is said before and after the time since when it is so; ("", "") when nothing is wrong.

    Without a known time all stands in the first.
    """
    said = CAUSES.get(word.cause)
    if said is None:
        return "", ""
    why = said[language]
    if not word.since:
        return why, ""
    before, _, after = _SINCE[":" not in why][language].replace("{why}", why).partition("{time}")
    return before, after


def reason(word: DeviceWord, language: Language, clock: Callable[[int], str]) -> str:
    """Why it does not stream and since when: ``out of range since 14:02``; "" when nothing is wrong.

    ``clock`` puts a time (UTC ns) into words.
    """
    before, after = reason_parts(word, language)
    return f"{before}{clock(word.since)}{after}" if before and word.since else before


def why_unmatched(why: str, language: Language) -> str:
    """Why a sighting has no profile, in words; what is not known here as it is."""
    word, _, what = why.partition(":")
    said = SEEN.get(word)
    return why if said is None else said[language].replace("{what}", what)
