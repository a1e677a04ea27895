"""Two sources of one key: never under way at the same time, or it would be chance which the store keeps."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import FailureKind
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Request, s3_error
from tests.faults.uploads import BUCKET, HANG_S, PART_BYTES, Reports, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from s3_upload.report import UploadReport
    from tests.conftest import StartFaultServer

SAME_KEY = FailureKind.SAME_KEY


class Streamed:
    """A stream, and whether anybody has asked for its bytes."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.begun = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        yield self.body


class Held:
    """A script: the server keeps its first request, and all others, waiting until it is let go."""

    def __init__(self) -> None:
        self.seen = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, _request: Request) -> None:
        self.seen.set()
        assert self.let_go.wait(HANG_S)


class Told(Reports):
    """Reports, and somebody who waits for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.news = asyncio.Event()

    def __call__(self, report: UploadReport) -> None:
        super().__call__(report)
        self.news.set()


def source_of(kind: str, folder: Path, body: bytes) -> ObjectSource:
    if kind == "data":
        return ObjectSource.data(body, "k")
    if kind == "stream":
        return ObjectSource.stream(Streamed(body), "k")
    path = folder / f"{body[:1].decode()}.bin"
    path.write_bytes(body)
    return ObjectSource.file(path, "k")


@pytest.mark.parametrize("second", ["data", "file", "big file", "stream", "big stream"])
@pytest.mark.parametrize("first", ["data", "file", "big file", "stream", "big stream"])
def test_the_second_of_a_key_fails_and_names_the_first(
    fault_server: StartFaultServer, tmp_path: Path, first: str, second: str
) -> None:
    def of(kind: str, letter: bytes) -> ObjectSource:
        size = PART_BYTES + 1 if kind.startswith("big") else 1
        return source_of(kind.removeprefix("big "), tmp_path, letter * size)

    held, reports = Held(), Told()
    server = fault_server(held)
    sources = of(first, b"1"), of(second, b"2")

    async def files() -> AsyncIterator[ObjectSource]:
        yield sources[0]
        await asyncio.to_thread(held.seen.wait, HANG_S)
        yield sources[1]
        await reports.news.wait()  # of the second: the first is not answered yet
        held.let_go.set()

    summary = upload(server, files(), progress=reports)
    assert [report.outcome for report in reports] == [SAME_KEY, "success"]
    failed, uploaded = reports
    assert (failed.seq, uploaded.seq, failed.attempts) == (1, 0, 0)
    assert str(failed.error) == (
        f"k: {sources[1].name}: {sources[0].name} has the same key and is still being uploaded"
    )
    assert (summary.uploaded, len(summary.failed)) == (1, 1)
    assert set(stored(server)["k"]) == {ord("1")}
    if isinstance(sources[1].chunks, Streamed):
        assert not sources[1].chunks.begun, "it could not be read a second time"


def test_of_many_with_one_key_in_one_list_the_first_is_stored(fault_server: StartFaultServer) -> None:
    held, reports = Held(), Told()
    server = fault_server(held)

    def progress(report: UploadReport) -> None:
        reports(report)
        if len(reports) == 9:
            held.let_go.set()

    files = [ObjectSource.data(b"%d" % number, "k") for number in range(10)]
    upload(server, files, progress=progress)
    assert [report.outcome for report in reports] == [SAME_KEY] * 9 + ["success"]
    assert stored(server) == {"k": b"0"}


def test_the_very_same_source_goes_once_at_a_time(fault_server: StartFaultServer) -> None:
    held, reports = Held(), Told()
    server = fault_server(held)

    def progress(report: UploadReport) -> None:
        reports(report)
        held.let_go.set()

    source = ObjectSource.data(b"1", "k")
    upload(server, [source, source], progress=progress)
    assert [report.outcome for report in reports] == [SAME_KEY, "success"]


def one_after_the_other(reports: Told, *sources: ObjectSource) -> AsyncIterator[ObjectSource]:
    async def files() -> AsyncIterator[ObjectSource]:
        for source in sources:
            reports.news.clear()
            yield source
            await reports.news.wait()

    return files()


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_one_that_comes_when_the_first_is_done_overwrites_it(
    fault_server: StartFaultServer, size: int
) -> None:
    server, reports = fault_server(), Told()
    files = one_after_the_other(
        reports, *(ObjectSource.stream(Streamed(letter * size), "k") for letter in (b"1", b"2"))
    )
    assert upload(server, files, progress=reports).uploaded == 2
    assert stored(server) == {"k": b"2" * size}


def unreadable(_folder: Path) -> ObjectSource:
    async def breaks() -> AsyncIterator[bytes]:
        raise OSError(5, "Input/output error")
        yield b""

    return ObjectSource.stream(breaks(), "k")


def refused(folder: Path) -> ObjectSource:
    return source_of("data", folder, b"refused")


def gone_when_begun_anew(folder: Path) -> ObjectSource:
    return source_of("file", folder, b"gone")


@pytest.mark.parametrize("first", [unreadable, refused, gone_when_begun_anew])
def test_a_key_is_free_again_when_what_had_it_has_failed(
    fault_server: StartFaultServer, tmp_path: Path, first: Any
) -> None:
    def script(request: Request) -> Any:
        if request.headers["content-length"] == "7":
            return s3_error(400, "InvalidRequest")
        if request.headers["content-length"] == "4":
            (tmp_path / "g.bin").unlink()
            return s3_error(400, "EntityTooLarge")  # it goes in parts, if it can be read again
        return None

    server, reports = fault_server(script), Told()
    upload(
        server, one_after_the_other(reports, first(tmp_path), ObjectSource.data(b"2", "k")), progress=reports
    )
    assert [report.succeeded for report in reports] == [False, True]
    assert stored(server) == {"k": b"2"}


def test_the_same_key_in_two_runs_is_nobodys_business(fault_server: StartFaultServer) -> None:
    server = fault_server()
    for body in (b"1", b"2"):
        assert upload(server, [ObjectSource.data(body, "k")]).uploaded == 1
    assert server.model.bodies(BUCKET) == {"k": b"2"}
