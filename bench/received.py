"""What the store in Go has received, and when: asked again and again while a run goes on."""

from __future__ import annotations

import contextlib
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.gostore import GoStore

LOOK_S = 0.05


@dataclass
class Received:
    """Bytes of bodies, also of those under way, by moment (`time.monotonic`)."""

    at_s: list[float] = field(default_factory=list)
    count: list[int] = field(default_factory=list)

    def at(self, moment: float) -> float:
        """Between two looks by their line."""
        number = bisect_right(self.at_s, moment)
        if number == 0:
            return 0.0
        if number == len(self.at_s):
            return float(self.count[-1])
        before_s, after_s = self.at_s[number - 1], self.at_s[number]
        part = (moment - before_s) / (after_s - before_s)
        return self.count[number - 1] + part * (self.count[number] - self.count[number - 1])

    def per_s(self, from_s: float, to_s: float) -> float:
        """Between two moments, in bytes a second."""
        return (self.at(to_s) - self.at(from_s)) / (to_s - from_s)

    @property
    def first_s(self) -> float:
        """When there was something. Raises `StopIteration` where there never was."""
        return next(at_s for at_s, count in zip(self.at_s, self.count, strict=True) if count > 0)

    @property
    def last_s(self) -> float:
        """Since when there was all."""
        return next(
            at_s for at_s, count in zip(self.at_s, self.count, strict=True) if count == self.count[-1]
        )


@contextlib.contextmanager
def looking_at(store: GoStore) -> Iterator[Received]:
    """Until the block is left. Nobody else may ask the store meanwhile."""
    received, over = Received(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            count = store.stats()["received"]
            received.at_s.append(time.monotonic())
            received.count.append(count)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield received
    finally:
        over.set()
        looker.join()
