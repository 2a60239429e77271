"""What happened to an alarm, one line a transition, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cloud_ingest.records.models import TransitionRow
from rules.telling import Text, said

__all__ = ["CHANNELS", "WARD", "Unnamed", "called", "happened", "reached"]

_KINDS: Final[dict[str, Text]] = {
    "ask": {"en": "a second measurement asked for", "zh": "要求第二次测量"},
    "start": {"en": "began", "zh": "开始"},
    "continue": {"en": "continues", "zh": "持续"},
    "update": {"en": "worsened", "zh": "加重"},
    "escalate": {"en": "priority raised", "zh": "优先级升高"},
    "de-escalate": {"en": "priority lowered", "zh": "优先级降低"},
    "end": {"en": "ended", "zh": "结束"},
    "reset": {"en": "reset", "zh": "复位"},
    "late": {"en": "put on the worklist: too late to signal", "zh": "列入待查清单:过晚,无法报警"},
    "tell": {"en": "escalation step {step} of {of}", "zh": "升级第 {step}/{of} 步"},
    "accept": {"en": "accepted", "zh": "已接手"},
    "take_over": {"en": "taken over from {before}", "zh": "从 {before} 接手"},
    "reject": {"en": "rejected: cannot come", "zh": "拒绝:无法前来"},
    "release": {"en": "given back", "zh": "交还"},
    "redirect": {"en": "passed on to {to}", "zh": "转交给 {to}"},
    "acknowledge": {"en": "acknowledged: no sound while it lasts", "zh": "已确认:持续期间静音"},
    "note": {"en": "a note", "zh": "备注"},
    "undelivered": {"en": "not delivered: {hop}", "zh": "未送达:{hop}"},
}
_INSTEAD: Final[dict[tuple[str, str], Text]] = {
    ("note", "relearn"): {
        "en": "the new level has held: what is usual is learned anew",
        "zh": "新水平已持续稳定:重新学习平时情况",
    },
    ("update", "merged"): {"en": "the gateway's alarm is the same one", "zh": "与网关的报警为同一事件"},
    ("update", "joined"): {"en": "the lower stage of it began, too", "zh": "其较轻阶段也已开始"},
    ("update", "part_over"): {"en": "one stage of it is over", "zh": "其中一个阶段已结束"},
    ("late", "merged"): {"en": "part of another alarm: to be looked at there", "zh": "已并入另一报警"},
    ("late", "told_there"): {
        "en": "put on the worklist: told at the gateway, and over when it was known here",
        "zh": "列入待查清单:已在网关现场报警,云端得知时已结束",
    },
}
"""What is said in place of the kind's words, by why it was."""
_SIGNALS: Final[dict[str, Text]] = {
    "on": {"en": "signals again", "zh": "恢复报警"},
    "audio_paused": {"en": "audio paused", "zh": "声音暂停"},
    "audio_off": {"en": "audio off", "zh": "声音关闭"},
    "alarm_paused": {"en": "alarm paused", "zh": "报警暂停"},
    "alarm_off": {"en": "alarm off", "zh": "报警关闭"},
    "acknowledged": {"en": "acknowledged", "zh": "已确认"},
}
_WHY: Final[dict[tuple[str, str], Text]] = {
    ("start", "timeout"): {"en": "no second measurement came in time", "zh": "未及时进行第二次测量"},
    ("escalate", "raised"): {"en": "a graver stage began", "zh": "进入更严重阶段"},
    ("de-escalate", "part_over"): {"en": "the graver stage is over", "zh": "较严重阶段已结束"},
    ("start", "critical"): {"en": "critical: nothing was waited for", "zh": "危急:未作等待"},
    ("start", "confirmed"): {"en": "the second measurement confirmed it", "zh": "第二次测量已确认"},
    ("end", "refuted"): {"en": "the second measurement did not confirm it", "zh": "第二次测量未确认"},
    ("continue", "reminder"): {"en": "reminder", "zh": "提醒"},
    ("continue", "reconnected"): {"en": "a channel works again", "zh": "通知渠道已恢复"},
    ("continue", "resumed"): {"en": "a pause is over", "zh": "暂停结束"},
    ("reset", "acknowledged"): {"en": "acknowledged", "zh": "已确认"},
    ("reset", "closed"): {"en": "the stay has ended", "zh": "就诊已结束"},
    ("release", "gone"): {"en": "who had it has no login any more", "zh": "原接手者的账户已停用"},
    ("update", "succeeded"): {"en": "it began again: see the newer alarm", "zh": "再次发生:见新的报警"},
    ("tell", "rejected"): {"en": "somebody could not come", "zh": "有人无法前来"},
    ("tell", "redirected"): {"en": "who it was passed on to has not answered", "zh": "转交对象未响应"},
    ("tell", "undelivered"): {"en": "the step before did not arrive", "zh": "上一步未送达"},
    ("tell", "nobody"): {"en": "the step before had nobody to tell", "zh": "上一步无人可通知"},
    ("tell", "repeated"): {"en": "repeated, as nobody has accepted", "zh": "无人接手,重复通知"},
    ("tell", "resumed"): {"en": "a pause is over", "zh": "暂停结束"},
    ("tell", "released"): {"en": "it was given back", "zh": "已被交还"},
    ("tell", "no_wall"): {"en": "no wall is heard in the ward", "zh": "病区无可用大屏"},
    ("start", "adopted"): {"en": "opened by a gateway's own rules", "zh": "由网关自身规则判断"},
    ("end", "ended_there"): {"en": "the gateway saw it end", "zh": "网关判断已结束"},
    ("end", "next_came"): {
        "en": "it was clear here, and the gateway tells of the next one",
        "zh": "本处已恢复正常,网关又报告了下一次",
    },
    ("end", "told_elsewhere"): {"en": "a gateway has told all about it", "zh": "网关已处理"},
    ("signal", "root"): {"en": "part of another alarm, or no longer", "zh": "归入或脱离另一报警"},
}
CHANNELS: Final[dict[str, Text]] = {
    "in_app": {"en": "in the app", "zh": "应用内"},
    "sms": {"en": "SMS", "zh": "短信"},
    "voice": {"en": "call", "zh": "电话"},
    "email": {"en": "e-mail", "zh": "邮件"},
    "push": {"en": "push", "zh": "推送"},
    "webhook": {"en": "webhook", "zh": "Webhook"},
    "apprise": {"en": "apprise", "zh": "Apprise"},
}
_WALL: Final[Text] = {"en": "ward wall", "zh": "病区大屏"}
WARD: Final = "ward"
"""Stands for everybody who works here where a patient reads."""
_WARD: Final[Text] = {"en": "the ward", "zh": "病区"}
_NOBODY: Final[Text] = {"en": "nobody to tell", "zh": "无人可通知"}
_TEXTLESS: Final = frozenset(
    {"accept", "take_over", "reject", "release", "redirect", "note", "signal", "tell"}
)
_BY_STEP: Final = frozenset({"start", "escalate", "tell", "redirect"})
"""Of these it is said who was told."""


