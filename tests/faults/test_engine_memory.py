"""What is held of bodies that are through: nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Self

from s3_upload import ObjectSource, S3Client, own_process, s3_upload_files
from s3_upload.cli.main import main
from s3_upload.config import MIB
from s3_upload.sources.files import HashedBody, Reader
from tests.faults.actions import Action, Held, Request, Reset, Stall, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, config, run, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

    from s3_upload.report import UploadReport, UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

WORKERS = 8
TURNS = 10
"""Of the loop, which it takes a worker from the report to its wait for more work."""


def test_idle_workers_hold_no_body(fault_server: StartFaultServer) -> None:
    """While one upload is still under way: the others' workers wait for work that does not come."""
    bodies = [b"%d" % number * 1000 for number in range(3 * WORKERS)]
    sources = [ObjectSource.data(body, f"{number}") for number, body in enumerate(bodies)]
    unused = [sys.getrefcount(body) for body in bodies]

    def script(request: Request) -> Action | None:
        return Stall() if request.key == "0" and request.attempt == 1 else None

    async def idle(client: S3Client) -> list[int]:
        done, others = asyncio.Event(), []

        def progress(report: UploadReport) -> None:
            others.append(report.key)
            if len(others) == len(bodies) - 1:
                done.set()

        uploading: asyncio.Task[UploadSummary] = asyncio.create_task(
            s3_upload_files(client, BUCKET, sources, config(max_in_flight=WORKERS), progress)
        )
        await done.wait()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert not uploading.done()
        held = [sys.getrefcount(body) for body in bodies]
        server.close_connections(reset=True)  # and the one that stalls is tried again
        await uploading
        return held

    server = fault_server(script)
    assert run(server, idle)[1:] == unused[1:]


class Bodies:
    """How many bytes of bodies there are that were read, and at most have been."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = self.now = 0
        self._lock = threading.Lock()
        hashed = Reader.hashed

        def counted(reader: Reader, body: bytes, *rest: int) -> HashedBody:
            self._count(len(body))
            return hashed(reader, Counted(body, lambda: self._count(-len(body))), *rest)

        monkeypatch.setattr(Reader, "hashed", counted)

    def _count(self, change: int) -> None:
        with self._lock:
            self.now += change
            self.most = max(self.most, self.now)


class Counted(bytes):
    """Bytes that tell of their end."""

    ended: Callable[[], None]

    def __new__(cls, body: bytes, ended: Callable[[], None]) -> Self:
        counted = super().__new__(cls, body)
        counted.ended = ended
        return counted

    def __del__(self) -> None:
        self.ended()


LITTLE_MEMORY = config(max_in_flight=64, max_in_flight_bytes=16 * MIB, n_retries=0)


def files_of(tmp_path: Path, count: int, size: int) -> list[ObjectSource]:
    for number in range(count):
        (tmp_path / str(number)).write_bytes(bytes(size))
    return [ObjectSource.file(tmp_path / str(number), str(number)) for number in range(count)]


def sends_all_within_the_bound(server: FaultServer, files: list[ObjectSource], bodies: Bodies) -> None:
    assert upload(server, files, settings=LITTLE_MEMORY).uploaded == len(files)
    assert bodies.most <= 16 * MIB


def test_a_body_of_which_it_is_asked_whether_it_has_arrived_is_not_held(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes each and loses its answer; it tells nothing before all have come."""
    bodies, files, let_go = Bodies(monkeypatch), files_of(tmp_path, 32, MIB), threading.Event()

    def script(request: Request) -> Action:
        if request.method == "HEAD":
            return Held(let_go)
        if len({put.key for put in server.of("PUT")}) == len(files):
            let_go.set()
        return Reset(stored=True)

    server = fault_server(script)
    sends_all_within_the_bound(server, files, bodies)


def test_a_body_whose_object_goes_in_parts_instead_is_not_held(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store, or a proxy before it, that takes no more than 1 MiB in one request: each stays for a while."""
    bodies, files, let_go = Bodies(monkeypatch), files_of(tmp_path, 8, 2 * MIB), threading.Event()

    def script(request: Request) -> Action | None:
        if request.method == "PUT" and not request.part_number:
            return s3_error(400, "EntityTooLarge")
        if request.part_number and len(server.of("POST")) >= 6:
            let_go.set()
        return Held(let_go) if request.part_number else None

    server = fault_server(script)
    sends_all_within_the_bound(server, files, bodies)


def test_a_part_that_was_refused_is_not_held_while_the_others_come_to_their_ends(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies, [big] = Bodies(monkeypatch), files_of(tmp_path, 1, 2 * PART_BYTES)
    both_came, let_go, held = threading.Event(), threading.Event(), list[int]()

    def script(request: Request) -> Action | None:
        if request.part_number == 2:
            both_came.set()
            return Held(let_go)
        return Held(both_came, s3_error(400, "InvalidArgument")) if request.part_number else None

    server = fault_server(script)

    def one_is_refused() -> bool:
        return {r.status for r in server.requests if r.part_number} == {0, 400}

    async def files() -> AsyncIterator[ObjectSource]:
        yield big
        await asyncio.to_thread(server.wait_until, one_is_refused)
        yield ObjectSource.data(b"", "after")

    def progress(report: UploadReport) -> None:
        if report.key == "after":
            held.append(bodies.now)
            let_go.set()

    assert len(upload(server, files(), progress=progress).failed) == 1
    assert held == [PART_BYTES]


def test_a_command_in_the_tests_own_process_has_it_give_freed_memory_back(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be set for all tests that follow.  (That there is one heap is set for them anyway.)"""
    server, chosen = fault_server(), list[int]()
    monkeypatch.setattr(own_process, "_mallopt", lambda option, _value: chosen.append(option))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (tmp_path / "a").write_bytes(b"a")
    flags = ["--region", "us-east-1", "--endpoint-url", server.url, "--quiet"]
    assert main([str(tmp_path / "a"), f"s3://{BUCKET}/a", *flags]) == 0
    assert stored(server) == {"a": b"a"}
    assert chosen == [own_process.M_ARENA_MAX]
