"""The events of an upload that goes on in a thread: none is lost while somebody reads, and who does not read
holds up nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from s3_upload import ObjectEnded, running, start_upload
from tests.e2e.test_calls import TIMEOUT_S, at, objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3_upload import Event
    from s3_upload.running import Running
    from tests.conftest import StartFaultServer

COUNT = 500


@pytest.fixture(autouse=True)
def _few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_UNREAD", 10)


class SlowReader:
    """Reads in a thread of its own, and counts the objects that ended. `begun` is set at the first event;
    after that it goes on once `goes_on` is set."""

    def __init__(self, run: Running) -> None:
        self.ended = 0
        self.begun, self.goes_on = threading.Event(), threading.Event()
        self._run = run
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        assert self.begun.wait(TIMEOUT_S)

    def _read(self) -> None:
        for number, event in enumerate(self._run):
            self.ended += isinstance(event, ObjectEnded)
            self.begun.set()
            self.goes_on.wait(TIMEOUT_S)
            if number % 50 == 0:
                time.sleep(0.005)


def wait_in_vain_and_again(run: Running) -> None:
    with pytest.raises(TimeoutError):
        run.wait(0.1)
    run.wait(TIMEOUT_S)


def leave(run: Running) -> None:
    with run:
        pass


def await_it(run: Running) -> None:
    async def main() -> None:
        async with asyncio.timeout(TIMEOUT_S), run:
            await run

    asyncio.run(main())


@pytest.mark.parametrize("wait", [wait_in_vain_and_again, leave, await_it])
def test_while_one_thread_waits_for_the_run_another_that_reads_loses_no_event(
    fault_server: StartFaultServer, wait: Callable[[Running], None]
) -> None:
    run = start_upload(objects(COUNT), "s3://bucket", **at(fault_server()))
    reader = SlowReader(run)
    threading.Timer(0.3, reader.goes_on.set).start()
    wait(run)
    reader.thread.join(TIMEOUT_S)
    assert reader.ended == run.summary().uploaded == COUNT


def test_of_two_who_read_the_one_that_stops_takes_nothing_from_the_other(
    fault_server: StartFaultServer,
) -> None:
    with start_upload(objects(COUNT), "s3://bucket", **at(fault_server())) as run:
        reader, ended = SlowReader(run), 0
        for event in run:
            ended += isinstance(event, ObjectEnded)
            break
        threading.Timer(0.3, reader.goes_on.set).start()
        reader.thread.join(TIMEOUT_S)
    assert reader.ended + ended == run.summary().uploaded == COUNT


def test_a_thread_that_has_ended_reads_no_more(fault_server: StartFaultServer) -> None:
    """Though its iterator is kept, and nobody has closed it."""
    kept: list[Iterator[Event]] = []

    def read() -> None:
        kept.append(iter(run))
        next(kept[0])

    with start_upload(objects(COUNT), "s3://bucket", **at(fault_server())) as run:
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(TIMEOUT_S)
        assert run.wait(TIMEOUT_S).uploaded == COUNT


def test_a_coroutine_that_awaits_the_run_reads_no_more_and_goes_on_later(
    fault_server: StartFaultServer,
) -> None:
    async def main() -> int:
        async with asyncio.timeout(TIMEOUT_S):
            run = start_upload(objects(COUNT), "s3://bucket", **at(fault_server()))
            events = aiter(run)
            await anext(events)
            assert (await run).uploaded == COUNT
            return len([event async for event in events])

    assert asyncio.run(main()) >= 10
