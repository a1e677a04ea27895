"""`s3-upload sync`: the flags, the figure of what is unchanged, and what its dry run says."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli import commands, uploading
from s3_upload.cli.main import main
from s3_upload.cli.views.display import Display
from s3_upload.observe.status import Comparing
from tests.faults.model import S3Model
from tests.faults.test_sync import THEN_S, put, sent, write
from tests.faults.uploads import BUCKET
from tests.on_terminal import TIMEOUT_S, on_terminal

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer
    from tests.faults.actions import Request
    from tests.faults.server import FaultServer

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
FILES = {"new": b"1", "larger": b"12", "smaller": b"", "newer": b"1", "same": b"1"}


@pytest.fixture
def server(fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """A store to which `src` in the current directory is to be uploaded; all but "new" is there."""
    model = S3Model()
    for name, body in FILES.items():
        write(tmp_path / "src" / name, body, THEN_S + (name == "newer"))
        if name != "new":
            put(model, f"p/{name}", b"2" if name == "newer" else b"1")
    put(model, "p/other", b"")
    started = fault_server(model=model)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", started.url)
    return started


def test_only_what_is_different_goes_up(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "src", f"s3://{BUCKET}/p"]) == 0
    assert sent(server) == ["p/larger", "p/new", "p/newer", "p/smaller"]
    out, err = capsys.readouterr()
    assert out.startswith("uploaded 4 files, 4 B in ")
    assert out.endswith("; 1 unchanged\n")
    assert err == ""


def test_what_the_environment_says_of_processes_is_for_uploads(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_UPLOAD_PROCESSES", "2")
    monkeypatch.setenv("S3_UPLOAD_CLUSTER", "tcp://127.0.0.1:9")
    assert main(["sync", "src", f"s3://{BUCKET}/p"]) == 0


@pytest.mark.parametrize(
    ("words", "compared"),
    [
        (["sync"], Comparing(5, 0)),
        (["sync", "--compare", "checksum"], Comparing(5, 2)),
        (["verify", "--progress", "plain"], Comparing(5, 2)),
    ],
)
def test_what_shows_the_run_is_told_how_far_the_comparison_is(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, words: list[str], compared: Comparing
) -> None:
    shown: list[Display] = []

    def display(*arguments: object, **more: object) -> Display:
        shown.append(Display(*arguments, **more))  # type: ignore[arg-type]
        return shown[-1]

    for module in (commands, uploading):
        monkeypatch.setattr(module, "Display", display)
    main([*words, "src", f"s3://{BUCKET}/p"])
    assert [each.watch.status().compared for each in shown] == [compared]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sync", "--dryrun"], "(new)\n(dryrun) would upload 1 file, 1 B; 1 unchanged\n"),
        (["verify", "--exclude", "new"], " s: 1 same\n"),
    ],
)
def test_what_uploads_nothing_shows_on_a_terminal_how_far_it_has_compared(
    fault_server: StartFaultServer, tmp_path: Path, words: list[str], said: str
) -> None:
    """The store answers when the screen has been seen."""
    seen = threading.Event()

    def answer_then(request: Request) -> None:
        seen.wait(TIMEOUT_S)

    model = S3Model()
    for name in ("new", "same"):
        write(tmp_path / "src" / name, b"1")
    put(model, "p/same", b"1")
    store = ["--endpoint-url", fault_server(answer_then, model=model).url, "--no-sign-request"]
    command = [COMMAND, *words, str(tmp_path / "src"), f"s3://{BUCKET}/p", *store]

    def go_on() -> str:
        seen.set()
        return ""

    shown, stdout = on_terminal(command, os.environ, until="0 compared", then=go_on)
    assert f" → s3://{BUCKET}/p at 127.0.0.1:" in shown
    assert shown.endswith("\x1b[A\x1b[K"), "the block is taken away"
    assert stdout.endswith(said)


@pytest.mark.parametrize("flags", [["--size-only"], ["--compare", "size"]])
def test_times_need_not_count(server: FaultServer, flags: list[str]) -> None:
    assert main(["sync", "src", f"s3://{BUCKET}/p", *flags]) == 0
    assert sent(server) == ["p/larger", "p/new", "p/smaller"]


def test_a_dry_run_says_what_would_go_up_and_why(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", "src", f"s3://{BUCKET}/p", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"(dryrun) upload: src/larger to s3://{BUCKET}/p/larger (larger)",
        f"(dryrun) upload: src/new to s3://{BUCKET}/p/new (new)",
        f"(dryrun) upload: src/newer to s3://{BUCKET}/p/newer (newer)",
        f"(dryrun) upload: src/smaller to s3://{BUCKET}/p/smaller (smaller)",
        "(dryrun) would upload 4 files, 4 B; 1 unchanged",
    ]
    assert err == ""
    assert sent(server) == []


def test_a_dry_run_in_json(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    os.utime("src/newer", (THEN_S, THEN_S))
    assert main(["sync", "src", f"s3://{BUCKET}/p", "--dryrun", "--json", "--compare", "checksum"]) == 0
    *files, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert {file["key"]: file["reason"] for file in files} == {
        "p/larger": "larger", "p/new": "new", "p/smaller": "smaller", "p/newer": "checksum differs",
    }  # fmt: skip
    assert {file["outcome"] for file in files} == {"would-upload"}
    counts = {"files": 4, "bytes": 4, "failed": 0, "skipped": 0, "unchanged": 1}
    assert summary == {"type": "summary", "dryrun": True, "bucket": BUCKET, **counts, "notes": []}


def test_a_dry_run_in_json_says_what_was_compared_by_size_and_time_alone(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", "src", f"s3://{BUCKET}/p", "--dryrun", "--json", "--compare", "mtime"]) == 0
    (note,) = json.loads(capsys.readouterr().out.splitlines()[-1])["notes"]
    assert note.endswith("they do not tell the time of modification of their files")


@pytest.mark.parametrize("name", ["mtime", "Mtime"])
def test_by_mtime_no_other_time_may_be_said_or_all_would_go_up_in_each_run(
    server: FaultServer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    words = ["sync", "src", f"s3://{BUCKET}/p", "--metadata", f"{name}=7"]
    assert main([*words, "--compare", "mtime"]) == 2
    assert "--metadata mtime=... and --compare mtime do not go together" in capsys.readouterr().err
    assert main([*words, "--dryrun"]) == 0


def test_by_mtime_what_goes_up_keeps_the_time_of_its_file(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sync", "src", f"s3://{BUCKET}/p", "--compare", "mtime"]
    assert main(words) == 0
    assert sent(server) == ["p/larger", "p/new", "p/newer", "p/smaller"]
    capsys.readouterr()
    os.utime("src/new", (THEN_S - 9, THEN_S - 9))
    assert main([*words, "--dryrun"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"(dryrun) upload: src/new to s3://{BUCKET}/p/new (older)"
    assert "would upload 1 file, 1 B; 4 unchanged" in out[1]


def test_the_summary_in_json_counts_what_is_unchanged(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", "src", f"s3://{BUCKET}/p", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["uploaded"], summary["unchanged"]) == (4, 1)


def test_what_is_excluded_is_not_compared(server: FaultServer) -> None:
    assert main(["sync", "src", f"s3://{BUCKET}/p", "--exclude", "*er"]) == 0
    assert sent(server) == ["p/new"]


def test_an_empty_directory_asks_nobody(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir("empty")  # noqa: PTH102
    for flags in ([], ["--dryrun"]):
        assert main(["sync", "empty", f"s3://{BUCKET}/p", *flags]) == 0
        out, err = capsys.readouterr()
        assert "nothing to upload in empty" in out + err
    assert server.requests == []


def test_a_bucket_that_is_not_there_is_one_line(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.model.buckets = set()
    for flags in ([], ["--dryrun"]):
        assert main(["sync", "src", "s3://none/p", *flags]) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert "bucket 'none': its objects cannot be listed: 404 NoSuchBucket" in err


def test_a_dry_run_takes_a_bucket_that_the_run_would_create_for_an_empty_one(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.model.buckets = set()
    assert main(["sync", "src", "s3://none/p", "--dryrun", "--create-bucket"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    *files, last = out.splitlines()
    assert files == [f"(dryrun) upload: src/{name} to s3://none/p/{name} (new)" for name in sorted(FILES)]
    assert last == "(dryrun) would upload 5 files, 5 B"
    assert server.model.buckets == set()


def test_lists_and_shares_are_compared_and_what_went_up_may_be_removed(
    server: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list").write_text("smaller\nsame\nlarger\n")  # in no order
    words = [
        "sync",
        "src",
        f"s3://{BUCKET}/p",
        "--files-from",
        "list",
        "--remove-source",
        "--preserve",
        "mtime",
    ]
    assert main([*words, "--dry-run"]) == 0
    out, _ = capsys.readouterr()
    assert [line.split(" to ")[0] for line in out.splitlines()[:-1]] == [
        "(dryrun) move: src/larger",
        "(dryrun) move: src/smaller",
    ]
    assert main(words) == 0
    assert sent(server) == ["p/larger", "p/smaller"]
    assert sorted(path.name for path in (tmp_path / "src").iterdir()) == ["new", "newer", "same"]
    capsys.readouterr()
    for share in ("1/2", "2/2"):
        assert main(["sync", "src", f"s3://{BUCKET}/p", "--shard", share]) == 0
    assert sent(server) == ["p/larger", "p/new", "p/newer", "p/smaller"]
    assert main(["sync", "src", f"s3://{BUCKET}/p", "--order", "size"]) == 2
    assert "--order: what is compared goes in the order of its keys: leave it out" in capsys.readouterr().err
