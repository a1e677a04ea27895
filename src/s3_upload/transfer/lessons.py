"""What every attempt teaches: how long to wait, how many at once, how fast, whether the store is there."""

from __future__ import annotations

from s3_upload.control.concurrency.window import Window
from s3_upload.control.waiting.timeouts import Timeout
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.s3.operations import Operation
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.outages import Outages
from s3_upload.transfer.pacer import Pacer
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.slots import Slots


class Lessons:
    """Passes reports of attempts on to all who learn from them."""

    def __init__(
        self,
        timeout: Timeout,
        window: Window,
        *,
        rate: RateLine,
        slots: Slots,
        outages: Outages,
        unfinished: Unfinished,
        pacer: Pacer | None,
    ) -> None:
        self._unfinished = unfinished
        self._timeout = timeout
        self._window = window
        self._rate = rate
        self._slots = slots
        self._outages = outages
        self._pacer = pacer

    def of(self, operation: Operation, report: AttemptReport) -> bool:
        """Learns from an attempt that has ended and still has its slot.  Returns whether the store may be
        away, so that nothing can be said of the request itself."""
        self._outages.saw(operation, report)
        held = self._outages.holds(report)
        # A store that serves requests may take the aborts that failed before.
        if report.outcome == SUCCESS:
            self._unfinished.answered()
        # An outage says nothing of how long to wait, or of how many to send at once.
        if not (held and self._outages.away):
            self.of_answer(operation, report)
        return held

    def of_answer(self, operation: Operation, report: AttemptReport) -> None:
        """The same, where it does not matter whether the store is there."""
        self._timeout.observe(report)
        self._rate.observe(operation.key, report)
        self._window.observe(report, now=report.ended_s, in_flight=self._slots.in_use)
        if self._pacer is not None:
            self._pacer.observe(report)
