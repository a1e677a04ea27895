"""A journal that is of no use: it is put aside, and no run ends of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.cli.jobs import DAMAGED
from s3_upload.cli.journals import SUFFIX, folder
from s3_upload.cli.main import main
from s3_upload.errors import ConfigError
from s3_upload.observe import journal_file
from s3_upload.observe.journal import Journal
from s3_upload.observe.journal_file import JournalFile, UnwritableError
from s3_upload.observe.journal_rows import DONE, ObjectRow
from tests.faults.test_journal import SMALL, journaled, tree
from tests.faults.uploads import stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

GARBAGE = {
    "no rows": "UPDATE log SET objects = x'ff'",
    "rows of other types": "UPDATE log SET objects = x'91a161'",
    "text": "UPDATE log SET objects = 'text'",
    "a number that is too large": "UPDATE log SET objects = x'9199a0a0cfffffffffffffffff00a0a0a0a0a0'",
    "a key that is no UTF-8": "UPDATE log SET objects = x'9199a1ffa00000a0a0a0a0a0'",
    "a text that is no UTF-8": "INSERT INTO about VALUES ('said', CAST(x'ff' AS TEXT))",
    "no text": "INSERT INTO about VALUES ('said', x'ff')",
    "an upload": "INSERT INTO uploads VALUES ('id', 'key', 'many', 1, 1, 1, '', '', '')",
}
TOO_MUCH = (
    "INSERT INTO objects VALUES ('a', '', 9223372036854775807, 0, 'done', '', '', '', ''),"
    " ('b', '', 9223372036854775807, 0, 'done', '', '', '', '')"
)


def damaged(
    fault_server: StartFaultServer, tmp_path: Path, journal: Path, how: str
) -> tuple[FaultServer, Any]:
    """A run that ended well, and then its journal came to harm."""
    server, files = fault_server(), tree(tmp_path / "files", SMALL)
    with closing(JournalFile(str(journal))) as file:
        file.write([ObjectRow("key", "/source", 1, 1, DONE)])
        file.set_about({})
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute(how)
    return server, files


@pytest.mark.parametrize("how", GARBAGE.values(), ids=GARBAGE)
def test_a_journal_with_garbage_in_a_row_is_put_aside_and_all_goes_again(
    fault_server: StartFaultServer, tmp_path: Path, how: str
) -> None:
    journal = tmp_path / "journal"
    server, files = damaged(fault_server, tmp_path, journal, how)
    summary = journaled(server, files, journal)
    assert summary.uploaded == 20
    [note] = [note for note in summary.notes if "journal" in note]
    assert ".damaged-" in note
    assert journaled(server, files, journal).uploaded == 0


@pytest.mark.parametrize("how", [*GARBAGE.values(), TOO_MUCH], ids=[*GARBAGE, "sizes"])
def test_jobs_says_of_a_journal_with_garbage_in_a_row_that_it_is_damaged(
    fault_server: StartFaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """And goes on to the others."""
    damaged(fault_server, tmp_path, folder() / f"bad{SUFFIX}", how)
    with closing(JournalFile(str(folder() / f"good{SUFFIX}"))) as file:
        file.set_about({"last_run_s": "1e300", "cwd": "no JSON", "left": "²"})
    assert main(["jobs"]) == 0
    told = capsys.readouterr().out
    assert f"bad  {DAMAGED}" in told
    assert "good  " in told
    assert main(["jobs", "show", "good"]) == 0
    assert main(["jobs", "resume", "good"]) == 2
    assert main(["jobs", "prune"]) == 0
    assert "pruned 0 journals" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["zeros", "50 bytes", "1 byte"])
def test_a_journal_of_ours_without_its_head_is_put_aside_and_one_that_was_named_refused(
    fault_server: StartFaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    path, server, files = folder() / f"abc{SUFFIX}", fault_server(), tree(tmp_path / "files", SMALL)
    journaled(server, files, path)
    head = path.read_bytes()
    content = {"zeros": bytes(100) + head[100:], "50 bytes": head[:50], "1 byte": head[:1]}[how]
    path.write_bytes(content)
    assert main(["jobs"]) == 0
    assert capsys.readouterr().out == f"abc  {DAMAGED}\n"
    with pytest.raises(ConfigError, match="is no journal of s3-upload"):
        journaled(server, files, path)
    assert path.read_bytes() == content
    journal = Journal(path, is_optional=True)
    journal.is_ours = True
    summary = upload(server, files, journal=journal)
    assert summary.uploaded == 20
    assert any(".damaged-" in note for note in summary.notes)
    assert upload(server, files, journal=journal).uploaded == 0
    path.write_bytes(content)
    assert main(["jobs", "prune", "--older-than", "0s"]) == 0
    assert not path.exists()


@pytest.mark.parametrize("is_optional", [True, False])
@pytest.mark.parametrize("what", ["a full disk", "a folder that cannot be written"])
def test_where_a_journal_cannot_be_put_aside_an_upload_without_is_better_than_none(
    fault_server: StartFaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    is_optional: bool,
) -> None:
    journal = Journal(tmp_path / "journal", is_optional=is_optional)
    how = "PRAGMA user_version = 99"
    server, files = damaged(fault_server, tmp_path, tmp_path / "journal", how)
    if what == "a full disk":
        connected, tries = JournalFile._connected, iter(range(9))

        def full(file: JournalFile, path: str) -> sqlite3.Connection:
            if next(tries) == 0:
                return connected(file, path)
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        monkeypatch.setattr(JournalFile, "_connected", full)
    else:
        monkeypatch.setattr(journal_file, "_put_aside", _refused)
    why = "disk is full" if what == "a full disk" else "Permission denied"
    if not is_optional:
        with pytest.raises(UnwritableError, match=why):
            upload(server, files, journal=journal)
        return
    summary = upload(server, files, journal=journal)
    assert stored(server) == SMALL
    [note] = [note for note in summary.notes if "journal" in note]
    assert note.startswith("no journal is kept")
    assert why in note


def _refused(*_: object) -> str:
    raise PermissionError(13, "Permission denied")
