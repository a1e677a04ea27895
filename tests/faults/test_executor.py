"""A job whose work an executor does, where that executor does not do as it should, or the job ends."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import signal
import socket
import tempfile
import time
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from s3_upload import ConfigError, ObjectBegun, ObjectSource, start_upload
from s3_upload.config import MIB
from s3_upload.fleet import tasks
from s3_upload.fleet.task import Ticket, work
from s3_upload.fleet.tasks import FIRST
from s3_upload.observe import journal_file
from tests.faults import test_member
from tests.faults.actions import Delay, Rule, Stall, s3_error
from tests.faults.fleet import SMALL, small_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_upload import Event
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

TIMEOUT_S = 60.0  # bounds a hang


@pytest.fixture(autouse=True)
def _workers_look_up_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def at(server: FaultServer) -> dict[str, Any]:
    return {"endpoint_url": server.url, "region": "us-east-1", "proxy": "none", "hedge": "off"}


class Recording(ProcessPoolExecutor):
    """One worker. `shards`: the keys of each that it was given."""

    def __init__(self) -> None:
        super().__init__(1, mp_context=multiprocessing.get_context("spawn"))
        self.shards: list[set[str]] = []

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        (ticket,) = arguments
        self.shards.append({key for _, key, _ in ticket.items})
        return super().submit(function, *arguments, **more)


def test_sources_that_raise_a_cancellation_end_the_job(fault_server: StartFaultServer) -> None:
    """Something of the caller's was cancelled: nobody would have pulled any further, and nobody said so."""

    def sources() -> Iterator[ObjectSource]:
        yield ObjectSource.data(b"x", "x")
        raise CancelledError

    with Recording() as executor, pytest.raises(RuntimeError, match="CancelledError"):
        start_upload(sources(), "s3://bucket", executor=executor, **at(fault_server())).wait(TIMEOUT_S)


