"""Lets requests begin no faster than a rate allows: what the kernel's pacing cannot do.

Rules:

* A small body is in the network before its pace matters, so it waits here for its turn.  A big one is left
  to the kernel, or waits here too where the kernel does not pace.
* What only asks (HeadObject and the like) weighs nothing, and may ask whether the store is there.
* Whoever waits goes in the order of coming; nothing waits once the gate is open.

Theory of operation.  A token bucket is refilled at every tick, and never holds more than BURST_S of the rate.
A request may begin while there are any tokens.  It takes as many as it has bytes, even more than there are.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from s3_upload.http import Response
from s3_upload.http1.trace import Trace
from s3_upload.parts import StoreParts
from s3_upload.s3.checksum import Digests
from s3_upload.s3.operations import ASKING, Operation
from s3_upload.s3.responses import Failure
from s3_upload.transfer.client import Client, IdleCloser

BURST_S = 0.1
SMALL_BYTES = 64 << 10
HEAD_BYTES = 600
"""What a request weighs besides its body, about."""


class Gate:
    """See the module's rules."""

    def __init__(self) -> None:
        self._tokens = math.inf
        self._small_only = True
        self._last_s = 0.0
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()

    def refill(self, bytes_per_s: float, *, now: float, small_only: bool) -> None:
        """A tick. `small_only`: the kernel paces the rest."""
        if bytes_per_s == math.inf:
            self.open()
            return
        elapsed_s, self._last_s = now - self._last_s, now
        self._small_only = small_only
        burst = bytes_per_s * BURST_S
        # While the gate is open the tokens are infinite: at the first bound one burst of them is left.
        self._tokens = min(burst, self._tokens + bytes_per_s * elapsed_s)
        self._let_in()

    def open(self) -> None:
        """Everybody may pass, until the next `refill` with a bound."""
        self._tokens = math.inf
        self._let_in()

    async def enter(self, size: int) -> None:
        """Waits for the turn of a request with a body of `size` bytes."""
        if self._tokens == math.inf or (self._small_only and size > SMALL_BYTES):
            return
        size += HEAD_BYTES
        # A large body may begin on few tokens; those after it wait until its bytes are paid for.
        if self._tokens > 0.0 and not self._queue:
            self._tokens -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, size))
        await turn

    def _let_in(self) -> None:
        while self._queue and self._tokens > 0.0:
            turn, size = self._queue.popleft()
            # One that was cancelled takes no tokens.
            if not turn.done():
                turn.set_result(None)
                self._tokens -= size


class GatedClient:
    """A client whose requests go through the gate first. `on_big`: called when a big one begins."""

    def __init__(self, client: Client, gate: Gate, on_big: Callable[[], None]) -> None:
        self._client = client
        self._gate = gate
        self._on_big = on_big

    @property
    def endpoint(self) -> str:
        return self._client.endpoint

    @property
    def digests(self) -> Digests:
        return self._client.digests

    @property
    def parts(self) -> StoreParts:
        return self._client.parts

    async def send(self, operation: Operation, trace: Trace) -> Response:
        size = len(operation.body)
        # A probe of a store that may be away must not wait behind bodies.
        if operation.name not in ASKING:
            await self._gate.enter(size)
        if size > SMALL_BYTES:
            self._on_big()
        return await self._client.send(operation, trace)

    def close_idle(self) -> None:
        if isinstance(self._client, IdleCloser):
            self._client.close_idle()

    async def correct(self, operation: Operation, failure: Failure, trace: Trace) -> bool:
        return await self._client.correct(operation, failure, trace)

    def remark(self, failure: Failure, trace: Trace) -> str:
        return self._client.remark(failure, trace)
