"""Acts on what `control/share/courtesy.py` decides: looks at the connections, sets their pace, tick by tick.

Rules:

* A run that cannot be held back has no pacer, and pays nothing for it.  One that could be, but is not
  (share "full", no `max_bandwidth`), is looked at and not paced: its big bodies are bounded as those of any
  other run (`bulk.py`).
* When a body begins, the rate is divided again at once: until the next tick one too many would send.
* What the kernel does not pace waits at the `Gate` instead (see there).
* A share that looks for queues makes none: small bodies, too, have the rate divided again, and who waits at
  the gate goes when its turn comes, and not only at ticks.
* It looks at the connections of its own run and paces only those (`Lease`).  After the run they are as
  fast as they like again.
* What goes wrong in a tick ends the run: without a pace it would stand still, or take the whole link.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from s3_upload.control.share.courtesy import Courtesy
from s3_upload.pace import Pace
from s3_upload.report import ConnectionSample, PaceReport, Paces
from s3_upload.transfer.client import Client, Lease, PacedClient
from s3_upload.transfer.gate import SMALL_BYTES, Gate
from s3_upload.transfer.guard import Fail, Timers
from s3_upload.transfer.line import Stander

TICK_S = 0.05
BEGUN_S = 0.002
"""By then a body that begins is in the kernel, and so are others that begin with it; also the least time
from one look at who waits at the gate to the next."""
FEW = 8
"""Among more connections each matters less and looking at all costs more, so the division comes later."""
MAX_REPORTS = 600
"""When there are so many every other one is dropped, and from then on half as many are kept."""
REPORT_S = 0.25


class Unpaced:
    """For a client that cannot be paced: nothing is known of its connections, and all wait at the gate."""

    sees = False

    def samples(self) -> list[ConnectionSample]:
        return []

    def pace(self, paces: Paces) -> bool:
        return False

    def end(self) -> None:
        pass


def lease_of(client: Client, pacing: str) -> Lease:
    """For a run with `client`: one that paces, if the client can and `pacing` ("auto", "application") does
    not say otherwise."""
    if pacing == "auto" and isinstance(client, PacedClient) and client.sees:
        return client.lease()
    return Unpaced()


class Kept:
    """The reports of a run: all of it, coarser the longer it is. `connections`: of the newest."""

    def __init__(self) -> None:
        self.reports: list[PaceReport] = []
        self.connections = 0
        self._every_s = REPORT_S

    def add(self, report: PaceReport) -> None:
        self.connections = report.connections
        if self.reports and report.at_s < self.reports[-1].at_s + self._every_s:
            return
        self.reports.append(report)
        # A long run is told as a whole, only coarser: memory stays bounded.
        if len(self.reports) >= MAX_REPORTS:
            del self.reports[1::2]
            self._every_s *= 2.0


class Pacer:
    """See the module's rules. `start` it with the run, `stop` it with its end.

    `lease`: the connections.  `courtesy` decides; `gate`: see there.  `room`: more may be under way.  `fail`
    ends the run.  `max_requests`: how many may be; math.inf leaves it to the window.
    """

    def __init__(
        self,
        lease: Lease,
        courtesy: Courtesy,
        gate: Gate,
        pace: Pace,
        now: Callable[[], float],
        *,
        room: Callable[[], None],
        fail: Fail,
    ) -> None:
        self.lease = lease
        self.courtesy = courtesy
        self.gate = gate
        self._pace = pace
        self._room = room
        self._timers = Timers(asyncio.get_running_loop(), now, fail)
        self._is_fine = courtesy.share != "full"
        self.max_requests = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._turn: asyncio.TimerHandle | None = None  # of who waits at the gate
        self.kept = Kept()

    def start(self) -> None:
        self._timers.guard(self._act)()

    def stop(self) -> None:
        """Nothing is held back any more."""
        for timer in (self._timer, self._soon, self._turn):
            if timer is not None:
                timer.cancel()
        self._timer = self._soon = self._turn = None
        # The connections outlive the run, and belong to whoever takes them next.
        self.lease.end()
        self.gate.close()

    @property
    def bounds(self) -> bool:
        """Whether it bounds the requests now, or measures what of the link they may have."""
        return self._pace.bandwidth is not None or self.max_requests < math.inf

    @property
    def waits(self) -> bool:
        """Whether a request waits for its turn."""
        return self.gate.waits

    def admit(self, stander: Stander) -> bool:
        """Whether `stander` may begin now; else it waits here."""
        if not self.gate.admit(stander):
            self._await_turn()
            return False
        # Bodies that begin together are divided for once.
        counts = len(stander.operation.body) > (0 if self._is_fine else SMALL_BYTES)
        if counts and self._timer is not None and self._soon is None:
            delay_s = BEGUN_S * max(1.0, self.kept.connections / FEW)
            self._soon = self._timers.later(delay_s, self._divide)
        return True

    def _await_turn(self) -> None:
        """The next one at the gate is let go when its turn comes, if that is before the next tick."""
        if self._is_fine and self._turn is None and self._timer is not None and self.gate.due_s < TICK_S:
            self._turn = self._timers.later(max(BEGUN_S, self.gate.due_s), self._let_go)

    def _let_go(self) -> None:
        self._turn = None
        self.gate.let_go(now=self._timers.now())
        self._await_turn()

    def _divide(self) -> None:
        self._soon = None
        self.lease.pace(self.courtesy.divide(self.lease.samples()))

    def _act(self) -> None:
        self._timer = self._timers.later(TICK_S, self._act)
        now = self._timers.now()
        decision = self.courtesy.decide(self.lease.samples(), self._pace.bandwidth, now=now)
        # If one connection does not keep to its pace, big bodies have to wait at the gate as well.
        by_kernel = self.lease.pace(decision.paces)
        self.gate.refill(decision.bytes_per_s, now=now, small_only=by_kernel)
        self._await_turn()
        self._pace.tell(decision.report)
        before, self.max_requests = self.max_requests, decision.requests
        # Now: a request may not end for a long time.
        if self.max_requests > before:
            self._room()
        self.kept.add(decision.report)
