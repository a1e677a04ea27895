"""What every attempt teaches: how long to wait, how many at once, how fast, whether the store is there."""

from __future__ import annotations

import msgspec

from s3_upload.control.concurrency.window import Window
from s3_upload.control.waiting.timeouts import Timeout
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.s3.operations import Operation
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.outages import Outages
from s3_upload.transfer.pacer import Pacer
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.slots import Slots


class Lessons(msgspec.Struct, frozen=True):
    """Passes reports of attempts on to all who learn from them."""

    timeout: Timeout
    window: Window
    rate: RateLine
    slots: Slots
    outages: Outages
    unfinished: Unfinished
    pacer: Pacer | None

    def of(self, operation: Operation, report: AttemptReport) -> bool:
        """Learns from an attempt that has ended and still has its slot.  Returns whether the store may be
        away, so that nothing can be said of the request itself."""
        self.outages.saw(operation, report)
        held = self.outages.holds(report)
        # A store that serves requests may take the aborts that failed before.
        if report.outcome == SUCCESS:
            self.unfinished.answered()
        # An outage says nothing of how long to wait, or of how many to send at once.
        if not (held and self.outages.away):
            self.of_answer(operation, report)
        return held

    def of_answer(self, operation: Operation, report: AttemptReport) -> None:
        """The same, where it does not matter whether the store is there."""
        self.timeout.observe(report)
        self.rate.observe(operation.key, report)
        self.window.observe(report, now=report.ended_s, in_flight=self.slots.in_use)
        if self.pacer is not None:
            self.pacer.courtesy.observe(report)
