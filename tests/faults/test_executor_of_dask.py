"""A job whose work an executor does as Dask does it, or on a system that lacks something; and how its tasks
are stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import ObjectSource, start_upload, upload_async
from s3_upload.fleet import tasks
from s3_upload.fleet.task import work
from s3_upload.fleet.tasks import FIRST
from s3_upload.fleet.wire import Finish, Lease, framed
from tests.faults import test_executor, test_member
from tests.faults.actions import Delay
from tests.faults.fleet import small_files
from tests.faults.test_executor import TIMEOUT_S, Fake, at, ticket

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

_workers_look_up_credentials = test_executor._workers_look_up_credentials


class AlwaysCancels(ThreadPoolExecutor):
    """As Dask: a future can be cancelled whatever its task does, which goes on. `never_says`: what became of
    it."""

    never_says = False

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        told: Future[Any] = Future()

        def tell(done: Future[Any]) -> None:
            if not told.cancelled() and not self.never_says:
                told.set_result(done.result())

        super().submit(function, *arguments, **more).add_done_callback(tell)
        return told


class NeverSays(AlwaysCancels):
    """As where its workers end by Ctrl-C themselves."""

    never_says = True


def cancelled_in_a_shard(
    server: FaultServer, folder: Path, kind: type[AlwaysCancels] = AlwaysCancels
) -> tuple[UploadSummary, int]:
    """What a run says whose executor is such a one, and how many objects the store has at the end."""
    with kind(1) as executor:
        run = start_upload(small_files(folder, 8), "s3://bucket", executor=executor, **at(server))
        server.wait_until(lambda: len(server.requests) > 0)
        run.cancel()
        summary = run.wait(TIMEOUT_S)
    return summary, len(server.model.bodies("bucket"))


def test_cancelled_what_a_worker_has_under_way_is_waited_for_also_where_its_future_can_be_cancelled(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    summary, stored = cancelled_in_a_shard(fault_server(lambda request: Delay(0.5)), tmp_path)
    assert summary.uploaded == stored > 0
    assert summary.notes == ()


def test_cancelled_a_worker_that_is_gone_is_not_waited_for(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "END_S", 2 * TIMEOUT_S)
    monkeypatch.setattr(tasks, "OUTCOME_S", 0.0)
    summary, stored = cancelled_in_a_shard(fault_server(lambda request: Delay(0.5)), tmp_path, NeverSays)
    assert summary.uploaded == stored > 0
    assert summary.notes == ()


def test_that_a_shard_may_go_on_elsewhere_when_the_run_is_cancelled_is_said(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # no socket: as if it was elsewhere
    summary, stored = cancelled_in_a_shard(fault_server(lambda request: Delay(0.5)), tmp_path)
    assert (summary.uploaded, stored) == (0, 8)
    note = "a shard may go on at workers elsewhere, and what they upload is not told"
    assert note in summary.notes


def test_an_interrupt_of_all_processes_of_a_terminal_is_the_jobs_to_see_to(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """A worker that saw it, too, was stopped twice, which is at once."""
    server = fault_server()
    frames = (Lease(0.0), test_member.work(tmp_path, b"a", b"b"), Finish())

    def be_the_job(listening: socket.socket) -> None:
        line, _ = listening.accept()
        with line:
            line.recv(1)
            os.kill(os.getpid(), signal.SIGINT)
            line.sendall(b"".join(map(framed, frames)))
            while line.recv(1 << 16):
                pass

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "job"))
        listening.listen()
        job = threading.Thread(target=be_the_job, args=(listening,), daemon=True)
        job.start()
        before = signal.getsignal(signal.SIGINT)
        outcome = work(ticket(server, tmp_path))
        job.join(TIMEOUT_S)
    assert (outcome.refused, outcome.ended.error) == (False, None)
    assert len(server.model.bodies("bucket")) == 2
    assert signal.getsignal(signal.SIGINT) is before


def is_under_way(future: Future[Any]) -> None:
    """And nobody says any more what became of it."""


class ClosedClientError(Exception):
    """As Dask's is, of no class that says so."""


class OfAClosedClient(Fake):
    """It takes all, and its futures do not end."""

    class _client:  # noqa: N801 - as Dask calls it
        status = "closed"


def test_what_an_executor_of_a_closed_client_has_is_done_here(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    sources = small_files(tmp_path, FIRST + 40)
    executor = OfAClosedClient(is_under_way)
    summary = start_upload(sources, "s3://bucket", executor=executor, **at(fault_server())).wait(TIMEOUT_S)
    assert (summary.uploaded, summary.failed) == (len(sources), ())
    assert ["this process went on alone" in note for note in summary.notes] == [True]


def test_what_an_executor_has_taken_and_takes_no_more_of_is_done_here(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for what its futures will never say."""
    monkeypatch.setattr(tasks, "END_S", 2 * TIMEOUT_S)

    def is_closed_by_its_owner(future: Future[Any]) -> None:
        raise ClosedClientError("Client is closed. Can't send update-graph message.")

    sources = small_files(tmp_path, FIRST + 40)
    executor = Fake(is_under_way, is_closed_by_its_owner)
    summary = start_upload(sources, "s3://bucket", executor=executor, **at(fault_server())).wait(TIMEOUT_S)
    assert (summary.uploaded, summary.failed) == (len(sources), ())
    assert ["this process went on alone" in note for note in summary.notes] == [True]


class Asked(ThreadPoolExecutor):
    """As a Dask client's. `asked_in`: the threads in which it was asked how many workers there are."""

    def __init__(self) -> None:
        super().__init__(2)
        self._client = self
        self.asked_in: set[threading.Thread] = set()

    def nthreads(self) -> Any:
        self.asked_in.add(threading.current_thread())
        return {"worker": 2}


class AskedByItsLoop(Asked):
    """As one of an asynchronous client."""

    def nthreads(self) -> Any:
        super().nthreads()
        return self._answer()

    async def _answer(self) -> dict[str, int]:
        return {"worker": 2}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", [Asked, AskedByItsLoop])
def test_a_scheduler_is_not_asked_on_the_callers_loop(
    fault_server: StartFaultServer, tmp_path: Path, kind: type[Asked]
) -> None:
    """Where that waits for its answer, nothing else goes on."""
    sources = small_files(tmp_path, 4)
    with kind() as executor:
        summary = asyncio.run(by(executor, sources, fault_server()))
    assert (summary.uploaded, summary.failed) == (len(sources), ())
    assert executor.asked_in
    assert threading.current_thread() not in executor.asked_in


async def by(executor: Executor, sources: list[ObjectSource], server: FaultServer) -> UploadSummary:
    """An upload on this loop."""
    async with asyncio.timeout(TIMEOUT_S):
        return await upload_async(sources, "s3://bucket", executor=executor, **at(server))


def test_where_the_system_has_no_sockets_with_a_path_all_is_uploaded(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""

    async def has_none(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "create_unix_server", has_none)
    sources = small_files(tmp_path, 4)
    with ThreadPoolExecutor(2) as executor:
        summary = asyncio.run(by(executor, sources, fault_server()))
    assert (summary.uploaded, summary.failed) == (len(sources), ())
    [note] = summary.notes
    assert "no socket in TMPDIR (this system has none of that kind)" in note
