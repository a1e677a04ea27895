"""What `jobs` says of journals that it cannot read. tests/e2e/test_cli_journal.py has those that it can."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from s3_upload.cli.jobs import CLOSED
from s3_upload.cli.journals import SUFFIX, folder
from s3_upload.cli.main import main
from s3_upload.observe.journal import Journal, begin
from s3_upload.observe.journal_file import JournalFile
from s3_upload.observe.journal_rows import LEFT


@pytest.fixture
def journals() -> Path:
    folder().mkdir(parents=True)
    return folder()


def test_a_journal_that_cannot_be_opened_is_no_reason_to_say_that_there_is_none(
    journals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (journals / f"abc{SUFFIX}").mkdir()  # may be read by nobody as a file
    assert main(["jobs"]) == 0
    assert capsys.readouterr().out.startswith(f"abc  {CLOSED}: Is a directory")
    assert main(["jobs", "prune", "--older-than", "0s"]) == 0
    assert capsys.readouterr().out == "pruned 0 journals\n"
    assert (journals / f"abc{SUFFIX}").exists()


def test_a_journal_that_is_a_link_to_nowhere_is_told_of_and_stays(
    journals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (journals / f"abc{SUFFIX}").symlink_to("/nowhere/x")
    assert main(["jobs"]) == 0
    assert capsys.readouterr().out == f"abc  {CLOSED}: No such file or directory\n"
    assert main(["jobs", "prune", "--older-than", "0s"]) == 0
    assert capsys.readouterr().out == "pruned 0 journals\n"


@pytest.mark.parametrize("words", [["jobs", "prune"], ["clean", "s3://bucket/p/", "--yes"]])
def test_an_age_without_a_unit_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--older-than", "7"]) == 2
    told = "--older-than 7: is no age: give a number and its unit, such as 36h, 7d or 1d12h"
    assert capsys.readouterr() == ("", f"s3-upload: error: {told}\n")


@pytest.mark.parametrize("age", ["2w", "1d12h"])
def test_prune_reads_an_age_as_an_upload_does(age: str) -> None:
    assert main(["jobs", "prune", "--older-than", age]) == 0


def test_a_folder_that_cannot_be_read_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    folder().parent.mkdir(parents=True)
    folder().write_text("")
    assert main(["jobs"]) == 2
    assert capsys.readouterr().err == "s3-upload: error: jobs: where journals are kept: Not a directory\n"


def test_prune_leaves_the_journal_of_a_run_that_begins_meanwhile(
    journals: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It begins as soon as it may."""
    path, close, begun = journals / f"abc{SUFFIX}", JournalFile.close, list[JournalFile]()

    def closes(file: JournalFile) -> None:
        close(file)
        if not begun:
            begun.append(JournalFile(str(path)))
            begun[0].set_about({LEFT: ""})

    with closing(JournalFile(str(path))) as file:
        file.set_about({LEFT: "0"})
    monkeypatch.setattr(JournalFile, "close", closes)
    assert main(["jobs", "prune"]) == 0
    with closing(begun[0]) as run:
        assert run.is_there
        assert run.about() == {LEFT: ""}
    assert capsys.readouterr().out.endswith("pruned 1 journal\n")
    assert path.exists()


def test_a_journal_that_is_removed_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By jobs prune, which had it until then."""
    path, connect, tries = tmp_path / "journal", sqlite3.connect, list[str]()

    def connects(database: str, **how: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(database, **how)
        tries.append(database)
        if len(tries) == 1:
            path.unlink()
        return connection

    monkeypatch.setattr(sqlite3, "connect", connects)
    of_run = begin(Journal(path), {}, lambda _: None)
    assert of_run is not None
    with of_run:
        assert of_run.works
    assert len(tries) == 2
