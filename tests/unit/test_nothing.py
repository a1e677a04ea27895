"""Folders that have nothing to upload: nothing to do is done, said in one line, and no failure."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from s3_upload import upload
from s3_upload.cli.main import main

EMPTY = "nothing to upload in empty: no files are in there, and S3 keeps no empty directories"
EXCLUDED = "nothing to upload in photos: all of it is excluded"
ENDPOINT = "http://127.0.0.1:1"
NOBODY = ("--endpoint-url", ENDPOINT, "--region", "r", "--no-sign-request")
"""Where no store is: nothing to do asks none."""


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--dryrun"]])
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["empty", "s3://b/p"], EMPTY),
        (["photos", "s3://b/p", "--exclude", "*"], EXCLUDED),
        (["photos/a.jpg", "s3://b/p", "--exclude", "*"], EXCLUDED.replace("photos", "photos/a.jpg")),
        (["empty", "photos", "s3://b", "--exclude", "*.jpg"], EXCLUDED.replace("photos", "empty, photos")),
        (["perf-data", "-n", "2", "empty", "b", "p"], EMPTY),
    ],
)
def test_it_is_one_line_and_no_failure(
    capsys: pytest.CaptureFixture[str], words: list[str], line: str, more: list[str]
) -> None:
    assert main([*words, *more, *NOBODY]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ((f"(dryrun) {line}\n", "") if more else ("", f"s3-upload: {line}\n"))
    for flag in ("--quiet", "--only-show-errors"):
        assert main([*words, *more, flag, *NOBODY]) == 0
        assert capsys.readouterr() == ("", "")


def test_programs_are_told_too(capsys: pytest.CaptureFixture[str], tree: Path) -> None:
    page = tree / "page.html"
    flags = ["--json", "--report", str(page), *NOBODY]
    assert main(["empty", "s3://b", *flags]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out.splitlines()[-1])
    assert (summary["type"], summary["uploaded"], summary["notes"], err) == ("summary", 0, [EMPTY], "")
    assert page.exists()
    done = upload("empty", "s3://b", endpoint_url=ENDPOINT, region="r")
    assert (done.sources, done.notes) == (0, (EMPTY,))
    assert upload("photos", "s3://b", exclude="*", endpoint_url=ENDPOINT, region="r").notes == (EXCLUDED,)


def test_what_is_wrong_is_told_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["empty", "gone", "s3://b"]) == 2
    assert "gone: no such file or directory" in capsys.readouterr().err
    assert main(["empty", "s3://b", "--tags", "x"]) == 2
    assert "--tags x: x is not KEY=VALUE" in capsys.readouterr().err


def test_what_no_walk_can_give_is_said_once(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tree / "photos" / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("photos/socket")
    (tree / "photos" / "a.jpg").unlink()
    assert main(["perf-data", "-n", "3", "photos", "b", "p", *NOBODY]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("skipped")]
    assert said == ["skipped: photos/fifo: is a FIFO", "skipped: photos/socket: is a socket"]
