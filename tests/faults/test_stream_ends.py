"""What streams have open is closed when no more of them is wanted, not when their sources are collected."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.config import MIB
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.unsized import stream_at
from tests.faults.actions import Action, Request, Rule, Stall, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, config, quick_upload, run, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from tests.conftest import StartFaultServer

MANY = 3
PIECE = bytes(MIB)
LONG = 100 * PART_BYTES
"""More than is ever read of one."""
LITTLE_MEMORY = config(max_in_flight_bytes=(MANY + 1) * PART_BYTES, grace_s=0.0)
REFUSED = s3_error(400, "InvalidArgument")
KINDS = ["generator", "async generator", "iterable object", "async iterable object"]


class Opened:
    """Streams that have something open for as long as they are begun: `ends` says how each let go of it."""

    def __init__(self, size: int, *, fails: bool = False) -> None:
        self.begun = 0
        self.ends: list[str] = []
        self._size = size
        self._fails = fails

    def of(self, kind: str) -> Any:
        make: dict[str, Callable[[], Any]] = {
            "generator": self._plain,
            "async generator": self._async,
            "iterable object": lambda: _Iterable(self._plain),
            "async iterable object": lambda: _AsyncIterable(self._async),
        }
        return make[kind]()

    def _plain(self) -> Iterator[bytes]:
        with self._open():
            for _ in range(self._size // MIB):
                yield PIECE

    async def _async(self) -> AsyncIterator[bytes]:
        with self._open():
            try:
                for _ in range(self._size // MIB):
                    yield PIECE
            finally:
                await asyncio.sleep(0)

    @contextmanager
    def _open(self) -> Iterator[None]:
        self.begun += 1
        end = "closed"
        try:
            yield
            end = "at its end"
        finally:
            self.ends.append(end)
            if self._fails:
                raise ValueError("it cannot be closed")


class _Iterable:
    def __init__(self, make: Any) -> None:
        self._make = make

    def __iter__(self) -> Iterator[bytes]:
        return self._make()  # type: ignore[no-any-return]


class _AsyncIterable:
    def __init__(self, make: Any) -> None:
        self._make = make

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._make()  # type: ignore[no-any-return]


WAYS: dict[str, list[Rule]] = {
    "a part is refused": [Rule(REFUSED, method="PUT", key="bad*", query={"partNumber": None})],
    "its Create is refused": [Rule(REFUSED, method="POST", key="bad*")],
    "longer than was said": [],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_that_fails_is_closed_while_its_report_is_kept(
    fault_server: StartFaultServer, way: str, kind: str
) -> None:
    server, opened = fault_server(WAYS[way]), Opened(LONG)
    said = PART_BYTES if way == "longer than was said" else None
    bad = [ObjectSource.stream(opened.of(kind), f"bad {n}", said) for n in range(MANY)]
    summary = upload(server, [ObjectSource.data(b"x", "good"), *bad], settings=LITTLE_MEMORY)
    assert (len(summary.failed), opened.ends) == (MANY, ["closed"] * MANY)
    assert stored(server) == {"good": b"x"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [MIB, PART_BYTES, 2 * PART_BYTES])
def test_a_stream_of_the_size_that_was_said_comes_to_its_own_end(
    fault_server: StartFaultServer, size: int, kind: str
) -> None:
    opened = Opened(size)
    assert upload(fault_server(), [ObjectSource.stream(opened.of(kind), "k", size)]).uploaded == 1
    assert opened.ends == ["at its end"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_stream_raises_when_it_is_closed_ends_no_run(
    fault_server: StartFaultServer, kind: str
) -> None:
    """Its object has failed before that, and its report says why."""
    server, opened = fault_server(WAYS["a part is refused"]), Opened(LONG, fails=True)
    files = [ObjectSource.stream(opened.of(kind), "bad"), ObjectSource.data(b"x", "good")]
    summary = upload(server, files, settings=LITTLE_MEMORY)
    assert [
        str(report.error) for report in summary.failed if "InvalidArgument" not in str(report.error)
    ] == []
    assert opened.ends == ["closed"]
    assert stored(server) == {"good": b"x"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["cancelled", "source"])
def test_a_run_that_stops_closes_the_streams_that_it_was_reading(
    fault_server: StartFaultServer, how: str, kind: str
) -> None:
    """They wait for room: the store takes none of their parts to its end."""

    def script(request: Request) -> Action | None:
        return Stall() if request.part_number else None

    server, opened = fault_server(script), Opened(LONG)
    sources = [ObjectSource.stream(opened.of(kind), f"{n}") for n in range(MANY)]

    def parts_arrived() -> bool:
        return len([r for r in server.requests if r.part_number and r.complete]) >= MANY

    async def files() -> AsyncIterator[ObjectSource]:
        for source in sources:
            yield source
        await asyncio.to_thread(server.wait_until, parts_arrived)
        if how == "source":
            raise KeyError(how)

    async def main(client: S3Client) -> None:
        task = asyncio.ensure_future(s3_upload_files(client, BUCKET, files(), LITTLE_MEMORY))
        if how == "cancelled":
            await asyncio.to_thread(server.wait_until, parts_arrived)
            task.cancel()
        with pytest.raises(asyncio.CancelledError if how == "cancelled" else KeyError):
            await task

    run(server, main)
    assert opened.begun == MANY
    assert opened.ends == ["closed"] * MANY


def test_a_stream_that_is_being_read_when_the_run_stops_is_closed_by_its_own_thread(
    fault_server: StartFaultServer,
) -> None:
    """Nobody waits for it; and no generator can be closed while it runs."""
    server, goes_on, closed = fault_server(), threading.Event(), threading.Event()

    def hangs() -> Iterator[bytes]:
        try:
            goes_on.wait()
            yield b"x"
        finally:
            closed.set()

    def progress(_: object) -> None:
        raise KeyError("stop")

    source = ObjectSource.stream(hangs(), "k")

    async def main(client: S3Client) -> None:
        with pytest.raises(KeyError, match="stop"):
            await s3_upload_files(
                client, BUCKET, [source, ObjectSource.data(b"x", "good")], config(), progress
            )
        assert not closed.is_set()
        goes_on.set()
        assert await asyncio.to_thread(closed.wait, 10.0)

    run(server, main)


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_generator_that_does_not_come_to_its_end_holds_up_no_run_that_stops(
    fault_server: StartFaultServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3_upload.transfer.streams.CLOSE_S", 0.05)
    server, goes_on, ended = fault_server(lambda r: Stall() if r.part_number else None), threading.Event(), []

    def hangs() -> Iterator[bytes]:
        try:
            while True:
                yield PIECE
        finally:
            goes_on.wait()
            ended.append("closed")

    async def hangs_async() -> AsyncIterator[bytes]:
        try:
            while True:
                yield PIECE
        finally:
            await asyncio.get_running_loop().create_future()

    stream = ObjectSource.stream(hangs() if kind == "generator" else hangs_async(), "k")

    async def main(client: S3Client) -> None:
        task = asyncio.ensure_future(s3_upload_files(client, BUCKET, [stream], LITTLE_MEMORY))
        await asyncio.to_thread(
            server.wait_until, lambda: any(r.part_number == MANY for r in server.requests)
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == []
        goes_on.set()

    run(server, main)


def test_a_pipe_of_which_no_more_is_wanted_is_closed(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """Who writes to it hears of that, and no descriptor is left open."""
    server, path, heard = fault_server(WAYS["a part is refused"]), tmp_path / "fifo", threading.Event()
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError), path.open("wb", buffering=0) as file:
            while True:
                file.write(PIECE)
        heard.set()

    threading.Thread(target=write, daemon=True).start()
    summary = quick_upload(server, [stream_at(str(path), "bad"), ObjectSource.data(b"x", "good")])
    assert heard.wait(10.0)
    assert len(summary.failed) == 1
