"""The serial instruments from the wire to readings and waves: bytes made by hand, bent, cut, and noise."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_profiles import DecodedReading, DecodedWave, FramedBytes, Profile, load_catalog
from firmware_profiles.evidence import readme_table
from hearthward.core.errors import DecodeError
from hearthward.core.model import Quality
from tests.unit.firmware_profiles.serial_frames import (
    CMS50D_CAPTURE,
    contec5,
    contec9,
    df2_packet,
    df7_packet,
    df8,
    df13,
    pulse_wave,
    report,
)

CATALOG = load_catalog()
SERIAL = [profile for profile in CATALOG if profile.transport == "serial"]
Packet = Callable[..., bytes]
Frame = Callable[[int, int, int], bytes]
W8, W16 = pulse_wave(25, 255), pulse_wave(25, 65_535)
MASIMO = b"02/22/16 22:47:45 SPO2=098% BPM=097 EXC=000800\r\n"
STREAMS = {
    "nonin-df2": [df2_packet(60 + n, 90 + n, W8) for n in range(4)],
    "nonin-df7": [df7_packet(60 + n, 90 + n, W16) for n in range(4)],
    "nonin-df8": [df8(60 + n, 90 + n) for n in range(8)],
    "nonin-df13": [df13(f"201602222247{n:02}", 60 + n, 90 + n) for n in range(4)],
    "contec-cms50-5byte": [contec5(60, 97, k) for k in pulse_wave(120, 100)],
    "contec-cms50-9byte": [contec9(60, 97, k) for k in pulse_wave(120, 100)],
    "masimo-ascii1": [MASIMO] * 4,
    "generic-instrument": [report(1 + n, 90 + n) for n in range(4)],
}


def told_by(profile: Profile) -> str:
    """The metric that the streams count on."""
    return "device_sensor_1" if profile.id == "generic-instrument" else "spo2"


class Heard:
    """What came of a stream: readings, waves, and how many refusals by reason."""

    def __init__(self, profile_id: str) -> None:
        self._profile = CATALOG.get(profile_id)
        self._framer = self._profile.framer()
        self.readings: list[DecodedReading] = []
        self.waves: list[DecodedWave] = []
        self.refused: list[str] = []

    def feed(self, *chunks: bytes) -> Heard:
        for chunk in chunks:
            for item in self._framer.feed(chunk):
                if isinstance(item, FramedBytes):
                    self._payload(item)
                else:
                    self.refused += [item.reason] * int(item.details["count"] or 0)
        return self

    def _payload(self, item: FramedBytes) -> None:
        try:
            self.readings += self._profile.decode(item.source, item.payload)
        except DecodeError as error:
            self.refused.append(error.reason)
            return
        if (waves := self._profile.wave_decoders.get(item.source)) is not None:
            self.waves += waves(item.payload)

    def values(self, metric: str) -> list[float | None]:
        return [reading.value for reading in self.readings if reading.metric == metric]


def chunked(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    ends = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(ends)]


def test_every_serial_profile_has_a_stream_here():
    assert {profile.id for profile in SERIAL} == set(STREAMS)


@pytest.mark.parametrize("profile", SERIAL, ids=lambda profile: profile.id)
def test_a_clean_stream_gives_all_its_readings(profile: Profile):
    heard = Heard(profile.id).feed(*STREAMS[profile.id])
    whole = {"contec-cms50-5byte": [97, 97], "contec-cms50-9byte": [97, 97], "masimo-ascii1": [98] * 4}
    assert heard.values(told_by(profile)) == whole.get(
        profile.id, [90 + n for n in range(len(STREAMS[profile.id]))]
    )
    assert heard.refused == []


@settings(max_examples=25)
@pytest.mark.parametrize("profile", SERIAL, ids=lambda profile: profile.id)
@given(data=st.data())
def test_bent_streams_never_raise_and_give_the_same_however_they_are_cut(
    profile: Profile, data: st.DataObject
):
    stream = bytearray(b"".join(STREAMS[profile.id]))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(stream)))
        stream[at : at + data.draw(st.integers(0, 7))] = data.draw(st.binary(max_size=7))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    whole, pieces = (
        Heard(profile.id).feed(bytes(stream)),
        Heard(profile.id).feed(*chunked(bytes(stream), cuts)),
    )
    assert (pieces.readings, pieces.waves, pieces.refused) == (whole.readings, whole.waves, whole.refused)


@settings(max_examples=25)
@pytest.mark.parametrize("profile", SERIAL, ids=lambda profile: profile.id)
@given(noise=st.binary(max_size=400))
def test_any_bytes_are_taken(profile: Profile, noise: bytes):
    heard = Heard(profile.id).feed(noise)
    assert set(heard.refused) <= {"malformed", "integrity", "oversized", "truncated", "out_of_range"}


@pytest.mark.parametrize("profile", SERIAL, ids=lambda profile: profile.id)
def test_noise_gives_no_readings(profile: Profile):
    """What a wrong speed makes: random bytes. Formats without a check need several frames in a row."""
    assert Heard(profile.id).feed(random.Random(5).randbytes(20_000)).readings == []


@pytest.mark.parametrize("profile", SERIAL, ids=lambda profile: profile.id)
def test_after_noise_the_stream_is_found_again(profile: Profile):
    noise = random.Random(9).randbytes(777)
    heard = Heard(profile.id).feed(noise)
    told = len(heard.refused)
    stream = b"".join(STREAMS[profile.id])
    heard.feed(stream, stream)
    assert len(heard.values(told_by(profile))) >= {"contec-cms50-5byte": 3, "contec-cms50-9byte": 3}.get(
        profile.id, 4
    )
    assert told + len(heard.refused) > 0


def test_a_format_2_packet_is_two_numbers_and_a_third_of_a_second_of_pleth():
    heard = Heard("nonin-df2").feed(df2_packet(321, 99, W8, low_battery=True))
    assert [(r.metric, r.value, r.code) for r in heard.readings] == [
        ("pulse_rate", 321, None),
        ("spo2", 99, None),
        ("battery_state", None, "low"),
    ]
    (wave,) = heard.waves
    assert (wave.metric, wave.rate_hz, wave.samples) == ("pleth", 75, tuple(W8))


def test_a_format_7_packet_has_samples_of_16_bits():
    (wave,) = Heard("nonin-df7").feed(df7_packet(60, 99, W16)).waves
    assert wave.samples == tuple(W16)


@pytest.mark.parametrize(
    ("status", "quality"),
    [
        (0x40, Quality.SENSOR_OFF),
        (0x08, Quality.SENSOR_OFF),
        (0x20, Quality.MOTION),
        (0x04, Quality.POOR_SIGNAL),
    ],
)
@pytest.mark.parametrize(
    ("profile_id", "packet", "wave"), [("nonin-df2", df2_packet, W8), ("nonin-df7", df7_packet, W16)]
)
def test_a_flag_in_one_frame_is_said_of_the_whole_packet(
    profile_id: str, packet: Packet, wave: list[int], status: int, quality: Quality
):
    plain, flagged = packet(60, 99, wave), packet(60, 99, wave, 0x80 | status)
    heard = Heard(profile_id).feed(plain[:60] + flagged[60:65] + plain[65:])
    assert {reading.quality for reading in heard.readings} == {quality}
    assert {one.quality for one in heard.waves} == {quality}


@pytest.mark.parametrize("profile_id", ["nonin-df2", "nonin-df7"])
def test_a_wrong_sum_costs_its_packet(profile_id: str):
    packets = [bytearray(packet) for packet in STREAMS[profile_id]]
    packets[1][43] ^= 0x10
    heard = Heard(profile_id).feed(*map(bytes, packets))
    assert heard.values("spo2") == [90, 92, 93]
    assert "integrity" in heard.refused


def test_a_missing_number_is_no_reading_but_its_wave_is_kept():
    heard = Heard("nonin-df2").feed(df2_packet(511, 127, W8, 0xC0))
    assert heard.readings == []
    assert len(heard.waves) == 1


def test_format_8_is_believed_from_the_sixth_frame_on_and_loses_none():
    frames = STREAMS["nonin-df8"]
    heard = Heard("nonin-df8")
    counts = [len(heard.feed(frame).values("spo2")) for frame in frames]
    assert counts == [0, 0, 0, 0, 0, 6, 7, 8]


def test_a_record_from_memory_has_its_own_time_and_a_newer_instrument_may_say_more():
    memory = df13("20160222224745", 72, 97, 0x210)
    heard = Heard("nonin-df13").feed(memory + df13("20160222224746", 73, 98, beyond=b"\x01\x02\x03"))
    assert heard.values("pulse_rate") == [72, 73]
    assert len({reading.device_time for reading in heard.readings}) == 2
    assert [r.quality for r in heard.readings[::2]] == [Quality.FROM_STORE, Quality(0)]
    assert heard.refused == []


def test_a_packet_of_another_type_is_no_record():
    record = df13("20160222224745", 72, 97)
    for kind in (b"\x00\x0c", b"\x0d\x00", b"\x00\x63"):
        (framed,) = CATALOG.get("nonin-df13").framer().feed(record[:2] + kind + record[4:])
        with pytest.raises(DecodeError, match="kind") as caught:
            CATALOG.get("nonin-df13").decode("df13", framed.payload)
        assert caught.value.reason == "malformed"


def test_a_record_with_a_wrong_sum_is_refused_and_the_next_is_read():
    good = df13("20160222224745", 72, 97)
    heard = Heard("nonin-df13").feed(good[:19] + b"\x60" + good[20:] + good)
    assert heard.values("spo2") == [97]
    assert heard.refused == ["integrity"]


def test_the_published_capture_of_a_cms50d_is_65_and_97_and_its_pulse():
    heard = Heard("contec-cms50-9byte").feed(b"\x0c\x80" + CMS50D_CAPTURE)  # an answer before it
    assert [(r.metric, r.value, r.quality) for r in heard.readings] == [
        ("pulse_rate", 65, Quality(0)),
        ("spo2", 97, Quality(0)),
    ]
    (wave,) = heard.waves
    assert wave.rate_hz == 60
    assert wave.samples[:3] == (0x33, 0x30, 0x2E)
    assert max(wave.samples) == 0x4E


@pytest.mark.parametrize(
    ("profile_id", "frame"), [("contec-cms50-5byte", contec5), ("contec-cms50-9byte", contec9)]
)
def test_a_second_of_contec_frames_is_the_newest_numbers_and_all_samples(profile_id: str, frame: Frame):
    samples = pulse_wave(60, 100)
    stream = b"".join(frame(140 if k < 59 else 141, 96, sample) for k, sample in enumerate(samples))
    heard = Heard(profile_id).feed(stream)
    assert heard.values("pulse_rate") == [141]
    assert heard.values("spo2") == [96]
    assert [wave.samples for wave in heard.waves] == [tuple(samples)]


def test_a_finger_that_was_out_for_a_moment_marks_the_second():
    frames = [contec5(72, 97, 50, 0x10 if k == 3 else 0) for k in range(60)]
    heard = Heard("contec-cms50-5byte").feed(*frames)
    assert {reading.quality for reading in heard.readings} == {Quality.SENSOR_OFF}
    lost = Heard("contec-cms50-9byte").feed(*(contec9(72, 97, 50, 0x85 if k == 3 else 5) for k in range(60)))
    assert {reading.quality for reading in lost.readings} == {Quality.SENSOR_OFF}


def test_a_lost_byte_costs_the_second_it_is_in():
    frames = [contec9(60 + k // 60, 97, 50) for k in range(180)]
    frames[70] = frames[70][:4] + frames[70][5:]
    heard = Heard("contec-cms50-9byte").feed(*frames)
    assert heard.values("pulse_rate") == [60, 62]  # the seconds are counted anew from the next frame on
    assert heard.refused


def test_numbers_of_masimo_that_need_an_option():
    line = b"02/22/16 22:47:45 SPO2=098% BPM=097 SPHB=12.4 PVI=014 SPCO=02.0% SPMET=01.1% EXC=000800\r\n"
    heard = Heard("masimo-ascii1").feed(line)
    numbers = {reading.metric: reading.value for reading in heard.readings}
    assert numbers == {
        "spo2": 98,
        "pulse_rate": 97,
        "hemoglobin": 12.4,
        "pleth_variability": 14,
        "carboxyhemoglobin": 2,
        "methemoglobin": 1.1,
    }


def test_a_store_that_is_sent_by_itself_is_said():
    assert "sent by the device from its memory" in readme_table([CATALOG.get("nonin-df13")])
    assert "memory" not in readme_table([CATALOG.get("nonin-df8")])
