"""Parts under way, and the line of files whose parts are to be read: what was begun first goes first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from s3_upload.sources.files import HashedBody
from s3_upload.sources.version import Identity
from s3_upload.transfer.record import Record
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp


class PartPlan(msgspec.Struct, frozen=True):
    """A part to be read: `number` from 1, `offset` and `size` in bytes (a stream may give fewer)."""

    number: int
    offset: int
    size: int


class PartsUnderWay:
    """Parts of one object. Once one is given up no more are begun; the others go on to their ends."""

    def __init__(self) -> None:
        self.given_up: GivenUp | None = None
        self._no_more = False
        self._under_way = 0
        self._changed = asyncio.Event()

    @property
    def all_begun(self) -> bool:
        """Whether none is to be begun any more."""
        return self._no_more or self.given_up is not None

    def begin(self) -> None:
        self._under_way += 1

    def no_more(self) -> None:
        """The last one is begun."""
        self._no_more = True

    def end(self) -> None:
        """One that was begun is through."""
        self._under_way -= 1
        self._changed.set()

    def fail(self, given_up: GivenUp) -> None:
        """One is given up; the first says why."""
        if self.given_up is None:
            self.given_up = given_up.with_traceback(None)  # or it keeps the part for as long as others go on

    async def through(self) -> None:
        """Waits until all are begun and through. Raises `GivenUp` where one was."""
        while self._under_way or not self.all_begun:
            self._changed.clear()
            await self._changed.wait()
        if self.given_up is not None:
            raise self.given_up


class PartsToRead(PartsUnderWay):
    """Parts `plans` of the version of a file that `identity` names, of about `part_size`.

    `begin_request`: what sends a part that has been read, None where nothing is to be sent; `send` sends it.
    """

    def __init__(
        self,
        record: Record,
        identity: Identity,
        part_size: int,
        plans: Iterable[PartPlan],
        *,
        begin_request: Callable[[PartPlan, HashedBody], Request | None],
        send: Callable[[Request, PartsUnderWay], Awaitable[None]],
    ) -> None:
        super().__init__()
        self.record = record
        self.identity = identity
        self.part_size = part_size
        self.begin_request = begin_request
        self.send = send
        self._plans = iter(plans)
        self._next = next(self._plans, None)

    @property
    def all_begun(self) -> bool:
        return self._next is None or self.given_up is not None

    def take(self) -> PartPlan:
        """The next, which is begun."""
        plan = self._next
        assert plan is not None
        self._next = next(self._plans, None)
        self.begin()
        return plan


class PartsLine:
    """See the module's text. `changed` is called when there is something to read."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._line: deque[PartsToRead] = deque()

    def __bool__(self) -> bool:
        """Whether something is to be read."""
        # Also of one that was given up while it stood here.
        while self._line and self._line[0].all_begun:
            self._line.popleft()
        return bool(self._line)

    @property
    def first(self) -> PartsToRead:
        """Whose next part is read next; not of an empty line."""
        return self._line[0]

    def add(self, parts: PartsToRead, *, first: bool) -> None:
        """`first`: they are of an object that lacks little."""
        if first:
            self._line.appendleft(parts)
        else:
            self._line.append(parts)
        self._changed()
