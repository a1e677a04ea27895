"""`python -m bench` where it has nothing to measure: what it refuses, and the page of an earlier run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bench import __main__, sinks
from bench.__main__ import measure_all, options_of
from bench.command import Findings
from bench.measure import RunError
from bench.rows import ROWS
from tests.unit.bench.made_up import contender, results, row

if TYPE_CHECKING:
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
