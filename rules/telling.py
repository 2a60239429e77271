"""Sentences about rules and readings in English and Simplified Chinese, for those who ask why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hearthward.core.clock import naive_iso
from hearthward.core.codes import METRICS
from rules.conditions import DETECTOR
from rules.rule import SECOND, amount
from rules.words import CODE_TEXT, SIGNAL_TEXT, SOURCE_TEXT

__all__ = ["Text", "joined", "lasting", "moment", "said", "shown", "signal", "source", "unit", "with_unit"]

Text = dict[str, str]
"""The same in both languages: ``en`` and ``zh``."""

_UNITS: Final = {"mm[Hg]": "mmHg", "Cel": "°C", "1": ""}
_SPANS: Final = (("d", "天", 86_400), ("h", "小时", 3600), ("min", "分钟", 60))


def said(en: str, zh: str, **fields: str | Text) -> Text:
    """Two templates filled; a field is the same in both languages, or a ``Text`` of its own."""
    return {
        language: template.format(
            **{name: value if isinstance(value, str) else value[language] for name, value in fields.items()}
        )
        for language, template in (("en", en), ("zh", zh))
    }


def joined(texts: Iterable[Text], en: str = "; ", zh: str = "; ") -> Text:
    """Several texts as one."""
    known = list(texts)
    return {"en": en.join(t["en"] for t in known), "zh": zh.join(t["zh"] for t in known)}


def shown(metric: str, value: float, language: str = "en") -> str:
    """A value as people write it; a coded one by what its code is called."""
    known = METRICS.get(metric)
    if known is not None and known.codes and 0 <= value < len(known.codes):
        code = known.codes[int(value)]
        return CODE_TEXT.get(metric, {}).get(code, {}).get(language, code)
    return amount(metric, value)


def signal(metric: str) -> Text:
    """What a signal is called."""
    if metric in SIGNAL_TEXT:
        return SIGNAL_TEXT[metric]
    name = metric.removeprefix(DETECTOR).replace("_", " ")
    if metric.startswith(DETECTOR):
        return said("detector {name}", "检测器 {name}", name=name)
    return {"en": name, "zh": name}


def source(device: str) -> Text:
    """What a reading came from: the device by its id, or what is no device by its name."""
    return SOURCE_TEXT.get(device) or {"en": device, "zh": device}


def unit(metric: str) -> str:
    """A signal's unit as people write it; empty when it has none."""
    known = METRICS.get(metric)
    return "" if known is None or known.unit is None else _UNITS.get(known.unit, known.unit)


def with_unit(metric: str, value: float) -> Text:
    """A value as people write it: ``84 %``, ``36.6 °C``, ``C``, ``chest pain``."""
    known, text = METRICS.get(metric), shown(metric, value)
    if known is not None and known.codes:
        return CODE_TEXT.get(metric, {}).get(text, {"en": text, "zh": text})
    text = f"{text} {unit(metric)}".rstrip()
    return {"en": text, "zh": text}


def moment(at: int) -> str:
    """A time as people read it, in UTC and to the second: ``2026-03-01 08:15:00 UTC``."""
    return f"{naive_iso(at // SECOND * SECOND).replace('T', ' ')} UTC"


def lasting(seconds: float) -> Text:
    """A duration in at most two units: ``3 h 11 min``, ``8 s``, ``40 ms``."""
    if 0 < seconds < 1:
        shown_ms = f"{seconds * 1000:.0f}"
        return {"en": f"{shown_ms} ms", "zh": f"{shown_ms} 毫秒"}
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        shown_s = f"{round(seconds, 1):g}"
        return {"en": f"{shown_s} s", "zh": f"{shown_s} 秒"}
    parts: list[Text] = []
    rest = round(seconds)
    for en, zh, size in (*_SPANS, ("s", "秒", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append({"en": f"{count} {en}", "zh": f"{count} {zh}"})
        if len(parts) == 2 or (parts and not count):  # noqa: PLR2004 - two units say enough
            break
    return joined(parts, " ", " ")
