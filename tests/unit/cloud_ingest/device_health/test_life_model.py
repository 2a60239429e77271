"""What was learned of lives, as a file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.device_health.life_model import is_model, load, load_all, to_bytes
from cloud_ingest.device_health.remaining_life import Learned, learn
from firmware_profiles import load_catalog
from hearthward.core.errors import ConfigError
from tests.unit.cloud_ingest.device_health.engines import engine, lines


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn([engine(n, 80 + 9 * n, regimes=2) for n in range(1, 9)], band=True)


@pytest.fixture
def path(learned: Learned, tmp_path: Path) -> Path:
    found = tmp_path / "pump.life"
    found.write_bytes(to_bytes(learned))
    return found


def test_a_file_gives_the_answers_that_the_model_gave(learned: Learned, path: Path):
    test = [engine(20 + n, 120, regimes=2, cycles=n) for n in (3, 30, 60, 90, 110, 119)]
    again = load(path)
    assert [(f.cycles, f.low, f.high) for f in again.left(test)] == [
        pytest.approx((f.cycles, f.low, f.high), abs=1e-9) for f in learned.left(test)
    ]
    assert (again.units, again.horizon) == (8, learned.horizon)
    assert to_bytes(again) == path.read_bytes()
    assert is_model(path)
    assert path.stat().st_size < 500_000


def test_histories_are_no_model_and_an_interval_is_needed(tmp_path: Path):
    runs = tmp_path / "runs.gz"
    runs.write_bytes(gzip.compress(lines(engine(1, 20)).encode()))
    assert not is_model(runs)
    with pytest.raises(ConfigError, match="cannot be read"):
        is_model(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="with its interval only"):
        to_bytes(learn([engine(n, 60) for n in range(1, 7)]))


def broken(**change: Any) -> Any:
    def do(content: dict[str, Any]) -> dict[str, Any]:
        for key, value in change.items():
            at, *rest = key.split("__")
            if rest:
                content[at] = {**content[at], rest[0]: value}
            else:
                content[at] = value
        return content

    return do


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (broken(format="pickle"), "format 'pickle' 1"),
        (broken(format_version=2), "2, not"),
        (broken(weights=[1.0]), "usable model"),
        (broken(weights=[float("inf")] * 3), "not finite"),
        (broken(bags=[]), "features"),
        (broken(bags=[{}]), "format"),
        (broken(horizon=0), "features"),
        (broken(band=None), "usable model"),
        (broken(band__edges=[]), "one length"),
        (broken(band__edges=[2.0, 1.0], band__low=[0, 0], band__high=[0, 0]), "out of order"),
        (broken(conditions__sensors=[99]), "21 sensors"),
        (broken(conditions__centres=[]), "21 sensors"),
        (broken(conditions__scales=[0.0]), "21 sensors"),
        (lambda content: {k: v for k, v in content.items() if k != "units"}, "'units' is missing"),
        (lambda _content: [], "usable model"),
    ],
    ids=range(15),
)
def test_a_file_that_is_wrong_is_refused_by_its_name(path: Path, change: Any, said: str):
    content = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(json.dumps(change(content)).encode())
    with pytest.raises(ConfigError, match=said) as caught:
        load(path)
    assert caught.value.details.get("file", str(path)) == str(path)


@pytest.mark.parametrize("raw", [b"", b"noise", b"\x1f\x8bnoise", b"\x80\x04\x95"])
def test_noise_is_refused(tmp_path: Path, raw: bytes):
    path = tmp_path / "noise"
    path.write_bytes(raw)
    with pytest.raises(ConfigError):
        load(path)


def test_models_are_for_profiles_that_there_are(path: Path):
    catalog = load_catalog()
    assert list(load_all({"generic-instrument": path}, catalog.get)) == ["generic-instrument"]
    with pytest.raises(ConfigError, match="no-such"):
        load_all({"no-such": path}, catalog.get)
