"""A relay between an upload and its store, which counts: bodies, heads, and what had no answer."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE_BYTES = 1 << 16
END = b"\r\n\r\n"
_QUIET = (OSError, asyncio.IncompleteReadError)


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Closes it at the end, what was written going out first; at once, where that is cancelled."""
    try:
        yield
        writer.close()
        await writer.wait_closed()
    finally:
        writer.transport.abort()


class _Side:
    """What goes up on one connection: requests, each of which begins when the one before is answered."""

    def __init__(self) -> None:
        self.head = b""
        self.in_body = self.counts = False
        self.pending = 0


class CountingRelay:
    """Passes connections on to `target`, from a port of its own, in a thread.

    `body_bytes`: of PUTs, as far as they went up.  `lost_bytes`: of those that had no answer when their
    connection ended.  `puts`: how often each object, or part of one, was sent.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname, parts.port
        self.body_bytes = self.lost_bytes = 0
        self.puts: Counter[str] = Counter()
        self.url = ""
        self._open = 0
        self._changed = threading.Condition()
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30.0)

    def wait_for(self, count: int) -> None:
        """Until `body_bytes` are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.body_bytes >= count, 120.0)

    def settled(self) -> int:
        """`lost_bytes`, when all connections have ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._open == 0, 60.0)
            return self.lost_bytes

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._end.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count_open(1)
        side = _Side()
        try:
            async with _closing(writer):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                async with _closing(far_writer):
                    up = asyncio.ensure_future(self._up(side, reader, far_writer))
                    down = asyncio.ensure_future(self._down(side, far_reader, writer))
                    try:
                        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        up.cancel()
                        down.cancel()
                        await asyncio.gather(up, down, return_exceptions=True)
        # Cancelled at the end of it all: a stream's callback has no way with that.
        except (*_QUIET, asyncio.CancelledError):
            pass
        finally:
            self.lost_bytes += side.pending
            self._count_open(-1)

    async def _up(self, side: _Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_QUIET):
            while data := await reader.read(PIECE_BYTES):
                writer.write(data)
                self._account(side, data)
                await writer.drain()

    async def _down(self, side: _Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_QUIET):
            while data := await reader.read(PIECE_BYTES):
                side.in_body, side.head, side.pending = False, b"", 0
                writer.write(data)
                await writer.drain()

    def _account(self, side: _Side, data: bytes) -> None:
        if not side.in_body:
            side.head += data
            head, end, data = side.head.partition(END)
            if not end:
                return
            side.in_body, side.head = True, b""
            side.counts = head.startswith(b"PUT ")
            if side.counts:
                target = head.split(b" ", 2)[1].decode()
                part = re.search(r"partNumber=\d+", target)
                self.puts[target.partition("?")[0] + (part[0] if part else "")] += 1
        if side.counts:
            side.pending += len(data)
            with self._changed:
                self.body_bytes += len(data)
                self._changed.notify_all()

    def _count_open(self, change: int) -> None:
        with self._changed:
            self._open += change
            self._changed.notify_all()
