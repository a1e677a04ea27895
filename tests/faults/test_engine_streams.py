"""Streams of every kind: what may be given, in what pieces, and what becomes of what may not."""

from __future__ import annotations

import asyncio
import gzip
import io
import random
import threading
from array import array
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import FailureKind
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.streams import MAX_STREAMS
from tests.faults.uploads import PART_BYTES, config, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.conftest import StartFaultServer

NOISE = random.Random(7).randbytes(2 * PART_BYTES + 12_345)


def pieces(body: bytes, size: int = 700_001) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


async def asked(body: bytes) -> AsyncIterator[bytes]:
    for piece in pieces(body):
        yield piece


class OnlyReads:
    """As an HTTP response or a socket's file: nothing but `read`, which gives less than was asked for."""

    def __init__(self, body: bytes) -> None:
        self._file = io.BytesIO(body)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 300_007))


class AsyncReader:
    """As an asyncio.StreamReader: to iterate over it gives lines, and it refuses long ones."""

    def __init__(self, body: bytes) -> None:
        self._file = OnlyReads(body)

    async def read(self, size: int = -1) -> bytes:
        assert 0 < size <= 1 << 20
        return self._file.read(size)

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise ValueError("Separator is not found, and chunk exceed the limit")


class AsyncPart:
    """As a part that aiohttp receives: its `read` gives all at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, *, decode: bool = False) -> bytes:
        raise AssertionError(decode)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return asked(self._body)


class OnlyIterates:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return pieces(self._body)


KINDS: dict[str, Callable[[bytes], Any]] = {
    "async generator": asked,
    "async reader": AsyncReader,
    "async iterable that reads all at once": AsyncPart,
    "generator": pieces,
    "list": lambda body: list(pieces(body)),
    "tuple": lambda body: tuple(pieces(body)),
    "an iterable object": OnlyIterates,
    "BytesIO": io.BytesIO,
    "buffered": lambda body: io.BufferedReader(io.BytesIO(body)),
    "gzip": lambda body: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(body, 1))),
    "an object with read()": OnlyReads,
}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_gives_bytes_is_a_stream(fault_server: StartFaultServer, kind: str) -> None:
    server = fault_server()
    sizes = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, len(NOISE)]
    files = [ObjectSource.stream(KINDS[kind](NOISE[:size]), str(size)) for size in sizes]
    assert upload(server, files).uploaded == len(sizes)
    assert stored(server) == {str(size): NOISE[:size] for size in sizes}


def test_an_open_file_is_a_stream_from_where_it_stands(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server()
    (tmp_path / "f").write_bytes(NOISE)
    with (tmp_path / "f").open("rb") as whole, (tmp_path / "f").open("rb", buffering=0) as raw:
        raw.seek(1_000)
        upload(server, [ObjectSource.stream(whole, "whole"), ObjectSource.stream(raw, "rest")])
        assert whole.read() == b""
        assert not whole.closed
    assert stored(server) == {"whole": NOISE, "rest": NOISE[1_000:]}


@pytest.mark.parametrize("kind", ["generator", "file"])
def test_what_may_block_is_read_in_a_thread(fault_server: StartFaultServer, kind: str) -> None:
    """It waits for the loop, which would be a deadlock on it."""
    server = fault_server()
    here, goes_on = threading.current_thread(), threading.Event()

    def read(_size: int = 0) -> bytes:
        assert threading.current_thread() is not here
        assert goes_on.wait(30.0)
        return b"" if ended else ended.append(1) or b"x"  # type: ignore[func-returns-value]

    async def open_the_door() -> AsyncIterator[bytes]:
        yield b"first"
        goes_on.set()

    class File:
        def read(self, size: int) -> bytes:
            return read(size)

    ended: list[int] = []
    blocking: Any = (read() for _ in range(1)) if kind == "generator" else File()
    upload(server, [ObjectSource.stream(blocking, "k"), ObjectSource.stream(open_the_door(), "door")])
    assert stored(server) == {"k": b"x", "door": b"first"}


def test_streams_that_block_keep_no_reader_from_files(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """As many as may be begun at once all wait for a file that comes after them to be stored."""
    server = fault_server()
    (tmp_path / "f").write_bytes(b"file")

    def waits() -> Iterator[bytes]:
        server.wait_until(lambda: "file" in stored(server))
        yield b"x"

    streams = [ObjectSource.stream(waits(), str(n), 1) for n in range(MAX_STREAMS - 1)]
    upload(server, [*streams, ObjectSource.file(tmp_path / "f", "file")])
    assert len(stored(server)) == MAX_STREAMS


@pytest.mark.parametrize("make", [pieces, asked], ids=["plain", "async"])
def test_chunks_of_other_items_than_bytes_count_by_their_bytes(
    fault_server: StartFaultServer, make: Callable[[bytes], Any]
) -> None:
    server = fault_server()
    numbers = array("i", range(100_000))
    wide = memoryview(numbers)
    chunks: list[Any] = [numbers, wide[::2], bytearray(b"ab"), memoryview(b"--view--")[2:6], b"", bytearray()]

    async def gives() -> AsyncIterator[Any]:
        for chunk in chunks:
            yield chunk

    upload(server, [ObjectSource.stream(chunks if make is pieces else gives(), "k")])
    assert stored(server) == {"k": numbers.tobytes() + wide[::2].tobytes() + b"ab" + b"view"}


@pytest.mark.parametrize("make", [pieces, asked], ids=["plain", "async"])
def test_a_buffer_may_be_filled_again(fault_server: StartFaultServer, make: Callable[[bytes], Any]) -> None:
    """As `readinto` is used: the same memory for each chunk."""
    server = fault_server()

    def refilled() -> Iterator[memoryview]:
        buffer = bytearray(700_001)
        for piece in pieces(NOISE):
            buffer[: len(piece)] = piece
            yield memoryview(buffer)[: len(piece)]
        buffer[:] = bytes(len(buffer))

    async def refilled_async() -> AsyncIterator[memoryview]:
        for view in refilled():
            yield view

    upload(server, [ObjectSource.stream(refilled() if make is pieces else refilled_async(), "k")])
    assert stored(server) == {"k": NOISE}


# --- what is no stream --------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [7, "text", None, 1.5, [1], True], ids=repr)
@pytest.mark.parametrize("after", [0, PART_BYTES + 1])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_chunk_that_is_not_bytes_is_a_type_error(
    fault_server: StartFaultServer, kind: str, after: int, chunk: Any
) -> None:
    """Not as many zero bytes as an integer says."""
    server = fault_server()

    def gives() -> Iterator[Any]:
        yield bytes(after)
        yield chunk

    async def gives_async() -> AsyncIterator[Any]:
        for one in gives():
            yield one

    expected = f"a chunk of 'k': must be bytes, not {'None' if chunk is None else type(chunk).__name__}"
    with pytest.raises(TypeError, match=expected):
        upload(server, [ObjectSource.stream(gives() if kind == "plain" else gives_async(), "k")])
    assert stored(server) == {}
    assert server.model.uploads == {}


@pytest.mark.parametrize("error", [ValueError("disk on fire"), TypeError("no"), StopIteration(), KeyError(1)])
@pytest.mark.parametrize("kind", ["generator", "file"])
def test_what_a_stream_in_a_thread_raises_fails_its_object_alone(
    fault_server: StartFaultServer, kind: str, error: Exception
) -> None:
    server = fault_server()

    class Broken:
        def read(self, size: int) -> bytes:
            raise error

    class BrokenIterator:
        def __iter__(self) -> Iterator[bytes]:
            raise error

    broken: Any = Broken() if kind == "file" else BrokenIterator()
    summary = upload(server, [ObjectSource.stream(broken, "bad"), ObjectSource.data(b"x", "good")])
    assert stored(server) == {"good": b"x"}
    [report] = summary.failed
    assert report.error is not None
    assert report.error.kind is FailureKind.SOURCE
    assert f"bad: {type(error).__name__}" in report.error.message


class RaisesAtOnce:
    """What is only told by being asked, on the loop."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise RuntimeError("no iterator to be had")


