"""`--dryrun`: what it says, as lines and as JSON, and its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from s3_upload.cli.journals import folder
from s3_upload.cli.main import main


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a").write_bytes(bytes(1_500))
    (tmp_path / "src" / "b").write_bytes(bytes(500))
    return tmp_path / "src"


@pytest.mark.parametrize("flag", ["--dryrun", "--dry-run"])
def test_the_lines_and_what_they_come_to(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert main(["src", "s3://bkt/p", flag]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "(dryrun) upload: src/a to s3://bkt/p/a",
        "(dryrun) upload: src/b to s3://bkt/p/b",
        "(dryrun) would upload 2 files, 2.0 kB",
    ]


def test_json_lines(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "gone").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    assert main(["src", "s3://bkt", "--dryrun", "--json"]) == 1
    out, err = capsys.readouterr()
    *files, summary = map(json.loads, out.splitlines())
    assert [(file["key"], file["bytes"], file["outcome"]) for file in files] == [
        ("a", 1_500, "would-upload"),
        ("b", 500, "would-upload"),
        ("gone", 0, "source"),
        ("pipe", 0, "skipped"),
    ]
    assert {file["type"] for file in files} == {"dryrun"}
    counts = {"files": 2, "bytes": 2_000, "failed": 1, "skipped": 1}
    assert summary == {"type": "summary", "dryrun": True, "bucket": "bkt", **counts}
    assert err == ""


def test_what_may_not_be_read_would_fail(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To root, who may read everything, the system is made to say no."""
    monkeypatch.setattr(os, "access", lambda path, mode: not path.endswith("a"))
    assert main(["src", "s3://bkt", "--dryrun"]) == 1
    out, err = capsys.readouterr()
    assert err == "(dryrun) failed: src/a: Permission denied\n"
    assert out.splitlines()[-1] == "(dryrun) would upload 1 file, 500 B; 1 would fail"


@pytest.mark.parametrize(
    ("flag", "lines"),
    [("--quiet", []), ("--only-show-errors", ["(dryrun) failed: src/z: the link leads to nothing"])],
)
def test_it_says_no_more_than_the_run_would(
    tree: Path, capsys: pytest.CaptureFixture[str], flag: str, lines: list[str]
) -> None:
    (tree / "z").symlink_to("nowhere")
    assert main(["src", "s3://bkt", "--dryrun", flag]) == 1
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", lines)


def test_how_much_comes_in_by_stdin_nobody_knows_yet(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("src/a").open() as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        assert main(["-", "s3://bkt/key", "--dryrun"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "(dryrun) upload: stream to s3://bkt/key",
        "(dryrun) would upload 1 file, 0 B, of a size that only the upload shows",
    ]


def test_a_dry_run_makes_no_folder_for_journals() -> None:
    assert main(["src", "s3://bkt/p", "--dryrun"]) == 0
    assert not folder().exists()


def test_what_stdin_and_a_journal_have_to_do_with_each_other_a_dry_run_knows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Path("src/a").open() as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        assert main(["-", "s3://bkt/key", "--dryrun", "--journal", "j"]) == 2
    assert "--journal: what comes in by stdin can be read once" in capsys.readouterr().err


def test_of_a_sync_and_a_journal_a_dry_run_knows_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "src", "s3://bkt/key", "--dryrun", "--journal", "j"]) == 2
    assert "--journal: sync asks the store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ["s3://b--use1-az4--x-s3", "--acl", "private"],
            "--acl: directory buckets",
        ),
        (["s3://b--USE1-az4--x-s3"], "b--USE1-az4--x-s3"),
        (["s3://bucket", "--region", "no where"], "--region = 'no where': is no region name"),
        (["s3://bucket", "--journal", "src/a"], "src/a: is no journal of s3-upload"),
    ],
)
def test_what_an_upload_would_refuse_before_it_sends_anything_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    assert main(["src", *words, "--dryrun"]) == main(["src", *words]) != 0
    told, real = capsys.readouterr().err.splitlines()
    assert why.removeprefix("--") in told
    assert told == real


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--processes", "2", "--share", "fair"], "--processes 2: what leaves room to others on the link"),
        (["--processes", "2", "--max-bandwidth", "50%"], "--processes 2: a share of what the link carries"),
        (["--cluster", "local:0"], "--cluster"),
        (["--client-cert", "none.pem", "--endpoint-url", "https://127.0.0.1:9"], "none.pem"),
    ],
)
def test_what_the_run_refuses_is_refused(
    capsys: pytest.CaptureFixture[str], flags: list[str], why: str
) -> None:
    """In the same words, and with the same exit code."""
    said = []
    for more in (["--dryrun"], []):
        assert main(["src", "s3://bkt", "--no-journal", "--no-sign-request", *flags, *more]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        said.append(err)
    assert said[0] == said[1]
    assert why in said[0]
