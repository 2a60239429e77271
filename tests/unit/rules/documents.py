"""Rule documents for tests: one that is right, to be made wrong."""

from __future__ import annotations

from rules.loader import Loaded, load_rule

GOOD = """\
id: mine
version: 1
title:
  en: Low oxygen saturation
  zh: 血氧过低
kind: physiological
priority: high
audience: [nurse, doctor]
inputs:
  spo2: {max_age_s: 120}
parameters:
  limit: {value: 90, low: 80, high: 94}
condition:
  any:
    - {metric: spo2, op: below, value: limit, hysteresis: 1}
delay_s: 10
max_lateness_s: 3600
explanation:
  en: SpO2 {spo2} {limit}
  zh: 血氧 {spo2} {limit}
cleared:
  en: SpO2 {spo2}, ended (limit {limit})
  zh: 血氧 {spo2} 已恢复 (限值 {limit})
clinical_source: Royal College of Physicians (2017)
examples:
  firing:
    - readings:
        - {at: 0, values: {spo2: 84}}
      until: 10
      onset: 0
      text: SpO2 84 < 90
  silent:
    - readings:
        - {at: 0, values: {spo2: 90}}
      until: 60
    - readings:
        - {at: 0, values: {spo2: 85}}
        - {at: 9, values: {spo2: 93}}
      until: 60
    - readings:
        - {at: 0, values: {spo2: 40}, quality: [sensor_off]}
      until: 60
"""

_HEAD = """\
id: mine
version: 1
title: {{en: Mine, zh: 我的}}
kind: {kind}
priority: low
audience: [nurse]
"""
_TAIL = """
explanation: {en: it is so, zh: 如此}
cleared: {en: it was so, zh: 曾如此}
clinical_source: a test (2026)
examples:
  firing:
    - {readings: [], until: 0}
  silent:
    - {readings: [], until: 0}
"""


def document(
    body: str, *, kind: str = "physiological", timing: str = "delay_s: 0\nmax_lateness_s: 60"
) -> str:
    """A rule document of which only what ``body`` says matters; its examples show nothing."""
    return f"{_HEAD.format(kind=kind)}{body.strip()}\n{timing}{_TAIL}"


def loaded(body: str, **more: str) -> Loaded:
    """The same, loaded."""
    return load_rule(document(body, **more), "mine.yaml")
