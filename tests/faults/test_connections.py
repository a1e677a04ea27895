"""Whole runs, seen from their connections: how many there are, which are used again, and which never."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.upload import s3_upload_files
from tests.faults.actions import Action, Delay, Reset, Rule, Torn, s3_error
from tests.faults.uploads import BUCKET, Reports, config, sources, stored, upload
from tests.unit.test_bulk_line import Plain

if TYPE_CHECKING:
    from s3_upload.http import Response
    from s3_upload.s3.operations import Operation
    from s3_upload.wire.exchange import Exchange
    from tests.conftest import StartFaultServer
    from tests.faults.actions import Request
    from tests.faults.server import FaultServer


class Watched:
    """A script that does `wrong` to one request in `every`, and keeps the most connections ever open."""

    def __init__(self, wrong: Action, every: int) -> None:
        self.server: FaultServer | None = None
        self.most_open = 0
        self._wrong = wrong
        self._every = every

    def __call__(self, request: Request) -> Action | None:
        assert self.server is not None
        self.most_open = max(self.most_open, self.server.open_connections)
        return self._wrong if request.number % self._every == 0 else Delay(0.001)


def run_beside(fault_server: StartFaultServer, script: Watched, count: int, **settings: Any) -> FaultServer:
    server = script.server = fault_server(script)
    contents = {f"{n}": b"%d" % n for n in range(count)}
    summary = upload(server, contents, settings=config(n_retries=8, **settings))
    assert (summary.uploaded, summary.failed) == (count, ())
    assert stored(server) == contents
    return server


@pytest.mark.parametrize("status", [500, 503])
def test_after_a_whole_error_answer_the_connection_is_used_again(
    fault_server: StartFaultServer, status: int
) -> None:
    refused = s3_error(status, "InternalError" if status == 500 else "SlowDown")
    server = run_beside(fault_server, Watched(refused, 20), 400, max_in_flight=8)
    assert server.counts[str(status)] >= 20
    assert server.counts["connections"] <= 8


@pytest.mark.parametrize("wrong", [Reset(), Torn()], ids=["reset", "torn"])
def test_connections_that_break_leave_no_more_open_than_requests_are_allowed(
    fault_server: StartFaultServer, wrong: Action
) -> None:
    script = Watched(wrong, 10)
    server = run_beside(fault_server, script, 400, max_in_flight=8)
    assert server.counts["connections"] >= 8 + 40
    assert script.most_open <= 2 * 8


def test_a_retry_after_a_broken_connection_takes_a_new_one(fault_server: StartFaultServer) -> None:
    """Though idle ones are there: what broke one may have broken all."""
    broken: list[int] = []

    def script(request: Request) -> Action | None:
        if request.key != "bad" or broken:
            return None
        broken.append(request.connection)
        return Reset()

    server = fault_server(script)
    reports = Reports()
    upload(server, {"a": b"1", "b": b"2", "c": b"3", "bad": b"4"}, progress=reports)
    _, second = server.of("PUT", "bad")
    used_before = {request.connection for request in server.requests if request.number < second.number}
    assert second.connection not in used_before
    assert reports.of("bad").attempt_reports[1].new_connection


class Refused(Plain):
    """A client whose first few connections are refused."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def send(self, operation: Operation, exchange: Exchange) -> Response:
        if self.left:
            self.left -= 1
            raise AttemptError(FailureKind.CONNECT, "refused")
        return await super().send(operation, exchange)


def test_a_body_that_never_left_was_not_sent_in_vain() -> None:
    reports = Reports()
    files = sources({str(n): bytes(100_000) for n in range(4)})
    summary = asyncio.run(
        s3_upload_files(Refused(5), BUCKET, files, config(n_retries=8, max_in_flight=1), reports)
    )
    failed = [a for report in reports for a in report.attempt_reports if not a.succeeded]
    assert [(a.outcome, a.sent_bytes, a.body_bytes) for a in failed] == [("connect", 0, 100_000)] * 5
    assert (summary.uploaded, summary.wasted_bytes) == (4, 0)


def test_what_the_store_refused_after_it_had_all_of_it_was_sent_in_vain(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server([Rule(s3_error(500, "InternalError"), key="0", attempt=1)])
    assert upload(server, {"0": bytes(3_000_000)}).wasted_bytes == 3_000_000
