"""How many bytes of bodies are held at a time, and the line of those who wait for room.

Rules:

* What is held never exceeds the limit, except that one is always let in when nothing is held: a body
  larger than the limit goes alone.
* Who waits belongs to an object that is begun.  The line moves in the order of coming, and nothing new is
  begun while somebody stands in it.
* What streams have read ahead, in chunks as large as their callers make them, keeps new objects from being
  begun.  It holds up nothing that is begun: otherwise all those could wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from s3_upload.transfer.turn import Go, turn


class Memory:
    """See the module's rules. Each `hold` and each `room` is ended by a `release` of the same size."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._line: deque[tuple[int, Go]] = deque()
        self._holders = 0
        self._held_bytes = 0
        self._ahead_bytes = 0

    def fits(self, size: int) -> bool:
        """Whether something new may begin with `size` bytes: they fit, and nobody waits."""
        # Who waits is of an object that is begun, and that is finished first.
        return not self._line and self._has(size + self._ahead_bytes)

    def hold(self, size: int) -> None:
        """Counts `size` bytes, whether or not there is room for them."""
        self._holders += 1
        self._held_bytes += size

    def release(self, size: int) -> None:
        self._holders -= 1
        self._held_bytes -= size
        self._let_in()

    def read_ahead(self, change: int) -> None:
        """A stream has read `change` bytes more ahead; negative: it has used up so many."""
        self._ahead_bytes += change

    async def room(self, size: int) -> None:
        """Waits for room for `size` bytes, and holds them."""
        await turn(lambda go: self._stand(size, go), lambda: self.release(size))

    @asynccontextmanager
    async def holding(self, size: int) -> AsyncIterator[None]:
        """The same, and releases them in the end."""
        await self.room(size)
        try:
            yield
        finally:
            self.release(size)

    def _has(self, size: int) -> bool:
        return self._holders == 0 or self._held_bytes + size <= self._limit_bytes

    def _stand(self, size: int, go: Go) -> None:
        self._line.append((size, go))
        self._let_in()

    def _let_in(self) -> None:
        # What is read ahead does not count here: the streams that hold it may stand in this line.
        while self._line and self._has(self._line[0][0]):
            size, go = self._line.popleft()
            # Held at once: until the one that goes has woken up, others ask for room.
            self.hold(size)
            if not go():
                self.release(size)
