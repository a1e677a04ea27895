"""`python -m bench` where it has nothing to measure: what it refuses, and the page of an earlier run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bench.__main__ import measure_all, options_of
from bench.measure import RunError
from tests.unit.bench.made_up import contender, results, row

if TYPE_CHECKING:
    from pathlib import Path

MISSED = row(contender("s3-upload", 2.0), contender("s5cmd", 1.0), at_least=1.0)


def test_the_page_of_an_earlier_run_is_made_without_measuring(tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(json.dumps(results(MISSED)))
    told = ["--rows", "none", "--from", str(before), "--write", str(tmp_path)]
    assert measure_all(options_of(told)) == {"missed": 1}
    assert "**s5cmd wins**: s3-upload takes 2.00 x as long." in (tmp_path / "benchmarks.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rows lots", "--rows lots: there are small, small-tls, medium,"),
        ("--only rsync", "--only rsync: there are s3-upload, s5cmd, obstore,"),
        ("--rows one --write", "--write: not all rows: name a folder for this page, which is not for docs"),
    ],
)
def test_what_cannot_be_measured_is_refused(words: str, said: str) -> None:
    with pytest.raises(RunError, match=f"^{said}"):
        measure_all(options_of(words.split()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rounds 0", "--rounds must be at least 1"),
        ("--from /nowhere.json", "--from /nowhere.json: there is no such file"),
        ("--json /nowhere/x.json", "--json /nowhere/x.json: its folder is missing"),
        ("--quick --write", "--write: a quick run is not for docs; name another folder"),
    ],
)
def test_a_wrong_use_is_one_line(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options_of(words.split())
    assert capsys.readouterr().err.endswith(f"error: {said}\n")
