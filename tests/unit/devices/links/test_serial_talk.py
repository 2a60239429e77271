"""What goes between a command and its answer, and when noise is only noise; without a port."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from devices.links.serial_noise import GAP_S, NoiseWatch
from devices.links.serial_talk import Talk, nonin_set_time
from firmware_profiles import Step
from hearthward.core.device_states import Cause

BYTES = st.binary(max_size=40) | st.lists(st.sampled_from([b"a", b"b", b"ab", b"aab"])).map(b"".join)


@given(
    stream=BYTES,
    pattern=st.sampled_from([b"a", b"ab", b"aab", b"abab", b"\x06"]),
    cuts=st.lists(st.integers(0, 60)),
)
def test_only_the_first_answer_is_cut_out_however_the_stream_is_cut(
    stream: bytes, pattern: bytes, cuts: list[int]
):
    fed: list[bytes] = []

    async def run() -> bool:
        talk = Talk("x", lambda _data: None, fed.append)
        step = Step("expect", data=pattern, seconds=0.001 if pattern not in stream else 60, optional=True)
        asking = asyncio.create_task(talk.do([step], None))
        await asyncio.sleep(0)
        for start, end in pairwise(sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})):
            talk.hear(stream[start:end])
        answered = pattern in stream
        await asking
        talk.hear(b"more")
        return answered

    answered = asyncio.run(run())
    rest = stream.replace(pattern, b"", 1) if answered else stream
    assert b"".join(fed) == rest + b"more"


def test_the_clocks_command_has_two_digits_of_the_year():
    assert nonin_set_time(datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)) == bytes(
        [2, 0x72, 6, 7, 12, 31, 23, 59, 58, 3]
    )


async def test_noise_is_only_noise_when_it_goes_on_without_a_frame():
    at = [0.0]
    watch = NoiseWatch("/dev/ttyS9", 10, now=lambda: at[0])
    for second in range(100):
        at[0] = float(second)
        watch.heard(frames=second % 9 == 0)
    assert not watch.only.done()
    for second in range(100, 109):
        at[0] = float(second)
        watch.heard(frames=False)
    assert not watch.only.done()
    at[0] = 110.0
    watch.heard(frames=False)
    error = watch.only.result()
    assert error.details == {"path": "/dev/ttyS9", "cause": Cause.ONLY_NOISE.value}
    watch.heard(frames=False)  # told once


async def test_glitches_far_apart_are_nothing():
    at = [0.0]
    watch = NoiseWatch("x", 10, now=lambda: at[0])
    for n in range(100):
        at[0] = n * (GAP_S + 0.1)
        watch.heard(frames=False)
    assert not watch.only.done()
