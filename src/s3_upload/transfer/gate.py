"""Lets requests begin no faster than a rate allows: what the kernel's pacing cannot do.

Rules:

* A small body is soon in the network, whatever its pace, so it waits here for its turn.  A big one is left to
  the kernel, or waits here too where the kernel does not pace.
* What only asks (HeadObject and the like) weighs nothing, and may ask whether the store is there.
* Whoever waits goes in the order of coming, without a slot; nothing waits once the gate is open.

Theory of operation.  A token bucket is refilled at every tick, and when the next one's turn has come
(`due_s`).  Where nobody waits it never holds more than a burst: BURST_S of the rate, or SHORT_BURST_S for a
share that looks for queues, since bodies that begin together make one, which it would take for other
traffic's.  A request may begin while there are any tokens.  It takes as many as it has bytes, even more than
there are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from s3_upload.s3.operations import ASKING, Operation
from s3_upload.transfer.line import Stander

BURST_S, SHORT_BURST_S = 0.1, 0.01
"""Bodies of so many seconds at the rate may begin at once."""
LATE_S = 1.0
"""For so long at most a loop may be late and lose nothing."""
SMALL_BYTES = 64 << 10
HEAD_BYTES = 600
"""What a request weighs besides its body, about."""


class Gate:
    """See the module's rules. `put_back`: those that waited may go."""

    def __init__(self, put_back: Callable[[list[Stander]], None], burst_s: float = BURST_S) -> None:
        self._put_back = put_back
        self._burst_s = burst_s
        self._tokens = self._bytes_per_s = math.inf
        self._small_only = True
        self._last_s = 0.0
        self._line: deque[Stander] = deque()

    @property
    def waits(self) -> bool:
        """Whether a request waits here."""
        return bool(self._line)

    @property
    def due_s(self) -> float:
        """In how many seconds the next one's turn comes; math.inf where nobody waits."""
        return max(0.0, -self._tokens) / self._bytes_per_s if self._line else math.inf

    def refill(self, bytes_per_s: float, *, now: float, small_only: bool) -> None:
        """A tick: the rate from now on. `small_only`: the kernel paces the rest."""
        self._bytes_per_s, self._small_only = bytes_per_s, small_only
        self.let_go(now=now)

    def let_go(self, *, now: float) -> None:
        """Those whose turn has come."""
        elapsed_s, self._last_s = now - self._last_s, now
        rate = self._bytes_per_s
        # While the gate is open the tokens are infinite: at the first bound one burst of them is left.
        more = math.inf if rate == math.inf else self._tokens + rate * elapsed_s
        # What came in while somebody waited is theirs: a loop that is late, of a busy machine, loses nothing.
        # One that stood still (a stopped process, a machine that slept) makes up for a moment only.
        burst_s = max(self._burst_s, min(elapsed_s, LATE_S)) if self._line else self._burst_s
        self._tokens = min(rate * burst_s, more)
        left, may_go = self._tokens, list[Stander]()
        while self._line and left > 0.0:
            may_go.append(self._line.popleft())
            left -= self._weight(may_go[-1].operation)
        # They take their tokens when they have a slot.
        if may_go:
            self._put_back(may_go)

    def admit(self, stander: Stander) -> bool:
        """Whether `stander` may begin now; else it waits here."""
        weight = self._weight(stander.operation)
        # A large body may begin on few tokens; those after it wait until its bytes are paid for.
        if weight and self._tokens <= 0.0:
            self._line.append(stander)
            return False
        self._tokens -= weight
        return True

    def give_back(self, operation: Operation) -> None:
        """What was admitted does not begin after all."""
        self._tokens += self._weight(operation)

    def close(self) -> None:
        """Nothing that waits goes any more."""
        self._line.clear()

    def _weight(self, operation: Operation) -> int:
        size = len(operation.body)
        # A probe of a store that may be away must not wait behind bodies.
        if operation.name in ASKING or (self._small_only and size > SMALL_BYTES):
            return 0
        return size + HEAD_BYTES
