"""A store that goes away in mid-run and comes back, and one that does not: with real sockets."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.errors import AttemptError, FailureKind, RunError
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations import HEAD_OBJECT
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Delay, Reset, Rule, Stall, s3_error
from tests.faults.directory import BUCKET as DIRECTORY
from tests.faults.directory import LIFE_S, Directory, DirectoryModel
from tests.faults.uploads import BUCKET, PART_BYTES, config, quiet, run, sources, stored, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_upload.config import UploadConfig
    from s3_upload.http import Response
    from s3_upload.http1.trace import Trace
    from s3_upload.report import UploadReport, UploadSummary
    from s3_upload.s3.operations import Operation
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

SMALL = {f"small-{n:02}": b"%d" % n for n in range(40)}
BIG = random.Random(1).randbytes(3 * PART_BYTES)
WAITS = config(n_retries=0, max_outage_s=60.0)
"""No second try of anything: whatever an outage costs shows."""


class Tripping(S3Client):
    """Takes its store away before the request that `when` says, and has it back after `probes` in vain."""

    def __init__(
        self, server: FaultServer, when: Callable[[Operation], bool], probes: int, **options: Any
    ) -> None:
        super().__init__(
            endpoint_url=server.url, region="us-east-1", credentials=Credentials("key", "secret"), **options
        )
        self._server = server
        self._when = when
        self._probes = probes
        self._gone = False

    async def send(self, operation: Operation, trace: Trace) -> Response:
        if not self._gone and self._when(operation):
            self._gone = True
            await asyncio.to_thread(self._server.go_away)
        try:
            return await super().send(operation, trace)
        except AttemptError as error:
            if operation.name == HEAD_OBJECT and error.kind is FailureKind.CONNECT:
                self._probes -= 1
                if self._probes == 0:
                    await asyncio.to_thread(self._server.come_back)
            raise


def upload_through_an_outage(
    server: FaultServer,
    files: list[ObjectSource],
    when: Callable[[Operation], bool],
    *,
    probes: int = 3,
    settings: UploadConfig = WAITS,
    bucket: str = BUCKET,
    **options: Any,
) -> UploadSummary:
    async def main(_: S3Client) -> UploadSummary:
        async with Tripping(server, when, probes, **options) as client:
            summary = await s3_upload_files(client, bucket, files, settings)
            await quiet()
            return summary

    return run(server, main)


def nth_request(n: int) -> Callable[[Operation], bool]:
    """Whether it is called for the nth time."""
    calls = 0

    def is_nth(_: Operation) -> bool:
        nonlocal calls
        calls += 1
        return calls == n

    return is_nth


@pytest.mark.parametrize("adaptive", [False, True], ids=["plain", "adaptive"])
def test_an_outage_in_mid_run_uses_up_no_try(fault_server: StartFaultServer, adaptive: bool) -> None:
    server = fault_server()
    settings = config(n_retries=0, max_outage_s=60.0, timeout="adaptive", window="adaptive", hedge="auto")
    summary = upload_through_an_outage(
        server, sources(SMALL), nth_request(15), settings=settings if adaptive else WAITS
    )
    assert stored(server) == SMALL
    assert (summary.uploaded, summary.failed, summary.attempts) == (len(SMALL), (), len(SMALL))


def test_a_session_that_ends_in_an_outage_is_asked_for_when_the_store_is_back(
    fault_server: StartFaultServer,
) -> None:
    """Of a directory bucket."""
    store = Directory()
    server = fault_server(store, model=DirectoryModel())
    trips = nth_request(15)

    def when(operation: Operation) -> bool:
        found = trips(operation)
        store.clock.now_s += found * (LIFE_S + 1.0)
        return found

    summary = upload_through_an_outage(server, sources(SMALL), when, bucket=DIRECTORY, utc_clock=store.clock)
    assert server.model.bodies(DIRECTORY) == SMALL
    assert (summary.uploaded, summary.failed) == (len(SMALL), ())
    assert store.used == {1, 2}
    assert store.wrong == []


def test_an_upload_in_parts_goes_on_where_it_was_and_nothing_is_left_over(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "big"
    path.write_bytes(BIG)
    server = fault_server()
    files = [*sources(SMALL), ObjectSource.file(path, "big")]
    summary = upload_through_an_outage(server, files, lambda operation: operation.part_number == 2)
    assert stored(server) == SMALL | {"big": BIG}
    assert summary.failed == ()
    assert [r.status for r in server.of("POST", "big")] == [200, 200], "it was begun once"
    assert server.model.uploads == {}


def test_the_first_request_of_a_run_survives_it_once_bytes_have_left(fault_server: StartFaultServer) -> None:
    """Half of it was taken, then the connection broke, then nobody listened: it has one try besides."""
    contents = {"first": random.Random(2).randbytes(4_000_000)}
    server = fault_server([Rule(Reset(after_body_bytes=2_000_000), attempt=1)])
    summary = upload_through_an_outage(
        server, sources(contents), nth_request(2), settings=config(n_retries=1, max_outage_s=60.0)
    )
    assert stored(server) == contents
    assert summary.failed == ()


def test_a_question_before_an_upload_waits_for_the_end_of_an_outage_too(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server()
    upload(server, SMALL)
    server.requests.clear()
    files = sources(dict.fromkeys(SMALL, b"other") | {"new": b"new"})
    settings = config(n_retries=0, max_outage_s=60.0, if_exists="skip")
    summary = upload_through_an_outage(server, files, nth_request(15), settings=settings)
    assert stored(server) == SMALL | {"new": b"new"}
    assert (summary.uploaded, len(summary.skipped), summary.failed) == (1, len(SMALL), ())
    assert {request.key for request in server.requests if request.method == "PUT"} == {"new"}


def test_while_it_is_away_there_is_one_probe_at_a_time_and_nothing_else(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server()
    under_way: list[str] = []
    seen: list[list[str]] = []

    class Counting(Tripping):
        async def send(self, operation: Operation, trace: Trace) -> Response:
            under_way.append(operation.name)
            if 0 < self._probes < 3:  # one has failed
                seen.append(list(under_way))
            try:
                return await super().send(operation, trace)
            finally:
                under_way.remove(operation.name)

    async def main(_: S3Client) -> None:
        contents = {str(n): b"x" for n in range(300)}
        async with Counting(server, nth_request(50), 3) as client:
            summary = await s3_upload_files(client, BUCKET, sources(contents), WAITS)
            assert summary.uploaded == 300

    run(server, main)
    assert seen == [[HEAD_OBJECT], [HEAD_OBJECT]]


def test_a_store_that_stays_away_ends_the_run_with_one_line(fault_server: StartFaultServer) -> None:
    server = fault_server()

    async def main(_: S3Client) -> None:
        async with Tripping(server, nth_request(15), 1000) as client:
            with pytest.raises(RunError) as caught:
                await s3_upload_files(client, BUCKET, sources(SMALL), config(n_retries=0, max_outage_s=1.0))
            await quiet()
        message = str(caught.value)
        assert caught.value.kind is FailureKind.CONNECT
        assert message.startswith(f"{server.url} has been away for 1 s (no connection to 127.0.0.1 port ")
        assert "refused" in message.lower()
        assert message.endswith("given up; max_outage_s (--max-outage) says how long to wait")
        assert "\n" not in message

    run(server, main)
    assert 0 < len(stored(server)) < len(SMALL)


@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_store_that_takes_requests_and_never_answers_ends_the_run_with_one_line(
    fault_server: StartFaultServer, from_the_start: bool
) -> None:
    server = fault_server(lambda request: Stall() if from_the_start or request.number > 9 else None)
    with pytest.raises(RunError) as caught:
        upload(server, SMALL, settings=config(max_outage_s=1.0))
    assert caught.value.kind is FailureKind.TIMEOUT
    assert str(caught.value) == (
        f"{server.url} takes requests and has answered none for 1 s: given up; "
        "max_outage_s (--max-outage) says how long to wait"
    )


def test_a_request_that_the_store_hangs_up_on_fails_though_the_store_is_there(
    fault_server: StartFaultServer,
) -> None:
    """Its connection is lost each time, as by a filter that does not like it: a probe is answered."""
    server = fault_server([Rule(Reset(), method="PUT", key="bad")])
    settings = config(n_retries=2, max_outage_s=60.0, max_in_flight=1)
    summary = upload(server, {"good": b"x", "bad": b"y"}, settings=settings)
    [report] = summary.failed
    assert (report.key, report.outcome, report.attempts) == ("bad", FailureKind.RESET, 3)


def test_a_name_that_does_not_resolve_any_more_is_an_outage(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an SDK's client sees it: ours keeps the addresses that it knows."""
    server = fault_server()
    lost = 0

    class Losing(S3Client):
        async def send(self, operation: Any, trace: Any) -> Any:
            nonlocal lost
            if len(server.requests) >= 5 and lost < 3:
                lost += operation.name == HEAD_OBJECT
                raise AttemptError(FailureKind.HOST_UNKNOWN, "the host name cannot be resolved")
            return await super().send(operation, trace)

    async def main(client: S3Client) -> None:
        async with Losing(endpoint_url=server.url, credentials=Credentials("k", "s")) as losing:
            summary = await s3_upload_files(losing, BUCKET, sources(SMALL), WAITS)
            assert (summary.uploaded, lost) == (len(SMALL), 3)

    run(server, main)


