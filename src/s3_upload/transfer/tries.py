"""A request and its attempts: what is known of them while they are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from s3_upload.control.waiting.adaptive import SMALL_BYTES
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.control.waiting.verdict import Standing
from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.http1.trace import Trace, Transfer
from s3_upload.s3.operations import ASKING, Operation
from s3_upload.s3.responses import Failure
from s3_upload.sources.files import HashedBody
from s3_upload.transfer.record import Record

LOOK_S = 0.5
"""How often an attempt is looked at in any case: its time limits may have changed since."""
MAX_COPIES = 3
"""Attempts of one request that are under way at the same time."""

Read = Callable[["Request"], Awaitable[HashedBody]]
"""Reads and hashes the body of a request once more. Raises `SourceError`."""


# The collector has to know of both (`gc=False` leaks): they and their tasks refer to each other, and a loop
# that is closed in mid-run takes none of that apart.
class Request(msgspec.Struct, eq=False):
    """One request until it has succeeded or is given up.

    `read`: reads its body once more, None where nothing can.  `may_be_missing`: 404 answers what it asks, and
    is no failure.  `patient`: see `control/retrying/retry.py` (6).  `expendable`: its object goes on without
    an answer.  `retries`: tries after the first that count; `counted`: the last one does.  `cost`: what the
    last one takes of the retry budget.
    `avoid`: the address of the last failed attempt; the next one goes elsewhere if it can.  `fresh`: the next
    one takes a new connection, though one may be idle.  `corrected`: the kinds of failure after which it was
    tried again, or something was put right, one for each time.  `in_flight`: its attempts under way.
    `copies`: hedges that wait for their slot or are under way.  `ambiguous`: the store may have done what it
    asks though no attempt has succeeded.  `answer`: what it succeeded with.  `settled`: it has succeeded or
    is given up, and what is still under way does not count.  `has_slot`: that of its success, still.
    `refusal`: how an attempt ended that the store has refused for good, until it is judged.
    """

    record: Record
    operation: Operation
    read: Read | None = None
    may_be_missing: bool = False
    patient: bool = False
    expendable: bool = False
    retries: int = 0
    counted: bool = False
    cost: float = 0.0
    avoid: str = ""
    fresh: bool = False
    corrected: tuple[FailureKind, ...] = ()
    in_flight: list[Attempt] = []
    copies: list[asyncio.Task[Any]] = []
    ambiguous: bool = False
    answer: Response | None = None
    settled: bool = False
    has_slot: bool = False
    refusal: Any = None

    @property
    def asking(self) -> bool:
        """Whether it only asks, or aborts: then it counts as no try of the object."""
        return self.operation.name in ASKING

    def again(self, *, cost: float, counts: bool, avoid: str, fresh: bool, kind: FailureKind) -> None:
        """It is tried once more, after a failure of `kind`. `counts`: this uses up a try."""
        self.retries += counts
        self.counted = counts
        self.cost = cost
        self.avoid, self.fresh = avoid, fresh
        self.corrected += (kind,)
        if not self.asking:
            self.record.retried()

    def put_right(self, kind: FailureKind) -> None:
        """Something was put right for it, after a failure of `kind`."""
        self.corrected += (kind,)

    def goes_elsewhere(self, *, fresh: bool = False, avoid: str = "") -> None:
        """Its next try takes a new connection (`fresh`), or another address than `avoid`."""
        self.fresh = self.fresh or fresh
        self.avoid = avoid or self.avoid

    def refused(self, outcome: Any) -> None:
        """An attempt ended by `outcome`: the store does not do it. Another may still wait for its answer."""
        self.refusal = outcome

    def decisive(self, last: Any) -> Any:
        """What is judged of how its attempts ended: a refusal, rather than a silence that came `last`."""
        refusal, self.refusal = self.refusal, None
        return refusal or last

    def asks_less(self, failure: Failure | None) -> bool:
        """Whether the store has refused to be asked for checksums, as far as a 400 tells: the next try does
        not."""
        again = self.operation.asks_checksums and failure is not None and failure.status == 400
        if again:
            self.operation = msgspec.structs.replace(self.operation, asks_checksums=False)
        return again

    def may_be_done(self) -> None:
        """The store may have carried it out."""
        self.ambiguous = True

    def costs_nothing(self) -> None:
        """Its next try is free of charge."""
        self.cost = 0.0

    def copy_begun(self, copy: asyncio.Task[Any]) -> None:
        self.copies.append(copy)

    def copy_ended(self, copy: asyncio.Task[Any] | None) -> None:
        self.copies = [other for other in self.copies if other is not copy]

    def keep_slot(self) -> None:
        self.has_slot = True

    def end(self, answer: Response | None = None) -> None:
        """It has succeeded with `answer`, or is given up."""
        self.answer = answer or self.answer
        self.settled = True

    def give_back_try(self) -> None:
        """The last try failed because the store was away, and does not count."""
        self.retries -= self.counted
        self.counted = False
        if not self.asking:
            self.record.retried(-1)

    def let_go(self) -> None:
        """It is given up, and what it has sent is not needed any more: nothing counts it."""
        self.operation = msgspec.structs.replace(self.operation, body=b"")

    def carry(self, hashed: HashedBody) -> None:
        """From now on it sends `hashed`."""
        self.operation = msgspec.structs.replace(
            self.operation, body=hashed.body, sha256=hashed.sha256, checksum=hashed.checksum
        )


class Attempt(msgspec.Struct, eq=False):
    """One attempt under way. `hedge`: it is a second copy; `hedged`: it has one beside it; `late`: its
    answer is so late that a second copy may help.  `acked_s`: since when all of it has been taken in."""

    request: Request
    trace: Trace
    timeouts: Timeouts
    hedge: bool
    hedged: bool = False
    timer: str = ""
    progress: int = 0
    progress_s: float = 0.0
    acked_s: float = 0.0
    late: bool = False
    due_s: float = 0.0

    def __post_init__(self) -> None:
        limits = self.timeouts
        response_s = min(limits.look_s, limits.hedge_s, limits.response_s)
        self.due_s = self.trace.started_s + min(response_s, limits.stall_s, limits.total_s, LOOK_S)

    def look_again(self, due_s: float) -> None:
        """It is to be judged again then."""
        self.due_s = due_s

    def allow(self, timeouts: Timeouts) -> None:
        """`timeouts` are its limits by what is known now."""
        self.timeouts = timeouts

    def is_late(self, late: bool) -> None:
        self.late = late

    def has_copy(self) -> None:
        """A second one is beside it."""
        self.hedged = True

    def cut(self, timer: str, reason: str) -> None:
        """Ends it, as by `timer`, in the loop's next turn."""
        # Until then it is still watched, and there is nothing more to judge.
        self.timer, self.due_s = timer, float("inf")
        self.trace.cancel(reason)

    def ran_out(self, timer: str) -> None:
        """A timer of the client's ended it, "" for none; one of ours comes first."""
        self.timer = self.timer or timer

    def standing(self, now: float) -> Standing:
        """Looks at the socket."""
        trace = self.trace
        rto_s = acked_s = 0.0
        if (transfer := trace.transfer()) is not None:
            rto_s = transfer.rto_s
            self._note(transfer, now)
            # Nothing has moved for an RTO, so a copy of a small body does not queue behind the first.
            if self._small and min(transfer.last_ack_age_s, now - trace.request_s) >= rto_s:
                acked_s = trace.sent_s
        # Nothing can be seen of the socket: what has left counts as taken in.
        elif trace.sent_s:
            self.acked_s = trace.sent_s
        return Standing(
            request_s=trace.request_s,
            progress_s=max(self.progress_s, trace.request_s),
            acked_s=self.acked_s or acked_s,
            first_byte_s=trace.first_byte_s,
            rto_s=rto_s,
            hedged=self.hedged or len(self.request.in_flight) >= MAX_COPIES,
        )

    def _note(self, transfer: Transfer, now: float) -> None:
        trace = self.trace
        # An acknowledgement from before the request is that of another on this connection.
        last_ack_s = max(now - transfer.last_ack_age_s, trace.request_s)
        if transfer.progress > self.progress:
            self.progress, self.progress_s = transfer.progress, last_ack_s
        # It is the disk that takes its time, and nobody else: this is no stall.
        if transfer.starved:
            self.progress_s = now
        # For a small body the wait counts from when it left: its acknowledgement may have been delayed.
        if transfer.drained and self.acked_s == 0.0:
            self.acked_s = trace.sent_s if self._small else max(last_ack_s, trace.sent_s)

    @property
    def _small(self) -> bool:
        return len(self.request.operation.body) <= SMALL_BYTES
