"""Keeps bulk requests to a few at a time: `control/concurrency/big_bodies.py` says how many.

Rules:

* What is bulk and may not go yet waits in a line of its own, in order; all else goes past it.
* The connections are looked at every TICK_S while bulk is under way, and at no other time.
* Where nothing is known of the connections (adapters, other systems) there is no bound here: the window is
  the only one.
* While the pace is bounded (`pacer.py`, which bounds all requests) there is none either, and nothing is
  looked at: what is under way then is no measure of the link.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from s3_upload.control.concurrency.big_bodies import BulkBound
from s3_upload.control.share.link import LinkView
from s3_upload.report import ConnectionSample
from s3_upload.transfer.client import Client, Lease
from s3_upload.transfer.guard import Fail, guarded
from s3_upload.transfer.line import Stander

TICK_S = 0.05


@runtime_checkable
class Seen(Protocol):
    """What tells how the connections fare: a client, or the lease of a run that can be held back."""

    @property
    def sees(self) -> bool: ...

    def samples(self) -> list[ConnectionSample]: ...


class BulkLine:
    """See the module's rules. `bound` None: no bound.

    `connections`: who may know of them.  `paced`: whether the pace bounds the requests now.  `put_back`:
    those that waited may go.  `room`: more may be read.  `fail` ends the run.
    """

    def __init__(
        self,
        connections: Client | Lease,
        bound: BulkBound | None,
        now: Callable[[], float],
        *,
        paced: Callable[[], bool] = lambda: False,
        put_back: Callable[[list[Stander]], None],
        room: Callable[[], None],
        fail: Fail,
    ) -> None:
        self._seen = connections if isinstance(connections, Seen) and connections.sees else None
        self._bound = bound if self._seen is not None else None
        self._now = now
        self._paced = paced
        self._put_back = put_back
        self._room = room
        self._tick = guarded(fail, self._look)
        self._view = LinkView()
        self._looked_most = self._most  # at the last look
        self._waiting: deque[Stander] = deque()
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """Whether as many wait as may be in flight: reading more would only fill the memory."""
        return len(self._waiting) >= self._most

    @property
    def waits(self) -> bool:
        """Whether a request waits here."""
        return bool(self._waiting)

    @property
    def max_requests(self) -> float:
        """How many requests with big bodies there may be; math.inf while there are none."""
        return self._most if self._in_flight else math.inf

    def admit(self, stander: Stander) -> bool:
        """Whether `stander`, which is bulk, may go now; else it waits here."""
        if self._bound is None:
            return True
        if self._in_flight >= self._most:
            self._waiting.append(stander)
            return False
        self._in_flight += 1
        # The first look comes a tick later, when the others have had time to begin.
        if self._timer is None:
            self._arm()
        return True

    def leave(self) -> None:
        """A request that was admitted has ended."""
        if self._bound is not None:
            self._in_flight -= 1
            self._let_in()

    def close(self) -> None:
        """Nothing that waits goes any more, and nothing is looked at."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _most(self) -> float:
        return self._bound.bound if self._bound is not None and not self._paced() else math.inf

    def _let_in(self) -> None:
        # They are counted when they come to `admit` again: until then they have no slot.
        count = min(len(self._waiting), self._most - self._in_flight)
        if count > 0:
            self._put_back([self._waiting.popleft() for _ in range(int(count))])

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _look(self) -> None:
        assert self._seen is not None
        assert self._bound is not None
        # With nothing big under way there is nothing to learn: the next admission arms the timer.
        if self._in_flight == 0:
            self._timer = None
            return
        self._arm()
        before = min(self._looked_most, self._most)
        if not self._paced():
            now = self._now()
            self._bound.decide(self._view.look(self._seen.samples(), now=now), self._in_flight, now=now)
        self._looked_most = self._most
        # A lower bound cuts nothing off: those under way end, and fewer follow.
        if self._most > before:
            self._let_in()
            self._room()
