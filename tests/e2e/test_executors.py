"""`upload(executor=...)` by the workers of real executors, to a real store."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from loky import get_reusable_executor

from s3_upload import (
    AttemptEnded,
    ConfigError,
    Credentials,
    Listening,
    ObjectEnded,
    ObjectSource,
    RunError,
    upload,
)
from s3_upload.config import MIB
from s3_upload.fleet import task
from s3_upload.fleet.tasks import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_upload import Event, UploadReport
    from tests.store import Store

TIMEOUT_S = 30.0
SMALL: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB}
Opened = contextlib.AbstractContextManager[Executor]


def processes() -> Opened:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def threads() -> Opened:
    return ThreadPoolExecutor(2)


@contextlib.contextmanager
def loky() -> Iterator[Executor]:
    executor = get_reusable_executor(2)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True)


@contextlib.contextmanager
def dask() -> Iterator[Executor]:
    from distributed import Client, LocalCluster

    local = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with local, Client(local, set_as_default=False) as client:
        yield client.get_executor()


class Elsewhere(ThreadPoolExecutor):
    """As on another machine: the job's socket is not there."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        (ticket,) = arguments
        assert isinstance(ticket, task.Ticket)
        moved = task.Ticket(
            ticket.number,
            ticket.order,
            ticket.items,
            "elsewhere",
            "",
            ticket.epoch_wall_s,
            ticket.lease_per_s,
        )
        return super().submit(function, moved, **more)


def elsewhere() -> Opened:
    return Elsewhere(2)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for number in range(300):
        path = root / f"d{number % 7}" / f"f{number:03}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d," % number * (number % 50))
    (root / "big").write_bytes(os.urandom(12 * MIB))
    (root / "ünï cödé +&=%.txt").write_bytes(b"u")
    return root


@pytest.fixture
def known(store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Workers look up credentials themselves: in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret_key)
    return {"endpoint_url": store.endpoint_url, "region": "us-east-1"}


@pytest.mark.filterwarnings("ignore:::distributed")
@pytest.mark.parametrize("opened", [processes, threads, loky, dask, elsewhere], ids=lambda one: one.__name__)
def test_the_workers_of_any_executor_upload_all_of_it(
    opened: Callable[[], Opened], store: Store, tree: Path, known: dict[str, Any]
) -> None:
    bucket = store.new_bucket()
    reports: list[UploadReport] = []
    events: list[Event] = []
    with opened() as executor:
        summary = upload(
            tree, f"s3://{bucket}/p", executor=executor, progress=reports.append, events=events.append,
            **known, **SMALL,
        )  # fmt: skip
    files = {
        f"p/{path.relative_to(tree).as_posix()}": path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }
    assert store.objects(bucket) == files
    assert (summary.uploaded, summary.bytes, summary.failed) == (302, sum(map(len, files.values())), ())
    assert sorted(report.key for report in reports) == sorted(files)
    assert all(report.object is not None and report.source == report.object.path for report in reports)
    ended = [event.report for event in events if isinstance(event, ObjectEnded)]
    assert ended == reports
    assert len({report.seq for report in ended}) == len(ended)
    assert not store.client.list_multipart_uploads(Bucket=bucket).get("Uploads")


class Growing(ThreadPoolExecutor):
    """One worker, as a scheduler says, until there are more. No task ends before five have been given."""

    def __init__(self) -> None:
        super().__init__(8)
        self._client = self
        self._given = 0
        self.enough = threading.Event()

    def nthreads(self) -> dict[str, int]:
        return {"first": 1, "later": 3 * (self._given > 0)}

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        self._given += 1
        if self._given == 5:
            self.enough.set()

        def wait_and_do() -> Any:
            self.enough.wait(TIMEOUT_S)
            return function(*arguments, **more)

        return super().submit(wait_and_do)


def test_workers_that_come_later_get_work_too(store: Store, tmp_path: Path, known: dict[str, Any]) -> None:
    """As those of a cluster do, which Slurm begins when it has room."""
    root = tmp_path / "src"
    root.mkdir()
    for number in range(4 * FIRST + 1):
        (root / f"{number:04}").touch()
    bucket = store.new_bucket()
    with Growing() as executor:
        summary = upload(root, f"s3://{bucket}", executor=executor, **known)
        assert executor.enough.is_set()
    assert summary.uploaded == 4 * FIRST + 1


def test_what_cannot_travel_is_uploaded_here(store: Store, tree: Path, known: dict[str, Any]) -> None:
    bucket = store.new_bucket()
    sources = [
        ObjectSource.file(tree / "big", "file"),
        ObjectSource.data(b"bytes", "data"),
        ObjectSource.stream([b"a", b"b"], "stream"),
    ]
    with threads() as executor:
        summary = upload(sources, f"s3://{bucket}", executor=executor, **known, **SMALL)
    assert summary.uploaded == 3
    assert store.objects(bucket) == {"file": (tree / "big").read_bytes(), "data": b"bytes", "stream": b"ab"}


