"""Keep-alive connections to one host and port.

Rules:

* `take` decides at once and without I/O; only `open` waits.
* The connection used last is reused first (LIFO): its congestion window is still open, and those
  not needed any more grow old at the bottom and are closed after `MAX_IDLE_S`.
* The pool knows every connection it opened until it is closed, and `close` closes them all.
* The pace holds for those that are open and for all that are opened later.
"""

from __future__ import annotations

import asyncio
import itertools

from s3_upload.report import ConnectionSample, Paces
from s3_upload.wire import tcp_info
from s3_upload.wire.connect import Connector
from s3_upload.wire.connection import Connection
from s3_upload.wire.exchange import Exchange

MAX_IDLE_S = 15.0
"""Below the idle time-outs of S3 (about 20 s) and of the usual proxies (60 s and more)."""
_NUMBERS = itertools.count()
"""One for each connection, whichever pool it is in."""
_UNPACED = Paces()


class Pool:
    """See the module's rules."""

    def __init__(self, connector: Connector, loop: asyncio.AbstractEventLoop) -> None:
        self._connector = connector
        self._loop = loop
        self._idle: list[tuple[Connection, float]] = []
        self._all: dict[Connection, int] = {}  # each with its number
        self._paces = _UNPACED
        self._usual = b""  # its algorithm, once it matters
        self._kernel_paces = True  # as long as nothing shows that it does not

    def __repr__(self) -> str:
        where = f"{self._connector.host}:{self._connector.port}"
        return f"<Pool {where} open={len(self._all)} idle={len(self._idle)}>"

    def take(self) -> Connection | None:
        """An idle connection, or None."""
        oldest_s = self._loop.time() - MAX_IDLE_S
        while self._idle:
            connection, idle_since_s = self._idle.pop()
            if not connection.usable:
                continue
            if idle_since_s < oldest_s:  # and so are all those below it
                for stale, _ in [(connection, 0.0), *self._idle]:
                    stale.close()
                return None
            return connection
        return None

    async def open(self, exchange: Exchange) -> Connection:
        """A new connection. Raises `AttemptError`."""
        connection = await self._connector.open(exchange, self.put_back, self._on_closed)
        if connection.usable:  # else it was closed at once, and its request will say so
            self._add(connection)
        return connection

    def put_back(self, connection: Connection) -> None:
        """`connection` is free for the next request."""
        if connection not in self._all:  # the spare one of two that were opened
            self._add(connection)
        self._idle.append((connection, self._loop.time()))

    def _on_closed(self, connection: Connection) -> None:
        self._all.pop(connection, None)
        self._idle = [entry for entry in self._idle if entry[0] is not connection]

    def _add(self, connection: Connection) -> None:
        self._all[connection] = next(_NUMBERS)
        if self._paces == _UNPACED:
            return
        if not tcp_info.pace(connection.socket, self._paces.each_bytes_per_s):
            self._kernel_paces = False
        if self._paces.heedless:
            self._heed(connection, losses=False)

    def samples(self) -> list[ConnectionSample]:
        """What the kernel says of each open connection; none where it says nothing."""
        found = (
            tcp_info.sample(connection.socket, number, busy=not connection.usable)
            for connection, number in self._all.items()
        )
        return [sample for sample in found if sample is not None]

    def pace(self, paces: Paces) -> bool:
        """From now on the connections send so fast; False if the kernel does not see to that."""
        if paces == self._paces == _UNPACED:
            return self._kernel_paces
        before, self._paces = self._paces, paces
        for connection, number in self._all.items():
            if not tcp_info.pace(connection.socket, paces.apart.get(number, paces.each_bytes_per_s)):
                self._kernel_paces = False
            if paces.heedless != before.heedless:
                self._heed(connection, losses=not paces.heedless)
        return self._kernel_paces

    def _heed(self, connection: Connection, *, losses: bool) -> None:
        """Whether its TCP slows down for losses, as it usually does, or, if the system allows it, not."""
        if not losses:
            self._usual = self._usual or tcp_info.congestion_control(connection.socket)
        tcp_info.set_congestion_control(connection.socket, self._usual if losses else tcp_info.HEEDLESS)

    async def close(self) -> None:
        """Closes all connections and lets the loop run their callbacks."""
        self._connector.close()
        for connection in tuple(self._all):
            connection.close()
        await asyncio.sleep(0)
