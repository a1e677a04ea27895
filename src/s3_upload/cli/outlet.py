"""Lines on their way out, written by a thread: whoever does not read them holds up nobody else.

Rules:

* Lines come out in the order in which they were put, and none is lost while somebody reads.
* At most `MAX_QUEUED_BYTES` wait (and the line that went beyond); `room` is awaited by those who make more.
* A write that fails ends the outlet: its error is raised by the next `put`, and by `flush`.
* The thread is a daemon and writes to the file descriptor itself: one that hangs in a write keeps no lock of
  Python's buffers, on which the interpreter would wait at its end.

A pipe, a stopped terminal or a dead network drive can block a write for ever, and the file descriptor cannot
be made non-blocking: whoever shares it, the shell for one, would be surprised.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

MAX_QUEUED_BYTES = 1 << 20
BATCH_BYTES = 1 << 16
"""Written at a time, as long as so many wait: what a pipe takes."""

Write = Callable[[bytes], None]


class Outlet:
    """See the module's text. One for each open file, whatever descriptors name it: order is kept within."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self._changed = threading.Condition()
        self._lines: deque[tuple[Write, bytes]] = deque()
        self._queued_bytes = 0
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, write: Write, line: bytes) -> None:
        """Has the thread call `write` with `line`, perhaps together with others. Raises what a write before
        has raised."""
        with self._changed:
            if self.error is not None:
                raise self.error
            self._lines.append((write, line))
            self._queued_bytes += len(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="s3-upload-output", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    @property
    def full(self) -> bool:
        return self._queued_bytes > MAX_QUEUED_BYTES

    async def room(self) -> None:
        """Waits until it is not full any more, or has failed."""
        import asyncio  # here: `--version` does without

        loop = asyncio.get_running_loop()
        while self.full:
            waiter = loop.create_future()
            with self._changed:
                self._waiters.append((loop, waiter))
                if not self.full:  # the thread has not seen the waiter
                    return
            await waiter

    def flush(self, timeout_s: float | None = None) -> bool:
        """Waits until all is written, and says whether it is. Raises what a write has raised."""
        with self._changed:
            written = self._changed.wait_for(lambda: not self._queued_bytes, timeout_s)
            if self.error is not None:
                raise self.error
            return written

    def flush_while_read(self, silence_s: float) -> None:
        """Waits until all is written or a write has failed, or nothing was taken for `silence_s`."""
        with self._changed:
            while self._queued_bytes and self._changed.wait(silence_s):
                pass

    def close(self) -> None:
        """Ends the thread when it has written all; at once, if that is so."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            idle = not self._queued_bytes
        if self._thread is not None and idle:
            self._thread.join()

    # --- in the thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closed)
                if not self._lines:
                    return
                write, batch, size = self._take()
            try:
                write(batch)
            except OSError as error:
                self._fail(error)
            else:
                self._written(size)

    def _take(self) -> tuple[Write, bytes, int]:
        """Lines that go the same way, together."""
        write, line = self._lines.popleft()
        pieces, size = [line], len(line)
        while self._lines and self._lines[0][0] is write and size < BATCH_BYTES:
            pieces.append(self._lines.popleft()[1])
            size += len(pieces[-1])
        return write, b"".join(pieces), size

    def _written(self, size: int) -> None:
        with self._changed:
            self._queued_bytes -= size
            self._changed.notify_all()
            waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
            if not self.full:
                waiters, self._waiters = self._waiters, []
        for loop, waiter in waiters:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(_wake, waiter)

    def _fail(self, error: OSError) -> None:
        with self._changed:
            self.error = error
            self._lines.clear()
            size = self._queued_bytes
        self._written(size)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
