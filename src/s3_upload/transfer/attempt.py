"""One attempt of one request: its timers and its report."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.errors import AttemptError
from s3_upload.http import Response
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.report import SUCCESS, SUPERSEDED, AttemptReport
from s3_upload.s3.checksum import verify
from s3_upload.s3.operations import LIST_PARTS, Operation
from s3_upload.s3.responses import Failure, classify
from s3_upload.transfer.client import Client
from s3_upload.transfer.tries import Attempt, Request
from s3_upload.transfer.watchdog import Watchdog


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended: with either a `response` (it succeeded) or a `failure`."""

    report: AttemptReport
    response: Response | None
    failure: Failure | None
    trace: Trace


class Attempts:
    """Makes attempts with one client. `timeouts_of`: what the next or present attempt of a request is
    allowed, by what is known now.  `lease`: see `SendOptions`."""

    def __init__(
        self,
        client: Client,
        timeouts_of: Callable[[Request], Timeouts],
        watchdog: Watchdog,
        now: Callable[[], float],
        lease: object = None,
    ) -> None:
        self._client = client
        self._timeouts_of = timeouts_of
        self._watchdog = watchdog
        self._now = now
        self._usual = SendOptions(0.0, lease=lease)  # one for many: nearly all ask for the same

    async def make(self, request: Request, *, hedge: bool) -> Outcome:
        """Tries `request` once; `hedge`: as a second copy beside a first.

        While it lasts, the attempt is in `request.in_flight`.
        """
        operation = request.operation
        timeouts = self._timeouts_of(request)
        options, fresh = self._usual, hedge or request.fresh
        if options.connect_timeout_s != timeouts.connect_s:
            options = self._usual = SendOptions(timeouts.connect_s, lease=options.lease)
        # A hedge, and a retry after what casts doubt on the connection, take a new one, to another address
        # if there is one.
        if fresh or request.avoid:
            options = msgspec.structs.replace(options, fresh=fresh, avoid=request.avoid)
        trace = Trace(options, self._now)
        attempt = Attempt(request, trace, timeouts, hedge=hedge)
        request.in_flight.append(attempt)
        self._watchdog.watch(attempt)
        failure: Failure | None
        response: Response | None = None
        try:
            response = await self._client.send(operation, trace)
        except AttemptError as error:
            failure = Failure(kind=error.kind, message=error.message)
            # A timer of ours may have ended it before: then that is the one to report.
            attempt.ran_out(error.timer)
            # A client's future has the error, the error its frames, and one of these the future and the body:
            # they would hold each other until the collector comes.
            error.__traceback__ = None
        else:
            failure = classify(operation.name, response) or verify(operation, response)
            if failure is not None and request.may_be_missing and _says_missing(operation, failure):
                failure = None
        finally:
            self._watchdog.unwatch(attempt)
            request.in_flight.remove(attempt)
        report = report_of(attempt, response, failure, ended_s=self._now())
        return Outcome(report, response if failure is None else None, failure, trace)


def _says_missing(operation: Operation, failure: Failure) -> bool:
    """Whether what `operation` asks for is not there."""
    # An upload that is gone the store names. A proxy's 404 while the store is away would leave its parts.
    stray = operation.name == LIST_PARTS and failure.kind.is_foreign
    return failure.status == 404 and not stray


def report_of(
    attempt: Attempt, response: Response | None, failure: Failure | None, *, ended_s: float
) -> AttemptReport:
    """The report of an attempt that has ended; without response and failure it was superseded."""
    trace = attempt.trace
    operation = attempt.request.operation
    outcome: str
    if failure is not None:
        outcome, code, message = failure.kind, failure.code, failure.message
    else:
        outcome, code, message = (SUCCESS if response is not None else SUPERSEDED), "", ""
    return AttemptReport(
        operation=operation.name,
        started_s=trace.started_s,
        ended_s=ended_s,
        timeout_s=attempt.timeouts.total_s,
        body_bytes=len(operation.body),
        outcome=outcome,
        sent_bytes=len(operation.body) if outcome == SUCCESS else trace.sent_bytes,
        connect_s=trace.connect_s,
        request_s=trace.request_s,
        sent_s=trace.sent_s,
        acked_s=attempt.acked_s,
        first_byte_s=trace.first_byte_s,
        part_number=operation.part_number,
        retries=attempt.request.retries,
        status=response.status if response is not None else 0,
        code=code,
        message=message,
        request_id=response.request_id if response is not None else "",
        address=trace.address,
        new_connection=trace.new_connection,
        timer=attempt.timer,
        hedge=attempt.hedge,
        hedged=attempt.hedged,
    )