def test_an_async_iterable_that_gives_no_iterator_fails_alone(fault_server: StartFaultServer) -> None:
    server = fault_server()
    files = [ObjectSource.stream(RaisesAtOnce(), "bad"), ObjectSource.data(b"x", "good")]
    summary = upload(server, files)
    assert "RuntimeError: no iterator to be had" in str(summary.failed[0].error)
    assert stored(server) == {"good": b"x"}


def test_a_stream_longer_than_was_said_ends_with_the_first_byte_too_many(
    fault_server: StartFaultServer,
) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            await asyncio.sleep(0)
            yield bytes(1_000)

    summary = upload(fault_server(), [ObjectSource.stream(endless(), "bad", 5_000)])
    assert "gave 6000 bytes instead of 5000" in str(summary.failed[0].error)
    assert given == 6


def test_a_stream_that_never_gives_anything_does_not_keep_a_stopped_run(
    fault_server: StartFaultServer,
) -> None:
    """Its thread cannot be stopped; nobody waits for it."""
    server = fault_server()
    goes_on = threading.Event()

    def hangs() -> Iterator[bytes]:
        goes_on.wait()
        yield b"x"

    def progress(_: object) -> None:
        raise KeyError("stop")

    files = [ObjectSource.stream(hangs(), "k"), ObjectSource.data(b"x", "good")]
    try:
        with pytest.raises(KeyError, match="stop"):
            upload(server, files, progress=progress, settings=config())
    finally:
        goes_on.set()
