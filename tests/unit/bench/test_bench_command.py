"""`python -m bench` where it has nothing to measure: what it refuses, and the page of an earlier run."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from bench import __main__, sinks
from bench.__main__ import measure_all, options_of
from bench.command import Findings
from bench.contenders import Contender
from bench.figures import NOT_ASKED
from bench.measure import RunError
from bench.rows import ROWS, Row
from bench.table import is_same
from tests.unit.bench.made_up import contender, results, row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MISSED = row(contender("s3-upload", 2.0), contender("s5cmd", 1.0), at_least=1.0)


def test_the_page_of_an_earlier_run_is_made_without_measuring(tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(json.dumps(results(MISSED)))
    told = ["--rows", "none", "--from", str(before), "--write", str(tmp_path)]
    findings = Findings()
    measure_all(options_of(told), findings)
    assert (findings.judged, findings.missed, findings.unjudged) == (1, 1, 0)
    assert "**s5cmd wins**: s3-upload takes 2.00 x as long." in (tmp_path / "benchmarks.md").read_text()


def test_a_page_with_rows_of_a_quick_run_says_so_and_is_not_for_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(__main__, "DOCS", tmp_path / "docs")
    names = [one.name for one in ROWS]
    whole = results(*(row(contender("s3-upload", 2.0), name=name) for name in names))
    for name, quick in ("whole", False), ("quick", True):
        (tmp_path / name).write_text(json.dumps({**whole, "quick": quick}))
    for told in (["--from", str(tmp_path / "whole"), "--quick"], ["--from", str(tmp_path / "quick")]):
        with pytest.raises(RunError, match=r"^--write: a quick run"):
            measure_all(options_of(["--rows", "none", *told, "--write"]), Findings())
        measure_all(options_of(["--rows", "none", *told, "--write", str(tmp_path)]), Findings())
        assert "This is a part of the suite" in (tmp_path / "benchmarks.md").read_text()


def test_a_row_that_cannot_be_measured_is_left_out_in_the_json_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "missing", lambda kind: f"no {kind}")
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(json.dumps(results(MISSED)))
    measure_all(options_of(["--rows", "minio", "--from", str(before), "--json", str(after)]), Findings())
    assert json.loads(after.read_text()) == results(MISSED, skipped={"minio": "no MinIO"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rows lots", "--rows lots: there are small, small-tls, medium,"),
        ("--rows small,lots", "--rows lots: there are small, small-tls, medium,"),
        ("--only rsync", "--only rsync: there are s3-upload, s5cmd, obstore,"),
        (
            "--rows one --write",
            "--write: a quick run, or not all rows: name a folder for this page, not docs",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(words: str, said: str) -> None:
    with pytest.raises(RunError, match=f"^{said}"):
        measure_all(options_of(words.split()), Findings())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rounds 0", "--rounds must be at least 1"),
        ("--from /nowhere.json", "--from /nowhere.json: there is no such file"),
        ("--json /nowhere/x.json", "argument --json: /nowhere/x.json: its folder is missing"),
    ],
)
def test_a_wrong_use_is_one_line(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options_of(words.split())
    assert capsys.readouterr().err.endswith(f"error: {said}\n")


class Rows:
    """Measures nothing: both take part, and who is in the lineup is written down."""

    def __init__(self, row: Row, *_: object) -> None:
        self._name = row.name

    def measure(self, lineup: Sequence[Contender], rounds: int) -> dict[str, Any]:
        runs = [contender(one.name, 1.0) for one in lineup]
        return row(*runs, name=self._name, left_out={"boto3": "would take hours"})


def measured_again(
    before: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **versions: str
) -> dict[str, Any]:
    """What the JSON has when the row "one" is measured once more, with these versions and their peers."""
    everyone = [
        Contender(name, versions.get(name.partition("-")[2] or name, "1"), ("",), nothing_to_run, ours=not n)
        for n, name in enumerate(("s3-upload", "s5cmd", "rclone"))
    ]
    monkeypatch.setattr(__main__, "contenders", lambda: everyone)
    monkeypatch.setattr(__main__, "RowRun", Rows)
    monkeypatch.setattr(__main__, "files_home", contextlib.nullcontext)
    monkeypatch.setattr(__main__, "surroundings", lambda: results()["machine"])
    monkeypatch.setattr("bench.__main__.time.strftime", lambda *_: "2026-01-02")
    (tmp_path / "before.json").write_text(json.dumps(before))
    told = ["--from", str(tmp_path / "before.json"), "--rows", "one", "--only", "s5cmd"]
    measure_all(options_of([*told, "--json", str(tmp_path / "after.json")]), Findings())
    after: dict[str, Any] = json.loads((tmp_path / "after.json").read_text())
    return after


def nothing_to_run(setting: str, directory: Path, url: str) -> list[str]:
    return []


def known(name: str, version: str, missing: str = "") -> dict[str, str]:
    return {"name": name, "version": version, "missing": missing, "how": ""}


def test_a_row_of_the_same_day_machine_and_versions_says_nothing_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = results(MISSED, contenders=[known("s3-upload", "1"), known("s5cmd", "1")])
    after = measured_again(before, tmp_path, monkeypatch)
    assert [one["name"] for one in after["rows"]] == ["small", "one"]
    assert "own" not in after["rows"][1]
    assert after["contenders"] == before["contenders"]


def test_a_row_that_is_measured_later_keeps_its_day_its_machine_and_its_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = results(MISSED, date="2025-12-24", contenders=[known("s3-upload", "1"), known("s5cmd", "1")])
    before["machine"] |= {"usable_cores": 64}
    after = measured_again(before, tmp_path, monkeypatch, upload="2")
    machine = results()["machine"]
    assert after["rows"][1]["own"] == {
        "date": "2026-01-02",
        "machine": machine,
        "versions": {"s3-upload": "2"},
    }
    assert "own" not in after["rows"][0]
    assert after["date"] == "2025-12-24"


def test_who_was_not_there_before_is_among_the_contenders_and_who_is_not_now_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = results(MISSED, contenders=[known("s3-upload", "1"), known("s5cmd", "", "is not there")])
    after = measured_again(before, tmp_path, monkeypatch)
    assert [(one["name"], one["version"], one["missing"]) for one in after["contenders"]] == [
        ("s3-upload", "1", ""),
        ("s5cmd", "1", ""),
    ]
    assert after["rows"][1]["left_out"] == {"boto3": "would take hours", "rclone": NOT_ASKED}


def test_one_machine_is_the_same_at_any_load_and_not_with_another_build_of_python() -> None:
    machine = results()["machine"]
    assert is_same(machine, {**machine, "load_average": 9.0, "memory_GiB": 8.1, "python_ns": 220.0})
    assert is_same(machine, {name: value for name, value in machine.items() if name != "python_ns"})
    others = {"usable_cores": 4, "python": "3.12.1", "memory_GiB": 16.0, "python_ns": 300.0}
    for name, value in others.items():
        assert not is_same(machine, {**machine, name: value})
