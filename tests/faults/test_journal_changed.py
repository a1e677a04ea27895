"""A journal that is taken away, or whose run was killed too soon, and runs again in other circumstances."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.observe.journal_file import JournalFile
from s3_upload.observe.journal_rows import DONE, ObjectRow
from s3_upload.request_fields import RequestFields
from s3_upload.sources import version
from s3_upload.sources.content_type import Guess, always, content_type_by_name
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Reset, Rule, Stall, s3_error
from tests.faults.model import StoredObject, Upload
from tests.faults.test_journal import OLD_NS, SMALL, broken_off, half_sent, journaled, parts_sent, tree
from tests.faults.uploads import BUCKET, PART_BYTES, big, config, run, stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import UploadReport, UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.actions import Answer, Request
    from tests.faults.server import FaultServer


FUTURE_NS = 7_258_118_400_123_456_789  # the year 2200


@pytest.mark.parametrize("mtime_ns", [0, -(10**9), FUTURE_NS])
def test_a_file_of_an_odd_time_is_done_as_any_other(
    fault_server: StartFaultServer, tmp_path: Path, mtime_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OSTree and reproducible archives give 0 to all files; a camera may be years ahead."""
    # That it was given the time in this very moment is told by its ctime.
    for tick in ("TICK_NS", "COARSE_TICK_NS"):
        monkeypatch.setattr(version, tick, -(10**9))
    server, journal = fault_server(), tmp_path / "journal"
    files = tree(tmp_path / "files", SMALL)
    for file in files:
        os.utime(file.path, ns=(mtime_ns, mtime_ns))
    assert journaled(server, files, journal).uploaded == len(SMALL)
    asked = len(server.requests)
    summary = journaled(server, files, journal)
    assert (summary.sources, len(server.requests)) == (0, asked)
    Path(files[0].path).write_bytes(SMALL["0.txt"][::-1])
    assert journaled(server, files, journal).uploaded == 1


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_journal_whose_file_is_taken_away_leaves_no_upload_that_nobody_knows_of(
    fault_server: StartFaultServer, tmp_path: Path, how: str
) -> None:
    def take_away() -> None:
        for path in tmp_path.glob("journal*"):
            path.unlink()
        if how == "replaced":
            (tmp_path / "journal").write_text("other")

    server, _, _ = half_sent(fault_server, tmp_path, then=take_away)
    assert server.model.uploads == {}
    if how == "replaced":
        assert (tmp_path / "journal").read_text() == "other"


