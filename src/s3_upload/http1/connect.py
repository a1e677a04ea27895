"""Opens connections: chooses addresses, and has a way (`dial.py`) lead from there to the store.

Rules:

* One call tries each address at most once, each under the connect timeout.
* The next address is tried beside the last when that has not answered for a while, and the first
  connection wins (RFC 8305, section 5, "Connection Attempt Delay"): a dead address among living ones
  costs a quarter of a second, once, and is then left alone for a time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import TypeGuard

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.connection import Connection, client_closed
from s3_upload.http1.dial import NoDescriptorError, Straight, Way
from s3_upload.http1.resolve import Addresses, LookUp
from s3_upload.http1.trace import Trace

STAGGER_S = 0.25
"""RFC 8305's recommended delay; longer where handshakes are known to take longer."""
STAGGER_HANDSHAKES = 2.0
HANDSHAKE_WEIGHT = 1 / 8  # of the newest handshake in the average, as RFC 6298's alpha


class Connector:
    """Opens connections to one host and port, until it is closed. `tls` is None for plain TCP; `look_up`
    resolves the name (None: the system's resolver does).  `way`: through a proxy, whose name and addresses
    then count."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        look_up: LookUp | None = None,
        way: Way | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._loop = loop
        self._way = way if way is not None else Straight(host, port, tls, loop)
        self._addresses = Addresses(self._way.host, self._way.port, loop, look_up, whose=self._way.whose)
        self._handshake_s = 0.0
        self._handshakes: set[asyncio.Task[Connection]] = set()
        self._closed = False

    async def open(
        self,
        trace: Trace,
        on_idle: Callable[[Connection], None],
        on_closed: Callable[[Connection], None],
    ) -> Connection:
        """A new connection, busy for nobody yet. Raises `AttemptError`."""

        def closed(connection: Connection) -> None:
            self._addresses.record.closed(connection.address)
            on_closed(connection)

        def begin(address: str) -> asyncio.Task[Connection]:
            trace.dials(address)
            self._addresses.record.opened(address)
            connection = Connection(loop=self._loop, address=address, on_idle=on_idle, on_closed=closed)
            handshake = self._loop.create_task(self._handshake(connection, trace))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)
            return handshake

        if self._closed:
            raise client_closed()
        connection = await self._race(deque(await self._addresses.candidates(trace.options.avoid)), begin)
        trace.connected(connection.address, connection.handshake_s)
        return connection

    async def _race(
        self, candidates: deque[str], begin: Callable[[str], asyncio.Task[Connection]]
    ) -> Connection:
        """The first connection of those that are begun one after the other."""
        racing: dict[asyncio.Task[Connection], str] = {}  # in the order in which they were begun
        error = AttemptError(FailureKind.CONNECT, f"{self._way.host}: has no address")
        try:
            while candidates or racing:
                if candidates:
                    address = candidates.popleft()
                    racing[begin(address)] = address
                stagger_s = max(STAGGER_S, STAGGER_HANDSHAKES * self._handshake_s) if candidates else None
                await asyncio.wait(racing, timeout=stagger_s, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in racing if task.done()]:
                    if task.cancelled():  # by `close`, before its first step
                        raise client_closed()
                    failure = task.exception()
                    if failure is None:
                        return self._won(racing, task)
                    address = racing.pop(task)
                    if not _refused(failure):
                        raise failure
                    self._addresses.penalize(address)
                    error = failure
            raise error
        finally:
            for task in racing:  # without waiting for them: a cancellation meanwhile would lose the winner
                task.add_done_callback(_close_late_comer)
                task.cancel()

    def _won(
        self, racing: dict[asyncio.Task[Connection], str], winner: asyncio.Task[Connection]
    ) -> Connection:
        """Those begun before the winner were too slow; one that is there as well is kept for later."""
        slower = True
        for task, address in tuple(racing.items()):
            if task is winner:
                slower = False
                self._addresses.record.works(address)
            elif task.done() and not task.exception():
                del racing[task]
                task.result().keep()
            elif slower:
                self._addresses.penalize(address)
        del racing[winner]
        connection = winner.result()
        self._handshake_s += HANDSHAKE_WEIGHT * (connection.handshake_s - self._handshake_s)
        return connection

    def close(self) -> None:
        """Ends look-ups and handshakes under way; their attempts, and all later ones, hear why."""
        self._closed = True
        self._addresses.close()
        self._way.close()
        for handshake in self._handshakes:
            handshake.cancel()

    async def ended(self) -> None:
        """Once no handshake is under way."""
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    async def _handshake(self, connection: Connection, trace: Trace) -> Connection:
        begun_s = trace.now()  # not the loop's time, which stands still within a turn of uvloop
        try:
            await self._way.lead(connection, connection.address, trace.options.connect_timeout_s)
        except BaseException as error:
            connection.close()
            if self._closed and isinstance(error, asyncio.CancelledError):
                raise client_closed() from None
            raise
        connection.led(trace.now() - begun_s)
        return connection


def _refused(failure: BaseException) -> TypeGuard[AttemptError]:
    """By one address, or the way to it: the next may do."""
    if isinstance(failure, NoDescriptorError):
        return False
    return isinstance(failure, AttemptError) and failure.kind is FailureKind.CONNECT


def _close_late_comer(task: asyncio.Task[Connection]) -> None:
    """A handshake that lost the race; it may have ended before it could be cancelled."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
