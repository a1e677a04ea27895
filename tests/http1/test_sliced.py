"""A body that is not in memory: it leaves as it is read, and no faster than it is taken in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind, SourceError
from s3_upload.http import SlicedBody, Slices
from tests.http1.peers import MIB, OK, answering, read_request, talking, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Callable[[], Any]], None]


class Script(SlicedBody, Slices):
    """`give` makes a slice ready, or has the next `take` raise; `closed`: whether nobody wants more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ready: Callable[[], None] | None = None
        self._there: list[bytes | Exception] = []
        self.taken = 0
        self.closed = False

    def __len__(self) -> int:
        return self._size

    @property
    def begun(self) -> bool:
        return self._ready is not None

    def slices(self, ready: Callable[[], None]) -> Slices:
        self._ready = ready
        return self

    def take(self) -> bytes | None:
        if not self._there:
            return None
        piece = self._there.pop(0)
        if isinstance(piece, Exception):
            raise piece
        self.taken += len(piece)
        return piece

    def close(self) -> None:
        self.closed = True

    def give(self, *pieces: bytes | Exception) -> None:
        assert self._ready is not None
        for piece in pieces:
            self._there.append(piece)
            self._ready()


def test_slices_leave_in_order_as_they_come(run: Run) -> None:
    received: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await read_request(reader))
        writer.write(OK)

    async def main() -> None:
        received.clear()
        async with talking(handler) as client:
            body, trace = Script(3 * MIB + 1), client.trace()
            asking = asyncio.ensure_future(client.request(body, trace))
            await until(lambda: body.begun)
            for piece in (b"a" * MIB, b"b" * MIB, b"c" * MIB):
                body.give(piece)
                await until(lambda: client.connection.probe().starved)
                assert trace.sent_s == 0.0
            body.give(b"d")
            assert (await asking).status == 200
            assert trace.sent_s > 0.0
            assert body.closed
            assert client.idle == [client.connection]
        assert received == [b"a" * MIB + b"b" * MIB + b"c" * MIB + b"d"]

    run(main)


def test_no_more_is_taken_than_leaves(run: Run) -> None:
    """A peer that does not read: what the kernel holds has been taken, and one slice more."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        begun.set()
        await go_on.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await read_request(reader)
        writer.write(OK)

    async def main() -> None:
        begun.clear()
        go_on.clear()
        size = 64 * MIB
        async with talking(handler) as client:
            body = Script(size)
            asking = asyncio.ensure_future(client.request(body))
            await until(lambda: body.begun and begun.is_set())
            for _ in range(64):
                body.give(bytes(MIB))
                await asyncio.sleep(0)
            assert body.taken < size
            assert not client.connection.probe().starved
            go_on.set()
            assert (await asking).status == 200
            assert body.taken == size

    run(main)


@pytest.mark.parametrize(
    ("problem", "kind", "said"),
    [
        (SourceError("f: source changed", FailureKind.SOURCE_CHANGED), FailureKind.SOURCE_CHANGED, "f: sour"),
        (SourceError("f: Input/output error"), FailureKind.SOURCE, "f: Input/output error"),
        (RuntimeError("can't start new thread"), FailureKind.SOURCE, "can't start new thread"),
        (KeyError(), FailureKind.SOURCE, "KeyError"),
    ],
    ids=repr,
)
def test_a_body_that_cannot_be_read_ends_the_request_short_of_its_end(
    run: Run, problem: Exception, kind: FailureKind, said: str
) -> None:
    async def main() -> None:
        async with talking(answering(OK)) as client:
            body = Script(2 * MIB)
            asking = asyncio.ensure_future(client.request(body))
            await until(lambda: body.begun)
            body.give(bytes(MIB), problem)
            with pytest.raises(AttemptError, match=said) as caught:
                await asking
            assert caught.value.kind is kind
            assert body.closed
            assert not client.connection.usable

    run(main)


def test_what_ends_a_request_ends_the_reading(run: Run) -> None:
    async def answers_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async def main() -> None:
        async with talking(answers_at_once) as client:
            body = Script(2 * MIB)
            assert (await client.request(body)).status == 403
            assert body.closed
            assert not client.connection.usable
        async with talking(answering(OK)) as client:
            body, trace = Script(2 * MIB), client.trace()
            asking = asyncio.ensure_future(client.request(body, trace))
            await until(lambda: body.begun)
            trace.cancel("enough")
            with pytest.raises(AttemptError, match="enough"):
                await asking
            assert body.closed
            body.give(bytes(MIB))  # too late
            assert body.taken == 0

    run(main)
