"""A journal that lies among the sources of a run: it is skipped, and stays locked."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.bucket.local_bytes import LocalBytes
from s3_upload.bucket.looking import look
from s3_upload.cli.main import main
from s3_upload.descriptors import count_open
from s3_upload.errors import SourceError
from s3_upload.observe.journal import Journal, begin, left_of
from s3_upload.observe.journal_file import InUseError, JournalFile
from s3_upload.sources.own_journals import WHY
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import PlainFiles, walk_tree
from tests.e2e.test_cli_journal import COMMAND, TIMEOUT_S, environment, src
from tests.e2e.test_cli_journal import run as command
from tests.faults.actions import Held, Rule
from tests.faults.test_journal import tree
from tests.faults.uploads import BUCKET, config, run, stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

__all__ = ["src"]

LOOKS = """
import sys
from s3_upload.observe.journal import Journal, begin, left_of
from s3_upload.observe.journal_file import InUseError, JournalFile
try:
    JournalFile(sys.argv[1]).close()
except InUseError:
    print("in use")
"""

FORKS = """
import multiprocessing, pathlib, sys
from concurrent.futures import ProcessPoolExecutor
from s3_upload import upload
from s3_upload.bucket.local_bytes import LocalBytes
from s3_upload.bucket.looking import look
from s3_upload.errors import SourceError
from s3_upload.observe.journal_file import JournalFile
from s3_upload.sources import own_journals
from s3_upload.sources.source import ObjectSource

folder, url = pathlib.Path(sys.argv[1]), sys.argv[2]

def read():
    try:
        list(LocalBytes().pieces(look(ObjectSource.file(folder / "journal", "journal"))))
    except SourceError:
        return True

def own():
    JournalFile(str(folder / "of-worker")).close()

journal = JournalFile(str(folder / "journal"))
assert read()
pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
with own_journals._lock:
    pool.submit(int).result()
