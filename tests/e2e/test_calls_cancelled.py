"""A CancelledError that nobody asked for: something of the caller's that an upload awaits was cancelled.  It
is an error like any other, and no end of an upload that was asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import ObjectSource, UploadReport, UploadSummary, start_upload, upload_async
from tests.e2e.test_calls import TIMEOUT_S, at, objects
from tests.e2e.test_calls_events import await_it, leave

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from s3_upload.running import Running
    from tests.conftest import StartFaultServer

COUNT = 300


async def await_what_is_cancelled() -> None:
    doomed = asyncio.get_running_loop().create_future()
    doomed.cancel()
    await doomed


def by_progress() -> dict[str, Any]:
    reports: list[UploadReport] = []

    async def progress(report: UploadReport) -> None:
        reports.append(report)
        if len(reports) == 3:
            await await_what_is_cancelled()

    return {"sources": objects(COUNT), "progress": progress, "max_in_flight": 4}


def by_async_sources() -> dict[str, Any]:
    async def generate() -> AsyncIterator[ObjectSource]:
        for source in objects(3):
            yield source
        await await_what_is_cancelled()

    return {"sources": generate()}


def by_the_first_source() -> dict[str, Any]:
    def generate() -> Iterator[ObjectSource]:
        raise asyncio.CancelledError
        yield

    return {"sources": generate()}


def wait(run: Running) -> None:
    run.wait(TIMEOUT_S)


@pytest.mark.parametrize("end", [wait, leave, await_it])
@pytest.mark.parametrize("given", [by_progress, by_async_sources, by_the_first_source])
def test_a_handle_raises_what_stopped_the_run_unless_cancel_was_called(
    fault_server: StartFaultServer, given: Callable[[], dict[str, Any]], end: Callable[[Running], None]
) -> None:
    run = start_upload(**given(), destination="s3://bucket", **at(fault_server()))
    with pytest.raises(RuntimeError, match="CancelledError"):
        end(run)
    assert not run.cancelled
    assert run.summary().uploaded < COUNT


@pytest.mark.parametrize("given", [by_progress, by_async_sources])
def test_a_task_group_hears_of_an_upload_that_was_broken_off(
    fault_server: StartFaultServer, given: Callable[[], dict[str, Any]]
) -> None:
    """It takes a task that ends by a CancelledError for one that was cancelled, and says nothing."""
    server = fault_server()

    async def main() -> None:
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            group.create_task(upload_async(**given(), destination="s3://bucket", **at(server)))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    (error,) = caught.value.exceptions
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, asyncio.CancelledError)
    assert isinstance(error.summary, UploadSummary)  # type: ignore[attr-defined]
