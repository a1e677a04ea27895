"""A journal that somebody else has: for a moment, who only looks; for as long as it lasts, another run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from s3_upload.errors import ConfigError
from s3_upload.observe import journal as journal_module
from s3_upload.observe.journal import Journal, begin
from s3_upload.observe.journal_file import InUseError, JournalFile
from tests.faults.test_journal import SMALL, journaled, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer


def test_an_upload_that_begins_while_its_journal_is_looked_into_waits_for_it(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, path = fault_server(), tmp_path / "journal"
    looking = JournalFile(str(path))
    until = threading.Timer(0.3, looking.close)
    until.start()
    summary = journaled(server, tree(tmp_path / "files", SMALL), path)
    until.join()
    assert summary.uploaded == 20


def test_a_run_tries_again_until_its_journal_is_free(tmp_path: Path) -> None:
    looking = JournalFile(str(tmp_path / "journal"))
    waited_s: list[float] = []

    def pause(seconds: float) -> None:
        waited_s.append(seconds)
        if len(waited_s) == 3:
            looking.close()

    of_run = begin(Journal(tmp_path / "journal"), {}, pause)
    assert of_run is not None
    with of_run:
        assert len(waited_s) == 3


def test_who_is_stopped_waits_for_no_journal(tmp_path: Path) -> None:
    over = threading.Event()
    over.set()
    looking = JournalFile(str(tmp_path / "journal"))
    with pytest.raises(InUseError):
        begin(Journal(tmp_path / "journal"), {}, over.wait)
    looking.close()


def test_a_journal_that_another_run_has_is_refused(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_TRIES", 2)
    server, path = fault_server(), tmp_path / "journal"
    of_run = begin(Journal(path), {})
    assert of_run is not None
    with of_run, pytest.raises(ConfigError, match="at work with this journal"):
        journaled(server, tree(tmp_path / "files", SMALL), path)
    assert server.requests == []
