"""How many bytes of bodies are held at a time, and the line of those who wait for room.

Rules:

* What is held never exceeds the limit, except that one is always let in when nothing is held: a body
  larger than the limit goes alone.
* Who waits belongs to an object that is begun.  The line moves in the order of coming, and nothing new is
  begun while somebody stands in it.
* What streams have read ahead, in chunks as large as their callers make them, keeps new things from being
  begun, but nothing that is begun: else all who are begun could wait for each other's.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Memory:
    """See the module's rules. Each `hold` and each `room` is ended by a `release` of the same size."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._line: deque[tuple[asyncio.Future[None], int]] = deque()
        self._holders = 0
        self._held_bytes = 0
        self._ahead_bytes = 0

    def fits(self, size: int) -> bool:
        """Whether what would be begun with `size` bytes may begin: they fit, and nobody waits."""
        return not self._line and self._has(size + self._ahead_bytes)

    def hold(self, size: int) -> None:
        """Counts `size` bytes, whether there is room for them or not."""
        self._holders += 1
        self._held_bytes += size

    def release(self, size: int) -> None:
        self._holders -= 1
        self._held_bytes -= size
        self._let_in()

    def read_ahead(self, change: int) -> None:
        """A stream has read `change` bytes more ahead, or used up so many where that is negative."""
        self._ahead_bytes += change

    async def room(self, size: int) -> None:
        """Waits for room for `size` bytes, and holds them."""
        if not self._line and self._has(size):
            self.hold(size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in at the moment of its end
                self.release(size)
            raise

    def _has(self, size: int) -> bool:
        return self._holders == 0 or self._held_bytes + size <= self._limit_bytes

    def _let_in(self) -> None:
        while self._line:
            turn, size = self._line[0]
            if not turn.done():  # else it was cancelled
                if not self._has(size):
                    return
                self.hold(size)
                turn.set_result(None)
            self._line.popleft()
