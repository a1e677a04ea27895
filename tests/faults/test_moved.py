"""`remove_source` of a job that is run again: the folder is empty at the end, and the store has all of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import Credentials, ObjectSource, upload, upload_async
from tests.faults.actions import Action, Answer, Reset, Rule, s3_error
from tests.faults.model import StoredObject
from tests.faults.uploads import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s3_upload import UploadReport, UploadSummary
    from s3_upload.clients.s3 import S3Client
    from s3_upload.job import Keywords
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

OLD_NS = 1_600_000_000_123_456_789
NAMES = ("a", "b", "d/c")
DIES_BEFORE_THE_REMOVAL = """
import os, sys
from s3_upload import Credentials, Journal, removing, upload

journal = Journal("journal")

def unlink(path):
    while not journal.of_run.tally().done:
        pass
    os._exit(9)

removing.os.unlink = unlink
upload("src", "s3://bucket/p", journal=journal, remove_source=True, endpoint_url=sys.argv[1],
       region="us-east-1", credentials=Credentials("key", "secret"), max_in_flight=1)
"""


@pytest.fixture(autouse=True)
def src(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        write(name, f"body of {name}")
    return tmp_path / "src"


def write(name: str, body: str, mtime_ns: int = OLD_NS) -> None:
    path = Path("src") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def moved(server: FaultServer, sources: Any = "src", to: str = "s3://bucket/p", **how: Any) -> UploadSummary:
    settings = {"journal": "journal", "remove_source": True, "region": "us-east-1", **how}
    return upload(sources, to, endpoint_url=server.url, credentials=Credentials("key", "secret"), **settings)


def files() -> list[str]:
    return sorted(path.name for path in Path("src").rglob("*") if not path.is_dir())


def uploaded_before(fault_server: StartFaultServer, **how: Any) -> tuple[FaultServer, int]:
    """All of it is there, and nothing is removed; how many requests that took."""
    server = fault_server()
    moved(server, remove_source=False, **how)
    assert len(files()) >= len(NAMES)
    return server, len(server.requests)


def test_what_earlier_runs_uploaded_is_removed_when_the_store_has_been_asked_once_more(
    fault_server: StartFaultServer,
) -> None:
    server, asked = uploaded_before(fault_server)
    summary = moved(server)
    assert files() == []
    assert [request.method for request in server.requests[asked:]] == ["HEAD"] * 3
    assert summary.notes[0].startswith("3 files were uploaded by earlier runs")
    assert summary.notes[1:] == ("removed 3 files here",)


def test_a_crash_between_the_upload_and_the_removal_leaves_an_empty_folder_in_the_end(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server()
    died = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_THE_REMOVAL, server.url], check=False, timeout=60
    )
    assert (died.returncode, files()) == (9, ["a", "b", "c"])
    moved(server)
    assert files() == []
    stored = server.model.bodies("bucket")
    assert stored == {f"p/{name}": f"body of {name}".encode() for name in NAMES}


@pytest.mark.parametrize("lost", ["gone", "another"])
def test_what_the_store_has_not_as_the_journal_says_goes_again_before_it_is_removed(
    fault_server: StartFaultServer, lost: str
) -> None:
    server, asked = uploaded_before(fault_server)
    if lost == "gone":
        del server.model.objects["bucket/p/b"]
    else:
        server.model.objects["bucket/p/b"] = StoredObject(b"body of x", 9, "0" * 32)
    summary = moved(server)
    assert [request.key for request in server.requests[asked:] if request.method == "PUT"] == ["p/b"]
    assert (files(), summary.uploaded) == ([], 1)
    assert server.model.objects["bucket/p/b"].body == b"body of b"


@pytest.mark.parametrize(
    "answer",
    [s3_error(403, "AccessDenied"), s3_error(500, "InternalError"), Reset(), Answer(401), Answer(302)],
    ids=["denied", "error", "reset", "401", "302"],
)
def test_who_hears_nothing_when_asking_sends_again_before_anything_is_removed(
    fault_server: StartFaultServer, answer: Action
) -> None:
    server, asked = uploaded_before(fault_server)
    server.set_script([Rule(answer, method="HEAD")])
    moved(server, n_retries=0, max_outage_s=0.0)
    methods = [request.method for request in server.requests[asked:]]
    assert (methods.count("PUT"), methods.count("GET")) == (3, 0)
    assert files() == []


def test_a_file_that_is_not_as_the_journal_has_it_goes_again(fault_server: StartFaultServer) -> None:
    server, _ = uploaded_before(fault_server)
    write("a", "other of a")
    write("b", "body of B", OLD_NS + 1)
    moved(server)
    assert files() == []
    assert server.model.objects["bucket/p/a"].body == b"other of a"
    assert server.model.objects["bucket/p/b"].body == b"body of B"


def test_what_was_never_uploaded_is_not_removed(fault_server: StartFaultServer) -> None:
    server, _ = uploaded_before(fault_server)
    write("new", "new")
    server.set_script([Rule(s3_error(400, "InvalidRequest"), key="p/new", method="PUT")])
    assert len(moved(server).failed) == 1
    assert files() == ["new"]


def test_a_link_that_was_uploaded_before_stays(fault_server: StartFaultServer, src: Path) -> None:
    Path("outside").write_text("outside")
    os.utime("outside", ns=(OLD_NS, OLD_NS))
    (src / "link").symlink_to("../outside")
    server, _ = uploaded_before(fault_server)
    assert moved(server).notes[-1].endswith("src/link: is a link, or lies behind one")
    assert files() == ["link"]
    assert Path("outside").exists()


def test_a_file_of_which_one_key_failed_stays_until_it_is_there_too(fault_server: StartFaultServer) -> None:
    sources = [ObjectSource.file("src/a", key) for key in ("k1", "k2")]
    server = fault_server([Rule(s3_error(400, "InvalidRequest"), key="k2", method="PUT")])
    for _ in range(2):
        moved(server, sources, "s3://bucket")
        assert "a" in files()
    server.set_script(None)
    moved(server, sources, "s3://bucket")
    assert "a" not in files()


def test_more_than_are_asked_about_at_a_time_are_all_removed(fault_server: StartFaultServer) -> None:
    for number in range(150):
        write(f"{number}", "")
    server, asked = uploaded_before(fault_server)
    moved(server)
    assert (files(), len(server.requests) - asked) == ([], 153)


def test_a_second_file_for_the_key_of_one_that_is_removed_fails_and_stays(
    fault_server: StartFaultServer,
) -> None:
    """It comes when the first is there and removed: nothing else says that they have one key."""
    server = fault_server()

    async def sources() -> AsyncIterator[ObjectSource]:
        yield ObjectSource.file("src/a", "k")
        await asyncio.to_thread(server.wait_until, lambda: "a" not in files())
        yield ObjectSource.file("src/b", "k")

    summary = moved(server, sources(), "s3://bucket", journal=None)
    assert (summary.uploaded, [failed.outcome for failed in summary.failed]) == (1, ["same-key"])
    assert server.model.objects["bucket/k"].body == b"body of a"
    assert files() == ["b", "c"]
    # By itself, and where it is meant, it can be sent.
    assert moved(server, [summary.failed[0].object], "s3://bucket", journal=None).uploaded == 1


@pytest.mark.parametrize("how", ["cancelled", "broken"])
def test_a_run_that_does_not_come_to_its_end_tells_what_it_has_removed(
    fault_server: StartFaultServer, how: str
) -> None:
    async def main(client: S3Client) -> UploadSummary:
        task, told = asyncio.current_task(), {"k1": asyncio.Event(), "k2": asyncio.Event()}
        assert task is not None

        def progress(report: UploadReport) -> None:
            told[report.key].set()

        async def sources() -> AsyncIterator[ObjectSource]:
            yield ObjectSource.file("src/a", "k1")
            await told["k1"].wait()
            yield ObjectSource.data(b"", "k2")
            await told["k2"].wait()  # reports go one after the other: the first file is removed
            if how == "broken":
                raise ZeroDivisionError
            task.cancel()
            await asyncio.Event().wait()

        settings: Keywords = {"remove_source": True, "max_in_flight": 1}
        with pytest.raises((asyncio.CancelledError, ZeroDivisionError)) as broken_off:
            await upload_async(sources(), "s3://bucket", client=client, progress=progress, **settings)
        return broken_off.value.summary  # type: ignore[no-any-return, attr-defined]

    summary = run(fault_server(), main)
    assert (summary.uploaded, summary.notes) == (2, ("removed 1 file here",))
