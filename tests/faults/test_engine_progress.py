"""The progress callable: called once for each source, in order, one at a time; its errors stop the run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import SourceError
from s3_upload.request_fields import RequestFields
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.progress import MAX_BACKLOG
from s3_upload.transfer.pulling import PULL_COUNT
from s3_upload.transfer.read_ahead import BATCH_COUNT, READS_QUEUED
from tests.faults.actions import Rule, s3_error
from tests.faults.uploads import BUCKET, Reports, config, sources, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from s3_upload.report import UploadReport
    from tests.conftest import StartFaultServer

MANY = {f"k{n}": b"x" * n for n in range(600)}


def mixed() -> list[ObjectSource]:
    """What is uploaded, what fails, what is skipped."""
    return [
        *(ObjectSource.data(b"x", f"good-{n}") for n in range(20)),
        ObjectSource(key="unreadable", path="/p", problem=SourceError("/p: Permission denied")),
        ObjectSource(key="socket", path="/s", skip_reason="is a socket"),
        ObjectSource.data(b"x", "refused"),
    ]


def test_every_source_is_reported_once(fault_server: StartFaultServer) -> None:
    server = fault_server({"refused": s3_error(400, "InvalidArgument")})
    reports = Reports()
    summary = upload(server, mixed(), progress=reports)
    assert sorted(report.seq for report in reports) == list(range(23))
    assert (summary.sources, summary.uploaded) == (23, 20)
    assert {report.key for report in summary.failed} == {"unreadable", "refused"}
    assert [report.key for report in summary.skipped] == ["socket"]
    assert reports.of("socket").reason == "is a socket"
    assert reports.of("socket").attempts == reports.of("unreadable").attempts == 0
    assert reports.of("unreadable").reason == "/p: Permission denied"
    for report in reports:
        assert 0.0 <= report.success_time_s <= report.total_time_s <= summary.wall_time_s


@pytest.mark.parametrize("in_flight", [1, 32])
def test_an_async_callable_is_awaited_one_report_at_a_time_in_order(
    fault_server: StartFaultServer, in_flight: int
) -> None:
    """Slower than the uploads, so that they have to wait for it."""
    server = fault_server()
    seen: list[UploadReport] = []
    active = 0

    async def progress(report: UploadReport) -> None:
        nonlocal active
        active += 1
        assert active == 1, "two reports at once"
        await asyncio.sleep(0.0005 if report.seq % 10 == 0 else 0)
        seen.append(report)
        active -= 1

    upload(server, MANY, progress=progress, settings=config(max_in_flight=in_flight))
    assert sorted(report.seq for report in seen) == list(range(600))
    ended_s = [report.attempt_reports[-1].ended_s for report in seen]
    assert ended_s == sorted(ended_s)


class Tqdm:
    """As a progress bar: what `update` returns is no awaitable."""

    def __init__(self, returns: object) -> None:
        self.n = 0
        self._returns = returns

    def update(self, n: int) -> object:
        self.n += n
        return self._returns


@pytest.mark.parametrize("returned", [True, False, 7, "text", Reports()], ids=repr)
def test_what_a_plain_callable_returns_is_of_no_interest(
    fault_server: StartFaultServer, returned: object
) -> None:
    bar = Tqdm(returned)
    summary = upload(fault_server(), mixed()[:22], progress=lambda report: bar.update(report.bytes))
    assert (summary.uploaded, bar.n) == (20, 20)


def test_a_callable_may_return_awaitables_and_other_things_in_turn(fault_server: StartFaultServer) -> None:
    awaited: list[int] = []

    def progress(report: UploadReport) -> object:
        async def note() -> None:
            await asyncio.sleep(0)
            awaited.append(report.seq)

        return note() if report.seq % 2 else True

    summary = upload(fault_server(), sources({str(n): b"x" for n in range(20)}), progress=progress)
    assert summary.uploaded == 20
    assert sorted(awaited) == list(range(1, 20, 2))


def test_a_slow_callable_holds_the_uploads_back(fault_server: StartFaultServer) -> None:
    """The queue between them is bounded: an unbounded one would grow with the number of files."""
    server = fault_server()
    contents = {str(n): b"x" for n in range(2_000)}
    told, lead = 0, 0

    async def progress(report: UploadReport) -> None:
        nonlocal told, lead
        told += 1
        await asyncio.sleep(0.0001)
        lead = max(lead, server.counts["200"] - told)

    upload(server, contents, progress=progress)
    assert told == 2_000
    assert lead <= 256 + 64


def skips(n: int) -> ObjectSource:
    return ObjectSource(key=str(n), path="/s", skip_reason="is a socket")


def problems(n: int) -> ObjectSource:
    return ObjectSource(key=str(n), path="/p", problem=SourceError("/p: Permission denied"))


def missing(n: int) -> ObjectSource:
    return ObjectSource.file(f"/no/such/file/{n}", str(n))


def broken(n: int) -> ObjectSource:
    async def chunks() -> AsyncIterator[bytes]:
        raise OSError("broken")
        yield b""

    return ObjectSource.stream(chunks(), str(n))


@pytest.mark.parametrize("asynchronously", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("make", [skips, problems, missing, broken])
def test_a_slow_callable_holds_back_what_is_not_even_sent(
    fault_server: StartFaultServer, make: Callable[[int], ObjectSource], asynchronously: bool
) -> None:
    """Such sources make reports without a request: no worker waits with them."""
    server = fault_server()
    pulled, told, lead = 0, 0, 0

    def files() -> Iterator[ObjectSource]:
        nonlocal pulled
        for n in range(3_000):
            pulled += 1
            yield make(n)

    async def async_files() -> AsyncIterator[ObjectSource]:
        for source in files():
            yield source

    async def progress(report: UploadReport) -> None:
        nonlocal told, lead
        told += 1
        await asyncio.sleep(0.0001)
        lead = max(lead, pulled - told)

    summary = upload(server, async_files() if asynchronously else files(), progress=progress)
    assert (told, summary.sources, summary.uploaded) == (3_000, 3_000, 0)
    # What waits to be told, what is pulled and unread, and the batches that are being read.
    assert lead <= MAX_BACKLOG + 3 * PULL_COUNT // 2 + (4 + READS_QUEUED) * BATCH_COUNT


class BoomError(Exception):
    pass


def plain(fail: Callable[[], None]) -> Any:
    def progress(report: UploadReport) -> None:
        fail()

    return progress


def asynchronous(fail: Callable[[], None]) -> Any:
    async def progress(report: UploadReport) -> None:
        await asyncio.sleep(0)
        fail()

    return progress


@pytest.mark.parametrize("make", [plain, asynchronous])
@pytest.mark.parametrize("at", [1, 50])
def test_what_it_raises_stops_the_run_and_is_raised(
    fault_server: StartFaultServer, make: Any, at: int
) -> None:
    server = fault_server()
    calls = 0
    error = BoomError("mine")

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls >= at:
            raise error

    with pytest.raises(BoomError) as caught:
        upload(server, MANY, progress=make(fail))
    assert caught.value is error
    assert calls == at, "called again after it had raised"
    assert len(stored(server)) < 600


def test_a_cancellation_inside_of_it_does_not_hang_the_run(fault_server: StartFaultServer) -> None:
    """It awaits something of its own that was cancelled: not the run's cancellation."""
    server = fault_server()

    async def progress(report: UploadReport) -> None:
        doomed = asyncio.get_running_loop().create_future()
        doomed.cancel()
        await doomed

    with pytest.raises(RuntimeError, match="CancelledError"):
        upload(server, {"a": b"x"}, progress=progress)


