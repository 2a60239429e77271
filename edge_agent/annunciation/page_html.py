"""The gateway's own page as HTML: what is wrong now, whether the hospital is reached, the devices.

Without a script: the page loads itself anew every two seconds. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape

from edge_agent.annunciation.base import Language, LinkState, LocalAlarm
from edge_agent.annunciation.words import LINK, PRIORITY, says
from hearthward.core.clock import SECOND
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.device_words import is_well, reason, state_word

__all__ = ["REFRESH_S", "View", "render"]

REFRESH_S = 2
_SHAPES = {"high": "▲", "medium": "◆", "low": "●"}


@dataclass(frozen=True, slots=True)
class View:
    """All that the page shows, as of ``now`` (UTC ns).

    ``sounds``: something here can be heard; ``quiet_s``: the pause of its sound lasts so long yet.
    ``elsewhere`` is how many alarms are present that the hospital tells of, ``devices`` where each stands.
    """

    gateway: str
    now: int
    link: LinkState
    alarms: Sequence[LocalAlarm] = ()
    elsewhere: int = 0
    devices: Mapping[str, DeviceWord] = field(default_factory=dict)
    sounds: bool = False
    quiet_s: float = 0.0
    decides: bool = True


def render(view: View, language: Language) -> str:
    """The whole document."""
    name = says("gateway", language, name=escape(view.gateway))
    as_of = says("as_of", language, time=_clock(view.now, view.now))
    return (
        f'<!doctype html>\n<html lang="{"zh-Hans" if language == "zh" else "en"}"><head>'
        '<meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{REFRESH_S}"><link rel="stylesheet" href="/style.css">'
        f"<title>{len(view.alarms) or ''} {name} - Hearthward</title></head><body>"
        f'<header><h1>{name}</h1><p class="as-of">{as_of}</p></header>'
        f"<main>{_link(view, language)}{_decides(view, language)}{_alarms(view, language)}"
        f"{_sound(view, language)}{_devices(view, language)}</main>"
        f"<footer>Hearthward. {says('not_certified', language)}.</footer></body></html>\n"
    )


def _link(view: View, language: Language) -> str:
    link = view.link
    receipt = says("never", language) if link.receipt is None else _clock(link.receipt, view.now)
    return (
        f'<section class="link {"good" if link.reached else "bad"}" role="status">'
        f"<p><strong>{LINK[link.reached][language]}</strong> "
        f"<span>{says('since', language, time=_clock(link.since, view.now))}</span></p>"
        f"<p>{says('receipt', language)}: {receipt} · {says('backlog', language)}: {link.backlog}</p>"
        "</section>"
    )


def _decides(view: View, language: Language) -> str:
    return "" if view.decides else f'<p class="undecided" role="alert">{says("undecided", language)}</p>'


def _alarms(view: View, language: Language) -> str:
    told = "".join(_alarm(alarm, language, view.now) for alarm in view.alarms)
    other = ""
    if view.elsewhere:
        other = f'<p class="elsewhere">{says("told_there", language, n=view.elsewhere)}</p>'
    if not told and not other and view.decides:
        other = f'<p class="none">{says("none", language)}</p>'
    return (f'<ul class="alarms">{told}</ul>' if told else "") + other


def _alarm(alarm: LocalAlarm, language: Language, now: int) -> str:
    title = escape(alarm.title.get(language) or alarm.rule)
    text = escape(alarm.text.get(language) or "")
    kind = f" · {says('technical', language)}" if alarm.kind == "technical" else ""
    return (
        f'<li class="alarm {alarm.priority} {alarm.kind}">'
        f'<p class="priority"><span aria-hidden="true">{_SHAPES[alarm.priority]}</span> '
        f"{PRIORITY[alarm.priority][language]}{kind}</p>"
        f'<p class="place">{escape(alarm.place)}</p><h2>{title}</h2><p class="text">{text}</p>'
        f'<p class="since">{says("since", language, time=_clock(alarm.onset, now))}</p></li>'
    )


def _sound(view: View, language: Language) -> str:
    if view.quiet_s > 0:
        left = f"{int(view.quiet_s) // 60}:{int(view.quiet_s) % 60:02d}"
        return f'<p class="paused" role="status">{says("paused", language, time=left)}</p>'
    if not view.alarms or not view.sounds:
        return ""
    return f'<form method="post" action="/pause"><button>{says("pause", language)}</button></form>'


def _devices(view: View, language: Language) -> str:
    """Those that are not connected first."""
    states = sorted(view.devices.items(), key=lambda row: (is_well(row[1]), row[0]))
    rows = "".join(
        f'<li class="{"good" if is_well(word) else "bad"}"><span>{escape(device)}</span> '
        f"{escape(_state(word, language, view.now))}</li>"
        for device, word in states
    )
    table = f'<ul class="devices">{rows}</ul>' if rows else f"<p>{says('no_devices', language)}</p>"
    return f"<section><h3>{says('devices', language)}</h3>{table}</section>"


def _state(word: DeviceWord, language: Language, now: int) -> str:
    """Its state and why; what no plain words are for in the gateway's own."""
    why = reason(word, language, lambda at: _clock(at, now))
    told = word.detail if word.cause in {Cause.NONE, Cause.OTHER} and not is_well(word) else ""
    parts = "; ".join(part for part in (why, told) if part)
    return state_word(word, language) + (f" ({parts})" if parts else "")


def _clock(at: int, now: int) -> str:
    """A time of day in this machine's time zone, with the day where it is another one."""
    local, today = (datetime.fromtimestamp(t // SECOND).astimezone() for t in (at, now))
    return f"{local:%H:%M:%S}" if local.date() == today.date() else f"{local:%Y-%m-%d %H:%M:%S}"
