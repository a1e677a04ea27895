"""Every kind of source: bytes, files and streams; what becomes of them when they fail or change."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

from s3_upload.api import controls_for, real_runtime, run_upload, s3_upload_files
from s3_upload.errors import FailureKind
from s3_upload.s3.checksum import Digests
from s3_upload.sources.files import PULL_BUDGET_S, PULL_BYTES
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import files_recursive
from tests.faults.actions import s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, client_of, config, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from s3_upload.http import Response
    from s3_upload.report import UploadReport
    from s3_upload.transfer.client import Client
    from tests.conftest import StartFaultServer

KEYS = [
    "ü n+&=%", "a//b", "//", "/", "a/../b", "./a", "..", "~", "日本/語.txt", "🙂", "a?b=c#d", "%2F",
    "tab\there", "new\nline", "quote\"'<>", "back\\slash", "é", "e\u0301", " ", "x" * 1024,
]  # fmt: skip


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("if_exists", ["overwrite", "skip"])
def test_bodies_in_memory_are_taken_as_they_are_sent(
    fault_server: StartFaultServer, if_exists: str, asynchronous: bool
) -> None:
    """And not 256 at a time, which would be as much memory as they are large."""
    given = done = lead = 0

    def bodies() -> Iterator[ObjectSource]:
        nonlocal given
        for number in range(60):
            given += 1
            yield ObjectSource.data(b"x" * (PULL_BYTES // 2), str(number))

    async def async_bodies() -> AsyncIterator[ObjectSource]:
        for body in bodies():
            yield body

    def progress(_: UploadReport) -> None:
        nonlocal done, lead
        done += 1
        lead = max(lead, given - done)

    settings = config(max_in_flight=2, max_in_flight_bytes=4 * PULL_BYTES, if_exists=if_exists)
    files = async_bodies() if asynchronous else bodies()
    assert upload(fault_server(), files, settings=settings, progress=progress).uploaded == 60
    assert lead <= 20


def test_keys_arrive_as_they_were_given(fault_server: StartFaultServer) -> None:
    server = fault_server()
    contents = {key: key.encode() for key in KEYS}
    upload(server, contents)
    assert stored(server) == contents


@pytest.mark.parametrize("count", [200, 1_000])
def test_nothing_but_what_is_skipped(fault_server: StartFaultServer, count: int) -> None:
    """Whole pulls without anything to read: nothing is under way that would ask for the next."""
    server = fault_server()
    skipped = [ObjectSource(key=str(n), path="/s", skip_reason="is a socket") for n in range(count)]
    summary = upload(server, iter(skipped))
    assert (summary.sources, len(summary.skipped)) == (count, count)
    assert server.requests == []


def test_sizes_around_the_multipart_threshold(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server()
    noise = random.Random(4).randbytes(2 * PART_BYTES + 1)
    sizes = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 1]
    contents = {f"{size}.bin": noise[:size] for size in sizes}
    for name, body in contents.items():
        (tmp_path / name).write_bytes(body)
    summary = upload(server, files_recursive(tmp_path))
    assert stored(server) == contents
    assert (summary.uploaded, summary.bytes) == (len(sizes), sum(sizes))
    assert {r.key for r in server.of("POST")} == {f"{size}.bin" for size in sizes if size > PART_BYTES}


def test_data_of_every_kind_of_buffer(fault_server: StartFaultServer) -> None:
    server = fault_server()
    mutable = bytearray(b"before")
    files = [
        ObjectSource.data(b"bytes", "bytes"),
        ObjectSource.data(mutable, "bytearray"),
        ObjectSource.data(memoryview(b"--view--")[2:6], "memoryview"),
        ObjectSource.data(bytes(PART_BYTES + 1), "big"),
        ObjectSource.data(b"", "empty"),
    ]
    mutable[:] = b"after!"
    summary = upload(server, files)
    expected = {"bytes": b"bytes", "bytearray": b"before", "memoryview": b"view", "empty": b""}
    assert stored(server) == expected | {"big": bytes(PART_BYTES + 1)}
    assert summary.uploaded == 5


def test_what_cannot_be_read_fails_alone(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server()
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "good").write_bytes(b"x")
    names = {
        "missing": "No such file",
        "dir": "is a directory",
        "fifo": "not a regular file",
        "nul\0": "null",
    }
    files = [ObjectSource.file(tmp_path / name, name) for name in [*names, "good"]]
    summary = upload(server, files)
    assert stored(server) == {"good": b"x"}
    for report in summary.failed:
        assert report.error is not None
        assert (report.error.kind, report.attempts, report.bytes) == (FailureKind.SOURCE, 0, 0)
        assert names.pop(report.key) in report.error.message
    assert names == {}


def test_a_file_that_vanishes_after_it_was_found_fails_alone(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server()
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x")

    def found() -> Iterator[ObjectSource]:
        for source in files_recursive(tmp_path):
            if source.key == "b":
                (tmp_path / "b").unlink()
            yield source

    summary = upload(server, found())
    assert stored(server) == {"a": b"x", "c": b"x"}
    [report] = summary.failed
    assert (report.key, report.outcome) == ("b", FailureKind.SOURCE)
    assert f"{tmp_path}/b: No such file or directory" in str(report.error)


@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize("how", ["longer", "shorter", "touched"])
def test_a_file_that_changes_while_it_is_read(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, times: int
) -> None:
    """The change comes between the first look at the file and its end, by a hook in the read.

    Once: it is uploaded as it is now.  At every look: it fails.
    """
    server = fault_server()
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    read = os.read

    def meddle(fd: int, size: int) -> bytes:
        if os.path.samestat(os.fstat(fd), path.stat()) and len(changed) < times:
            changed.append(how)
            if how == "touched":
                os.utime(path, ns=(1, len(changed)))
            else:
                os.truncate(path, (3 if how == "shorter" else 9) - len(changed) % 2)
        return read(fd, size)

    changed: list[str] = []
    monkeypatch.setattr("s3_upload.sources.files.os.read", meddle)
    summary = upload(server, [ObjectSource.file(path, "bad"), ObjectSource.data(b"x", "good")])
    if times == 1:
        assert stored(server) == {"good": b"x", "bad": path.read_bytes()}
        return
    assert stored(server) == {"good": b"x"}
    [report] = summary.failed
    assert report.error is not None
    assert report.error.kind is FailureKind.SOURCE_CHANGED
    assert f"{path}: source changed while it was read" in report.error.message


def test_a_retry_sends_what_was_read_first(fault_server: StartFaultServer, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")

    def script(request: Any) -> Any:
        path.write_bytes(b"second")
        return s3_error(500, "InternalError") if request.attempt == 1 else None

    server = fault_server(script)
    upload(server, [ObjectSource.file(path, "k")])
    assert [request.body for request in server.of("PUT")] == [b"first", b"first"]


# --- streams ----------------------------------------------------------------------------------------


async def chunks_of(body: bytes, chunk_bytes: int = 700_001) -> AsyncIterator[bytes]:
    for start in range(0, len(body), chunk_bytes):
        await asyncio.sleep(0)
        yield body[start : start + chunk_bytes]


@pytest.mark.parametrize("known", [False, True], ids=["size unknown", "size known"])
def test_streams_of_all_lengths(fault_server: StartFaultServer, known: bool) -> None:
    server = fault_server()
    noise = random.Random(5).randbytes(4 * PART_BYTES + 1)
    sizes = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 4 * PART_BYTES + 1]
    contents = {str(size): noise[:size] for size in sizes}
    files = [
        ObjectSource.stream(chunks_of(body), key, len(body) if known else None)
        for key, body in contents.items()
    ]
    reports = Reports()
    summary = upload(server, files, progress=reports)
    assert stored(server) == contents
    assert server.model.uploads == {}
    assert summary.bytes == sum(sizes)
    assert {report.key: report.bytes for report in reports} == {str(size): size for size in sizes}
    assert {r.key for r in server.of("POST")} == {str(size) for size in sizes if size > PART_BYTES}


def test_one_huge_chunk_and_many_empty_ones(fault_server: StartFaultServer) -> None:
    server = fault_server()
    body = random.Random(6).randbytes(3 * PART_BYTES + 7)

    async def odd() -> AsyncIterator[bytes]:
        for chunk in (b"", body, b"", b""):
            yield chunk

    upload(server, [ObjectSource.stream(odd(), "k")])
    assert stored(server) == {"k": body}


@pytest.mark.parametrize("after", [0, 3, PART_BYTES, 2 * PART_BYTES + 3])
def test_a_stream_that_raises_fails_alone(fault_server: StartFaultServer, after: int) -> None:
    server = fault_server()

    async def broken() -> AsyncIterator[bytes]:
        async for chunk in chunks_of(bytes(after)):
            yield chunk
        raise ValueError("disk on fire")

    summary = upload(server, [ObjectSource.stream(broken(), "bad"), ObjectSource.data(b"x", "good")])
    assert stored(server) == {"good": b"x"}
    assert server.model.uploads == {}
    [report] = summary.failed
    assert report.error is not None
    assert report.error.kind is FailureKind.SOURCE
    assert "bad: ValueError: disk on fire" in report.error.message


@pytest.mark.parametrize("said", [0, 9, 11, PART_BYTES])
def test_a_stream_that_is_not_as_long_as_was_said(fault_server: StartFaultServer, said: int) -> None:
    server = fault_server()
    summary = upload(server, [ObjectSource.stream(chunks_of(bytes(10)), "bad", said)])
    [report] = summary.failed
    assert f"gave 10 bytes instead of {said}" in str(report.error)
    assert stored(server) == {}


def test_many_streams_that_raise_do_not_wait_for_each_other(fault_server: StartFaultServer) -> None:
    """More than fit into `max_in_flight_bytes`; those that fail hand nothing out that would be released."""
    server = fault_server()

    async def broken() -> AsyncIterator[bytes]:
        await asyncio.sleep(0)
        raise ValueError
        yield b""

    files = [ObjectSource.stream(broken(), str(n)) for n in range(300)]
    files.append(ObjectSource.stream(chunks_of(b"last"), "good"))
    summary = upload(server, files)
    assert stored(server) == {"good": b"last"}
    assert len(summary.failed) == 300


def test_a_stream_cancelled_from_within_fails_alone(fault_server: StartFaultServer) -> None:
    server = fault_server()

    async def cancelled() -> AsyncIterator[bytes]:
        yield b"x"
        raise asyncio.CancelledError

    summary = upload(server, [ObjectSource.stream(cancelled(), "bad"), ObjectSource.data(b"x", "good")])
    assert [report.outcome for report in summary.failed] == [FailureKind.SOURCE]
    assert stored(server) == {"good": b"x"}


# --- where sources come from ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_sources_are_taken_as_they_are_needed(fault_server: StartFaultServer, kind: str) -> None:
    server = fault_server()
    count, pulled, lead = 4_000, 0, 0

    def note() -> None:
        nonlocal pulled, lead
        pulled += 1
        lead = max(lead, pulled - server.counts["200"])

    def generate() -> Iterator[ObjectSource]:
        for n in range(count):
            note()
            yield ObjectSource.data(b"x", str(n))

    async def generate_async() -> AsyncIterator[ObjectSource]:
        for source in generate():
            yield source

    summary = upload(server, generate() if kind == "plain" else generate_async())
    assert summary.uploaded == len(stored(server)) == count
    assert lead < 1_000


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("after", [0, 10, 700])
def test_what_an_iterable_raises_stops_the_run(fault_server: StartFaultServer, kind: str, after: int) -> None:
    server = fault_server()
    error = KeyError("mine")

    def generate() -> Iterator[ObjectSource]:
        yield from (ObjectSource.data(b"x", str(n)) for n in range(after))
        raise error

    async def generate_async() -> AsyncIterator[ObjectSource]:
        for source in generate():
            yield source

    with pytest.raises(KeyError) as caught:
        upload(server, generate() if kind == "plain" else generate_async())
    assert caught.value is error
    assert len(server.requests) <= after


class Broken:
    """Cannot even be begun."""

    def __iter__(self) -> Iterator[ObjectSource]:
        raise KeyError("mine")


def test_an_iterable_that_cannot_be_begun_leaves_no_timer(fault_server: StartFaultServer) -> None:
    """In a service's loop it would tick for ever."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with client_of(fault_server()) as client:
            with pytest.raises(KeyError):
                await s3_upload_files(client, BUCKET, Broken(), config())
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


