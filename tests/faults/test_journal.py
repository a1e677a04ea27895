"""A run with a journal, and the one after it: what is done is not asked for, files in parts go on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.errors import ConfigError
from s3_upload.observe import journal_file
from s3_upload.observe.journal import Journal
from s3_upload.request_fields import RequestFields
from s3_upload.sources import version
from s3_upload.sources.content_type import Guess
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Answer, Rule, Stall, s3_error
from tests.faults.model import StoredObject, Upload
from tests.faults.uploads import BUCKET, PART_BYTES, big, config, run, stored, upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

OLD_NS = 1_600_000_000_123_456_789
SMALL = {f"{n}.txt": f"body {n}".encode() for n in range(20)}


def tree(root: Path, contents: dict[str, bytes]) -> list[ObjectSource]:
    for key, body in contents.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, ns=(OLD_NS, OLD_NS))
    return [ObjectSource.file(root / key, key) for key in contents]


def journaled(server: FaultServer, files: Any, path: Path, **arguments: Any) -> UploadSummary:
    return upload(server, files, journal=path, **arguments)


def broken_off(
    server: FaultServer,
    files: Any,
    path: Path | None,
    *,
    after: str,
    count: int = 1,
    then: Callable[[], None] = lambda: None,
    grace_s: float = 0.0,
    cancels: int = 1,
    options: dict[str, str] | None = None,
) -> None:
    """Begins an upload. When the server had `count` requests with `after` in their target: calls `then`,
    cancels."""

    before = len(server.requests)

    def had() -> bool:
        asked = server.requests[before:]
        return sum(after in request.target and request.complete for request in asked) >= count

    async def main(client: S3Client) -> None:
        settings = config(grace_s=grace_s, max_in_flight=2)
        task = asyncio.create_task(s3_upload_files(client, BUCKET, files, settings, journal=path))
        await asyncio.to_thread(server.wait_until, had)
        then()
        for _ in range(cancels):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(server, main, **(options or {}))


def half_sent(fault_server: StartFaultServer, tmp_path: Path, **how: Any) -> tuple[FaultServer, Any, Path]:
    """A file in five parts, of which the store has two or three; and the journal that knows of them."""
    server = fault_server([Rule(Stall(), query={"partNumber": "4"}, nth=1)])
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    broken_off(server, files, journal, after="partNumber=3", **how)
    server.set_script(None)  # that part may not have been asked for
    return server, files, journal


def parts_sent(server: FaultServer, behind: int = 0) -> list[int]:
    sent = [
        request for request in server.requests[behind:] if request.part_number and request.method == "PUT"
    ]
    return sorted(request.part_number for request in sent if request.complete)


# --- small files -----------------------------------------------------------------------------------------


def test_what_is_done_and_unchanged_is_not_asked_for_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", SMALL)
    assert journaled(server, files, journal).uploaded == 20
    asked = len(server.requests)
    summary = journaled(server, files, journal)
    assert (summary.sources, summary.uploaded) == (0, 0)
    assert len(server.requests) == asked
    assert f"20 files were uploaded by earlier runs (journal: {journal})" in summary.notes


def test_names_that_are_no_unicode_end_no_journal(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """Neither a key, which no store takes, nor the path of a file that has another key."""
    server, journal = fault_server(), tmp_path / "journal"
    folder = tmp_path / os.fsdecode(b"\xff")
    files = tree(folder, SMALL)
    bad = ObjectSource.file(folder / "1.txt", os.fsdecode(b"\xff.txt"))
    assert journaled(server, [bad, *files], journal).uploaded == 20
    asked = len(server.requests)
    again = journaled(server, [bad, *files], journal)
    assert (again.uploaded, len(again.failed), len(server.requests)) == (0, 1, asked)
    assert not any("has stopped" in note for note in again.notes)


@pytest.mark.parametrize("how", ["another size", "another time"])
def test_a_file_that_has_changed_goes_again(fault_server: StartFaultServer, tmp_path: Path, how: str) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", SMALL)
    journaled(server, files, journal)
    path = tmp_path / "files" / "7.txt"
    path.write_bytes(b"longer than before" if how == "another size" else b"BODY 7")
    if how == "another size":
        os.utime(path, ns=(OLD_NS, OLD_NS))
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server)["7.txt"] == path.read_bytes()


def test_a_file_that_was_written_in_the_moment_it_was_read_goes_again(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later change may have left it with the same time."""
    monkeypatch.setattr(version, "TICK_NS", 3_600 * 10**9)
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", {"a": b"1", "b": b"2"})
    os.utime(tmp_path / "files" / "a")
    journaled(server, files, journal)
    assert journaled(server, files, journal).uploaded == 1


