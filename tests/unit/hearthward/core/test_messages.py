from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.device_states import Cause, DeviceWord, Sighting
from hearthward.core.errors import DecodeError
from hearthward.core.messages import Account, Accounts, ConfigDocument, Receipt, Status, StoredBlock
from hearthward.core.packing import MAX_MESSAGE_BYTES, VERSION, pack
from hearthward.core.raw_frames import MOST_BYTES, MOST_FRAMES, FieldPart, RawFrame, RawFrames
from hearthward.core.sightings import (
    MOST_SCAN_S,
    MOST_SIGHTINGS,
    MOST_WATCH_S,
    Ask,
    Sightings,
    worth_telling,
)
from hearthward.core.text import tidy
from hearthward.trust.keys import SigningKey, verify

INT64 = st.integers(-(2**63), 2**63 - 1)
NATURAL = st.integers(0, 2**63 - 1)
TEXT = st.text(max_size=8)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
SEQS = st.integers(1, 2**62)
PAIRS = st.tuples(SEQS, st.integers(0, 5000)).map(lambda p: (p[0], p[0] + p[1]))
STORED = st.builds(StoredBlock, SEQS, st.integers(1, 5000), st.binary(min_size=8, max_size=8))
WORDS = st.dictionaries(TEXT, TEXT, max_size=3)
PLAIN_TEXT = TEXT.map(lambda text: tidy(text, 8))
STATES = st.dictionaries(
    TEXT,
    st.builds(DeviceWord, PLAIN_TEXT, st.sampled_from(Cause), INT64, PLAIN_TEXT, st.integers(0, 86_400)),
    max_size=3,
)
SIGHTINGS = st.builds(
    Sighting,
    transport=st.sampled_from(["ble", "serial"]),
    address=PLAIN_TEXT,
    first=INT64,
    last=INT64,
    name=PLAIN_TEXT,
    rssi=st.none() | st.integers(-128, 127),
    services=st.lists(PLAIN_TEXT, max_size=3).map(tuple),
    company_ids=st.lists(st.integers(0, 65_535), max_size=3).map(tuple),
    usb=PLAIN_TEXT,
    profile=PLAIN_TEXT,
    why=PLAIN_TEXT,
    device=PLAIN_TEXT,
)
COUNTS = st.dictionaries(TEXT, st.dictionaries(TEXT, NATURAL, max_size=3), max_size=3)
PLAIN = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RECEIPTS = st.builds(
    Receipt,
    gateway=IDS,
    boot=IDS,
    session=TEXT,
    blocks=st.lists(STORED, max_size=4).map(tuple),
    gaps=st.lists(PAIRS, max_size=3).map(tuple),
    signature=st.binary(max_size=64),
)
STATUSES = st.builds(
    Status,
    online=st.booleans(),
    boot=TEXT,
    version=TEXT,
    config=TEXT,
    wall=INT64,
    backlog=INT64,
    devices=STATES,
    rejected=COUNTS,
    session=TEXT,
    alarms=NATURAL,
    trouble=WORDS,
)
DOCUMENTS = st.builds(
    ConfigDocument,
    gateway=IDS,
    version=SEQS,
    body=st.dictionaries(TEXT, PLAIN, max_size=4),
    key=st.binary(max_size=32),
    signature=st.binary(max_size=64),
)
ROWS = st.builds(Account, TEXT, NATURAL, TEXT, NATURAL)
ACCOUNTS = st.builds(Accounts, IDS, IDS, NATURAL, NATURAL, st.lists(ROWS, max_size=4).map(tuple))
SEEN = st.builds(
    Sightings,
    gateway=TEXT,
    session=TEXT,
    wall=INT64,
    sightings=st.lists(SIGHTINGS, max_size=4).map(worth_telling),
    hearing=st.booleans(),
    trouble=PLAIN_TEXT,
    more=st.integers(0, 1000),
)
ASKS = st.builds(
    Ask,
    gateway=TEXT,
    kind=st.just("scan"),
    seconds=st.integers(1, MOST_SCAN_S),
    issued=INT64,
    signature=st.binary(max_size=64),
)
WATCHES = st.builds(
    Ask,
    gateway=TEXT,
    kind=st.just("watch"),
    seconds=st.integers(1, MOST_WATCH_S),
    issued=INT64,
    signature=st.binary(max_size=64),
    device=IDS,
)
FIELDS = st.builds(FieldPart, PLAIN_TEXT, NATURAL, NATURAL, PLAIN_TEXT, PLAIN_TEXT, PLAIN_TEXT)
RAW = st.builds(
    RawFrames,
    gateway=IDS,
    session=IDS,
    device=IDS,
    wall=INT64,
    left_s=NATURAL,
    frames=st.lists(
        st.builds(
            RawFrame,
            number=NATURAL,
            received=NATURAL,
            source=PLAIN_TEXT,
            payload=st.binary(max_size=32),
            size=NATURAL,
            profile=PLAIN_TEXT,
            reason=PLAIN_TEXT,
            detail=PLAIN_TEXT,
            fields=st.lists(FIELDS, max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    known=st.booleans(),
    missed=NATURAL,
)
MESSAGES = RECEIPTS | STATUSES | DOCUMENTS | ACCOUNTS | SEEN | ASKS | WATCHES | RAW
SAMPLES: list[Any] = [
    Receipt("g", "b", "s", (StoredBlock(1, 2, bytes(8)), StoredBlock(5, 5, b"12345678")), ((3, 4),), b"sig"),
    Status(
        online=True,
        boot="b",
        devices={"d": DeviceWord("backoff", Cause.OUT_OF_RANGE, 7, "not heard", 30)},
        rejected={"d": {"truncated": 2}},
        session="s",
        trouble={"trust": "key"},
    ),
    ConfigDocument("g", 1, {"devices": [{"id": "d"}]}, b"key", b"signature"),
    Accounts("g", "b", 9, 3, (Account("d", 491_000, "read", 9), Account("", 491_000, "dropped:full", 2))),
    Sightings("g", "s", 9, (Sighting("ble", "C0:00", 1, 2, "cuff", -60, ("1810",), (77,), device="d"),)),
    Ask("g", "scan", 10, 9, b"signature"),
    Ask("g", "consent", 0, 9, b"signature", ("C0:00", 1, 1234)),
    Ask("g", "watch", 10, 9, b"signature", device="d"),
    RawFrames(
        "g", "s", "d", 9, 60, (RawFrame(1, 5, "2a37", b"\x00H", 2, "p", fields=(FieldPart("rate", 1, 1),)),)
    ),
]
KINDS = [type(s) for s in SAMPLES]


@given(MESSAGES)
def test_a_message_comes_back_as_it_went(sent: Any):
    assert type(sent).decode(sent.encode()) == sent


@pytest.mark.parametrize("kind", KINDS)
@given(noise=st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else(kind: Any, noise: bytes):
    with pytest.raises(DecodeError):
        kind.decode(noise)


@pytest.mark.parametrize("kind", KINDS)
@given(content=PLAIN.filter(lambda c: not isinstance(c, list) or c[:1] != [2]))
def test_other_content_is_refused_and_nothing_else(kind: Any, content: object):
    with pytest.raises(DecodeError):
        kind.decode(msgpack.packb(content))


@pytest.mark.parametrize("sample", SAMPLES)
@given(data=st.data())
def test_damage_anywhere_is_refused_or_gives_what_can_be_sent_again(sample: Any, data: st.DataObject):
    payload = sample.encode()
    at = data.draw(st.integers(0, len(payload) - 1))
    byte = data.draw(st.integers(0, 255))
    try:
        out = type(sample).decode(payload[:at] + bytes([byte]) + payload[at + 1 :])
    except DecodeError:
        return
    assert repr(type(sample).decode(out.encode())) == repr(out)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_cut_message_is_refused(sample: Any):
    payload = sample.encode()
    for length in range(len(payload)):
        with pytest.raises(DecodeError):
            type(sample).decode(payload[:length])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_large_is_refused_unread(kind: Any):
    with pytest.raises(DecodeError) as caught:
        kind.decode(b"\xc0" * (MAX_MESSAGE_BYTES + 1))
    assert caught.value.reason == "oversized"
    with pytest.raises(DecodeError):
        kind.decode(b"\x91" * 100_000)  # nested deeper than any stack


@pytest.mark.parametrize("sample", SAMPLES)
def test_another_version_is_refused_as_such(sample: Any):
    raw = msgpack.unpackb(sample.encode())
    for version in (1, 3, True):
        raw[0] = version
        with pytest.raises(DecodeError) as caught:
            type(sample).decode(msgpack.packb(raw))
        assert caught.value.reason == "version"


GOOD = [1, 2, bytes(8)]
RAW_ROW = RawFrame(1, 5, "2a37", b"\x00H", 2, "p", fields=(FieldPart("rate", 1, 1),)).packed()
SEEN_ROW = Sighting("ble", "C0:00", 1, 2, "cuff", -60, ("1810",), (77,)).packed()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (Receipt, ["g", "b", "s", [[0, 1, bytes(8)]], [], b""]),
        (Receipt, ["g", "b", "s", [[1, 0, bytes(8)]], [], b""]),
        (Receipt, ["g", "b", "s", [[2**63 - 1, 2, bytes(8)]], [], b""]),
        (Receipt, ["g", "b", "s", [[1, 2, bytes(7)]], [], b""]),
        (Receipt, ["g", "b", "s", [[1, 2, "12345678"]], [], b""]),
        (Receipt, ["g", "b", "s", [[1, 2]], [], b""]),
        (Receipt, ["g", "b", "s", [["1", 2, bytes(8)]], [], b""]),
        (Receipt, ["g", "b", "s", [[1.5, 2, bytes(8)]], [], b""]),
        (Receipt, ["g", "b", "s", [GOOD], [[2, 1]], b""]),
        (Receipt, ["g", "b", "s", [GOOD], [[0, 1]], b""]),
        (Receipt, ["g", "b", "s", [GOOD], [[1, 2, 3]], b""]),
        (Receipt, ["g", "b", "s", [GOOD], [["1", "2"]], b""]),
        (Receipt, ["g", "b", "s", [GOOD], [], "text"]),
        (Receipt, ["g", "b", 7, [GOOD], [], b""]),
        (Receipt, [5, "b", "s", [GOOD], [], b""]),
        (Receipt, ["g", "b", "s", [GOOD], []]),
        (Status, [1]),
        (Status, [True, 5]),
        (Status, [True, "", "", "", "now"]),
        (Status, [True, "", "", "", 0, None]),
        (Status, [True, "", "", "", 0, 0, []]),
        (Status, [True, "", "", "", 0, 0, {"d": 5}]),
        (Status, [True, "", "", "", 0, 0, {1: "streaming"}]),
        (Status, [True, "", "", "", 0, 0, {"d": ["streaming", "none", 0, ""]}]),
        (Status, [True, "", "", "", 0, 0, {"d": ["streaming", "none", "noon", "", 0]}]),
        (Status, [True, "", "", "", 0, 0, {"d": ["streaming", "none", 0, "", -1]}]),
        (Status, [True, "", "", "", 0, 0, {"d": ["streaming", None, 0, "", 0]}]),
        (Status, [True, "", "", "", 0, 0, {}, "more"]),
        (Status, [True, "", "", "", 0, 0, {}, {"d": 1}]),
        (Status, [True, "", "", "", 0, 0, {}, {1: {"truncated": 1}}]),
        (Status, [True, "", "", "", 0, 0, {}, {"d": {"truncated": -1}}]),
        (Status, [True, "", "", "", 0, 0, {}, {"d": {"truncated": True}}]),
        (Status, [True, "", "", "", 0, 0, {}, {"d": {"truncated": 1.0}}]),
        (Status, [True, "", "", "", 0, 0, {}, {"d": {"truncated": 2**63}}]),
        (Status, [True, "", "", "", 0, 0, {}, {"d": {b"truncated": 1}}]),
        (Status, [True, "", "", "", 0, 0, {}, {}, 5]),
        (Status, [True, "", "", "", 0, 0, {}, {}, "", "one"]),
        (Status, [True, "", "", "", 0, 0, {}, {}, "", 0, ["key"]]),
        (Status, [True, "", "", "", 0, 0, {}, {}, "", 0, {"trust": 1}]),
        (ConfigDocument, ["g", 1, [], "", b"", b""]),
        (ConfigDocument, ["g", "1", {}, ConfigDocument("g", "1", {}).digest, b"", b""]),  # type: ignore[arg-type]
        (ConfigDocument, [5, 1, {}, ConfigDocument(5, 1, {}).digest, b"", b""]),  # type: ignore[arg-type]
        (ConfigDocument, ["g", 1, {}, ConfigDocument("g", 1, {}).digest, "key", b""]),
        (ConfigDocument, ["g", 1, {}, ConfigDocument("g", 1, {}).digest, b"", None]),
        (ConfigDocument, ["g", 1, {}, ConfigDocument("g", 1, {}).digest]),
        (Accounts, ["g", "b", -1, 0, []]),
        (Accounts, ["g", "b", 1, 0, [["d", 1, "read"]]]),
        (Accounts, ["g", "b", 1, 0, [["d", 1, "read", -1]]]),
        (Accounts, ["g", "b", 1, 0, [["d", 1, 7, 1]]]),
        (Accounts, ["g", "b", 1, 0, [[None, 1, "read", 1]]]),
        (Accounts, ["g", 5, 1, 0, []]),
        (Accounts, ["g", "b", 1, True, []]),
        (Sightings, ["g", "s", 1, [SEEN_ROW] * (MOST_SIGHTINGS + 1), True, ""]),
        (Sightings, ["g", "s", 1, [SEEN_ROW[:-1]], True, ""]),
        (Sightings, ["g", "s", 1, [["usb", *SEEN_ROW[1:]]], True, ""]),
        (Sightings, ["g", "s", 1, [[*SEEN_ROW[:5], -129, *SEEN_ROW[6:]]], True, ""]),
        (Sightings, ["g", "s", 1, [[*SEEN_ROW[:6], ["1810"] * 17, *SEEN_ROW[7:]]], True, ""]),
        (Sightings, ["g", "s", 1, [[*SEEN_ROW[:7], [65_536], *SEEN_ROW[8:]]], True, ""]),
        (Sightings, ["g", "s", 1, {}, True, ""]),
        (Sightings, ["g", "s", 1, [], 1, ""]),
        (Sightings, ["g", "s", 1, [], True, "", -1]),
        (Sightings, ["g", "s", 1, [], True, "", 1.5]),
        (Sightings, ["g", "s", 1, [], True, "", 1, 1]),
        (Sightings, ["g" * 400, "s", 1, [], True, "", 0]),
        (Ask, ["g", "format", 10, 1, b""]),
        (Ask, ["g", "scan", 0, 1, b""]),
        (Ask, ["g", "scan", MOST_SCAN_S + 1, 1, b""]),
        (Ask, ["g", "scan", 1.5, 1, b""]),
        (Ask, ["g", ["scan"], 10, 1, b""]),
        (Ask, ["g", "scan", 10, "now", b""]),
        (Ask, ["g", "scan", 10, 1, "signature"]),
        (Ask, ["g", "scan", 10, 1, "d", b""]),
        (Ask, ["g", "watch", 10, 1, b""]),
        (Ask, ["g", "watch", 10, 1, "", b""]),
        (Ask, ["g", "watch", 10, 1, "d" * 65, b""]),
        (Ask, ["g", "watch", 10, 1, 7, b""]),
        (Ask, ["g", "watch", MOST_WATCH_S + 1, 1, "d", b""]),
        (RawFrames, ["g", "s", "d", 1, 9, [RAW_ROW] * (MOST_FRAMES + 1), True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [RAW_ROW[:-1]], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [[*RAW_ROW[:3], bytes(MOST_BYTES + 1), *RAW_ROW[4:]]], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [[*RAW_ROW[:3], "00", *RAW_ROW[4:]]], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [[-1, *RAW_ROW[1:]]], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [[*RAW_ROW[:-1], [["rate", 0, -1, "", "", ""]]]], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [[*RAW_ROW[:-1], [["rate", 0, 1, 7, "", ""]]]], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [[*RAW_ROW[:-1], ["rate"]]], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [7], True, 0]),
        (RawFrames, ["g", "s", "d" * 65, 1, 9, [], True, 0]),
        (RawFrames, ["g", "s", "d", 1, -1, [], True, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [], 1, 0]),
        (RawFrames, ["g", "s", "d", 1, 9, [], True, -1]),
    ],
)
def test_fields_of_the_wrong_type_are_refused(kind: Any, content: list[object]):
    with pytest.raises(DecodeError):
        kind.decode(msgpack.packb([2, *content]))


def test_raw_frames_are_cut_to_their_bounds():
    fields = tuple(FieldPart(f"field-{n}", n, 1, "x" * 200) for n in range(200))
    many = tuple(RawFrame(n, n, "2a37", bytes(2000), 2000, fields=fields) for n in range(50))
    payload = RawFrames("g", "s", "d", 1, 9, many, missed=2).encode()
    told = RawFrames.decode(payload)
    assert len(payload) <= 64 * 1024
    assert 0 < len(told.frames) < MOST_FRAMES
    assert told.frames[-1].number == 49
    assert told.missed == 2 + 50 - len(told.frames)
    assert {(len(f.payload), f.size, len(f.fields)) for f in told.frames} == {(MOST_BYTES, 2000, 96)}


@given(DOCUMENTS, st.data())
def test_an_altered_configuration_document_is_refused(document: ConfigDocument, data: st.DataObject):
    raw = msgpack.unpackb(document.encode())
    where = data.draw(st.sampled_from([1, 2, 3]))
    raw[where] = {1: raw[1] + "x", 2: raw[2] + 1, 3: {**raw[3], "more": 1}}[where]
    with pytest.raises(DecodeError) as caught:
        ConfigDocument.decode(msgpack.packb(raw))
    assert caught.value.reason == "digest"


@given(DOCUMENTS)
def test_the_digest_of_a_document_is_not_that_of_its_signature(document: ConfigDocument):
    assert document.signed(b"other", b"more").digest == document.digest
    assert len(document.digest) == 16


KEY = SigningKey.new()


@given(RECEIPTS, st.data())
def test_a_signature_holds_for_exactly_this_receipt(receipt: Receipt, data: st.DataObject):
    signed = receipt.signed(KEY.sign(receipt.signed_part()))
    arrived = Receipt.decode(signed.encode())
    assert verify(KEY.public, arrived.signed_part(), arrived.signature)
    other = data.draw(RECEIPTS.filter(lambda r: r.signed(b"") != receipt.signed(b"")))
    assert not verify(KEY.public, other.signed_part(), signed.signature)


@given(DOCUMENTS, DOCUMENTS)
def test_a_signature_holds_for_exactly_this_document(document: ConfigDocument, other: ConfigDocument):
    named = document.signed(KEY.public, b"")
    signed = named.signed(KEY.public, KEY.sign(named.signed_part()))
    arrived = ConfigDocument.decode(signed.encode())
    assert verify(arrived.key, arrived.signed_part(), arrived.signature)
    if other.signed(b"", b"") != document.signed(b"", b""):
        assert not verify(KEY.public, other.signed(KEY.public, b"").signed_part(), signed.signature)
    assert not verify(KEY.public, signed.signed(b"other", b"").signed_part(), signed.signature)


def test_a_signed_receipt_is_never_a_signed_document():
    """What is signed begins with its kind: no bytes can be both."""
    receipt = SAMPLES[0].signed_part()
    document = SAMPLES[2].signed_part()
    assert (receipt[:7], document[:6]) == (b"receipt", b"config")


def test_a_status_of_an_edge_that_does_not_tell_the_newer_things_is_read():
    streams = {"d": DeviceWord("streaming")}
    told = Status(online=True, boot="b", devices=streams, trouble={"trust": "key"})
    assert Status.decode(told.encode()) == told
    older = msgpack.packb(msgpack.unpackb(told.encode())[:-4])
    assert Status.decode(older) == Status(online=True, boot="b", devices=streams)


def test_what_the_former_release_said_of_a_device_is_read():
    raw = msgpack.unpackb(Status(online=True).encode())
    raw[7] = {"a": "streaming", "b": "backoff: C0:01: not heard for 30 s; next try in 5 s"}
    assert Status.decode(msgpack.packb(raw)).devices == {
        "a": DeviceWord("streaming"),
        "b": DeviceWord("backoff", detail="C0:01: not heard for 30 s; next try in 5 s"),
    }


def test_a_cause_of_a_later_release_is_another_one():
    raw = msgpack.unpackb(Status(online=True, devices={"a": DeviceWord("backoff", since=5)}).encode())
    raw[7]["a"][1] = "struck_by_lightning"
    assert Status.decode(msgpack.packb(raw)).devices == {"a": DeviceWord("backoff", Cause.OTHER, 5)}


def test_what_a_device_says_of_itself_is_cut_and_cannot_steer_a_terminal():
    loud = Sighting(
        "ble", "C0:00", 1, 2, "\x1b[2Jcuff\n" + "x" * 900, 200, ("1810",) * 40, (1,) * 40, why="\ud800?"
    )
    (told,) = Sightings.decode(Sightings("g", "s", 1, (loud,)).encode()).sightings
    assert (told.name[:11], len(told.name), told.rssi) == ("�[2Jcuff�xx", 64, None)
    assert (len(told.services), len(told.company_ids), told.why) == (16, 8, "�?")
    word = DeviceWord("backoff", detail="\x07" + "y" * 900, next_s=10**9)
    (heard,) = Status.decode(Status(online=True, devices={"d": word}).encode()).devices.values()
    assert (heard.detail[:2], len(heard.detail), heard.next_s) == ("�y", 300, 86_400)


def test_of_a_busy_place_what_could_be_adopted_and_the_newest_are_told():
    crowd = [Sighting("ble", f"C0:{n:04}", n, n) for n in range(100)]
    ours = [Sighting("ble", f"mine-{n}", 500, 500, profile="sig-glucose", device="d") for n in range(70)]
    new = [Sighting("ble", "fits", 0, 0, profile="sig-glucose"), Sighting("serial", "port", 1, 1, why="port")]
    told = Sightings.decode(Sightings("g", "s", 1, (*crowd[:30], *ours, *new)).encode()).sightings
    assert [one.address for one in told[:4]] == ["port", "fits", "C0:0029", "C0:0028"]
    assert [one.address for one in told[32:34]] == ["mine-0", "mine-1"]
    assert len(told) == MOST_SIGHTINGS
    heard = Sightings.decode(Sightings("g", "s", 1, tuple(crowd)).encode())
    assert (len(heard.sightings), heard.more) == (MOST_SIGHTINGS, 100 - MOST_SIGHTINGS)


def test_of_500_strangers_those_heard_now_and_nearest_are_told_and_the_rest_is_counted():
    now = 3600 * 10**9
    crowd = [Sighting("ble", f"C0:{n:04}", 0, now - n * 10**7, rssi=-40 - n % 60) for n in range(500)]
    gone = Sighting("ble", "gone", 0, now - 61 * 10**9, rssi=-20)
    heard = Sightings.decode(Sightings("g", "s", now, (gone, *crowd)).encode())
    assert (len(heard.sightings), heard.more) == (MOST_SIGHTINGS, 501 - MOST_SIGHTINGS)
    assert [one.rssi for one in heard.sightings] == sorted([s.rssi or 0 for s in crowd], reverse=True)[:64]
    assert gone not in heard.sightings
    assert Sightings.decode(heard.encode()) == heard, "told on it stays as it is"


def test_a_gateway_of_a_former_release_says_nothing_of_the_rest_and_its_trouble_is_cut():
    old = pack([VERSION, "g", "s", 1, [], False, "\x1b[2J" + "x" * 5000])
    heard = Sightings.decode(old)
    assert (heard.more, heard.hearing, heard.trouble) == (0, False, "\ufffd[2J" + "x" * 296)


def test_a_signature_holds_for_exactly_what_was_asked():
    asked = Ask("g", "scan", 10, 5)
    signed = asked.signed(KEY.sign(asked.signed_part()))
    arrived = Ask.decode(signed.encode())
    assert verify(KEY.public, arrived.signed_part(), arrived.signature)
    for other in (Ask("h", "scan", 10, 5), Ask("g", "scan", 11, 5), Ask("g", "scan", 10, 6)):
        assert not verify(KEY.public, other.signed_part(), signed.signature)
    given = Ask("g", "consent", 0, 5, consent=("C0:00", 1, 1234))
    agreed = Ask.decode(given.signed(KEY.sign(given.signed_part())).encode())
    assert verify(KEY.public, agreed.signed_part(), agreed.signature)
    for code in (1235, 0):
        other = Ask("g", "consent", 0, 5, consent=("C0:00", 1, code))
        assert not verify(KEY.public, other.signed_part(), agreed.signature)
    assert "1234" not in repr(given), "a code gets into no log by accident"
    assert asked.signed_part()[:3] == b"ask"


@pytest.mark.parametrize(
    ("kind", "seconds", "more"),
    [
        ("scan", 10, [["C0:00", 1, 2]]),
        ("scan", 0, []),
        ("consent", 0, []),
        ("consent", 10, [["C0:00", 1, 2]]),
        ("consent", 0, [["C0:00", 255, 2]]),
        ("consent", 0, [["C0:00", 1, 10_000]]),
        ("consent", 0, [["C0:00", -1, 2]]),
        ("consent", 0, [["C0:00", True, 2]]),
        ("consent", 0, [[1, 1, 2]]),
        ("consent", 0, [["C0:00", 1]]),
        ("consent", 0, [["C0:00", 1, 2], 3]),
        ("reset", 0, []),
    ],
)
def test_what_a_gateway_cannot_be_asked_is_refused(kind: str, seconds: int, more: list[Any]):
    with pytest.raises(DecodeError):
        Ask.decode(pack([VERSION, "g", kind, seconds, 5, *more, b"signature"]))


def test_a_stored_block_knows_its_last_number():
    assert StoredBlock(10, 3, bytes(8)).last == 12
