from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devices.waves import PAUSE_S, WaveStamper
from firmware_profiles import DecodedWave
from hearthward.core.clock import SECOND, parse_iso
from hearthward.core.model import Quality
from hearthward.core.waves import MAX_SAMPLES, WaveformChunk

GOOD = Quality(0)
NOON = parse_iso("2026-07-01T12:00:00Z")


def pleth(samples: range, rate_hz: float = 75.0, quality: Quality = GOOD) -> DecodedWave:
    return DecodedWave("pleth", rate_hz, tuple(samples), 1.0, "1", quality)


def feed(
    stamper: WaveStamper, counts: list[int], *, rate_hz: float = 75.0, at: int = NOON
) -> list[WaveformChunk]:
    """Payloads of that many samples each, numbered on, each at the time of its last sample."""
    out, n = [], 0
    for count in counts:
        n += count
        now = at + round(n * SECOND / rate_hz)
        out += stamper.take([pleth(range(n - count, n), rate_hz)], now, now, "abc")
    return out


def test_small_payloads_are_joined_to_chunks_of_a_second():
    stamper = WaveStamper("oxi-1", 7)
    chunks = feed(stamper, [25] * 7)
    assert [(c.first, len(c.samples)) for c in chunks] == [(0, 75), (75, 75)]
    assert chunks[0].received == chunks[0].corrected == NOON + SECOND
    assert chunks[1].samples == tuple(range(75, 150))
    assert chunks[1].begins == NOON + SECOND + round(SECOND / 75)
    assert (chunks[0].device, chunks[0].metric, chunks[0].run, chunks[0].profile) == (
        "oxi-1",
        "pleth",
        7,
        "abc",
    )
    (rest,) = stamper.flush()
    assert (rest.first, len(rest.samples)) == (150, 25)
    assert stamper.flush() == []


def test_a_long_payload_is_cut_and_each_part_has_its_own_time():
    stamper = WaveStamper("ecg-1", 7)
    chunks = feed(stamper, [250], rate_hz=75.0)
    assert [len(c.samples) for c in chunks] == [75, 75, 75]
    last = NOON + round(250 * SECOND / 75)
    assert [c.corrected for c in chunks] == [last - round(n * SECOND / 75) for n in (175, 100, 25)]
    assert [c.received for c in chunks] == [last, last + 1, last + 2]


@given(st.lists(st.integers(0, 6000), max_size=5), st.sampled_from([0.5, 60.0, 75.0, 500.0, 10_000.0]))
def test_no_sample_is_lost_doubled_or_out_of_order(counts: list[int], rate_hz: float):
    stamper = WaveStamper("d", 1)
    chunks = [*feed(stamper, counts, rate_hz=rate_hz), *stamper.flush()]
    assert [s for c in chunks for s in c.samples] == list(range(sum(counts)))
    assert all(c.first == c.samples[0] for c in chunks)
    assert all(0 < len(c.samples) <= MAX_SAMPLES for c in chunks)
    received = [c.received for c in chunks]
    assert received == sorted(set(received))


def test_another_quality_begins_a_chunk():
    stamper = WaveStamper("oxi-1", 7)
    assert stamper.take([pleth(range(25))], NOON, NOON, "abc") == []
    (before,) = stamper.take([pleth(range(25, 50), quality=Quality.SENSOR_OFF)], NOON + 1, NOON + 1, "abc")
    (after,) = stamper.flush()
    assert (before.quality, before.samples) == (0, tuple(range(25)))
    assert (after.quality, after.first) == (Quality.SENSOR_OFF, 25)


def test_a_pause_is_a_gap_as_long_as_it_was():
    stamper = WaveStamper("oxi-1", 7)
    feed(stamper, [25])
    late = NOON + round(10 * SECOND)
    (before,) = stamper.take([pleth(range(25, 50))], late, late, "abc")
    (after,) = stamper.flush()
    assert before.end == 25
    assert after.first == 25 + round((10 - 50 / 75) * 75)
    within = WaveStamper("oxi-1", 8)
    feed(within, [25])
    soon = NOON + round(PAUSE_S * SECOND)
    assert within.take([pleth(range(25, 50))], soon, soon, "abc") == []


def test_a_payload_that_could_not_be_read_is_a_gap_of_its_usual_length():
    stamper = WaveStamper("oxi-1", 7)
    feed(stamper, [25])
    (before,) = stamper.lost()
    assert (before.first, before.end) == (0, 25)
    assert stamper.lost() == []  # a long noise is told many times
    feed(stamper, [25], at=NOON + SECOND)
    assert stamper.flush()[0].first == 50
    stamper.lost()
    later = NOON + 12 * SECOND
    stamper.take([pleth(range(25))], later, later, "abc")
    assert stamper.flush()[0].first == 75 + round((12 - 1 - 50 / 75) * 75)
    assert WaveStamper("oxi-1", 8).lost() == []


def test_receive_times_go_on_from_the_run_before_though_the_clock_was_put_back():
    stamper = WaveStamper("oxi-1", 8, NOON + 60 * SECOND)
    chunks = feed(stamper, [150])
    assert [c.received for c in chunks] == [NOON + 60 * SECOND + 1, NOON + 60 * SECOND + 2]
    assert chunks[1].corrected == NOON + 2 * SECOND
    assert stamper.last == chunks[1].received