def test_what_failed_goes_again_and_what_did_not_does_not(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server([Rule(s3_error(400, "InvalidArgument"), key="7.txt", nth=1)])
    files, journal = tree(tmp_path / "files", SMALL), tmp_path / "journal"
    first = journaled(server, files, journal)
    assert [report.key for report in first.failed] == ["7.txt"]
    second = journaled(server, files, journal)
    assert (second.uploaded, second.failed) == (1, ())
    assert stored(server) == SMALL


def test_what_is_said_of_objects_has_changed_so_all_go_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", SMALL)
    journaled(server, files, journal, default_request=Guess(RequestFields(cache_control="no-store")))
    assert journaled(server, files, journal, default_request=Guess()).uploaded == 20


def test_sources_that_are_no_files_always_go(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = [ObjectSource.data(b"x", "data"), ObjectSource.stream([b"y"], "stream")]
    journaled(server, files, journal)
    assert journaled(server, files, journal).uploaded == 2


def test_an_async_iterable_of_sources_is_resumed_too(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", SMALL)

    async def some() -> Any:
        for source in files:
            yield source

    assert journaled(server, some(), journal).uploaded == 20
    assert journaled(server, some(), journal).uploaded == 0


# --- the file --------------------------------------------------------------------------------------------


def test_a_damaged_journal_is_put_aside_and_all_goes_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", SMALL)
    journaled(server, files, journal)
    data = bytearray(journal.read_bytes())
    data[200:] = os.urandom(len(data) - 200)
    journal.write_bytes(data)
    summary = journaled(server, files, journal)
    assert summary.uploaded == 20
    [note] = [note for note in summary.notes if "journal" in note]
    assert "damaged" in note
    assert [path for path in tmp_path.iterdir() if ".damaged-" in path.name]
    assert journaled(server, files, journal).uploaded == 0


def test_a_journal_of_another_version_is_put_aside(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", SMALL)
    journaled(server, files, journal)
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert journaled(server, files, journal).uploaded == 20
    assert [path for path in tmp_path.iterdir() if ".version-99-" in path.name]


@pytest.mark.parametrize("content", [b"my notes\n", b"SQLite format 3\0" + bytes(84)])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(
    fault_server: StartFaultServer, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"notes.txt: is no journal of s3-upload"):
        journaled(fault_server(), [], path)
    assert path.read_bytes() == content


def test_the_journal_of_another_destination_is_refused(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    journal, files = tmp_path / "journal", tree(tmp_path / "files", SMALL)
    journaled(fault_server(), files, journal)
    with pytest.raises(ConfigError, match="the journal of another job, to s3://bucket at http"):
        journaled(fault_server(), files, journal)


def test_a_journal_whose_disk_is_full_ends_and_says_so_and_the_run_goes_on(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "JournalFile", _Full)
    files = tree(tmp_path / "files", {f"{n}.txt": b"x" for n in range(400)})
    summary = upload(fault_server(), files, journal=tmp_path / "full")
    assert summary.uploaded == 400
    [note] = [note for note in summary.notes if "journal" in note]
    assert "has stopped: database or disk is full" in note


@pytest.mark.parametrize("is_optional", [True, False])
def test_a_disk_that_is_full_before_it_begins_ends_only_a_run_that_was_to_have_a_journal(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_optional: bool
) -> None:
    def full(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    server, files = fault_server(), tree(tmp_path / "files", SMALL)
    monkeypatch.setattr(journal_file.JournalFile, "set_about", full)
    handle = Journal(tmp_path / "journal", is_optional=is_optional)
    if is_optional:
        summary = upload(server, files, journal=handle)
        assert stored(server) == SMALL
        assert any("no journal is kept" in note and "disk is full" in note for note in summary.notes)
    else:
        with pytest.raises(ConfigError, match="disk is full"):
            upload(server, files, journal=handle)


class _Full(journal_file.JournalFile):
    """On a disk that takes no more."""

    def __init__(self, path: str, **how: bool) -> None:
        super().__init__(path, **how)
        self.set_about({"destination": "", "said": ""})
        [(pages,)] = self._connection.execute("PRAGMA page_count").fetchall()
        self._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_nobody_else_can_read_a_journal(fault_server: StartFaultServer, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journaled(fault_server(), tree(tmp_path / "files", SMALL), journal)
    assert journal.stat().st_mode & 0o077 == 0


# --- files in parts --------------------------------------------------------------------------------------


def test_a_file_in_parts_goes_on_where_it_was_broken_off(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server([Rule(Stall(), query={"partNumber": "3"}, nth=1)])
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    broken_off(server, files, journal, after="partNumber=2")
    [upload_id] = server.model.uploads
    had = set(server.model.uploads[upload_id].parts)
    assert had
    before = len(server.requests)
    summary = journaled(server, files, journal)
    assert stored(server) == {"big": big()}
    assert set(parts_sent(server, before)) == {1, 2, 3, 4, 5} - had
    assert server.model.uploads == {}
    assert any(note.startswith("went on with an upload in parts") for note in summary.notes)
    sent = sum(len(big()[(number - 1) * PART_BYTES :][:PART_BYTES]) for number in {1, 2, 3, 4, 5} - had)
    assert (summary.bytes, summary.resumed_bytes) == (len(big()), len(big()) - sent)
    assert journaled(server, files, journal).uploaded == 0


def test_a_file_in_parts_of_which_something_else_is_said_now_begins_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """Its storage class and encryption are those that were said when the upload was created."""
    server = fault_server([Rule(Stall(), query={"partNumber": "3"}, nth=1)])
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    broken_off(server, files, journal, after="partNumber=2")
    before, said = len(server.requests), Guess(RequestFields(storage_class="GLACIER"))
    journaled(server, files, journal, default_request=said)
    assert set(parts_sent(server, before)) == {1, 2, 3, 4, 5}
    [created] = [r for r in server.requests[before:] if r.method == "POST" and "?uploads" in r.target]
    assert created.headers["x-amz-storage-class"] == "GLACIER"
    assert stored(server) == {"big": big()}
    assert server.model.uploads == {}


def test_a_part_that_the_store_lost_meanwhile_is_sent_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    [upload_] = server.model.uploads.values()
    lost = min(upload_.parts)
    del upload_.parts[lost]
    before = len(server.requests)
    journaled(server, files, journal)
    assert stored(server) == {"big": big()}
    assert lost in parts_sent(server, before)


def test_another_version_of_the_file_is_not_mixed_with_the_first(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """Of the same size: the parts are read and compared, and those that differ are sent."""
    server, files, journal = half_sent(fault_server, tmp_path)
    changed = b"!" + big()[1:]
    (tmp_path / "files" / "big").write_bytes(changed)
    before = len(server.requests)
    journaled(server, files, journal)
    assert stored(server) == {"big": changed}
    assert 1 in parts_sent(server, before)
    assert server.model.uploads == {}


def test_an_upload_of_a_file_that_has_another_size_now_is_aborted(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    (tmp_path / "files" / "big").write_bytes(big() + b"more")
    journaled(server, files, journal)
    assert stored(server) == {"big": big() + b"more"}
    assert server.model.uploads == {}


def test_an_upload_that_the_store_has_ended_meanwhile_begins_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    server.model.uploads.clear()
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": big()}


def test_who_may_not_list_parts_uploads_from_the_beginning(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    server.set_script([Rule(s3_error(403, "AccessDenied"), method="GET")])
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": big()}


def test_an_upload_whose_id_was_never_heard_is_found_and_leaves_nothing(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """The process was killed while it waited for the answer to Create."""
    server = fault_server([Rule(Stall(stored=True), method="POST", query={"uploads": None}, nth=1)])
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    broken_off(server, files, journal, after="?uploads")
    assert len(server.model.uploads) == 1
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": big()}
    assert server.model.uploads == {}


# --- from the store alone --------------------------------------------------------------------------------


def begun_elsewhere(server: FaultServer, parts: dict[int, bytes], key: str = "big") -> None:
    """An unfinished upload that nobody here knows of."""

    def part(body: bytes) -> StoredObject:
        return StoredObject(body, len(body), hashlib.md5(body).hexdigest())

    upload_ = Upload(BUCKET, key, {}, {number: part(body) for number, body in parts.items()})
    server.model.uploads["elsewhere"] = upload_


def slices(body: bytes, size: int = PART_BYTES) -> dict[int, bytes]:
    return {n + 1: body[n * size : (n + 1) * size] for n in range(-(-len(body) // size))}


def test_a_big_file_goes_on_from_the_store_alone(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server, files = fault_server(), tree(tmp_path / "files", {"big": big()})
    parts = slices(big())
    begun_elsewhere(server, {n: parts[n] for n in (1, 2, 4)})
    summary = upload(server, files, resume_multipart=True)
    assert summary.uploaded == 1
    assert stored(server) == {"big": big()}
    assert parts_sent(server) == [3, 5]
    assert server.model.uploads == {}


def test_with_parts_of_another_size_too(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server, files = fault_server(), tree(tmp_path / "files", {"big": big()})
    parts = slices(big(), 8 << 20)
    begun_elsewhere(server, {n: parts[n] for n in (1, 2)})
    upload(server, files, resume_multipart=True)
    assert stored(server) == {"big": big()}
    assert parts_sent(server) == [3]


@pytest.mark.parametrize("whose", ["another file", "another key", "parts of no size that fits", "no part"])
def test_an_upload_that_is_not_ours_is_left_alone(
    fault_server: StartFaultServer, tmp_path: Path, whose: str
) -> None:
    server, files = fault_server(), tree(tmp_path / "files", {"big": big()})
    parts = slices(big())
    theirs = {
        "another file": {1: parts[1], 2: b"!" * PART_BYTES},
        "another key": parts,
        "parts of no size that fits": {1: parts[1], 2: parts[2][:-1]},
        "no part": {},
    }[whose]
    begun_elsewhere(server, theirs, key="bigger" if whose == "another key" else "big")
    upload(server, files, resume_multipart=True)
    assert stored(server) == {"big": big()}
    assert list(server.model.uploads) == ["elsewhere"]
    assert parts_sent(server) == [1, 2, 3, 4, 5]


def test_who_may_not_list_uploads_uploads_from_the_beginning(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server([Rule(s3_error(403, "AccessDenied"), method="GET")])
    summary = upload(server, tree(tmp_path / "files", {"big": big()}), resume_multipart=True)
    assert summary.uploaded == 1
    assert stored(server) == {"big": big()}


def test_a_store_that_lists_no_uploads_takes_them_all_the_same(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server([Rule(Answer(501), method="GET")])
    summary = upload(server, tree(tmp_path / "files", {"big": big()}), resume_multipart=True)
    assert summary.uploaded == 1


def test_without_a_journal_no_unfinished_upload_is_left(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server([Rule(Stall(), query={"partNumber": "3"})])
    broken_off(server, tree(tmp_path / "files", {"big": big()}), None, after="partNumber=2")
    assert server.model.uploads == {}


def test_a_journal_that_has_stopped_leaves_no_upload_that_nobody_knows_of(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(journal_file.JournalFile, "write", full)
    server = fault_server([Rule(Stall(), query={"partNumber": "3"})])
    files = tree(tmp_path / "files", {"big": big()})
    broken_off(server, files, tmp_path / "journal", after="partNumber=2")
    assert server.model.uploads == {}


def test_to_ask_for_what_is_not_there_is_no_failure(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server([Rule(s3_error(404, "NoSuchUpload"), method="GET")])
    summary = upload(server, tree(tmp_path / "files", {"big": big()}), resume_multipart=True)
    assert (summary.uploaded, summary.causes) == (1, {})
