"""What becomes of a run whose upload fails, whose emulator does not keep up, or that was made elsewhere."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from lab import __main__, check, matrix, results
from lab.emulator import LinkPlan
from lab.matrix import MAX_INVALID, run_matrix
from lab.metrics import chunk_figures
from lab.network import LabError, Network
from lab.results import Results
from lab.run import FailedRunError, InvalidRunError, Trace, _Run
from lab.scenario import VIDEO, Scenario
from lab.tables import detail_tables, page, picture
from lab.targets import verdicts
from lab.traffic import missing
from lab.uploaders import environment
from tests.unit.lab.made_up import BACKGROUND, EMULATOR, SERIES, figures_of, results_of

if TYPE_CHECKING:
    from collections.abc import Iterator

S5CMD = Scenario("s5cmd", "cubic", 20.0)


# --- uploads that fail ------------------------------------------------------------------------------


def test_an_upload_that_ends_is_a_failed_run_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.run.LOOK_S", 0.01)
    monkeypatch.setattr("lab.run.connections_of", lambda pid: 0)
    run = _Run(BACKGROUND, cast("Network", None), tmp_path)
    code = "import sys; sys.stderr.write('refused:\\nno such bucket\\n'); sys.exit(4)"
    argv = [sys.executable, "-I", "-S", "-c", code]
    with (
        subprocess.Popen(argv, stderr=subprocess.PIPE) as run._upload,
        pytest.raises(FailedRunError, match=r"^exit 4, early: refused: no such bucket$"),
    ):
        run._watch(60.0)


def run_with(error: Exception, monkeypatch: pytest.MonkeyPatch, scenario: Scenario = BACKGROUND) -> Results:
    """Two runs of a scenario that all end so."""

    def fail(*_: Any) -> Trace:
        raise error

    monkeypatch.setattr(matrix, "run_once", fail)
    monkeypatch.setattr(matrix, "missing", lambda _: "")
    monkeypatch.setattr(matrix, "workload", lambda *_: contextlib.nullcontext(Path()))
    found = results_of()
    run_matrix([scenario], runs=2, seed=1, results=found, say=lambda _: None)
    return found


def test_an_upload_that_fails_is_not_tried_again_and_misses_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_with(FailedRunError("exit 1, early: refused"), monkeypatch)
    assert (found.count(BACKGROUND), found.tried(BACKGROUND)) == (0, 2)
    assert found.data["scenarios"][BACKGROUND.key]["invalid"] == []
    [verdict] = [one for one in verdicts(found) if one.where == BACKGROUND.key]
    assert (verdict.target, verdict.measured, verdict.reached) == ("no upload fails", "2 of 2 failed", False)
    text = page(found, {})
    assert f"- {BACKGROUND.key}: 2 of 2 failed: exit 1, early: refused\n" in text
    assert "| no upload fails |" in text


def test_a_peer_that_fails_is_on_the_page_and_misses_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_with(FailedRunError("exit 1, early"), monkeypatch, S5CMD)
    assert not [one for one in verdicts(found) if one.target == "no upload fails"]
    assert f"{S5CMD.key}: 2 of 2 failed" in page(found, {})


def test_a_run_that_says_nothing_is_tried_again_and_misses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_with(InvalidRunError("late"), monkeypatch)
    assert found.tried(BACKGROUND) == 0
    assert len(found.data["scenarios"][BACKGROUND.key]["invalid"]) == 2 * MAX_INVALID
    assert "failed" not in page(found, {})


@pytest.mark.parametrize(("failed", "code"), [(True, 3), (False, 0)])
def test_the_lab_does_not_end_well_where_an_upload_of_ours_failed(
    failed: bool, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure(scenarios: list[Scenario], *, results: Results, **_: Any) -> None:
        if failed:
            results.fail(scenarios[-1], "exit 1")

    monkeypatch.setattr(__main__, "unable", lambda: "")
    monkeypatch.setattr(__main__, "sweep", lambda: None)
    monkeypatch.setattr(__main__, "write_page", lambda *_: None)
    monkeypatch.setattr(__main__, "run_matrix", measure)
    monkeypatch.setattr("lab.__main__.signal.signal", lambda *_: None)
    told = ["--modes", "full", "--rtt", "20", "--results", str(tmp_path / "x.json")]
    assert __main__.main(told) == code


def test_no_journal_of_an_upload_lies_in_the_users_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/theirs")
    assert environment(tmp_path)["XDG_STATE_HOME"] == str(tmp_path)


# --- chunks of a live stream that never come --------------------------------------------------------


def test_chunks_that_are_not_through_when_the_next_is_due_are_missing() -> None:
    assert missing(10.0, 13.5) == [(10.0, 3.5), (11.0, 2.5), (12.0, 1.5)]
    assert missing(10.0, 10.9) == missing(10.0, 9.2) == []


def test_chunks_that_never_came_count_with_their_ages() -> None:
    came = [[float(second), 0.1] for second in range(20)]
    assert chunk_figures(came, []) == {"chunk_p50_ms": 100.0, "chunk_p95_ms": 100.0}
    assert chunk_figures(came, [[20.0, 9.0], [21.0, 8.0]]) == {"chunk_p50_ms": 100.0, "chunk_p95_ms": 8000.0}
    assert chunk_figures([], []) == {}


@pytest.mark.parametrize("came", [0, 1])
def test_a_stream_of_which_half_never_came_stood_still(came: int) -> None:
    figures = chunk_figures([[0.0, 0.1]] * came, [[1.0, 28.0]])
    found = Results(None)
    found.add(Scenario("full", VIDEO, 20.0), 1, figures_of() | figures, SERIES, EMULATOR)
    [(_, table)] = detail_tables(found)
    head, _, cells = ([cell.strip() for cell in line.split("|")] for line in table.splitlines())
    assert dict(zip(head, cells, strict=True))["chunk p50/p95 ms"] == "never"


# --- the emulator, and other machines ---------------------------------------------------------------


def network_that_is_late(times: int) -> tuple[list[int], Any]:
    """One that does not keep up so often. How often it was made, and what makes it."""
    made: list[int] = []

    @contextlib.contextmanager
    def network(plan: LinkPlan) -> Iterator[SimpleNamespace]:
        made.append(plan.seed)
        complaint = "the emulator was late" if len(made) <= times else ""
        yield SimpleNamespace(stop=lambda: SimpleNamespace(overload=lambda: complaint))

    return made, network


def test_a_check_counts_only_where_the_emulator_kept_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "TbfPath", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(check, "_measure", lambda *_: {"received_Mbps": 9.5})
    made, network = network_that_is_late(1)
    monkeypatch.setattr(check, "Network", network)
    assert check.check("cubic", 10.0, 1).emulator == {"received_Mbps": 9.5}
    assert len(made) == 2
    made, network = network_that_is_late(MAX_INVALID)
    monkeypatch.setattr(check, "Network", network)
    with pytest.raises(LabError, match=r"^the check was invalid 3 times: the emulator was late$"):
        check.check("cubic", 10.0, 1)


def measured_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Results:
    """Each of both scenarios by an old version on an old machine."""
    monkeypatch.setattr(results, "machine", lambda: {"cores": 2, "system": "Old 1", "python": "3.11"})
    monkeypatch.setattr(results, "_version", lambda _: "s3-upload 1")
    found = results_of()
    monkeypatch.setattr(results, "machine", lambda: {"cores": 8, "system": "New 2", "python": "3.12"})
    monkeypatch.setattr(results, "_version", lambda _: "s3-upload 2")
    return found


def test_a_later_run_keeps_the_machine_and_the_version_of_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = measured_elsewhere(monkeypatch)
    assert page(found, {}).startswith("Measured on 2 cores, Old 1, Python 3.11; s3-upload 1. ")
    found.add(BACKGROUND, 2, figures_of(), SERIES, EMULATOR)
    on = "2 cores, Old 1, Python 3.11 and on 8 cores, New 2, Python 3.12"
    assert page(found, {}).startswith(f"Measured on {on}; s3-upload 1; s3-upload 2. ")


def test_a_foreground_alone_is_measured_again_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured_elsewhere(monkeypatch)
    assert found.is_from_elsewhere(BACKGROUND.alone)
    monkeypatch.setattr(matrix, "missing", lambda _: "")
    run_matrix([BACKGROUND.alone], runs=0, seed=1, results=found, say=lambda _: None)
    assert found.count(BACKGROUND.alone) == 0
    found.add(BACKGROUND.alone, 1, figures_of(), SERIES, EMULATOR)
    run_matrix([BACKGROUND.alone], runs=0, seed=1, results=found, say=lambda _: None)
    assert found.count(BACKGROUND.alone) == 1


def test_each_link_has_a_picture_of_its_own() -> None:
    links = [
        Scenario("full", "cubic", 20.0, loss=loss, fair_queue=fair)
        for loss in (0.0, 0.001, 0.0005)
        for fair in (False, True)
    ]
    titles, names = zip(*(picture(link) for link in links), strict=True)
    assert len(set(titles)) == len(set(names)) == len(links)
    assert picture(links[0]) == ("Uploads beside one CUBIC flow, 20 ms", "cubic-20ms.svg")
