"""How many requests are under way at once: one turnstile for all that is sent.

Rules:

* A request takes a slot for each attempt, and gives it back when that has ended.  What waits between tries
  holds none.
* There are as many slots as the window allows, and one more for each hedge: it lends its slot to its copy, so
  the pair counts once.  While the store is away there are none, and after it few (`Outage.room`).
* What has a slot also has its turn at the rate that the store accepts (`rate_line.py`), at the pace that the
  user bounds (`pacer.py`) and, where it is big, among the big ones (`bulk.py`).  Who lacks one of these waits
  there, without a slot, and others go past.
* While the reports of what has ended wait for the user's callable, nothing is begun.
"""

from __future__ import annotations

from s3_upload.control.concurrency.big_bodies import BULK_BYTES
from s3_upload.control.concurrency.window import Window
from s3_upload.control.retrying.outage import Outage
from s3_upload.s3.operations import Operation
from s3_upload.transfer.bulk import BulkLine
from s3_upload.transfer.line import Line, Place, Stander
from s3_upload.transfer.pacer import Pacer
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.turn import Go, turn


class Slots:
    """See the module's rules. `outage`: how many may be under way by what is known of the store; `reports`:
    those that wait; `pacer`: that of a run that is held back.  Who changes one of these calls `let_in`.
    `in_use`: slots that are taken."""

    def __init__(
        self,
        window: Window,
        rate: RateLine,
        bulk: BulkLine,
        *,
        outage: Outage,
        reports: Delivery,
        pacer: Pacer | None = None,
    ) -> None:
        self._window = window
        self._rate = rate
        self._bulk = bulk
        self._outage = outage
        self._reports = reports
        self._pacer = pacer
        self._line = Line()
        self._hedges = 0
        self._closed = False
        self.in_use = 0

    @property
    def capacity(self) -> float:
        return min(self.window_limit + self._hedges, self._outage.room)

    @property
    def window_limit(self) -> int:
        """The window's, or that of the pace."""
        limit = self._window.limit
        return limit if self._pacer is None else int(min(limit, self._pacer.max_requests))

    @property
    def anybody_stands(self) -> bool:
        """Whether more could be sent at once, were there slots for it."""
        paced = self._pacer is not None and self._pacer.waits
        return self._line.length > 0 or self._bulk.waits or paced

    @property
    def overfull(self) -> bool:
        """Whether the store has gone since the last were let in, who may not have begun yet."""
        return self.in_use > self._outage.room

    def stand(self, operation: Operation, go: Go, place: Place) -> None:
        """`go` is called when there is a slot for `operation`, perhaps at once."""
        self._line.add(Stander(operation, go, place))
        self.let_in()

    async def take(self, operation: Operation, place: Place) -> None:
        """Waits for a slot for `operation`, which is to `leave` it."""
        await turn(lambda go: self.stand(operation, go, place), lambda: self.leave(operation))

    async def wait_again(self, operation: Operation) -> None:
        """Gives back the slot of what has not begun, and waits for another, before all that is new."""
        while self.overfull:
            self.not_used(operation)
            self.leave(operation)
            await self.take(operation, Place.FIRST)

    def leave(self, operation: Operation) -> None:
        """An attempt has ended, or is not made after all."""
        self.in_use -= 1
        if len(operation.body) > BULK_BYTES:
            self._bulk.leave()
        if self._line.length:
            self.let_in()

    def not_used(self, operation: Operation) -> None:
        """No attempt is made in a slot, which is still to be left: its turn at the rate is another's."""
        if self._rate.limited:
            self._rate.give_back(operation.key)
        if self._pacer is not None:
            self._pacer.gate.give_back(operation)

    def lend(self, count: int) -> None:
        """`count` hedges more, or fewer, have a slot of their own."""
        self._hedges += count

    def put_back(self, standers: list[Stander]) -> None:
        """They have the turn for which they left the line."""
        for stander in reversed(standers):
            self._line.put_back(stander)
        self.let_in()

    def let_in(self) -> None:
        """Lets in as many as there is room for."""
        line, window, pacer = self._line, self._window, self._pacer
        # The cheapest question first: this is asked twice for each small object.
        while line.length and self.in_use < window.limit + self._hedges:
            if self._closed or self.in_use >= self._outage.room or self._reports.full:
                return
            if pacer is not None and self.in_use >= pacer.max_requests + self._hedges:
                return
            stander = line.pop()
            if self._may_go(stander):
                # Counted first: who is let in may leave within the call.
                self.in_use += 1
                if not stander.go():
                    self.not_used(stander.operation)
                    self.leave(stander.operation)

    def begin_nothing(self) -> None:
        """From now on only what is begun goes on: what is tried again, and what ends an object in parts."""
        self._line.only_first()

    def close(self) -> None:
        """Nobody goes any more."""
        self._closed = True

    def _may_go(self, stander: Stander) -> bool:
        """Whether it has its turn; else it waits for that elsewhere, and is put back."""
        rate = self._rate
        limited = rate.limited
        if limited and not rate.admit(stander):
            return False
        pacer, big = self._pacer, len(stander.operation.body) > BULK_BYTES
        if pacer is None or pacer.admit(stander):
            if not big or self._bulk.admit(stander):
                return True
            if pacer is not None:
                pacer.gate.give_back(stander.operation)
        if limited:
            rate.give_back(stander.operation.key)
        return False