journal.close()
assert not pool.submit(read).result()
pool.submit(own).result()
told = upload(folder, "s3://bucket", executor=pool, endpoint_url=url, region="us-east-1", proxy="none")
print(told.uploaded, told.skipped)
pool.shutdown()
"""


def others_get(path: Path) -> bool:
    """Whether another process gets the journal at `path`."""
    words = [sys.executable, "-c", LOOKS, str(path)]
    looked = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return looked.stdout != "in use\n"


def held_while_sending(
    fault_server: StartFaultServer, files: Any, path: Path, *, own: bool = True
) -> tuple[FaultServer, UploadSummary]:
    """Uploads `files` with the journal at `path`, or beside another run that has it. When all have been read
    the journal is still locked."""
    let_go = threading.Event()
    server = fault_server([Rule(Held(let_go), method="PUT", key="z")])

    async def send(client: S3Client) -> UploadSummary:
        task = asyncio.create_task(
            s3_upload_files(client, BUCKET, files, config(), journal=path if own else None)
        )
        await asyncio.to_thread(server.wait_until, lambda: any(r.key == "z" for r in server.of("PUT")))
        try:
            assert not await asyncio.to_thread(others_get, path)
        finally:
            let_go.set()
        return await task

    return server, run(server, send)


def sources_at(folder: Path, *names: str) -> list[ObjectSource]:
    """And what is read behind them."""
    return [*(ObjectSource.file(folder / name, name) for name in names), *tree(folder, {"z": b"z"})]


def skips(summary: UploadSummary) -> dict[str, str]:
    assert summary.failed == ()
    return {report.key: report.reason for report in summary.skipped}


def test_a_run_skips_its_own_journal_and_keeps_it_to_itself(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """With what SQLite keeps beside it."""
    files = sources_at(tmp_path, "journal", "journal-wal")
    server, summary = held_while_sending(fault_server, files, tmp_path / "journal")
    assert stored(server) == {"z": b"z"}
    assert skips(summary) == {"journal": WHY, "journal-wal": WHY}
    assert others_get(tmp_path / "journal")


@pytest.mark.parametrize("how", ["another name of the folder", "a link", "another name of the file"])
def test_a_journal_under_another_name_is_skipped_and_stays_locked(
    fault_server: StartFaultServer, tmp_path: Path, how: str
) -> None:
    journal, name = tmp_path / "journal", "other"
    JournalFile(str(journal)).close()
    if how == "a link":
        (tmp_path / name).symlink_to(journal)
    elif how == "another name of the file":
        (tmp_path / name).hardlink_to(journal)
    else:
        (tmp_path / "folder").symlink_to(tmp_path)
        name = "folder/journal"
    server, summary = held_while_sending(fault_server, sources_at(tmp_path, name), journal)
    assert stored(server) == {"z": b"z"}
    assert skips(summary) == {name: WHY}
    assert others_get(journal)


def test_the_journal_of_another_run_of_this_process_is_skipped_and_stays_locked(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with closing(JournalFile(str(journal))):
        files = sources_at(tmp_path, "journal")
        server, summary = held_while_sending(fault_server, files, journal, own=False)
    assert stored(server) == {"z": b"z"}
    assert skips(summary) == {"journal": WHY}
    assert others_get(journal)
    assert upload(fault_server(), files).uploaded == 2, "now it is a file like others"


def test_a_journal_that_is_compared_stays_locked(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with closing(JournalFile(str(journal))):
        local = look(ObjectSource.file(journal, "key"))
        assert local is not None
        with pytest.raises(SourceError, match=WHY):
            list(LocalBytes().pieces(local))
        assert not others_get(journal)


def test_a_journal_that_is_read_again_and_again_costs_one_descriptor(tmp_path: Path) -> None:
    journal, link, other = tmp_path / "journal", tmp_path / "link", tmp_path / "other"
    other.write_bytes(b"data")
    link.symlink_to(journal)
    before = count_open()
    with closing(JournalFile(str(journal))):
        local = look(ObjectSource.file(link, "key"))
        assert local is not None
        opened = count_open()
        for _ in range(50):
            with pytest.raises(SourceError, match=WHY):
                list(LocalBytes().pieces(local))
        assert count_open() == opened + 1
        assert not others_get(journal)
        link.unlink()
        link.symlink_to(other)
        elsewhere = look(ObjectSource.file(link, "key"))
        assert elsewhere is not None
        assert b"".join(LocalBytes().pieces(elsewhere)) == b"data"
    assert count_open() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without it")
def test_the_workers_of_a_forked_pool_know_no_journal_of_the_process_that_began_them(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """Though it was open, and read, and one was being opened, when they began."""
    server = fault_server()
    tree(tmp_path, {"z": b"z"})
    words = [sys.executable, "-c", FORKS, str(tmp_path), server.url]
    told = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment(server))
    assert (told.returncode, told.stdout) == (0, "3 ()\n"), told.stderr
    assert set(stored(server)) == {"journal", "of-worker", "z"}


def test_a_journal_that_is_open_under_another_name_is_in_use(tmp_path: Path) -> None:
    journal, other = tmp_path / "journal", tmp_path / "other"
    with closing(JournalFile(str(journal))):
        other.hardlink_to(journal)
        with pytest.raises(InUseError):
            JournalFile(str(other))
        assert not others_get(journal)


def test_what_is_left_to_count_is_without_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    of_run = begin(journal, {})
    assert of_run is not None
    with of_run:
        tree(tmp_path, {"a": b"a", "journal-wal ": b"no part of it"})
        [entry] = left_of(journal, walk_tree(str(tmp_path), ""))
    assert isinstance(entry, PlainFiles)
    assert entry.names == ["a", "journal-wal "]


@pytest.mark.parametrize("more", [(), ("--processes", "2")], ids=["one process", "two"])
def test_while_a_run_uploads_what_its_journal_lies_in_jobs_says_that_it_goes_on(
    fault_server: StartFaultServer,
    src: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
) -> None:
    """As in a home. And a dry run says what is skipped."""
    monkeypatch.setenv("XDG_STATE_HOME", str(src / "state"))
    let_go = threading.Event()
    server = fault_server([Rule(Held(let_go), method="PUT", key="z")])
    tree(src, {"z": b"z"})
    words = [COMMAND, "src", "s3://bucket", "--min-timeout", "500", "--hedge", "off", *more]
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    JournalFile(str(src / "state" / "s3-upload" / "jobs" / "other.journal")).close()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        server.wait_until(lambda: any(r.key == "z" for r in server.of("PUT")), TIMEOUT_S)
        told = command(server, "jobs").stdout
        let_go.set()
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err.count(WHY)) == (0, 2), err
    assert "running now" in told
    assert out.startswith("uploaded 22 files")
    assert main(["src", "s3://bucket", "--dryrun"]) == 0
    dry = capsys.readouterr()
    assert "would upload 0 files, 0 B; 1 skipped; 22 done by earlier runs" in dry.out
    assert WHY in dry.err