def test_that_the_file_of_a_journal_was_taken_away_is_said(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    files, path = tree(tmp_path / "files", SMALL), tmp_path / "journal"

    def progress(_: object) -> None:
        path.unlink(missing_ok=True)

    summary = journaled(fault_server(), files, path, progress=progress)
    assert summary.uploaded == len(SMALL)
    assert summary.notes[-1] == (
        f"the journal {path} has stopped: its file was removed or replaced; another run sends all again"
    )


def test_parts_keep_their_size_when_another_is_asked_for(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    server.set_script(None)
    asked = len(server.requests)
    journaled(server, files, journal, settings=config(part_size=PART_BYTES + (1 << 20)))
    assert stored(server) == {"big": big()}
    assert 3 not in parts_sent(server, asked)
    assert server.model.uploads == {}


def test_what_the_store_has_of_a_file_that_goes_in_one_request_now_is_removed(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    tree(tmp_path / "files", {"big": b"small now"})
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": b"small now"}
    assert server.model.uploads == {}
    with closing(JournalFile(str(journal))) as file:
        assert file.uploads() == []


@pytest.mark.parametrize("say", [Guess, content_type_by_name, always])
def test_who_pays_is_said_where_that_is_removed_too(
    fault_server: StartFaultServer, tmp_path: Path, say: Callable[[RequestFields], Any]
) -> None:
    """A bucket whose requests are paid for by who makes them refuses those that do not say so."""
    server, files, journal = half_sent(fault_server, tmp_path)
    tree(tmp_path / "files", {"big": b"small now"})
    asked, said = len(server.requests), say(RequestFields(request_payer="requester"))
    assert journaled(server, files, journal, default_request=said).uploaded == 1
    payers = [(r.method, r.headers.get("x-amz-request-payer")) for r in server.requests[asked:]]
    assert payers == [("PUT", "requester"), ("DELETE", "requester"), ("GET", "requester")]


def test_where_that_could_not_be_removed_the_next_run_does_so(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    tree(tmp_path / "files", {"big": b"small now"})
    server.set_script([Rule(s3_error(403, "AccessDenied"), method="DELETE")])
    summary = journaled(server, files, journal)
    assert "could not abort the multipart upload of big" in " ".join(summary.notes)
    server.set_script(None)
    assert journaled(server, files, journal).uploaded == 0
    assert server.model.uploads == {}
    asked = len(server.requests)
    journaled(server, files, journal)
    assert len(server.requests) == asked, "it knows of none any more"


@pytest.mark.parametrize("options", [{"checksum_algorithm": "SHA256"}, {"checksum": "off"}])
def test_a_file_in_parts_whose_checksums_are_others_now_begins_again_and_leaves_nothing(
    fault_server: StartFaultServer, tmp_path: Path, options: dict[str, str]
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    server.set_script(None)
    asked = len(server.requests)

    async def main(client: S3Client) -> UploadSummary:
        return await s3_upload_files(client, BUCKET, files, config(), journal=journal)

    assert run(server, main, **options).uploaded == 1
    assert parts_sent(server, asked) == [1, 2, 3, 4, 5]
    assert stored(server) == {"big": big()}
    assert server.model.uploads == {}


def test_a_part_of_an_earlier_version_of_the_file_is_never_believed(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """The run that saw that the store had another part was killed before it had sent its own: the next one
    took the part that was there for this version's."""
    server = fault_server([Rule(Stall(), query={"partNumber": None}, nth=range(3, 99))])
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    # There are two at a time: two more are asked for when the first two are stored, and known to be.
    broken_off(server, files, journal, after="partNumber=", count=4)
    [upload] = server.model.uploads.values()
    kept, number = sorted(upload.parts)
    changed = bytearray(big())
    changed[(number - 1) * PART_BYTES] ^= 1
    (tmp_path / "files" / "big").write_bytes(changed)
    os.utime(tmp_path / "files" / "big", ns=(OLD_NS + 1, OLD_NS + 1))
    server.set_script([Rule(Stall(), query={"partNumber": f"{number}"})])
    broken_off(server, files, journal, after=f"partNumber={number}")
    server.set_script(None)
    asked = len(server.requests)
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": bytes(changed)}
    sent = parts_sent(server, asked)
    assert (number in sent, kept in sent) == (True, False)


def test_who_cancels_twice_goes_on_where_it_was_broken_off(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path, grace_s=60.0, cancels=2)
    assert len(server.model.uploads) == 1
    asked = len(server.requests)
    assert journaled(server, files, journal).uploaded == 1
    assert 3 not in parts_sent(server, asked)
    assert stored(server) == {"big": big()}
    assert server.model.uploads == {}


def test_of_two_sources_with_one_key_each_run_sends_both_and_the_last_one_stays(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, journal, sent = fault_server(), tmp_path / "journal", list[str]()
    paths = [source.path for source in tree(tmp_path, {"first": b"first", "second": b"second"})]

    for _ in range(3):
        sent.clear()
        done = asyncio.Event()

        def progress(report: UploadReport, done: asyncio.Event = done) -> None:
            sent.append(Path(report.source).name)
            done.set()

        async def one_after_the_other(done: asyncio.Event = done) -> AsyncIterator[ObjectSource]:
            for path in paths:
                yield ObjectSource.file(path, "key")
                await done.wait()

        journaled(server, one_after_the_other(), journal, progress=progress)
        assert sent == ["first", "second"]
        assert stored(server) == {"key": b"second"}


def test_an_upload_that_the_store_begins_when_its_process_is_long_dead_is_found_and_leaves_nothing(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """A busy store: it comes to the request for it when the next run has looked, and sends parts."""
    heard: list[str] = []

    def script(request: Request) -> Stall | None:
        if "uploads" in request.query and request.method == "POST":
            heard.append("create")
            return Stall() if len(heard) == 1 else None
        if "partNumber" in request.query and heard[-1] == "create":
            heard.append("late")
            server.model.uploads["late"] = Upload(BUCKET, "big", {})
        return None

    server = fault_server(script)
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    broken_off(server, files, journal, after="?uploads")
    assert server.model.uploads == {}
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": big()}
    assert heard == ["create", "create", "late"]
    assert server.model.uploads == {}


def test_an_upload_that_was_asked_for_twice_leaves_nothing(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """The answer to the first request for it was lost."""
    server = fault_server([Rule(Reset(stored=True), method="POST", query={"uploads": None}, nth=1)])
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    assert journaled(server, files, journal).uploaded == 1
    assert len(server.of("POST")) == 3
    assert server.model.uploads == {}


# --- complete, and nobody knew ----------------------------------------------------------------------------


def killed_at_the_end(
    fault_server: StartFaultServer, tmp_path: Path, **options: str
) -> tuple[FaultServer, list[ObjectSource], Path]:
    """A file in five parts that the store completed, though nobody heard of it."""
    server = fault_server([Rule(Stall(stored=True), method="POST", query={"uploadId": None}, nth=1)])
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    broken_off(server, files, journal, after="?uploadId=", options=options)
    assert stored(server) == {"big": big()}
    return server, files, journal


@pytest.mark.parametrize("options", [{}, {"checksum": "off"}, {"checksum_algorithm": "SHA256"}])
@pytest.mark.parametrize("forgets", [0, 2, 5])
def test_what_was_complete_when_its_process_died_is_proven_and_not_sent_again(
    fault_server: StartFaultServer, tmp_path: Path, options: dict[str, str], forgets: int
) -> None:
    """Though the journal does not know of its last parts."""
    server, files, journal = killed_at_the_end(fault_server, tmp_path, **options)
    with sqlite3.connect(journal) as rows:
        rows.execute("DELETE FROM parts WHERE number > ?", (5 - forgets,))
    rows.close()
    asked = len(server.requests)

    async def main(client: S3Client) -> UploadSummary:
        return await s3_upload_files(client, BUCKET, files, config(), journal=journal)

    assert [run(server, main, **options).uploaded for _ in range(2)] == [1, 0]
    assert [request.method for request in server.requests[asked:]] == ["GET", "HEAD"]


@pytest.mark.parametrize(
    "make", [lambda: b"!" + big()[1:], lambda: b"another", None], ids=["a byte", "all", "gone"]
)
def test_what_is_there_and_is_not_the_file_is_sent_again(
    fault_server: StartFaultServer, tmp_path: Path, make: Callable[[], bytes] | None
) -> None:
    server, files, journal = killed_at_the_end(fault_server, tmp_path)
    if make is None:
        del server.model.objects[f"{BUCKET}/big"]
    else:
        there = make()
        server.model.objects[f"{BUCKET}/big"] = StoredObject(there, len(there), "0" * 32 + "-5")
    asked = len(server.requests)
    assert journaled(server, files, journal).uploaded == 1
    assert parts_sent(server, asked) == [1, 2, 3, 4, 5]
    assert stored(server) == {"big": big()}


@pytest.mark.parametrize(
    ("if_exists", "then"),
    [
        ("overwrite", (404, "NoSuchUpload")),
        ("skip", (412, "PreconditionFailed")),
        ("fail", (412, "PreconditionFailed")),
    ],
)
def test_what_is_completed_while_the_next_run_looks_is_not_sent_again(
    fault_server: StartFaultServer, tmp_path: Path, if_exists: str, then: tuple[int, str]
) -> None:
    """A slow store: it carries out what the dead process asked for when the next one asks for it, too.  The
    object is as old as the upload, which was begun a day before."""
    asked: list[Request] = []

    def script(request: Request) -> Answer | Stall | None:
        if request.method == "POST" and "uploadId" in request.query:
            asked.append(request)
            if len(asked) == 1:
                return Stall()
            server.model.answer(asked[0])
            return s3_error(*then)
        return None

    server = fault_server(script)
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    broken_off(server, files, journal, after="?uploadId=")
    assert not stored(server)
    [begun] = server.model.uploads.values()
    begun.initiated = (datetime.fromisoformat(begun.initiated) - timedelta(days=1)).isoformat()
    before = len(server.requests)
    assert journaled(server, files, journal, settings=config(if_exists=if_exists)).uploaded == 1
    assert parts_sent(server, before) == []
    assert [request.method for request in server.requests[before:]].count("DELETE") == 1
    assert len(asked) == 2
    assert stored(server) == {"big": big()}


def test_a_relative_path_is_another_file_in_another_directory_and_a_file_the_same_from_wherever_it_is_named(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, journal = fault_server(), tmp_path / "journal"
    for name in ("one", "two"):
        tree(tmp_path / name, {"a": name.encode()})
        monkeypatch.chdir(tmp_path / name)
        assert journaled(server, [ObjectSource.file("a", "a")], journal).uploaded == 1
        assert stored(server) == {"a": name.encode()}
    monkeypatch.chdir(tmp_path)
    for path in ("two/a", "./one/../two/a", tmp_path / "two" / "a"):
        assert journaled(server, [ObjectSource.file(path, "a")], journal).uploaded == 0


def test_a_journal_of_relative_paths_whose_directory_it_does_not_say_has_them_sent_again(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was written when rows had them as they were typed."""
    server, journal = fault_server(), tmp_path / "journal"
    tree(tmp_path, {"a": b"body"})
    monkeypatch.chdir(tmp_path)
    files = [ObjectSource.file("a", "a")]
    journaled(server, files, journal)
    with closing(JournalFile(str(journal))) as file:
        file.write([ObjectRow("a", "a", 4, OLD_NS, DONE, "e")])
    assert [journaled(server, files, journal).uploaded for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("times", [1, None], ids=["sent again", "given up"])
def test_of_an_upload_that_was_aborted_the_journal_knows_no_more(
    fault_server: StartFaultServer, tmp_path: Path, times: int | None
) -> None:
    """`jobs` told it as "in parts begun", and the next run asked for it."""
    gone = s3_error(404, "NoSuchUpload", "Gone.")
    server = fault_server([Rule(gone, method="PUT", query={"partNumber": "4"}, nth=times)])
    files = tree(tmp_path / "files", {"big": big(), "small": b"x"})
    summary = journaled(server, files, tmp_path / "journal")
    assert len(summary.failed) == (times is None)
    assert server.model.uploads == {}
    with closing(JournalFile(str(tmp_path / "journal"))) as file:
        assert file.uploads() == []
