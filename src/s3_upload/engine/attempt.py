"""One try of one unit: one request, one deadline, one report."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3_upload.control.timeout import Timeout
from s3_upload.engine.client import Client
from s3_upload.engine.unit import Unit
from s3_upload.engine.watchdog import Watchdog
from s3_upload.errors import AttemptError
from s3_upload.http import Response
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.s3.responses import Failure, classify
from s3_upload.wire.exchange import Exchange


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended: exactly one of `response` (it succeeded) and `failure` is there."""

    report: AttemptReport
    response: Response | None
    failure: Failure | None


class Attempts:
    """Makes attempts with one client under one timeout algorithm."""

    def __init__(
        self, client: Client, timeout: Timeout, watchdog: Watchdog, now: Callable[[], float]
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._watchdog = watchdog
        self._now = now

    async def make(self, unit: Unit) -> Outcome:
        """Tries `unit` once. A retry takes a new connection, to another address if there is one."""
        operation = unit.operation
        body_bytes = len(operation.body)
        timeouts = self._timeout.timeouts(body_bytes=body_bytes, retries=unit.retries)
        exchange = Exchange(self._now, timeouts.connect_s, fresh=unit.retries > 0, avoid=unit.avoid)
        self._watchdog.watch(exchange, timeouts.total_s)
        failure: Failure | None
        response: Response | None = None
        try:
            response = await self._client.send(operation, exchange)
        except AttemptError as error:
            failure = Failure(kind=error.kind, message=error.message)
        else:
            failure = classify(operation.name, response)
        finally:
            self._watchdog.unwatch(exchange)
        if failure is None:
            outcome, status, code, message = SUCCESS, 200, "", ""
        else:
            outcome, status, code, message = failure.kind.value, failure.status, failure.code, failure.message
        report = AttemptReport(
            operation=operation.name,
            started_s=exchange.started_s,
            ended_s=self._now(),
            timeout_s=timeouts.total_s,
            body_bytes=body_bytes,
            outcome=outcome,
            request_s=exchange.request_s,
            sent_s=exchange.sent_s,
            first_byte_s=exchange.first_byte_s,
            part_number=operation.part_number,
            retries=unit.retries,
            status=response.status if response is not None else status,
            code=code,
            message=message,
            request_id=response.request_id if response is not None else "",
            address=exchange.address,
            new_connection=exchange.new_connection,
        )
        return Outcome(report, response if failure is None else None, failure)
