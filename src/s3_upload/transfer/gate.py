"""Lets requests begin no faster than a rate allows: what the kernel's pacing cannot do.

Rules:

* A small body is in the network before its pace matters, so it waits here for its turn.  A big one is left
  to the kernel, or waits here too where the kernel does not pace.
* What only asks (HeadObject and the like) weighs nothing, and may ask whether the store is there.
* Whoever waits goes in the order of coming, without a slot; nothing waits once the gate is open.

Theory of operation.  A token bucket is refilled at every tick, and never holds more than BURST_S of the rate.
A request may begin while there are any tokens.  It takes as many as it has bytes, even more than there are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from s3_upload.s3.operations import ASKING, Operation
from s3_upload.transfer.line import Stander

BURST_S = 0.1
SMALL_BYTES = 64 << 10
HEAD_BYTES = 600
"""What a request weighs besides its body, about."""


class Gate:
    """See the module's rules. `put_back`: those that waited may go."""

    def __init__(self, put_back: Callable[[list[Stander]], None]) -> None:
        self._put_back = put_back
        self._tokens = math.inf
        self._small_only = True
        self._last_s = 0.0
        self._line: deque[Stander] = deque()

    @property
    def waits(self) -> bool:
        """Whether a request waits here."""
        return bool(self._line)

    def refill(self, bytes_per_s: float, *, now: float, small_only: bool) -> None:
        """A tick. `small_only`: the kernel paces the rest."""
        elapsed_s, self._last_s = now - self._last_s, now
        self._small_only = small_only
        # While the gate is open the tokens are infinite: at the first bound one burst of them is left.
        more = math.inf if bytes_per_s == math.inf else self._tokens + bytes_per_s * elapsed_s
        self._tokens = min(bytes_per_s * BURST_S, more)
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
