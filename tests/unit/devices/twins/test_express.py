"""What a twin says it expresses is what the catalogue's profile decodes from its bytes."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.twins.ble import BlePeripheral
from devices.twins.world import TwinWorld
from firmware_profiles import Catalog, load_catalog
from hearthward.core.codes import METRICS

KINDS = ("hr", "plx", "bp", "bm85")


@functools.cache
def catalog() -> Catalog:
    return load_catalog()


@functools.cache
def twins() -> dict[str, BlePeripheral]:
    world = TwinWorld()
    return {
        "hr": world.add_heart_rate("hr"),
        "plx": world.add_pulse_oximeter("plx"),
        "bp": world.add_blood_pressure("bp"),
        "bm85": world.add_blood_pressure("bm85", "beurer-bm85"),
    }


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_decoded_is_expressed(kind: str, data: st.DataObject):
    twin = twins()[kind]
    values = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                metric: st.floats(METRICS[metric].low, METRICS[metric].high) for metric in twin.metrics
            },
        ).filter(lambda drawn: len(drawn) > 0)
    )
    expressed = {metric: twin.express(metric, value) for metric, value in values.items()}
    decoded = catalog().get(twin.profile).decode(twin.profile_source, twin._encode(expressed, None))
    assert {one.metric: one.value for one in decoded} == expressed


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_metric_is_refused_by_name(kind: str):
    with pytest.raises(ValueError, match="not 'etco2'"):
        twins()[kind].express("etco2", 40)
