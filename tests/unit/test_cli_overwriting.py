"""What a command reads is never what it writes: found out before anything is opened."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from s3_upload.cli.main import main
from s3_upload.cli.output import EXIT_USAGE
from s3_upload.cli.overwriting import refuse_same

KEPT = ("list", "manifest", "patterns", "run.jsonl", "one", "job.journal", "key")


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a").write_bytes(b"x")
    for name in KEPT:
        (tmp_path / name).write_text(f"{name}\tx\n")
    (tmp_path / "link").symlink_to("list")
    os.link(tmp_path / "list", tmp_path / "hard")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("src s3://bkt --files-from list --failed-to list", "--failed-to list: would overwrite"
         " the file of --files-from"),
        ("src s3://bkt --files-from list --failed-to ./link", "the file of --files-from"),
        ("src s3://bkt --files-from list --failed-to hard", "the file of --files-from"),
        ("src s3://bkt --files-from list --report list", "--report list: would overwrite"),
        ("src s3://bkt --files-from list --journal list", "--journal list: would overwrite"),
        ("src s3://bkt --manifest manifest --failed-to manifest", "the file of --manifest"),
        ("src s3://bkt --exclude-from patterns --failed-to patterns", "the file of --exclude-from"),
        ("src s3://bkt --content-type-map list --failed-to list", "the file of --content-type-map"),
        ("src s3://bkt --sse-c --sse-c-key fileb://key --report key", "the file of --sse-c-key"),
        ("one s3://bkt --failed-to one", "--failed-to one: would overwrite the source one"),
        ("src one s3://bkt --report one", "the source one"),
        ("one s3://bkt --journal one", "the source one"),
        ("src s3://bkt --journal job.journal --failed-to job.journal", "the file of --journal"),
        ("src s3://bkt --report new --failed-to new", "--failed-to new: would overwrite"
         " the file of --report"),
        ("sync src s3://bkt --files-from list --failed-to list", "the file of --files-from"),
        ("perf-data src bkt p --files-from list --failed-to list", "the file of --files-from"),
        ("verify src s3://bkt --files-from list --combined list", "--combined list: would overwrite"),
        ("verify one s3://bkt --combined one", "the source one"),
        ("report run.jsonl -o run.jsonl", "-o run.jsonl: would overwrite the records"),
    ],
)  # fmt: skip
def test_an_output_that_is_an_input_is_refused_and_both_are_left_as_they_are(
    tree: Path, capsys: pytest.CaptureFixture[str], words: str, what: str
) -> None:
    assert main(shlex.split(words)) == EXIT_USAGE
    assert what in capsys.readouterr().err
    assert {name: (tree / name).read_text() for name in KEPT} == {name: f"{name}\tx\n" for name in KEPT}
    assert not Path("new").exists()


def test_a_list_that_comes_by_stdin_is_a_file_too(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = os.dup(0)
    try:
        with (tree / "list").open() as file:
            os.dup2(file.fileno(), 0)
        assert main(["-", "s3://bkt/k", "--failed-to", "list"]) == EXIT_USAGE
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert "--failed-to list: would overwrite the source -" in capsys.readouterr().err
    assert (tree / "list").read_text() == "list\tx\n"


@pytest.mark.parametrize("words", ["src s3://bkt --failed-to", "verify src s3://bkt --combined"])
def test_what_is_written_as_the_run_goes_on_is_a_file_of_its_own(
    capfd: pytest.CaptureFixture[str], words: str
) -> None:
    """Neither a pipe, on which the event loop would wait, nor what stdout overwrites."""
    os.mkfifo("pipe")
    for path, why in (
        ("pipe", "is no file: give the name of one"),
        ("/dev/stdout", "is where stdout goes: give another file"),
        ("/dev/fd/2", "is where stderr goes: give another file"),
    ):
        assert main([*shlex.split(words), path]) == EXIT_USAGE
        assert f"{path}: {why}" in capfd.readouterr().err


def test_a_page_on_stdout_is_whole(capfd: pytest.CaptureFixture[str]) -> None:
    """Here a file, as with > page.html."""
    Path("none.jsonl").write_text("")
    os.write(1, b"before\n")
    assert main(["report", "none.jsonl", "-o", "/dev/stdout"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("before\n<!")
    assert out.rstrip().endswith("</html>")


def test_what_keeps_nothing_may_be_both() -> None:
    null = "/dev/null"
    refuse_same([("--failed-to", null), ("--report", null)], [("the file of --files-from", null)])
