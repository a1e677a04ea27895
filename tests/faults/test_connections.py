"""Whole runs, seen from their connections: how many there are, which are used again, and which never."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.request_fields import RequestFields
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Delay, Reset, Rule, Serve, Torn, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, config, sources, stored, upload
from tests.unit.test_bulk_line import Plain

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.http import Response
    from s3_upload.http1.trace import Trace
    from s3_upload.s3.operations import Operation
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

    async def send(self, operation: Operation, trace: Trace) -> Response:
        if self.left:
            self.left -= 1
            raise AttemptError(FailureKind.CONNECT, "refused")
        return await super().send(operation, trace)


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


# --- connections that the store closes -------------------------------------------------------------


def closes_reused(action: Action) -> Any:
    """Whatever comes second on a connection finds it closed, as it were."""
    seen: set[int] = set()

    def script(request: Request) -> Action | None:
        if request.connection in seen:
            return action
        seen.add(request.connection)
        return None

    return script


@pytest.mark.parametrize(
    "action", [Torn(b""), Torn(b"", stored=True), Reset()], ids=["eof", "stored", "reset"]
)
def test_a_request_on_a_connection_that_the_store_has_closed_goes_again_free_of_charge(
    fault_server: StartFaultServer, action: Action
) -> None:
    server = fault_server(closes_reused(action))
    contents = {str(n): b"%d" % n for n in range(100)}
    reports = Reports()
    summary = upload(server, contents, settings=config(n_retries=0), progress=reports)
    assert stored(server) == contents
    assert (summary.uploaded, summary.attempts, summary.budget_wait_s) == (100, 100, 0.0)
    went_again = [report for report in reports if len(report.attempt_reports) > 1]
    assert len(went_again) == 100 - server.counts["connections"] + len(went_again) > 0
    for report in went_again:
        first, second = report.attempt_reports
        assert (first.outcome, first.new_connection, first.status) == ("reset", False, 0)
        assert (second.outcome, second.new_connection, second.retries) == ("success", True, 0)


def test_a_store_that_closes_silently_after_each_answer_loses_no_file(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: Serve(silent=True))
    contents = {str(n): b"%d" % n for n in range(300)}
    summary = upload(server, contents, settings=config(n_retries=0))
    assert stored(server) == contents
    assert (summary.failed, summary.attempts) == ((), 300)


def test_the_first_request_on_a_connection_is_not_sent_again_for_free(fault_server: StartFaultServer) -> None:
    server = fault_server({"bad": Torn(b"")})
    [report] = upload(server, {"bad": b"x"}, settings=config(n_retries=0)).failed
    assert (report.outcome, report.attempts) == ("reset", 1)
    assert len(server.of("PUT", "bad")) == 1


def big_file(folder: Path, size: int) -> list[ObjectSource]:
    path = folder / "big"
    path.write_bytes(bytes(size))
    return [ObjectSource.file(path, "big")]


def test_no_post_is_sent_again_for_free(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """The store may have begun a multipart upload, of which a second would be left over."""

    def script(request: Request) -> Action | None:
        return Torn(b"", stored=True) if request.method == "POST" else None

    server = fault_server(script)
    files = [*sources({"a": b"x"}), *big_file(tmp_path, PART_BYTES + 1)]
    summary = upload(server, files, settings=config(n_retries=0, max_in_flight=1))
    assert [report.key for report in summary.failed] == ["big"]
    [create] = server.of("POST", "big")
    assert create.connection == server.of("PUT", "a")[0].connection


def test_an_object_that_is_not_to_be_overwritten_is_ours_though_its_connection_was_closed(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server(closes_reused(Torn(b"", stored=True)))
    contents = {str(n): b"%d" % n for n in range(20)}
    summary = upload(
        server,
        contents,
        settings=config(n_retries=0, max_in_flight=1),
        default_request=lambda _: RequestFields(if_none_match="*"),
    )
    assert stored(server) == contents
    assert summary.failed == ()


def test_through_a_gateway_that_speaks_http_1_0_every_request_is_sent_once(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server(lambda _: Serve(lengthless=True))
    contents = {str(n): b"%d" % n for n in range(20)}
    summary = upload(server, [*sources(contents), *big_file(tmp_path, 2 * PART_BYTES)])
    assert stored(server) == contents | {"big": bytes(2 * PART_BYTES)}
    assert summary.attempts == 21
    assert server.counts["requests"] == 20 + 4
