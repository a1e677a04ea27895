"""The renderings, to the letter."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from s3_upload.cli import output, session
from s3_upload.cli.options.upload import UploadOptions
from s3_upload.cli.views.render import JsonLines, Table, Text
from s3_upload.errors import FailureKind, UploadError
from s3_upload.report import AttemptReport, UploadReport, UploadSummary
from s3_upload.screen import ending as screen_ending
from s3_upload.sources.source import ObjectSource
from s3_upload.units import show_bytes
from tests.platforms import needs_full_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = UploadReport(
    seq=0,
    key="p/a.txt",
    source="d/a.txt",
    bytes=2_500_000,
    outcome="success",
    total_time_s=1.25,
    success_time_s=0.5,
    attempts=2,
    est_MBps=34.0,
    etag='"e"',
    attempt_reports=(
        AttemptReport(
            operation="PutObject",
            started_s=0.0,
            ended_s=0.5,
            timeout_s=1.0,
            body_bytes=2_500_000,
            sent_bytes=2_500_000,
            outcome="timeout",
            hedged=True,
        ),
        AttemptReport(
            operation="PutObject",
            started_s=0.75,
            ended_s=1.25,
            timeout_s=1.0,
            body_bytes=2_500_000,
            sent_bytes=2_500_000,
            outcome="success",
            hedge=True,
        ),
    ),
)
FAILED = UploadReport(
    seq=1,
    key="p/b\n.txt",
    source="d/b\n.txt",
    bytes=10,
    outcome="rejected",
    attempts=3,
    error=UploadError(
        "400 InvalidRequest: no",
        key="p/b\n.txt",
        kind=FailureKind.REJECTED,
        attempts=3,
        status=400,
        request_id="R1",
    ),
)
SKIPPED = UploadReport(seq=2, key="p/s", source="d/s", bytes=0, outcome="skipped", reason="is a socket")
REPORTS = (DONE, FAILED, SKIPPED)

FAILED_LINE = (
    r"failed: d/b\n.txt to s3://b/p/b\n.txt: 400 InvalidRequest: no after 3 attempts (request ID R1)"
)
SKIPPED_LINE = "skipped: d/s: is a socket"
SUMMARY_LINE = "uploaded 1 file, 2.5 MB in 2.00 s (1.25 MB/s); 1 failed; 1 skipped; 2.5 MB sent in vain"


def render(rendering: Text) -> None:
    for report in REPORTS:
        rendering.add(report)
    rendering.finish(rendering.fold.summary(2.0))


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    render(Text("b"))
    assert capsys.readouterr() == (SUMMARY_LINE + "\n", f"{FAILED_LINE}\n{SKIPPED_LINE}\n")


def test_text_with_only_errors(capsys: pytest.CaptureFixture[str]) -> None:
    render(Text("b", only_errors=True))
    assert capsys.readouterr() == ("", f"{FAILED_LINE}\n")


def test_quiet_text(capsys: pytest.CaptureFixture[str]) -> None:
    render(Text("b", quiet=True))
    assert capsys.readouterr() == ("", "")


def test_the_table_has_the_columns_of_the_origin(capsys: pytest.CaptureFixture[str]) -> None:
    render(Table("b"))
    out, err = capsys.readouterr()
    assert out == (
        "attempts          bytes   success_ms     total_ms      MBps  MBps est\n"
        "       2        2500000        500.0       1250.0      5.00     34.00\n"
    )
    assert err == f"{FAILED_LINE}\n{SKIPPED_LINE}\n{SUMMARY_LINE}\n"


def test_what_a_report_leads_back_to_is_not_in_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"secret"

    lines = JsonLines("b")
    for source in (ObjectSource.data(b"secret", "k"), ObjectSource.stream(chunks(), "k")):
        report = UploadReport(seq=0, key="k", source=source.name, bytes=6, outcome="rejected", object=source)
        lines.add(report)
    lines.finish(lines.fold.summary(1.0))
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3
    assert "secret" not in out
    assert '"object"' not in out


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    render(JsonLines("b"))
    out, err = capsys.readouterr()
    done, failed, skipped, summary = map(json.loads, out.splitlines())
    assert err == ""
    assert (done["type"], done["key"], done["MBps"], done["error"]) == ("upload", "p/a.txt", 5.0, None)
    first, second = done["attempt_reports"]
    assert (first["outcome"], first["hedged"], first["hedge"]) == ("timeout", True, False)
    assert (second["outcome"], second["hedged"], second["hedge"]) == ("success", False, True)
    assert failed["source"] == "d/b\n.txt"
    assert failed["error"] == {
        "kind": "rejected",
        "message": "400 InvalidRequest: no",
        "attempts": 3,
        "status": 400,
        "code": "",
        "request_id": "R1",
    }
    assert (skipped["outcome"], skipped["reason"]) == ("skipped", "is a socket")
    assert summary == {
        "type": "summary",
        "sources": 3,
        "uploaded": 1,
        "bytes": 2_500_000,
        "wall_time_s": 2.0,
        "attempts": 5,
        "wasted_bytes": 2_500_000,
        "hedges": 1,
        "budget_wait_s": 0.0,
        "notes": [],
        "pace": [],
        "limits": {},
        "causes": {"timeout": 1},
        "median_s": 1.25,
        "p99_s": 1.25,
        "unchanged": 0,
        "resumed_bytes": 0,
        "failed": 1,
        "skipped": 1,
        "goodput_MBps": 1.25,
        "error": None,
    }


def test_a_name_that_is_no_unicode_is_still_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsdecode(b"d/\xff\x1b[31m")
    report = UploadReport(seq=0, key=odd, source=odd, bytes=0, outcome="skipped", reason="is a socket")
    JsonLines("b").add(report)
    Text("b").add(report)
    out, err = capsys.readouterr()
    assert json.loads(out)["source"] == "d/\\xff\x1b[31m"
    assert err == "skipped: d/\\xff\\x1b[31m: is a socket\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3 * 10**12, "3.0 TB")],
)
def test_show_bytes(count: int, text: str) -> None:
    assert show_bytes(count) == text


CLEAN = UploadSummary(
    sources=1200,
    uploaded=1200,
    bytes=0,
    wall_time_s=0.0,
    attempts=1200,
    wasted_bytes=0,
    hedges=0,
    budget_wait_s=0.0,
    failed=(),
    skipped=(),
)


def test_a_clean_summary_says_nothing_of_failures(capsys: pytest.CaptureFixture[str]) -> None:
    Text("b").finish(CLEAN)
    assert capsys.readouterr().out == "uploaded 1,200 files, 0 B in 0.00 s (0 B/s)\n"


def test_a_run_that_the_retry_budget_slowed_down_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Text("b").finish(msgspec.structs.replace(CLEAN, budget_wait_s=12.6))
    assert capsys.readouterr().out == (
        "uploaded 1,200 files, 0 B in 0.00 s (0 B/s); slowed down by the store's trouble for 12.6 s\n"
    )


@needs_full_disk
def test_a_full_disk_behind_stdout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    discarded: list[bool] = []
    monkeypatch.setattr(output, "discard_stdout", lambda: discarded.append(True))
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(
            output.StdoutError, match="cannot write to stdout: No space left on device"
        ) as caught:
            output.emit("x")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that closing can flush
    assert discarded == [True]
    assert not caught.value.gone


@pytest.mark.parametrize("shows", [JsonLines("b"), Text("b", quiet=True), Text("b", only_errors=True)])
def test_what_there_is_to_say_at_the_end_is_not_looked_for_where_it_is_not_shown(
    shows: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_ending, "ending", lambda *_: pytest.fail("nobody wants to know"))
    summary = msgspec.structs.replace(CLEAN, failed=(DONE, DONE))
    shows.finish(summary, session._ending(summary, UploadOptions()))
