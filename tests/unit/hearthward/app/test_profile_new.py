from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware_profiles import load_catalog
from firmware_profiles.report import check
from hearthward.app.cli import main
from hearthward.app.profile_new import ask_draft, units_of

OXIMETER = ["acme-oxi", "Acme", "own frames", "ble", "ACME.*", "none", "2a5f", "notify"]
FIELDS = ["flags", "u8", "none", "spo2", "sfloat", "spo2", "%", "", "1"]

Run = Callable[..., tuple[Path, Result]]


def answering(answers: list[str], told: list[str]):
    """Answers in turn; what is wrong with one is told and the question comes again."""
    left = list(answers)

    def ask(question: str, default: str, wrong: Callable[[str], str | None]) -> str:
        while True:
            assert left, f"nothing left to answer {question!r} with, after {told}"
            answer = left.pop(0) or default
            found = wrong(answer)
            if found is None:
                return answer
            told.append(found)

    return ask


def test_wrong_answers_are_told_and_asked_again():
    told: list[str] = []
    answers = ["Acme Oxi", "sig-heart-rate", *OXIMETER, "Flags", "flags", "u7", "u8", "spo", *FIELDS[2:]]
    draft = ask_draft(answering(answers, told), load_catalog())
    assert [field.name for field in draft.fields] == ["flags", "spo2"]
    assert told[0].startswith("lower-case letters")
    assert "in the catalogue already" in told[1]
    assert "did you mean 'spo2'" in told[-1]


def test_a_serial_instrument_is_asked_for_its_line():
    answers = ["acme-line", "Acme", "", "serial", "19200", "7E1", "4", "none", "rate", "u16", "yes"]
    draft = ask_draft(answering([*answers, "pulse_rate", "/min", "", "2"], []), load_catalog())
    assert (draft.line.baudrate, draft.line.parity, draft.fields[0].big_endian) == (19200, "E", True)


def test_units_that_are_converted_may_be_chosen():
    assert units_of("nibp_systolic") == ["mm[Hg]", "kPa"]
    assert units_of("device_model") == []


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*answers: str) -> tuple[Path, Result]:
        out = tmp_path / "mine.yaml"
        return out, CliRunner().invoke(
            main, ["profiles", "new", "-o", str(out)], input="\n".join(answers) + "\n"
        )

    return invoke


def test_the_file_is_written_when_the_frame_says_what_the_display_did(run: Run):
    out, result = run(*OXIMETER, *FIELDS, "zz", "00 6200", "y")
    assert result.exit_code == 0, result.output
    assert "spo2 98 %" in result.output
    assert check([out]).ok


def test_no_file_is_written_of_a_frame_that_is_not_what_was_shown(run: Run):
    out, result = run(*OXIMETER, *FIELDS, "00 6200", "n", "n")
    assert (result.exit_code, out.exists()) == (1, False)
    assert "no file was written" in result.output


def test_a_frame_that_the_draft_refuses_is_told_and_asked_again(run: Run):
    out, result = run(*OXIMETER, *FIELDS, "00", "y", "00 6200", "y")
    assert "refuses it (truncated)" in result.output
    assert check([out]).ok


def test_a_file_that_is_there_is_not_written_over(run: Run, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("mine")
    out, result = run(*OXIMETER, *FIELDS)
    assert result.exit_code == 2
    assert out.read_text() == "mine"
