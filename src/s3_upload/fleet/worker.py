"""One of those who take part in a job, as the job sees it: a process of ours, or a task of an executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3_upload.fleet.dispenser import Hand
from s3_upload.fleet.wire import Ended, Frame, Frames, Lease, framed


class Worker:
    """`number` tells it from others; `hand`: what it has to do; `done`: objects it has done.  `ready`: it may
    be given work (one that is still being begun holds up none).  `ended`: what it came to, when it has said
    so.  `transport`: how it is told something."""

    def __init__(self, number: int, hand: Hand) -> None:
        self.number = number
        self.hand = hand
        self.done = 0
        self.ready = False
        self.ended: Ended | None = None
        self.lease_per_s = 0.0
        self.transport: asyncio.Transport | None = None
        self._done_before = 0

    def lease(self, bytes_per_s: float) -> None:
        """So much of the bandwidth is its own from now on; 0.0: all there is."""
        # One that is not connected yet was not told, and would never be: what does not change is not sent.
        if self.transport is not None and bytes_per_s != self.lease_per_s:
            self.lease_per_s = bytes_per_s
            self.send(Lease(bytes_per_s))

    def measure(self, seconds: float) -> None:
        """So long after the last time: how much it does."""
        per_s = (self.done - self._done_before) / seconds
        self._done_before = self.done
        self.hand.per_s += 0.5 * (per_s - self.hand.per_s)

    def connect(self, transport: asyncio.Transport | None) -> None:
        """That is how from now on; None: it cannot be told anything."""
        self.transport = transport

    def send(self, frame: Frame) -> None:
        """Nothing, where it cannot be told anything."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(framed(frame))


class Ear(asyncio.Protocol):
    """One end of a socket. `heard` is called with each frame, `lost` when the other end is gone, and `failed`
    with what cannot be read, or what these two raise."""

    def __init__(
        self,
        heard: Callable[[Frame], None],
        lost: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self._heard = heard
        self._lost = lost
        self._failed = failed
        self._frames = Frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is of another kind

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.fed(data):
                self._heard(frame)
        # Whatever it is, also a KeyboardInterrupt: uvloop would print it, drop the connection and go on.
        except BaseException as error:
            self._failed(error)

    def connection_lost(self, error: Exception | None) -> None:
        try:
            self._lost()
        except BaseException as raised:
            self._failed(raised)