def test_an_awaitable_need_not_be_a_coroutine(fault_server: StartFaultServer) -> None:
    server = fault_server()
    seen = []

    def progress(report: UploadReport) -> Awaitable[None]:
        seen.append(report.key)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    upload(server, {"a": b"x", "b": b"y"}, progress=progress)
    assert sorted(seen) == ["a", "b"]


# --- default_request --------------------------------------------------------------------------------


def test_default_request_becomes_headers(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(s3_error(500, "InternalError"), key="a", attempt=1)])
    asked = []

    def fields(source: ObjectSource) -> RequestFields | None:
        asked.append(source.key)
        if source.key == "plain":
            return None
        return RequestFields(
            content_type=f"x/{source.key}",
            cache_control="no-store",
            storage_class="STANDARD_IA",
            metadata={"Key": source.key},
            tags={"a b": "c"},
        )

    upload(server, {"a": b"x", "b": b"y", "plain": b"z"}, default_request=fields)
    assert sorted(asked) == ["a", "b", "plain"], "asked once for each source, retried or not"
    for key in "ab":
        for request in server.of("PUT", key):
            headers = request.headers
            assert headers["content-type"] == f"x/{key}"
            assert headers["cache-control"] == "no-store"
            assert headers["x-amz-storage-class"] == "STANDARD_IA"
            assert headers["x-amz-meta-key"] == key
            assert headers["x-amz-tagging"] == "a+b=c"
    assert len(server.of("PUT", "a")) == 2
    [without] = server.of("PUT", "plain")
    assert "content-type" not in without.headers
    assert server.model.objects[f"{BUCKET}/a"].headers["x-amz-meta-key"] == "a"


def test_what_default_request_raises_stops_the_run(fault_server: StartFaultServer) -> None:
    server = fault_server()

    def fields(source: ObjectSource) -> RequestFields:
        raise BoomError(source.key)

    with pytest.raises(BoomError):
        upload(server, MANY, default_request=fields)
    assert server.requests == []