def test_credentials_do_not_travel(store: Store, tree: Path) -> None:
    keys = Credentials(store.access_key, store.secret_key)
    with threads() as executor, pytest.raises(ConfigError, match="credentials do not travel"):
        upload(tree, "s3://bucket", executor=executor, endpoint_url=store.endpoint_url, credentials=keys)


def test_a_proxys_password_does_not_travel(tree: Path) -> None:
    with threads() as executor, pytest.raises(ConfigError, match="the proxy's password does not travel"):
        upload(tree, "s3://bucket", executor=executor, proxy="http://user:secret@127.0.0.1:9")


def test_what_is_no_executor_is_a_type_error(tree: Path) -> None:
    with pytest.raises(TypeError, match="executor"):
        upload(tree, "s3://bucket", executor=print)  # type: ignore[arg-type]


def test_a_missing_bucket_ends_the_job_in_one_line(store: Store, tree: Path, known: dict[str, Any]) -> None:
    with threads() as executor, pytest.raises(RunError, match="no such bucket"):
        upload(tree, "s3://there-is-none", executor=executor, **known)


class Blind(Elsewhere):
    """A worker that does not see `path`, which is there for everybody else."""

    path: Path

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        def without(ticket: task.Ticket) -> Any:
            hidden = self.path.rename(self.path.with_name("hidden"))
            try:
                return function(ticket)
            finally:
                hidden.rename(self.path)

        return super().submit(without, *arguments, **more)


def test_a_worker_that_misses_a_file_ends_the_job_at_once(
    store: Store, tree: Path, known: dict[str, Any]
) -> None:
    with Blind(1) as executor:
        executor.path = tree / "big"
        with pytest.raises(RunError, match="does not see it: all workers need") as raised:
            upload(executor.path, "s3://bucket", executor=executor, **known, **SMALL)
    assert not any("have not ended" in note for note in raised.value.summary.notes), "it was waited for"


def _die(ticket: task.Ticket) -> None:
    os._exit(1)


class Deadly(ProcessPoolExecutor):
    """Its workers end with the first shard."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        return super().submit(_die, *arguments, **more)


def test_a_pool_that_breaks_leaves_its_work_to_this_process(
    store: Store, tree: Path, known: dict[str, Any]
) -> None:
    bucket = store.new_bucket()
    with Deadly(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        summary = upload(tree, f"s3://{bucket}", executor=executor, **known, **SMALL)
    assert (summary.uploaded, summary.failed) == (302, ())
    assert len(store.objects(bucket)) == 302
    assert any("went on alone" in note for note in summary.notes)


class Failing(ThreadPoolExecutor):
    """As where the workers have no s3-upload: each task raises."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        return super().submit(_raise, *arguments, **more)


def _raise(ticket: task.Ticket) -> None:
    raise ModuleNotFoundError("No module named 's3_upload'")


def test_workers_that_cannot_work_end_the_job_and_say_why(
    store: Store, tree: Path, known: dict[str, Any]
) -> None:
    bucket = store.new_bucket()
    with Failing(2) as executor, pytest.raises(RunError, match="No module named 's3_upload'"):
        upload(tree, f"s3://{bucket}", executor=executor, **known)


class Again(ThreadPoolExecutor):
    """As Dask does where a worker is lost: each shard is begun once more, here when it is done already."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        def twice(ticket: task.Ticket) -> Any:
            function(ticket)
            return function(ticket)

        return super().submit(twice, *arguments, **more)


class AndLate(ThreadPoolExecutor):
    """Each shard is begun once more, when nobody waits for it any more."""

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        wanted = super().submit(function, *arguments, **more)
        super().submit(function, *arguments, **more)
        return wanted


@pytest.mark.parametrize("kind", [Again, AndLate])
def test_a_shard_that_is_begun_once_more_is_not_sent_twice(
    kind: type[ThreadPoolExecutor], store: Store, tree: Path, known: dict[str, Any]
) -> None:
    bucket = store.new_bucket()
    attempts: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, AttemptEnded) and event.report.succeeded:
            attempts.append(f"{event.key} {event.report.operation} {event.report.part_number}")

    with kind(2) as executor:
        summary = upload(
            tree, f"s3://{bucket}", executor=executor, events=Listening(hear, frozenset({AttemptEnded})),
            hedge="off", **known, **SMALL,
        )  # fmt: skip
    assert (summary.uploaded, summary.failed) == (302, ())
    twice = [one for one in attempts if attempts.count(one) > 1]
    assert twice == []
