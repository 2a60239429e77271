"""Whether a rule was meant for a patient at all at some moment: in force, and for somebody like them."""

from __future__ import annotations

from cloud_ingest.asof import InForce
from cloud_ingest.past import Outcome, Past, Reason
from rules.context import Context
from rules.rule import Rule
from rules.telling import Text, moment, said

__all__ = ["not_in_force", "not_meant"]


def not_meant(past: Past, now: InForce | None, known: Context) -> tuple[Outcome, tuple[Reason, ...]] | None:
    """Why the rule was not decided for the patient at all; None: it was. ``now``: what was in force."""
    if now is None or now.active is None:
        if now is not None and now.trial is not None:
            return "trial", (_trial(past),)
        return "blocked", (not_in_force(past),)
    rule = now.active
    if rule.subject not in {"patient", "device"}:
        text = said(
            "the rule is about each {kind}, not about patients",
            "该规则针对每个{kind},而非患者",
            kind={"en": rule.subject, "zh": {"gateway": "网关", "component": "组件"}[rule.subject]},
        )
        return "blocked", (Reason("subject", text),)
    if not known.applies(rule):
        return "blocked", (_not_applicable(rule, known),)
    return None


def _trial(past: Past) -> Reason:
    would = next((r for r in past.recorded if r.shadow and r.covers(past.at)), None)
    text: Text = {
        "en": "the rule was only on trial then: decided, never signalled",
        "zh": "当时该规则仅在试运行:只判断,从不报警",
    }
    if would is None:
        return Reason("trial", text)
    text = said(
        "{text}; it would have signalled: {id}, onset {onset}",
        "{text};否则会报警:{id},起始 {onset}",
        text=text,
        id=would.id,
        onset=moment(would.onset),
    )
    return Reason("trial", text, would.onset, would.id)


def not_in_force(past: Past) -> Reason:
    """The rule was neither in force nor on trial."""
    if past.first_known is not None and past.first_known > past.at:
        text = said(
            "the rule was not in force then; it is here since {at}",
            "当时该规则未生效;自 {at} 起才在此生效",
            at=moment(past.first_known),
        )
    elif past.first_known is not None:
        text = {
            "en": "the rule was not in force then: it had been taken out",
            "zh": "当时该规则未生效:已被撤下",
        }
    elif past.drafts:
        text = {"en": "the rule is a draft: it was never decided by", "zh": "该规则仅为草稿:从未用于判断"}
    else:
        text = {"en": "the rule was not in force then", "zh": "当时该规则未生效"}
    return Reason("not_in_force", text)


def _not_applicable(rule: Rule, known: Context) -> Reason:
    places: dict[str, Text] = {
        "home": {"en": "at home", "zh": "居家"},
        "ward": {"en": "on a ward", "zh": "住院"},
    }
    if rule.setting != "any" and known.setting is not None and rule.setting != known.setting:
        text = said(
            "the rule is for patients {wanted}; this one was {found}",
            "该规则适用于{wanted}患者;该患者当时为{found}",
            wanted=places[rule.setting],
            found=places[known.setting],
        )
        return Reason("setting", text)
    if known.adult is False:
        return Reason(
            "age",
            {
                "en": "the rule is from 16 years on; the patient is younger",
                "zh": "该规则适用于 16 岁及以上;患者未满 16 岁",
            },
        )
    return Reason("pregnant", {"en": "the rule is not for pregnant patients", "zh": "该规则不适用于孕妇"})
