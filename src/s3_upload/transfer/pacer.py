"""Acts on what `control/share/courtesy.py` decides: looks at the connections, sets their pace, tick by tick.

Rules:

* A run that is not held back has no pacer, and pays nothing for it.
* When a body begins, the rate is divided again at once: until the next tick one too many would send.
* What the kernel does not pace waits at the `Gate` instead (see there).
* It looks at the connections of its own run and paces only those (`Lease`).  After the run they are as
  fast as they like again.
* What goes wrong in a tick ends the run: without a pace it would stand still, or take the whole link.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3_upload.control.share.courtesy import Courtesy
from s3_upload.pace import Pace
from s3_upload.report import ConnectionSample, PaceReport, Paces
from s3_upload.transfer.client import Client, Lease, PacedClient
from s3_upload.transfer.gate import Gate
from s3_upload.transfer.guard import Fail, guarded

TICK_S = 0.05
BEGUN_S = 0.002
"""By then a body that begins is in the kernel, and so are others that begin with it."""
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


class Pacer:
    """See the module's rules. `start` it with the run, `stop` it with its end.

    `on_error` is told what went wrong in a tick; it is the run's, which begins after the pacer.
    """

    def __init__(
        self,
        lease: Lease,
        courtesy: Courtesy,
        gate: Gate,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self._lease = lease
        self._courtesy = courtesy
        self._gate = gate
        self._pace = pace
        self._clock = clock
        self._epoch_s = clock()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._connections = 0
        self._reports: list[PaceReport] = []
        self._report_every_s = REPORT_S
        self.on_error: Fail | None = None
        self._tick = guarded(self._failed, self._act)

    def start(self) -> None:
        self._act()

    def stop(self) -> tuple[PaceReport, ...]:
        """Returns what there is to report."""
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()
        self._timer = self._soon = None
        # The connections outlive the run, and belong to whoever takes them next.
        self._lease.end()
        self._gate.open()
        return tuple(self._reports)

    def begins(self) -> None:
        """A body that the kernel paces is about to begin."""
        # Bodies that begin together are divided for once.
        if self._timer is not None and self._soon is None:
            delay_s = BEGUN_S * max(1.0, self._connections / FEW)
            self._soon = self._loop.call_later(delay_s, guarded(self._failed, self._divide))

    def _divide(self) -> None:
        self._soon = None
        self._lease.pace(self._courtesy.divide(self._lease.samples()))

    def _failed(self, error: BaseException) -> None:
        if self.on_error is None:
            raise error
        self.on_error(error)

    def _act(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        now = self._clock() - self._epoch_s
        decision = self._courtesy.decide(self._lease.samples(), self._pace.bandwidth, now=now)
        # If one connection does not keep to its pace, big bodies have to wait at the gate as well.
        by_kernel = self._lease.pace(decision.paces)
        self._gate.refill(decision.bytes_per_s, now=now, small_only=by_kernel)
        self._pace.latest = decision.report
        self._connections = decision.report.connections
        self._keep(decision.report)

    def _keep(self, report: PaceReport) -> None:
        if self._reports and report.at_s < self._reports[-1].at_s + self._report_every_s:
            return
        self._reports.append(report)
        # A long run is told as a whole, only coarser: memory stays bounded.
        if len(self._reports) >= MAX_REPORTS:
            del self._reports[1::2]
            self._report_every_s *= 2.0
