"""One try of one unit: one request, its timers, one report, and in words what went wrong."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3_upload.control.waiting.timeouts import Timeout, Timeouts
from s3_upload.errors import AttemptError, FailureKind, RunError, UploadError
from s3_upload.http import Response
from s3_upload.http1.exchange import Exchange
from s3_upload.report import SUCCESS, SUPERSEDED, AttemptReport
from s3_upload.s3.checksum import verify
from s3_upload.s3.hints import likely_cause
from s3_upload.s3.responses import Failure, classify
from s3_upload.transfer.client import Client
from s3_upload.transfer.unit import Unit
from s3_upload.transfer.watchdog import InFlight, Watchdog


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended: exactly one of `response` (it succeeded) and `failure` is there."""

    report: AttemptReport
    response: Response | None
    failure: Failure | None
    exchange: Exchange


class Attempts:
    """Makes attempts with one client under one timeout algorithm."""

    def __init__(
        self, client: Client, timeout: Timeout, watchdog: Watchdog, now: Callable[[], float]
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._watchdog = watchdog
        self._now = now

    async def make(self, unit: Unit, *, hedge: bool) -> Outcome:
        """Tries `unit` once; `hedge`: as a second copy beside a first.

        A hedge, and a retry after what casts doubt on the connection, take a new one, to another address
        if there is one.  While it lasts, the attempt is in `unit.in_flight`.
        """
        operation = unit.operation
        timeouts = timeouts_of(self._timeout, unit)
        exchange = Exchange(self._now, timeouts.connect_s, fresh=hedge or unit.fresh, avoid=unit.avoid)
        attempt = InFlight(unit, exchange, timeouts, hedge=hedge)
        unit.in_flight.append(attempt)
        self._watchdog.watch(attempt)
        failure: Failure | None
        response: Response | None = None
        try:
            response = await self._client.send(operation, exchange)
        except AttemptError as error:
            failure = Failure(kind=error.kind, message=error.message)
            attempt.timer = attempt.timer or error.timer
        else:
            failure = classify(operation.name, response) or verify(operation, response)
            if failure is not None and response.status == 404 and unit.upload.may_be_missing:
                failure = None
        finally:
            self._watchdog.unwatch(attempt)
            unit.in_flight.remove(attempt)
        report = report_of(attempt, response, failure, ended_s=self._now())
        return Outcome(report, response if failure is None else None, failure, exchange)


def timeouts_of(timeout: Timeout, unit: Unit) -> Timeouts:
    """What the next or present attempt of `unit` is allowed, by what is known now."""
    operation = unit.operation
    return timeout.timeouts(operation=operation.name, body_bytes=len(operation.body), retries=unit.retries)


def report_of(
    attempt: InFlight, response: Response | None, failure: Failure | None, *, ended_s: float
) -> AttemptReport:
    """The report of an attempt that has ended; without response and failure it was superseded."""
    exchange = attempt.exchange
    operation = attempt.unit.operation
    if failure is not None:
        outcome, code, message = failure.kind.value, failure.code, failure.message
    else:
        outcome, code, message = (SUCCESS if response is not None else SUPERSEDED), "", ""
    return AttemptReport(
        operation=operation.name,
        started_s=exchange.started_s,
        ended_s=ended_s,
        timeout_s=attempt.timeouts.total_s,
        body_bytes=len(operation.body),
        outcome=outcome,
        sent_bytes=len(operation.body) if outcome == SUCCESS else exchange.sent_bytes,
        connect_s=exchange.connect_s,
        request_s=exchange.request_s,
        sent_s=exchange.sent_s,
        acked_s=attempt.acked_s,
        first_byte_s=exchange.first_byte_s,
        part_number=operation.part_number,
        retries=attempt.unit.retries,
        status=response.status if response is not None else 0,
        code=code,
        message=message,
        request_id=response.request_id if response is not None else "",
        address=exchange.address,
        new_connection=exchange.new_connection,
        timer=attempt.timer,
        hedge=attempt.hedge,
        hedged=attempt.hedged,
    )


_MEANING = {
    FailureKind.DIGEST: "corrupted on its way: {}",
    FailureKind.MOVED: "{}, with a redirect elsewhere",
    FailureKind.NOT_S3: "{}, which are no words of S3",
    FailureKind.UNPROVEN: "{}, which is no proof of success",
    FailureKind.OUR_BUG: "{}; this is a bug of s3-upload, please report it",
}


def upload_error(unit: Unit, failure: Failure) -> UploadError:
    """What becomes of an object whose request is given up."""
    return UploadError(
        _MEANING.get(failure.kind, "{}").format(_what_happened(failure)),
        key=unit.operation.key,
        kind=failure.kind,
        attempts=unit.retries + 1,
        status=failure.status,
        code=failure.code,
        request_id=failure.request_id,
    )


def run_error(
    client: Client, unit: Unit, failure: Failure, exchange: Exchange, in_a_row: int = 0
) -> RunError:
    """What becomes of a run that a failure of one request stops, or of `in_a_row` objects."""
    return RunError(_explain(client, unit, failure, exchange, in_a_row), failure.kind)


def _explain(client: Client, unit: Unit, failure: Failure, exchange: Exchange, in_a_row: int) -> str:
    where = f"{client.endpoint}: bucket {unit.operation.bucket!r}: "
    many = f"; {in_a_row} objects in a row were refused" if in_a_row > 1 else ""
    if failure.code == "NoSuchBucket":
        how = "--create-bucket; in Python: create_bucket"
        return f"{where}no such bucket; create it ({how}) or correct its name{many}"
    if failure.kind is FailureKind.CONNECT:
        tries = f"{unit.retries + 1} attempts" if unit.retries else "one attempt"
        return f"{client.endpoint} cannot be reached, after {tries}: {failure.message}"
    if not failure.status:  # nothing came back from the store: the message says where it failed
        return f"{failure.message}{many}"
    remarks = (client.remark(failure, exchange) or likely_cause(failure),)
    return f"{where}{'; '.join([_what_happened(failure), *filter(None, remarks)])}{many}"


def _what_happened(failure: Failure) -> str:
    """One line: what the store said, or what was seen."""
    if not failure.status or failure.kind is FailureKind.UNPROVEN:
        return failure.message
    code = f" {failure.code}" if failure.code else ""
    message = f": {failure.message}" if failure.message else ""
    who = "a proxy" if failure.kind is FailureKind.PROXY else "the store"
    return f"{who} answered {failure.status}{code}{message}"
