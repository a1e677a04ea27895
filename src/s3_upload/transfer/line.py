"""Who stands in line for a slot, and in which order they go."""

from __future__ import annotations

import enum
from collections import deque

import msgspec

from s3_upload.s3.operations import Operation
from s3_upload.transfer.turn import Go


class Place(enum.Enum):
    """Where in the line one stands.

    What was tried before goes first.  So does what ends an object in parts, or asks about it: until it is
    completed all that was sent of it can be lost.  Then come parts, in the order of coming: one that had to
    wait for those that come later would keep its object from being completed up to the end of the run.  Then
    whole objects, and what only brings parts after a round trip (a Create).
    """

    FIRST = "first"
    PART = "part"
    NEW = "new"


class Stander(msgspec.Struct, eq=False):
    """Who stands in the line, for the next request that `operation` is."""

    operation: Operation
    go: Go
    place: Place = Place.NEW


class Line:
    """Those who have all but a slot, in the order in which they go."""

    def __init__(self) -> None:
        self._by_place: dict[Place, deque[Stander]] = {place: deque() for place in Place}
        self._first, self._parts, self._new = self._by_place.values()
        self._only_first = False
        self.length = 0

    def add(self, stander: Stander) -> None:
        if self._only_first and stander.place is not Place.FIRST:
            return
        self.length += 1
        self._by_place[stander.place].append(stander)

    def put_back(self, stander: Stander) -> None:
        """It stood in the line before, and goes before all others."""
        if self._only_first and stander.place is not Place.FIRST:
            return
        self.length += 1
        self._first.appendleft(stander)

    def only_first(self) -> None:
        """From now on nobody else stands here: they wait for ever."""
        self._only_first = True
        self._parts.clear()
        self._new.clear()
        # Some have only been put back.
        stay = [stander for stander in self._first if stander.place is Place.FIRST]
        self._first.clear()
        self._first.extend(stay)
        self.length = len(self._first)

    def pop(self) -> Stander:
        """The next. Raises `IndexError` where nobody stands."""
        stander = (self._first or self._parts or self._new).popleft()
        self.length -= 1
        return stander
