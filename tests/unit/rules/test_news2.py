"""NEWS2 against a second implementation made from the printed chart: every cell, boundary and gap."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hearthward.core.codes import METRICS
from rules import load_rules, news2
from tests.unit.rules import news2_oracle as oracle

RANGES = {
    "respiratory_rate": (0, 200),
    "spo2": (0, 100),
    "systolic": (-50, 400),
    "pulse": (0, 350),
    "temperature": (10, 50),
}
SETTINGS = list(itertools.product((1, 2), (None, False, True)))


def texts(parameter: str) -> st.SearchStrategy[str]:
    """A measured value's decimal text, with none to three decimals, near the chart's edges more often."""
    if parameter in oracle.CODED:
        return st.sampled_from(oracle.CODES[parameter])
    low, high = RANGES[parameter]
    anywhere = st.integers(0, 3).flatmap(
        lambda places: st.integers(low * 10**places, high * 10**places).map(
            lambda n: str(Decimal(n).scaleb(-places))
        )
    )
    edges = [
        e for row in oracle.CHART if row.startswith(parameter) for band in oracle.CHART[row] for e in band[:2]
    ]
    near = st.builds(
        lambda edge, off: str(Decimal(edge) + Decimal(off).scaleb(-3)),
        st.sampled_from(sorted({e for e in edges if e is not None})),
        st.integers(-1100, 1100),
    )
    return anywhere | near


def number(parameter: str, text: str) -> float:
    """What comes to the rules: a coded value by its place in the vocabulary."""
    if parameter in oracle.CODED:
        place = METRICS[parameter].place(text)
        assert place is not None
        return place
    return float(text)


@pytest.mark.parametrize(("scale", "oxygen"), SETTINGS)
@pytest.mark.parametrize("parameter", oracle.NUMERIC)
def test_every_value_of_two_decimals_in_the_whole_range(parameter: str, scale: int, *, oxygen: bool | None):
    low, high = RANGES[parameter]
    for hundredths in range(low * 100, high * 100 + 1):
        text = str(Decimal(hundredths).scaleb(-2))
        assert news2.points(parameter, float(text), scale, oxygen) == oracle.points(
            parameter, text, scale, oxygen=oxygen
        ), (parameter, text)


@pytest.mark.parametrize("row", oracle.CHART)
def test_every_cell_and_both_sides_of_every_boundary(row: str):
    parameter = row.partition(" ")[0]
    scale, oxygen = (2, row.endswith("oxygen")) if "scale 2" in row else (1, None)
    step = oracle.STEP.get(parameter, Decimal(1))
    for low, high, expected in oracle.CHART[row]:
        inside = [Decimal(edge) for edge in (low, high) if edge is not None]
        if low is not None:  # the least that still rounds up into the band
            inside.append(Decimal(low) - step / 2)
        if high is not None:  # and the most that still rounds down into it, to the last bit
            top = float(Decimal(high) + step / 2)
            assert news2.points(parameter, math.nextafter(top, -math.inf), scale, oxygen) == expected
        for value in inside:
            assert news2.points(parameter, float(value), scale, oxygen) == expected, (row, value)


@pytest.mark.parametrize("parameter", oracle.CODED)
def test_every_code(parameter: str):
    assert METRICS[parameter].codes == oracle.CODES[parameter]
    for code, expected in oracle.CODED[parameter].items():
        assert news2.points(parameter, number(parameter, code)) == expected


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("spo2", 91.5, 2),
        ("spo2", 95.5, 0),
        ("spo2", 93.5, 1),
        ("pulse", 90.5, 1),  # Python's round gives 90, and 0 points
        ("pulse", 110.5, 2),
        ("pulse", 130.5, 3),
        ("respiratory_rate", 8.5, 1),
        ("respiratory_rate", 24.5, 3),
        ("respiratory_rate", 20.5, 2),
        ("systolic", 90.5, 2),
        ("systolic", 219.5, 3),
        ("temperature", 35.05, 1),  # the float lies below 35.05 and round(…, 1) gives 35.0
        ("temperature", 35.049999999999, 3),
        ("temperature", 36.05, 0),
        ("temperature", 38.05, 1),
        ("temperature", 39.05, 2),
        ("temperature", 39.04999, 1),
    ],
)
def test_halves_are_rounded_up_as_the_decimal_text_says(parameter: str, value: float, expected: int):
    assert news2.points(parameter, value) == expected


@given(st.data(), st.sampled_from(oracle.NUMERIC), st.sampled_from(SETTINGS))
def test_any_float_counts_as_its_shortest_decimal_text(
    data: st.DataObject, parameter: str, setting: tuple[int, bool | None]
):
    scale, oxygen = setting
    low, high = RANGES[parameter]
    cuts = [c for m in news2.METRICS_OF[parameter] for c in {*news2.CUTS[1][m], *news2.CUTS[2][m]}]
    beside = [math.nextafter(c, way) for c in cuts for way in (-math.inf, math.inf)]
    value = data.draw(st.floats(low, high) | st.sampled_from(cuts + beside))
    assert news2.points(parameter, value, scale, oxygen) == oracle.points(
        parameter, repr(value), scale, oxygen=oxygen
    )


@given(
    st.fixed_dictionaries({}, optional={name: texts(name) for name in oracle.ALL}),
    st.sampled_from((1, 2)),
)
@example({}, 1)
@example({"spo2": "97"}, 2)
@example({"spo2": "97", "supplemental_oxygen": "oxygen"}, 2)
def test_totals_of_complete_and_incomplete_inputs(known: dict[str, str], scale: int):
    found = news2.total({name: number(name, text) for name, text in known.items()}, scale)
    expected, worst, missing = oracle.total(known, scale)
    assert (found.total, found.worst, list(found.missing)) == (expected, worst, missing)
    assert found.complete is (len(known) == 7)
    assert set(found.points) == set(known)
    assert sum(found.points.values()) == found.total


@given(st.fixed_dictionaries({name: texts(name) for name in oracle.ALL}), st.data(), st.sampled_from((1, 2)))
def test_an_incomplete_total_never_exceeds_the_complete_one(
    known: dict[str, str], data: st.DataObject, scale: int
):
    values = {name: number(name, text) for name, text in known.items()}
    dropped = data.draw(st.sets(st.sampled_from(oracle.ALL), min_size=1))
    whole = news2.total(values, scale)
    part = news2.total({n: v for n, v in values.items() if n not in dropped}, scale)
    assert whole.complete
    assert not part.complete
    assert part.total <= whole.total
    assert part.worst <= whole.worst


def test_every_total_from_0_to_20_can_be_reached():
    choices = {
        "respiratory_rate": ("16", "10", "22", "30"),
        "spo2": ("98", "95", "93", "80"),
        "supplemental_oxygen": ("air", "oxygen"),
        "systolic": ("120", "105", "95", "80"),
        "pulse": ("70", "100", "120", "140"),
        "consciousness": ("A", "V"),
        "temperature": ("37.0", "38.5", "39.5", "34.0"),
    }
    seen = set()
    for combination in itertools.product(*choices.values()):
        known = dict(zip(choices, combination, strict=True))
        found = news2.total({name: number(name, text) for name, text in known.items()}, 1)
        assert found.total == oracle.total(known, 1)[0]
        seen.add(found.total)
    assert seen == set(range(21))


def test_scale_2_with_unknown_oxygen_gives_the_lower_bound_and_says_that_oxygen_is_missing():
    for spo2 in range(101):
        unknown = news2.total({"spo2": spo2}, 2)
        known = [news2.total({"spo2": spo2, "supplemental_oxygen": o}, 2).points["spo2"] for o in (0, 1)]
        assert unknown.points["spo2"] == min(known)
        assert "supplemental_oxygen" in unknown.missing
        assert not unknown.complete


def test_nothing_known_is_incomplete_and_not_a_score_of_nought():
    nothing = news2.total({}, 1)
    assert nothing == news2.Total({}, news2.PARAMETERS, 0, complete=False, worst=0)


@pytest.mark.parametrize("parameter", oracle.ALL)
def test_points_change_at_the_cuts_and_nowhere_else(parameter: str):
    for metric in news2.METRICS_OF[parameter]:
        both = {*news2.CUTS[1][metric], *news2.CUTS[2][metric]}
        cuts = tuple(sorted(both))
        ends = (cuts[0] - 10, *cuts, cuts[-1] + 10)
        scores = [[news2.points(parameter, low, *setting) for setting in SETTINGS] for low in ends[:-1]]
        for (low, high), expected in zip(itertools.pairwise(ends), scores, strict=True):
            for value in (low, (low + high) / 2, math.nextafter(high, -math.inf)):
                assert [news2.points(parameter, value, *setting) for setting in SETTINGS] == expected
        assert all(before != after for before, after in itertools.pairwise(scores))


def test_the_parameters_and_their_metrics_are_in_the_vocabulary():
    assert tuple(news2.METRICS_OF) == news2.PARAMETERS == oracle.ALL
    assert (
        {m for metrics in news2.METRICS_OF.values() for m in metrics}
        == set(news2.CUTS[1])
        == set(news2.CUTS[2])
        <= set(METRICS)
    )


@pytest.mark.parametrize("parameter", oracle.ALL)
def test_what_is_no_number_gets_no_points(parameter: str):
    with pytest.raises(ValueError, match=parameter):
        news2.points(parameter, math.nan)


def test_a_scale_or_parameter_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="scales 1 and 2, not 3"):
        news2.points("spo2", 95, 3)
    with pytest.raises(KeyError):
        news2.points("urine_output", 1)


def test_the_ages_are_those_of_the_librarys_rules():
    rule = next(r for r in load_rules() if r.id == "news2-urgent")
    assert dict(rule.inputs) == news2.MAX_AGE_S
