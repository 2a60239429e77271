"""What docs/edge-alarms.md says in figures is what the code does."""

from __future__ import annotations

from cloud_ingest.config_publisher import LARGE_BYTES
from cloud_ingest.documents import RECENT_NS
from cloud_ingest.outdated import OUTDATED_S
from edge_agent.annunciation.console import BELL_S
from edge_agent.annunciation.local import AWAY_S, LINK_LOST_S, PAUSE_S
from edge_agent.annunciation.page_html import REFRESH_S
from edge_agent.deciding import REPLAY_READINGS, TICK_S
from edge_agent.keeping import KEEP_S
from hearthward.app.bedside import PAGE_PORT
from hearthward.core.clock import SECOND
from hearthward.core.local_settings import CODE_LENGTH, LocalSettings
from hearthward.core.steady_clock import BELIEVE_S
from hearthward.core.wire import MAX_FRAME_BYTES
from rules import load_rules
from tests.unit.docs.pages import ROOT

TEXT = " ".join((ROOT / "docs" / "edge-alarms.md").read_text().split())


def test_its_figures_are_the_codes():
    rules = [r for r in load_rules() if r.subject in {"patient", "device"}]
    for said in (
        f"within {RECENT_NS // (3600 * SECOND)} hours",
        f"{len(rules)} rules and 40 patients",
        f"after {OUTDATED_S:.0f} s raises `config-outdated`",
        f"no receipt for {LINK_LOST_S:.0f} s",
        f"connection to the broker for {AWAY_S:.0f} s",
        f"every {KEEP_S:.0f} s, but only",
        f"up to {REPLAY_READINGS:,} readings",
        ", ".join(f"{'every ' * (p == 'high')}{s:.0f} s ({p})" for p, s in BELL_S.items()),
        f"http://127.0.0.1:{PAGE_PORT}/",
        f"at least {CODE_LENGTH} characters",
    ):
        assert said in TEXT, said
    assert (TICK_S, PAUSE_S, REFRESH_S, BELIEVE_S) == (0.25, 120, 2, 300), "said in words"
    assert LARGE_BYTES * 2 == MAX_FRAME_BYTES == 1 << 20
    assert LocalSettings().annunciation == "offline"