def test_of_a_shard_that_was_not_begun_nothing_is_sent_after_cancel(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """Though the executor calls it running, and it cannot be cancelled."""
    server = fault_server(lambda request: Delay(0.5))
    with Recording() as executor:
        run = start_upload(
            small_files(tmp_path, FIRST + 40), "s3://bucket", executor=executor, max_in_flight=8, **at(server)
        )
        server.wait_until(lambda: len(server.requests) > 0 and len(executor.shards) == 2)
        run.cancel()
        summary = run.wait(TIMEOUT_S)
    assert summary.notes == ()
    sent = {request.key for request in server.requests}
    assert sent & executor.shards[0]
    assert not sent & executor.shards[1]


def ticket(server: FaultServer, folder: Path, **given: Any) -> Ticket:
    plain: dict[str, Any] = {
        "number": 1,
        "order": test_member.order(server),
        "items": test_member.work(folder, b"a", b"b").items,
        "host": socket.gethostname(),
        "address": str(folder / "job"),
        "epoch_wall_s": time.time(),
        "lease_per_s": 0.0,
    }
    return Ticket(**plain | given)


def test_a_shard_whose_job_is_gone_is_not_sent(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server()
    outcome = work(ticket(server, tmp_path))
    assert (outcome.refused, outcome.events) == (True, [])
    with socket.socket(socket.AF_UNIX) as left:  # by a job that was killed
        left.bind(str(tmp_path / "job"))
    assert work(ticket(server, tmp_path)).refused
    assert server.requests == []


class OwnTmp(Recording):
    """Its worker is on this host, and does not see the job's socket."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        (ticket,) = arguments
        changed = {name: getattr(ticket, name) for name in Ticket.__struct_fields__}
        if ticket.address:
            changed["address"] += "-not-seen"
        return super().submit(function, Ticket(**changed), **more)


def test_workers_of_this_host_that_do_not_see_the_jobs_socket_upload_all_the_same(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """In a container, or where a service has a /tmp of its own."""
    server = fault_server()
    sources = small_files(tmp_path, FIRST + 40)
    with OwnTmp() as executor:
        summary = start_upload(sources, "s3://bucket", executor=executor, **at(server)).wait(TIMEOUT_S)
    assert (summary.uploaded, summary.failed) == (len(sources), ())
    assert summary.notes == ()


class Elsewhere(Recording):
    """Its worker is on another host, where at the same paths lie copies of old, as large."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        (ticket,) = arguments
        there = [(f"{path}-there", key, fields) for path, key, fields in ticket.items]
        changed = {name: getattr(ticket, name) for name in Ticket.__struct_fields__}
        return super().submit(function, Ticket(**changed | {"host": "another", "items": there}), **more)


@pytest.mark.parametrize("is_stale", [True, False])
def test_a_file_stays_where_a_worker_elsewhere_has_sent_another_that_lies_at_its_path(
    fault_server: StartFaultServer, tmp_path: Path, *, is_stale: bool
) -> None:
    """Its bytes were never sent, and it may be the only good copy."""
    (tmp_path / "a").write_bytes(b"good")
    there = tmp_path / "a-there"
    there.write_bytes(b"old?")
    here_ns = (tmp_path / "a").stat().st_mtime_ns
    for path in (tmp_path / "a", there):
        os.utime(path, ns=(here_ns, 10**18 if path == there and is_stale else 10**18 + 1))
    with Elsewhere() as executor:
        run = start_upload(
            [ObjectSource.file(tmp_path / "a", "a")], "s3://bucket", executor=executor, remove_source=True,
            **at(fault_server()),
        )  # fmt: skip
        summary = run.wait(TIMEOUT_S)
    assert summary.uploaded == 1
    assert (tmp_path / "a").exists() is is_stale


class Fake(Executor):
    """Nobody works: `ends` says what becomes of each task, the last of all further ones."""

    _max_workers = 1

    def __init__(self, *ends: Callable[[Future[Any]], object]) -> None:
        self._ends = list(ends)

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        end = self._ends.pop(0) if len(self._ends) > 1 else self._ends[0]
        end(future)
        return future


def fails(future: Future[Any]) -> None:
    future.set_exception(RuntimeError("a worker has ended"))


def breaks(future: Future[Any]) -> None:
    future.set_exception(BrokenExecutor("for good"))


def is_closed(future: Future[Any]) -> None:
    raise RuntimeError("cannot schedule new futures after shutdown")


def is_cancelled(future: Future[Any]) -> None:
    future.cancel()
    future.set_running_or_notify_cancel()


@pytest.mark.parametrize("third", [breaks, is_closed, is_cancelled], ids=lambda one: one.__name__)
def test_a_file_that_has_ended_two_workers_is_reported_whatever_the_executor_then_does(
    fault_server: StartFaultServer, tmp_path: Path, third: Callable[[Future[Any]], object]
) -> None:
    executor = Fake(fails, fails, third)
    run = start_upload(small_files(tmp_path, 1), "s3://bucket", executor=executor, **at(fault_server()))
    summary = run.wait(TIMEOUT_S)
    assert (summary.uploaded, [report.key for report in summary.failed]) == (0, ["0000"])
    assert any("this process went on alone" in note for note in summary.notes)


def is_away(future: Future[Any]) -> None:
    raise OSError("Timed out trying to connect to tcp://scheduler:8786")


@pytest.mark.parametrize("end", [breaks, is_closed, is_cancelled, is_away], ids=lambda one: one.__name__)
def test_what_an_executor_does_not_do_is_done_here(
    fault_server: StartFaultServer, tmp_path: Path, end: Callable[[Future[Any]], object]
) -> None:
    sources = small_files(tmp_path, FIRST + 40)
    run = start_upload(sources, "s3://bucket", executor=Fake(end), **at(fault_server()))
    summary = run.wait(TIMEOUT_S)
    assert (summary.uploaded, summary.failed) == (len(sources), ())


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (TypeError("cannot pickle 'lock'"), "ConfigError: .*cannot pickle 'lock'.*default_request"),
        (pickle.PicklingError("Can't pickle f"), "ConfigError: .*Can't pickle f.*default_request"),
        (ValueError("unforeseen"), "ValueError: unforeseen"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_submit_raises_ends_the_job_at_once(
    fault_server: StartFaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    said: str,
) -> None:
    """There is no task to wait for."""
    monkeypatch.setattr(tasks, "END_S", 2 * TIMEOUT_S)

    def refuse(future: Future[Any]) -> None:
        raise raised

    run = start_upload(small_files(tmp_path, 1), "s3://bucket", executor=Fake(refuse), **at(fault_server()))
    with pytest.raises((ConfigError, ValueError)) as caught:
        run.wait(TIMEOUT_S)
    assert re.match(said, f"{type(caught.value).__name__}: {caught.value}")


def test_what_cannot_be_packed_in_a_thread_of_the_executors_is_said_in_one_line(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """It comes as if a worker had raised it, and no worker has."""
    server = fault_server()
    with Recording() as executor:
        run = start_upload(
            small_files(tmp_path, FIRST + 40), "s3://bucket", executor=executor,
            default_request=lambda source: None, **at(server),
        )  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            run.wait(TIMEOUT_S)
    assert re.fullmatch("executor: default_request cannot be sent .*lambda.*of a module", str(caught.value))
    assert server.requests == []


@pytest.mark.parametrize("place", ["there is none", "long" * 30])
def test_without_a_place_for_a_socket_all_is_uploaded_and_a_note_says_so(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    sources = small_files(tmp_path, FIRST + 40)
    temporary = tmp_path / place
    if place.startswith("long"):
        temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with ThreadPoolExecutor(2) as executor:
        run = start_upload(sources, "s3://bucket", executor=executor, **at(fault_server()))
        summary = run.wait(TIMEOUT_S)
    assert (summary.uploaded, summary.failed) == (len(sources), ())
    assert ["no socket in TMPDIR" in note for note in summary.notes] == [True]
    assert not temporary.exists() or not list(temporary.iterdir())


def test_a_link_to_nowhere_fails_alone_also_where_a_worker_elsewhere_misses_it(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is missing here, too: that says nothing about a file system that is not shared."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # no socket: as if it was elsewhere
    sources = small_files(tmp_path, 4)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    sources.append(ObjectSource.file(tmp_path / "link", "link"))
    with ThreadPoolExecutor(1) as executor:
        run = start_upload(sources, "s3://bucket", executor=executor, **at(fault_server()))
        summary = run.wait(TIMEOUT_S)
    assert (summary.uploaded, [report.key for report in summary.failed]) == (4, ["link"])


def test_of_an_upload_that_a_worker_elsewhere_has_aborted_the_journal_knows_no_more(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`jobs` told it as "in parts begun", and the next run asked for it."""
    gone = s3_error(404, "NoSuchUpload", "Gone.")
    server = fault_server([Rule(gone, method="PUT", query={"partNumber": "2"})])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # no socket: as if it was elsewhere
    (tmp_path / "big").write_bytes(bytes(11 * MIB))
    source, journal = ObjectSource.file(tmp_path / "big", "big"), tmp_path / "journal"
    with ThreadPoolExecutor(1) as executor:
        run = start_upload([source], "s3://bucket", executor=executor, journal=journal, **at(server) | SMALL)
        assert len(run.wait(TIMEOUT_S).failed) == 1
    assert server.model.uploads == {}
    with closing(journal_file.JournalFile(str(journal))) as file:
        assert file.tally().uploads == 0


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_relative_path_is_that_of_the_job_wherever_its_worker_was_begun(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_connected: bool
) -> None:
    """Another file of that name lay where the worker was, was sent, and counted as uploaded."""
    (tmp_path / "worker" / "photos").mkdir(parents=True)
    (tmp_path / "worker" / "photos" / "a").write_bytes(b"another")
    (tmp_path / "job" / "photos").mkdir(parents=True)
    (tmp_path / "job" / "photos" / "a").write_bytes(b"the job's")
    if not is_connected:
        # No socket, as if it was elsewhere.
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    server = fault_server()
    events: list[Event] = []
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        monkeypatch.chdir(tmp_path / "worker")
        executor.submit(os.getcwd).result(TIMEOUT_S)
        monkeypatch.chdir(tmp_path / "job")
        sources = [ObjectSource.file(f"photos/{name}", name) for name in ("a", "missing")]
        run = start_upload(sources, "s3://bucket", executor=executor, events=events.append, **at(server))
        summary = run.wait(TIMEOUT_S)
    assert server.model.bodies("bucket") == {"a": b"the job's"}
    assert [report.source for report in summary.failed] == ["photos/missing"]
    assert str(tmp_path / "job" / "photos" / "missing") in str(summary.failed[0].error)
    assert [event.source for event in events if isinstance(event, ObjectBegun)] == ["photos/a"]


def test_a_worker_elsewhere_goes_on_with_an_upload_in_parts_that_an_earlier_run_left(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made another, and the first stayed in the store for good: the journal forgot it."""
    server = fault_server([Rule(Stall(), query={"partNumber": "3"})])
    (tmp_path / "big").write_bytes(bytes(11 * MIB))
    sources, journal = [ObjectSource.file(tmp_path / "big", "big")], tmp_path / "journal"
    settings = at(server) | SMALL | {"journal": journal, "grace_s": 0.0}
    first = start_upload(sources, "s3://bucket", **settings)
    server.wait_until(lambda: [len(one.parts) for one in server.model.uploads.values()] == [2])
    first.cancel()
    first.wait(TIMEOUT_S)
    server.set_script(None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # no socket: as if it was elsewhere
    with ThreadPoolExecutor(1) as executor:
        summary = start_upload(sources, "s3://bucket", executor=executor, **settings).wait(TIMEOUT_S)
    assert (summary.uploaded, server.model.uploads) == (1, {})
    with closing(journal_file.JournalFile(str(journal))) as file:
        assert file.tally().uploads == 0


def test_a_worker_elsewhere_leaves_to_the_next_run_what_the_store_does_not_let_it_complete(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one process does: it aborted what the job's journal keeps, and all was to be sent again."""
    server = fault_server([Rule(s3_error(503, "SlowDown"), query={"partNumber": "3"})])
    (tmp_path / "big").write_bytes(bytes(11 * MIB))
    sources, journal = [ObjectSource.file(tmp_path / "big", "big")], tmp_path / "journal"
    settings = at(server) | SMALL | {"journal": journal, "n_retries": 1}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # no socket: as if it was elsewhere
    with ThreadPoolExecutor(1) as executor:
        assert start_upload(sources, "s3://bucket", executor=executor, **settings).wait(TIMEOUT_S).failed
        assert [len(one.parts) for one in server.model.uploads.values()] == [2]
        server.set_script(None)
        summary = start_upload(sources, "s3://bucket", executor=executor, **settings).wait(TIMEOUT_S)
    assert (summary.uploaded, server.model.uploads) == (1, {})
    assert len([request for request in server.of("POST") if "uploads" in request.query]) == 1


class Away(Recording):
    """Its worker is on another host."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        (ticket,) = arguments
        return super().submit(function, msgspec.structs.replace(ticket, host="another"), **more)

    def kill(self) -> None:
        for pid in list(self._processes):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("has_journal", [True, False])
def test_what_a_worker_elsewhere_has_begun_in_parts_before_it_was_killed_is_found_in_the_store(
    fault_server: StartFaultServer, tmp_path: Path, has_journal: bool
) -> None:
    """It tells at the end of a shard, so nobody had heard of that upload, which stayed there."""
    server = fault_server([Rule(Stall(), query={"partNumber": "2"}, nth=1)])
    (tmp_path / "big").write_bytes(bytes(11 * MIB))
    with Away() as executor:
        run = start_upload(
            [ObjectSource.file(tmp_path / "big", "big")], "s3://bucket", executor=executor,
            journal=tmp_path / "journal" if has_journal else None, **at(server) | SMALL,
        )  # fmt: skip
        server.wait_until(lambda: any(1 in one.parts for one in server.model.uploads.values()))
        executor.kill()
        summary = run.wait(TIMEOUT_S)
    assert (summary.uploaded, server.model.uploads) == (1, {})