class LacksParts:
    """Of a client of somebody's own what was asked for before anything is begun."""

    endpoint = "http://127.0.0.1:1"
    digests = Digests()

    async def send(self, *_: object) -> Response:
        raise AssertionError


def test_a_client_that_lacks_something_is_refused_and_leaves_no_timer() -> None:
    async def main() -> None:
        loop, client, settings = asyncio.get_running_loop(), cast("Client", LacksParts()), config()
        with pytest.raises(TypeError, match="client: must be an S3Client or an adapter's client"):
            await s3_upload_files(client, BUCKET, [], settings)
        controls = controls_for(settings)
        with closing(real_runtime(settings)) as runtime, pytest.raises(AttributeError):
            await run_upload(client, BUCKET, [], config=settings, controls=controls, runtime=runtime)
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


def test_a_cancellation_inside_an_iterable_does_not_hang_the_run(fault_server: StartFaultServer) -> None:
    server = fault_server()

    async def generate() -> AsyncIterator[ObjectSource]:
        yield ObjectSource.data(b"x", "a")
        doomed = asyncio.get_running_loop().create_future()
        doomed.cancel()
        await doomed

    with pytest.raises(RuntimeError, match="CancelledError"):
        upload(server, generate())


def test_a_generator_may_block(fault_server: StartFaultServer) -> None:
    """It runs in a thread: here it waits for its own first objects to be stored."""
    server = fault_server()

    def generate() -> Iterator[ObjectSource]:
        for n in range(3):
            yield ObjectSource.data(b"x", str(n))
            time.sleep(2 * PULL_BUDGET_S)  # a pull takes no longer and gives what it has
        server.wait_until(lambda: len(stored(server)) == 3)
        for n in range(3, 6):
            yield ObjectSource.data(b"x", str(n))

    upload(server, generate())
    assert sorted(stored(server)) == list("012345")


def test_nothing_to_do(fault_server: StartFaultServer) -> None:
    server = fault_server()
    summary = upload(server, [])
    assert (summary.sources, summary.attempts, summary.failed) == (0, 0, ())
    assert server.counts["connections"] == 0
