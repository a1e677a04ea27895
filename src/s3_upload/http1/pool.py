"""Keep-alive connections to one host and port.

Rules:

* `take` decides at once and without I/O; only `open` waits.
* The connection used last is reused first (LIFO): its congestion window is still open.  Those not
  needed any more grow old at the bottom, where a timer closes them after `MAX_IDLE_S`.
* No more are open than were in use at once of late.  Where a request insists on a new one though others are
  idle (a hedge does), the oldest idle one is closed for it.
* Where the program has no file descriptor left for a new one, the oldest idle one is closed, and whoever
  wants one waits (`descriptors.py`).  That is no failure of the store's, and none of its time limits runs.
* The pool knows every connection it opened until it is closed, and `close` closes them all: from then
  on it opens and keeps none.
* A connection that is taken leaves the lease (`lease.py`) of any other run, and joins that of its own run,
  if that is held back.
"""

from __future__ import annotations

import asyncio
import itertools

from s3_upload.descriptors import PATIENCE_S
from s3_upload.http1 import tcp_info
from s3_upload.http1.connect import Connector
from s3_upload.http1.connection import Connection, client_closed
from s3_upload.http1.dial import NoDescriptorError
from s3_upload.http1.lease import NUMBERS, Lease
from s3_upload.http1.trace import Trace
from s3_upload.report import ConnectionSample

MAX_IDLE_S = 15.0
"""Below the idle time-outs of S3 (about 20 s) and of the usual proxies (60 s and more)."""
MIN_SWEEP_S = 1.0
"""Idle ones are looked at no more often than that."""
FILES_PAUSE_S = 0.05
"""Between two looks for a free file descriptor."""


class Pool:
    def __init__(self, connector: Connector, loop: asyncio.AbstractEventLoop) -> None:
        self._connector = connector
        self._loop = loop
        self._idle: dict[Connection, float] = {}  # since when; the one used last is the last
        self._all: dict[Connection, int] = {}  # each with its number
        self._opening = 0
        self._most = 0  # that were in use at once, of late
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        where = f"{self._connector.host}:{self._connector.port}"
        return f"<Pool {where} open={len(self._all)} idle={len(self._idle)}>"

    def take(self, lease: object = None) -> Connection | None:
        """An idle connection, or None, for a request of the run with that lease."""
        while self._idle:
            connection, idle_since_s = self._idle.popitem()
            if not connection.usable:
                continue
            if idle_since_s < self._loop.time() - MAX_IDLE_S:  # the timer is late: so are all those below it
                for stale in (connection, *self._idle):
                    stale.close()
                return None
            if connection.lease is not lease:
                _hand_over(connection, lease)
            return connection
        return None

    def alive(self, connection: Connection, lease: object = None) -> Connection | None:
        """`connection`, or an idle one below it that has not been closed by the other side meanwhile.

        For POST alone: where the store has closed an idle connection and the news has not reached our
        loop, any other request goes again at once (`Trace.stale`), but a second CreateMultipartUpload
        could leave an upload that nobody aborts.
        """
        found: Connection | None = connection
        while found is not None and found.hung_up():
            found.close()
            found = self.take(lease)
        return found

    async def open(self, trace: Trace) -> Connection:
        """A new connection; or an idle one, where there are no file descriptors for a new one.

        Raises `AttemptError`.
        """
        options, until_s = trace.options, self._loop.time() + PATIENCE_S
        trace.takes(new=True)
        while True:
            self._make_room()
            self._opening += 1
            try:
                connection = await self._connector.open(trace, self.put_back, self._on_closed)
            except NoDescriptorError:
                if trace.cancelled or self._loop.time() >= until_s:
                    raise
            else:
                if self._closed:
                    connection.close()
                    raise client_closed()
                if connection.usable:  # else it was closed at once, and its request will say so
                    self._all[connection] = next(NUMBERS)
                    _hand_over(connection, options.lease)
                return connection
            finally:
                self._opening -= 1
            if not options.fresh and (idle := self.take(options.lease)) is not None:
                trace.takes(new=False)
                return idle
            self._close_oldest()
            await asyncio.sleep(FILES_PAUSE_S)

    def put_back(self, connection: Connection) -> None:
        """`connection` is free for the next request."""
        if self._closed:
            connection.close()
            return
        if connection not in self._all:  # the spare one of two that were opened
            self._all[connection] = next(NUMBERS)
        self._idle[connection] = self._loop.time()
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(MAX_IDLE_S, self._sweep)

    def _make_room(self) -> None:
        """For one more that is about to be opened."""
        there = len(self._all) + self._opening
        self._most = max(self._most, there - len(self._idle) + 1)
        if there >= self._most:
            self._close_oldest()

    def close_idle(self) -> None:
        """Closes those that are idle: after an outage of the way to the store they may be dead."""
        for connection in tuple(self._idle):
            connection.close()

    def _close_oldest(self) -> None:
        for connection in self._idle:
            connection.close()  # which takes it out of there
            return

    def _sweep(self) -> None:
        """Closes what was idle for too long, and comes again when the next one could be."""
        self._sweeping = None
        oldest_s = self._loop.time() - MAX_IDLE_S
        stale = [*itertools.takewhile(lambda connection: self._idle[connection] <= oldest_s, self._idle)]
        for connection in stale:
            connection.close()
        if stale:
            self._most = len(self._all) + self._opening
        for idle_since_s in self._idle.values():
            delay_s = max(idle_since_s - oldest_s, MIN_SWEEP_S)
            self._sweeping = self._loop.call_later(delay_s, self._sweep)
            return

    def _on_closed(self, connection: Connection) -> None:
        self._all.pop(connection, None)
        self._idle.pop(connection, None)
        if connection.lease is not None:
            connection.lease.leave(connection)

    @property
    def open_count(self) -> int:
        return len(self._all)

    def samples(self) -> list[ConnectionSample]:
        """What the kernel says of each open connection that is in no lease; none where it says nothing."""
        found = (
            tcp_info.sample(connection.socket, number, busy=not connection.usable)
            for connection, number in self._all.items()
            if connection.lease is None
        )
        return [sample for sample in found if sample is not None]

    def shut(self) -> None:
        """Closes all connections, and what is about to become one."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for connection in tuple(self._all):
            connection.close()
        self._connector.close()

    async def close(self) -> None:
        """As `shut`, and lets the loop run the callbacks."""
        self.shut()
        await self._connector.ended()
        await asyncio.sleep(0)


def _hand_over(connection: Connection, lease: object) -> None:
    if connection.lease is not None:
        connection.lease.leave(connection)
    if isinstance(lease, Lease):
        lease.join(connection)