def test_a_listener_is_told_after_seconds_that_nothing_comes_and_what_it_raises_ends_the_run(
    fault_server: StartFaultServer,
) -> None:
    said: list[str] = []

    def listen(line: str) -> None:
        said.append(line)
        raise ZeroDivisionError

    server = fault_server({"*": Stall()})
    with pytest.raises(ZeroDivisionError):
        upload(server, {"a": b"xy"}, settings=config(max_outage_s=300.0), notice=listen)
    [line] = said
    assert line.startswith(f"{server.url} takes requests and has not answered for ")
    assert line.endswith(" s; the run waits for 300 s (--max-outage)")


def test_a_listener_is_told_that_the_store_only_answers_with_errors(fault_server: StartFaultServer) -> None:
    said: list[str] = []

    def listen(line: str) -> None:
        said.append(line)
        server.set_script(None)

    slow_down = s3_error(503, "SlowDown")
    server = fault_server({"*": slow_down})
    settings = config(n_retries=50, max_in_flight=4)
    assert upload(server, SMALL, settings=settings, notice=listen).uploaded == len(SMALL)
    assert said[0].startswith(f"{server.url} has answered with errors only for ")
    assert said[0].endswith("the last: 503 SlowDown)")


def test_a_run_whose_process_stood_still_for_longer_than_an_outage_may_last_goes_on(
    fault_server: StartFaultServer,
) -> None:
    """Ctrl-Z, lunch, fg. Here a callback holds the loop up, and an answer comes meanwhile."""
    server = fault_server([Rule(Delay(1.0), key="late")])

    def progress(report: UploadReport) -> None:
        if report.key == "now":
            time.sleep(3.5)

    settings = config(max_in_flight=2, max_outage_s=1.2)
    summary = upload(server, {"late": b"l", "now": b"n"}, settings=settings, progress=progress)
    assert summary.uploaded == 2
