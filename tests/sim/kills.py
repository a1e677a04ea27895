"""When the run of a world is cancelled: so many turns of the loop after something has happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.actions import Request
from tests.sim.loop import SimLoop

ANY, CREATE, PART, COMPLETE, ABORT, OTHER = "any", "create", "part", "complete", "abort", "other"


@dataclass(frozen=True, slots=True)
class Moment:
    """`turns` of the loop after the `nth` request of a `kind` came to the store; "" and 0: after the run
    began, or after the cancel before this one, from which requests are counted anew."""

    turns: int
    kind: str = ""
    nth: int = 0


class Kills:
    """Does `act`, which cancels the run, at `moments`, one after the other."""

    def __init__(self, moments: tuple[Moment, ...], loop: SimLoop, act: Callable[[], object]) -> None:
        self._left = list(moments)
        self._loop = loop
        self._act = act
        self._came: Counter[str] = Counter()
        loop.interrupt = self._fire
        self._reached("", 0)

    def heard(self, request: Request) -> None:
        """A request has come to the store."""
        for kind in (kind_of(request), ANY):
            self._came[kind] += 1
            self._reached(kind, self._came[kind])

    def over(self) -> None:
        """The run has ended."""
        self._left.clear()
        self._loop.interrupt_at = ()

    def _reached(self, kind: str, nth: int) -> None:
        if self._left and (self._left[0].kind, self._left[0].nth) == (kind, nth):
            self._loop.interrupt_at = (self._loop.steps + self._left[0].turns,)

    def _fire(self) -> None:
        del self._left[0]
        self._came.clear()
        self._act()
        self._reached("", 0)


def kind_of(request: Request) -> str:
    query = request.query
    match request.method:
        case "POST":
            return CREATE if "uploads" in query else COMPLETE
        case "PUT" if request.part_number:
            return PART
        case "DELETE" if "uploadId" in query:
            return ABORT
    return OTHER
