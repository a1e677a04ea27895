"""`cli.journals`: where journals are kept, and where none can be."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import platformdirs
import pytest

from s3_upload.cli import jobs
from s3_upload.cli.journals import SUFFIX, how_to_go_on, journal_for
from s3_upload.cli.options.upload import UploadOptions
from s3_upload.cli.output import UsageError
from s3_upload.observe.journal import Journal
from s3_upload.observe.journal_file import JournalFile
from s3_upload.request_fields import NO_FIELDS

OF_OLD = ("~/.local/state/s3-upload", "state/s3-upload")
"""What platformdirs 4.2 gives where there is no home, and for XDG_STATE_HOME=state."""


@pytest.fixture(autouse=True, params=OF_OLD)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    monkeypatch.chdir(tmp_path)
    given: str = request.param
    monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: Path(given))
    return given


def test_without_a_home_no_journal_is_kept_and_nothing_is_made_where_one_stands(
    tmp_path: Path, state: str
) -> None:
    (tmp_path / "src").mkdir()
    told: list[str] = []
    journal = journal_for(UploadOptions(), ["src"], "s3://b", "https://e", told.append, lambda _: NO_FIELDS)
    assert journal is None
    assert told == [
        f"no journal is kept, so another run sends everything again: {state}/jobs: is no whole path"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_where_no_journal_can_be_kept_the_folder_and_the_reason_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "a name that nobody knows")

    (tmp_path / "src").mkdir()
    monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    told: list[str] = []
    journal = journal_for(UploadOptions(), ["src"], "s3://b", "https://e", told.append, lambda _: NO_FIELDS)
    assert journal is None
    assert told[0].endswith(f": {tmp_path}/jobs: {os.strerror(errno.EROFS)}")


def test_without_a_home_a_journal_that_was_named_is_gone_on_with_by_its_path() -> None:
    name = f"mine{SUFFIX}"
    assert how_to_go_on(Journal(name)).endswith(f"s3-upload jobs resume {name}")


def test_without_a_home_jobs_tells_of_a_journal_by_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the command by which an interrupted run says how to go on."""
    name = f"mine{SUFFIX}"
    JournalFile(name).close()
    assert jobs.show(name) == 0
    assert name in capsys.readouterr().out
    with pytest.raises(UsageError, match="names no command"):
        jobs.resume(name)
