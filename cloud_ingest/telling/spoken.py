"""Texts of alarms as they are read aloud in a call: no symbols, no abbreviations."""

# ruff: noqa: RUF001 - Chinese has commas of its own
from __future__ import annotations

import re
from typing import Final, Literal

__all__ = ["spelt", "spoken"]

_WORDS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "en": (
        (r"\b(Escalated) (\d+)/(\d+)", r"\1, step \2 of \3"),
        (r"\(?\blimits?\b:?\s*(?:[<>=≤≥]+\s*)?", ", limit "),
        (r"\s*(?:<=|>=|[<>≤≥])\s*(?=[-\d])", ", limit "),
        (r"(?<=\d)\s*/\s*(?=\d)", " over "),
        (r"(?<=\d)\s*%", " percent"),
        (r"(?<=\d)\s*°C", " degrees"),
        (r"(?<=\d)\s*mmHg", ""),
        (r"(?<=\d)\s*mmol/L", " millimoles per litre"),
        (r"(?<=\d)\s*mg/dL", " milligrams per decilitre"),
        (r"(?<=\d) s\b", " seconds"),
        (r"(?<=\d) min\b", " minutes"),
        (r"(?<=\d) h\b", " hours"),
        (r"(?<=\d) d\b", " days"),
        (r"(?<![\w.])[-−](?=\d)", "minus "),
        (r"(?<!\w)\+(?=\d)", "plus "),
        (r"\bSpO2\b", "oxygen saturation"),
        (r"\bEtCO2\b|\betCO2\b", "end tidal carbon dioxide"),
        (r"\bHR\b", "heart rate"),
        (r"\bRR\b", "respiratory rate"),
        (r"\bBP\b", "blood pressure"),
        (r"\bMAP\b", "mean arterial pressure"),
        (r"\bNEWS2\b", "early warning score"),
        (r"\bACVPU\b", "A C V P U"),
    ),
    "zh": (
        (r"(升级) ?(\d+)/(\d+)", r"\1，第 \2 步，共 \3 步"),
        (r"[(（]?限值\s*(?:[<>=≤≥]+\s*)?", "，限值 "),
        (r"\s*(?:<=|>=|[<>≤≥])\s*(?=[-\d])", "，限值 "),
        (r"(?<=\d)\s*/\s*(?=\d)", "，"),
        (r"(?<=\d)\s*%", "百分比"),
        (r"(?<=\d)\s*°C", "度"),
        (r"(?<=\d)\s*mmHg", "毫米汞柱"),
        (r"(?<![\w.])[-−](?=\d)", "负"),
        (r"(?<!\w)\+(?=\d)", "正"),
        (r"\bNEWS2\b", "早期预警评分"),
        (r"\bACVPU\b", "A C V P U"),
    ),
}
_LEFT_OVER: Final = re.compile(r"[^\w\s.,:'，。：、]")
_COMMAS: Final = re.compile(r"\s*([,，])(?:\s*[,，])*\s*")
_SPACES: Final = re.compile(r"\s+")


def spoken(text: str, language: Literal["en", "zh"]) -> str:
    """``SpO2 84 < 90`` -> ``oxygen saturation 84, limit 90``."""
    for pattern, word in _WORDS[language]:
        text = re.sub(pattern, word, text)
    text = _LEFT_OVER.sub(" ", text)
    text = _COMMAS.sub("，" if language == "zh" else ", ", text)
    return _SPACES.sub(" ", text).strip(" ,，")


def spelt(reference: str) -> str:
    """Character by character, slowly."""
    return ", ".join(c for c in reference if c.isalnum())
