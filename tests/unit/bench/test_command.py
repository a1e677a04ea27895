"""How every command of the bench ends: what it keeps, what its last line says, and what it refuses."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bench import (
    bottleneck,
    command,
    descriptors,
    latency,
    leases,
    million,
    outage,
    processes,
    screen,
    throttled,
)
from bench.command import FAILED, INTERRUPTED, MISSED, Findings, run_command
from bench.contenders import ours_command
from bench.measure import FailedUploadError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

COMMANDS = (bottleneck, descriptors, latency, leases, million, outage, processes, screen, throttled)
MACHINE = {"usable_cores": 2, "load_average": 0.1, "python": "3.11.7", "python_ns": 200.0}


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.command.signal.signal", lambda *_: None)
    monkeypatch.setattr(command, "surroundings", lambda: MACHINE)


def measuring(error: BaseException | None = None, missed: int = 0) -> Callable[[Findings], None]:
    """One row, and then the error."""

    def measure(findings: Findings) -> None:
        findings.add("rows", {"s": 1.0}, missed)
        if error is not None:
            raise error

    return measure


# --- what is kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "problem"),
    [
        (RunError("no room"), FAILED, "no room"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted"),
        (FailedUploadError("an object is missing"), MISSED, "an object is missing"),
    ],
)
def test_what_was_measured_is_kept_where_the_run_fails_later(
    error: BaseException, code: int, problem: str, tmp_path: Path
) -> None:
    assert run_command(measuring(error), tmp_path / "x.json") == code
    kept = json.loads((tmp_path / "x.json").read_text())
    assert kept == {
        "machine": MACHINE,
        "rows": [{"s": 1.0}],
        "missed": int(code == MISSED),
        "problem": problem,
    }


def test_what_was_measured_is_kept_where_the_bench_itself_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(measuring(ZeroDivisionError()), tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["rows"] == [{"s": 1.0}]


def test_where_nothing_was_measured_an_earlier_file_stays(tmp_path: Path) -> None:
    def measure(findings: Findings) -> None:
        raise RunError("no command")

    (tmp_path / "x.json").write_text("earlier")
    assert run_command(measure, tmp_path / "x.json") == FAILED
    assert (tmp_path / "x.json").read_text() == "earlier"


# --- the last line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        (Findings(judged=3), "all targets reached"),
        (Findings(judged=3, missed=2), "2 targets missed"),
        (Findings(judged=3, unjudged=1), "all targets reached, but 1 not judged"),
        (Findings(unjudged=1), "no target was judged"),
        (Findings(), "no target was judged"),
    ],
)
def test_only_what_was_judged_is_said_to_be_reached(findings: Findings, said: str) -> None:
    assert findings.verdict == said


def test_the_last_line_and_the_exit_code_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(measuring(), None) == 0
    assert capsys.readouterr().out.endswith("\nall targets reached\n")
    assert run_command(measuring(missed=2), None) == MISSED
    assert capsys.readouterr().out.endswith("\n2 targets missed\n")


def test_an_upload_of_ours_that_fails_is_a_target_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(measuring(FailedUploadError("3 objects missing")), None) == MISSED
    said = capsys.readouterr()
    assert said.out.endswith("\n1 targets missed\n")
    assert said.err == "bench: 3 objects missing\n"


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.__name__)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, why in ((tmp_path / "no" / "x.json", "its folder is missing"), (tmp_path, "is a folder")):
        with pytest.raises(SystemExit, match="2"):
            module.main(["--json", str(path)])
        assert capsys.readouterr().err.endswith(f"error: argument --json: {path}: {why}\n")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (leases, "--rounds 0"),
        (leases, "--seconds 5"),
        (million, "--files 10"),
        (million, "--processes 0"),
        (outage, "--seconds 0"),
        (processes, "--rounds 0"),
        (screen, "--rounds -1"),
        (throttled, "--repeat 0"),
    ],
)
def test_a_number_with_which_nothing_is_measured_is_refused(
    module: ModuleType, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        module.main(words.split())
    said = capsys.readouterr().err.rpartition("error: ")[2]
    assert words.partition(" ")[0] in said
    assert "at least" in said or "more than" in said


THROTTLED = {"only": None, "quick": False, "rows": "*", "repeat": 1, "seconds": 0.0}
PROCESSES = {"rows": "small", "quick": False, "rounds": 1}


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (throttled, {**THROTTLED, "only": "typo"}, "--only typo: there are blind, s5cmd"),
        (throttled, {**THROTTLED, "rows": "token-800-5,x"}, "--rows x: there are fixed-100-2, "),
        (processes, {**PROCESSES, "rows": "smal"}, "--rows smal: there are small, medium, "),
        (processes, {**PROCESSES, "rows": "small,minio"}, "--rows minio: there are small, medium, "),
        (bottleneck, {"row": ["link", "pip"]}, None),
        (bottleneck, {"row": ["link", "typo"]}, "--row typo: there are link: big; link: small; "),
    ],
)
def test_a_row_or_a_name_that_is_not_there_is_refused(
    module: Any, options: dict[str, Any], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_further() -> None:
        raise RunError("nobody is refused")

    monkeypatch.setattr(module, "ours_command", lambda: replace(ours_command(), missing=""))
    monkeypatch.setattr(module, "files_home", no_further)
    with pytest.raises(RunError, match=f"^{said or 'nobody is refused'}"):
        module.measure_all(argparse.Namespace(**options), Findings())


def test_processes_without_the_command_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ours_command", lambda: replace(ours_command(), missing="it is not there"))
    with pytest.raises(RunError, match=r"^it is not there$"):
        processes.measure_all(argparse.Namespace(**PROCESSES), Findings())