class Unnamed(Mapping[str, str]):
    """Names by ids for a patient's eyes: their own, and WARD for everybody (and every endpoint) else."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own

    def __getitem__(self, who: str) -> str:
        if not who:
            raise KeyError(who)
        return self._own.get(who, WARD)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


def called(who: str, names: Mapping[str, str]) -> Text | str:
    """A user by name, or as what they stand for."""
    name = names.get(who, who)
    return _WARD if name == WARD and isinstance(names, Unnamed) else name


def happened(t: TransitionRow, names: Mapping[str, str]) -> Text:
    """One transition; ``names`` are those of users by their ids."""
    detail = t.detail
    text = _INSTEAD.get((t.kind, str(detail.get("why")))) or _KINDS.get(t.kind, {"en": t.kind, "zh": t.kind})
    if t.kind == "signal":
        text = _SIGNALS.get(str(detail.get("axes", {}).get("signal")), text)
    text = said(text["en"], text["zh"], **_fields(detail, names))
    because = _WHY.get((t.kind, str(detail.get("why", ""))))
    if because is not None:
        text = said("{text}: {why}", "{text}:{why}", text=text, why=because)
    told: Text = {"en": t.text_en, "zh": t.text_zh}
    if detail.get("why") in {"joined", "part_over"} and detail.get("part", {}).get("text"):
        told = detail["part"]["text"]
    if t.kind not in _TEXTLESS and told["en"]:
        text = said("{text}: {told}", "{text}:{told}", text=text, told=told)
    origin = detail.get("origin")
    if origin is not None and origin.get("gateway"):
        text = said(
            "{text} (gateway {gateway})", "{text} (网关 {gateway})", text=text, gateway=origin["gateway"]
        )
    if t.kind in _BY_STEP and "axes" in detail:
        told = reached(detail.get("told", ()), names)
        text = said("{text} → {told}", "{text} → {told}", text=text, told=told)
    return text


def _fields(detail: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    hop = detail.get("hop")
    return {
        "step": str(detail.get("step", 0) + 1),
        "of": str(detail.get("of", 1)),
        "before": called(str(detail.get("before", "")), names),
        "to": called(str(detail.get("to", "")), names),
        "hop": {"en": "", "zh": ""} if hop is None else reached([hop], names),
    }


def reached(told: Sequence[Sequence[str]], names: Mapping[str, str]) -> Text:
    """Who was told and how: ``ward wall, Ann (push, SMS)``; for nobody it says so."""
    if not told:
        return _NOBODY
    ways: dict[str, list[str]] = {}
    for channel, who in told:
        of_ward = who != "wall" and isinstance(called(who, names), dict)
        used = ways.setdefault(WARD if of_ward else who, [])
        if channel not in used:
            used.append(channel)
    return {
        language: separator.join(_person(who, channels, names, language) for who, channels in ways.items())
        for language, separator in (("en", ", "), ("zh", "、"))
    }


def _person(who: str, channels: Sequence[str], names: Mapping[str, str], language: str) -> str:
    if who == "wall":
        return _WALL[language]
    shown = called(who, names)
    name = shown.removeprefix("@") if isinstance(shown, str) else shown[language]
    return f"{name} ({', '.join(CHANNELS.get(c, {language: c})[language] for c in channels)})"
