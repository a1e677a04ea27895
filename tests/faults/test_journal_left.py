"""What a journal says is left of a job, where its files are others than before."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.cli.journals import SUFFIX, folder
from s3_upload.cli.main import main
from s3_upload.errors import summary_of
from s3_upload.observe.events import ObjectEnded
from s3_upload.observe.journal_file import JournalFile
from s3_upload.report import UploadSummary
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Rule, Stall, foreign, s3_error
from tests.faults.test_journal import broken_off, half_sent, journaled, tree
from tests.faults.uploads import BUCKET, big, config, run, stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

COUNT = 200
BARE = foreign(400)
"""What no S3 says, as long as it is asked."""


def stopped_after_ten(server: FaultServer, files: list[ObjectSource], journal: Path) -> int:
    """How many were uploaded."""

    async def upload(client: S3Client) -> int:
        reports = 0

        def progress(_: object) -> None:
            nonlocal reports
            reports += 1
            if reports == 10:
                task.cancel()

        settings = config(max_in_flight=2, grace_s=60.0)
        task = asyncio.create_task(
            s3_upload_files(client, BUCKET, files, settings, progress, journal=journal)
        )
        with pytest.raises(asyncio.CancelledError) as stopped:
            await task
        summary = summary_of(stopped.value)
        assert isinstance(summary, UploadSummary)
        return summary.uploaded

    return run(server, upload)


def test_what_is_left_of_a_job_whose_files_were_replaced_by_others_is_told_and_its_journal_stays(
    fault_server: StartFaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, journal = fault_server(), folder() / f"abc{SUFFIX}"
    assert (
        journaled(server, tree(tmp_path, {f"old{n}": b"x" for n in range(COUNT)}), journal).uploaded == COUNT
    )
    others = tree(tmp_path, {f"new{n}": b"x" for n in range(COUNT)})
    uploaded = stopped_after_ten(server, others, journal)
    assert 10 <= uploaded < COUNT / 2
    assert main(["jobs"]) == 0
    assert f"{COUNT + uploaded} done, {COUNT - uploaded} left  " in capsys.readouterr().out
    assert main(["jobs", "prune"]) == 0
    assert capsys.readouterr().out == "pruned 0 journals\n"
    assert journaled(server, others, journal).uploaded == COUNT - uploaded
    assert main(["jobs", "prune"]) == 0
    assert capsys.readouterr().out.endswith("pruned 1 journal\n")


def test_of_parts_of_a_file_that_is_gone_a_note_tells(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    others = tree(tmp_path, {"other": b"x"})
    for _ in range(2):
        notes = " ".join(journaled(server, others, journal).notes)
        assert (
            "parts of 1 file that is not among the sources any more may be left in the store (big)" in notes
        )
        assert len(server.model.uploads) == 1
    both = journaled(server, [*files, *others], journal)
    assert "not among the sources" not in " ".join(both.notes)
    assert "went on with an upload in parts" in " ".join(both.notes)
    assert server.model.uploads == {}


def test_of_a_journal_that_does_not_say_what_is_left_nobody_says_that_it_is_done(
    fault_server: StartFaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was written before they said so."""
    journal = folder() / f"abc{SUFFIX}"
    journaled(fault_server(), tree(tmp_path, {"a": b"x"}), journal)
    with closing(JournalFile(str(journal))) as file:
        file.set_about({"left": "", "total": "1"})
    assert main(["jobs"]) == 0
    assert "1 done, not counted to the end" in capsys.readouterr().out
    assert main(["jobs", "prune"]) == 0
    assert capsys.readouterr().out == "pruned 0 journals\n"


def test_what_a_listener_raises_hides_no_object_from_the_journal(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", {"a": b"a"})

    def listen(event: object) -> None:
        if isinstance(event, ObjectEnded):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journaled(server, files, journal, events=listen)
    summary = journaled(server, files, journal, settings=config(if_exists="fail"))
    assert (summary.sources, summary.failed) == (0, ())


def test_parts_that_something_before_the_store_does_not_list_are_sent_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = fault_server(), tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    server.set_script([Rule(Stall(), query={"partNumber": "3"}, nth=1)])
    broken_off(server, files, journal, after="partNumber=2")
    server.set_script([Rule(BARE, method="GET")])
    summary = journaled(server, files, journal, settings=config(n_retries=2))
    assert (summary.uploaded, stored(server)) == (1, {"big": big()})


def test_an_upload_that_something_before_the_store_refuses_to_complete_is_not_kept(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = fault_server(), tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    server.set_script([Rule(BARE, method="POST", query={"uploadId": None})])
    summary = journaled(server, [*files, ObjectSource.data(b"x", "a")], journal, settings=config(n_retries=1))
    assert (summary.uploaded, len(summary.failed), server.model.uploads) == (1, 1, {})


def test_an_abort_is_believed_where_something_before_the_store_does_not_list_parts(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    refused = Rule(s3_error(400, "InvalidArgument"), query={"partNumber": "2"})
    server = fault_server([Rule(BARE, method="GET"), refused])
    files = [*tree(tmp_path / "files", {"big": big()}), ObjectSource.data(b"x", "a")]
    summary = upload(server, files, settings=config(n_retries=1))
    assert (len(summary.failed), summary.notes, server.model.uploads) == (1, (), {})
