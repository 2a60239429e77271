"""Languages: catalogues, negotiation, and the strings that the page's own scripts need."""

from __future__ import annotations

import gettext
import io
from functools import cache
from pathlib import Path
from typing import Final

from babel.core import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

__all__ = ["LANGUAGES", "N_", "html_lang", "negotiate", "script_strings", "translations"]

LANGUAGES: Final = ("en", "zh_Hans")
LOCALE: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "messages"


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for marking a string
    """Mark a string for the catalogue without translating it here."""
    return text


SCRIPT: Final = {
    "live": N_("LIVE"),
    "stale": N_("STALE"),
    "connecting": N_("Connecting"),
    "why_silent": N_("no word from the server for {s} s"),
    "why_source": N_("the server is restarting its data source"),
    "why_starting": N_("the server is starting"),
    "why_clock": N_("the clock of the recording stands still"),
    "why_lost": N_("the connection to the server is lost"),
    "ok": N_("no alarm"),
    "asked": N_("no alarm yet, to be measured again: {what}"),
    "unknown": N_("unknown since {time} ({age})"),
    "unknown_never": N_("unknown: nothing received yet"),
    "not_watched": N_("not watched: demo or test data"),
    "unknown_none": N_("no device assigned"),
    "s_live": N_("live"),
    "s_ageing": N_("ageing"),
    "s_stale": N_("stale"),
    "s_sensor_off": N_("sensor off"),
    "s_signal_lost": N_("signal lost"),
    "s_device_offline": N_("device offline"),
    "s_link_lost": N_("link lost"),
    "s_never": N_("never seen"),
    "s_none": N_("no device"),
    "age_s": N_("{n} s"),
    "age_min": N_("{n} min"),
    "age_h": N_("{n} h"),
    "age_d": N_("{n} d"),
    "accept": N_("Accept"),
    "accept_for": N_("Accept: {what}"),
    "accepting": N_("Accepting"),
    "accepted": N_("accepted by {who}"),
    "nobody": N_("nobody yet"),
    "acknowledge": N_("Acknowledge"),
    "acknowledge_for": N_("Acknowledge: {what}"),
    "pause_for": N_("Pause the sound for 120 s: {what}"),
    "sound_again": N_("Let it sound again: {what}"),
    "next": N_("→ {who} in {time}"),
    "wall": N_("wall"),
    "ended": N_("ended {time}, to be acknowledged"),
    "under": N_("see the other alarm"),
    "again": N_("{n} before"),
    "below": N_("+{n} that it explains"),
    "until": N_("until {time}"),
    "off_audio_off": N_("sound off"),
    "off_alarm_paused": N_("alarms paused"),
    "off_alarm_off": N_("alarms off"),
    "off_maintenance": N_("maintenance"),
    "off_acknowledged": N_("sound off: acknowledged"),
    "unheard": N_("No wall is heard: {wards}"),
    "not_done": N_("not done: {why}"),
    "e_taken": N_("somebody else has accepted it already"),
    "e_not_owner": N_("only who has accepted it may do that"),
    "e_ended": N_("it has ended; acknowledge it"),
    "e_no_alarm": N_("it has ended"),
    "e_required": N_("give a badge, or login and PIN"),
    "e_403": N_("not known, or not allowed to do that"),
    "e_429": N_("too many failed attempts; wait a moment"),
    "late": N_("measured {time}"),
    "p_high": N_("high priority"),
    "p_medium": N_("medium priority"),
    "p_low": N_("low priority"),
    "new_alarm": N_("New alarm, {priority}: {where}, {what}"),
    "more": N_("+{n} more"),
    "no_alarms": N_("No active alarms"),
    "alarms_unknown": N_("Alarms unknown while stale: last known below"),
    "reporting": N_("{n}/{all} reporting"),
    "gateways": N_("gateways {n}/{all}"),
    "count_high": N_("{n} high"),
    "count_medium": N_("{n} medium"),
    "count_low": N_("{n} low"),
    "count_ended": N_("{n} ended"),
    "count_off": N_("{n} paused or off"),
    "count_mail": N_("messages: {n}"),
    "home": N_("Home"),
    "unassigned": N_("Without a ward"),
    "system": N_("System"),
    "sound_off": N_("SOUND IS OFF - click to switch it on"),
    "sound_on": N_("Sound is on"),
    "theme_night": N_("Night"),
    "theme_day": N_("Day"),
    "demo": N_("demo data"),
    "test": N_("test data"),
    "trend": N_("heart rate, last 60 s"),
    "empty": N_("No patients yet. An administrator enters them under Directory."),
    "failed": N_("The server could not do that. Try again."),
    "news_lacks": N_("at least so much; not known: {what}"),
    "news_scale_2": N_("SpO2 scale 2"),
    "news_oldest": N_("oldest value {time}"),
    "news_unknown": N_("nothing known to score"),
    "risk": N_("Risk {risk}"),
    "k_known": N_("learned risk of deterioration as of {time}: a hint beside the rules"),
    "k_stale": N_("learned risk as of {time}: from values that are too old"),
    "k_unknown": N_("learned risk not known: too little was measured yet"),
    "n_respiratory_rate": N_("respiration"),
    "n_spo2": N_("oxygen saturation"),
    "n_supplemental_oxygen": N_("air or oxygen"),
    "n_systolic": N_("systolic pressure"),
    "n_pulse": N_("pulse"),
    "n_consciousness": N_("consciousness"),
    "n_temperature": N_("temperature"),
    "check_due": N_("Sound check for the shift that began at {time}"),
    "check_failed": N_("This wall was not heard. Mend its sound, then check it again"),
}
"""Key -> English text of every string that scripts show; delivered translated with the page."""


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language; the compiled one unless its source is newer. Raises OSError."""
    folder = LOCALE / language / "LC_MESSAGES"
    compiled, source = folder / f"{DOMAIN}.mo", folder / f"{DOMAIN}.po"
    if compiled.exists() and (
        not source.exists() or compiled.stat().st_mtime_ns >= source.stat().st_mtime_ns
    ):
        with compiled.open("rb") as file:
            return gettext.GNUTranslations(file)
    out = io.BytesIO()
    with source.open("rb") as file:
        write_mo(out, read_po(file, locale=language))
    out.seek(0)
    return gettext.GNUTranslations(out)


def script_strings(language: str) -> dict[str, str]:
    """The strings of the page's scripts in one language."""
    catalogue = translations(language)
    return {key: catalogue.gettext(text) for key, text in SCRIPT.items()}


def _known(tag: str) -> str | None:
    """A language tag -> one of LANGUAGES: every ``zh*`` is zh_Hans, every ``en*`` is en."""
    primary = tag.strip().replace("_", "-").split("-")[0].lower()
    return {"zh": "zh_Hans", "en": "en"}.get(primary)


def negotiate(accept_language: str, *wishes: str | None) -> str:
    """Choose the language: the first known wish, else the best of ``Accept-Language``, else English."""
    for wish in wishes:
        known = _known(wish or "")
        if known:
            return known
    offers: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")):
        tag, _, quality = part.partition(";")
        try:
            q = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            q = 0.0
        known = _known(tag)
        if known and q > 0:
            offers.append((-q, place, known))
    return min(offers)[2] if offers else "en"


def html_lang(language: str) -> str:
    """The value of the page's ``lang`` attribute."""
    return Locale.parse(language).language + ("-Hans" if language.endswith("Hans") else "")
