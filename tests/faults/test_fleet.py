"""A job of two processes, where one of them ends before its time, or the job has to."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.leases import children_of
from s3_upload import (
    ConfigError,
    Event,
    ObjectBegun,
    ObjectEnded,
    ObjectSource,
    PartStored,
    RunError,
    start_upload,
)
from s3_upload.config import MIB
from s3_upload.errors import FailureKind
from s3_upload.fleet import child, uploading
from s3_upload.fleet.growth import Growth
from s3_upload.request_fields import RequestFields
from tests.faults import fleet
from tests.faults.actions import Delay, Rule, Stall, s3_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_upload import UploadReport
    from tests.conftest import StartFaultServer

SMALL_FILES = 400
TIMEOUT_S = 60.0  # bounds a hang


@pytest.fixture
def sources(tmp_path: Path) -> list[ObjectSource]:
    return fleet.small_files(tmp_path, SMALL_FILES)


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> object:
    yield
    assert children_of(os.getpid()) == []


def bodies(sources: list[ObjectSource]) -> dict[str, bytes]:
    return {source.key: Path(source.path).read_bytes() for source in sources}


def once(act: Callable[[], None]) -> Callable[[UploadReport], None]:
    """Does it when the first report of the other process comes."""
    left = [act]

    def told(report: UploadReport) -> None:
        if report.seq >= fleet.OF_WORKER and left:
            left.pop()()

    return told


def test_both_upload_and_each_object_is_told_once(
    fault_server: StartFaultServer, sources: list[ObjectSource]
) -> None:
    server = fault_server()
    events: list[Event] = []
    summary, reports = fleet.run(server.url, sources, events=events.append)
    assert server.model.bodies("bucket") == bodies(sources)
    assert Counter(request.key for request in server.of("PUT")).most_common(1)[0][1] == 1
    assert (summary.uploaded, len(reports), summary.notes) == (SMALL_FILES, SMALL_FILES, ())
    assert any(report.seq >= fleet.OF_WORKER for report in reports)
    begun = [event.seq for event in events if isinstance(event, ObjectBegun)]
    ended = [event.report.seq for event in events if isinstance(event, ObjectEnded)]
    assert sorted(begun) == sorted(ended) == sorted(set(ended))
    assert [report.object for report in reports].count(None) == 0


@pytest.mark.parametrize("if_exists", ["overwrite", "skip", "fail"])
def test_a_process_that_is_killed_costs_nothing(
    fault_server: StartFaultServer, sources: list[ObjectSource], tmp_path: Path, if_exists: str
) -> None:
    """Not even what it had sent, and not told of, is taken for somebody else's."""
    server = fault_server(lambda request: Delay(0.05))
    for number in range(4):
        path = tmp_path / f"big{number}"
        path.write_bytes(os.urandom(12 * MIB))
        sources.insert(200 + number, ObjectSource.file(path, path.name))
    events: list[Event] = []
    summary, reports = fleet.run(
        server.url, sources, told=once(fleet.kill_children), events=events.append, if_exists=if_exists
    )
    assert server.model.bodies("bucket") == bodies(sources)
    assert server.model.uploads == {}
    assert (summary.uploaded, summary.failed, summary.skipped) == (len(sources), (), ())
    assert summary.bytes == sum(map(len, bodies(sources).values()))
    assert sorted(report.key for report in reports) == sorted(bodies(sources))
    whole = Counter(request.key for request in server.of("PUT") if "partNumber" not in request.query)
    assert max(whole.values()) <= 2
    begun = [event.seq for event in events if isinstance(event, ObjectBegun)]
    ended = [event.report.seq for event in events if isinstance(event, ObjectEnded)]
    assert sorted(begun) == sorted(ended) == sorted(set(ended))


def test_what_a_process_that_was_killed_has_begun_is_aborted_though_nobody_could_ask_for_it(
    fault_server: StartFaultServer, sources: list[ObjectSource], tmp_path: Path
) -> None:
    """The one that was given the file was not told which parts there are, so the file failed.  The abort says
    who pays, too."""
    stalls = Rule(Stall(), query={"partNumber": "2"}, nth=1)
    server = fault_server([stalls, Rule(s3_error(500, "InternalError"), method="GET")])
    (tmp_path / "big").write_bytes(os.urandom(12 * MIB))
    kill = [fleet.kill_children]

    def hear(event: Event) -> None:
        if isinstance(event, PartStored) and kill:
            kill.pop()()

    def told(report: UploadReport) -> None:
        if report.key == "big":
            server.set_script(None)

    big = ObjectSource.file(tmp_path / "big", "big", fields=RequestFields(request_payer="requester"))
    summary, _ = fleet.run(server.url, sources, first_for_child=big, told=told, events=hear, n_retries=1)
    assert not kill
    assert {request.headers.get("x-amz-request-payer") for request in server.of("DELETE")} == {"requester"}
    assert [report.key for report in summary.failed] == ["big"]
    assert server.model.uploads == {}


@pytest.mark.parametrize("way", ["journal", "resume_multipart"])
def test_cancelled_what_each_process_has_begun_is_left_to_the_next_run_and_one_note_counts_all_of_it(
    fault_server: StartFaultServer, sources: list[ObjectSource], tmp_path: Path, way: str
) -> None:
    server = fault_server([Rule(Stall(), query={"partNumber": "2"})])
    keeps: dict[str, Any] = {"journal": tmp_path / "journal"} if way == "journal" else {way: True}
    (tmp_path / "big").write_bytes(os.urandom(12 * MIB))
    at_home, elsewhere = (ObjectSource.file(tmp_path / "big", key) for key in ("home", "elsewhere"))
    begun: set[bool] = set()
    both = threading.Event()

    def hear(event: Event) -> None:
        if isinstance(event, PartStored):
            begun.add(event.seq >= fleet.OF_WORKER)
            if len(begun) == 2:
                both.set()

    run = start_upload(
        fleet.Shared([at_home, *sources], elsewhere), "s3://bucket", processes=2, events=hear, grace_s=0.0,
        **keeps, **fleet.known(server.url), **fleet.SMALL,
    )  # fmt: skip
    assert both.wait(TIMEOUT_S)
    run.cancel()
    summary = run.wait(TIMEOUT_S)
    assert len(server.model.uploads) == 2
    assert server.of("DELETE") == []
    assert "2 uploads in parts are left in the store for the next run to go on with" in summary.notes
    assert len([note for note in summary.notes if "next run" in note]) == 1


def test_a_file_that_ends_each_process_fails_and_the_others_are_uploaded(
    fault_server: StartFaultServer, sources: list[ObjectSource], tmp_path: Path
) -> None:
    server = fault_server()
    (tmp_path / "deadly").write_bytes(b"x")
    deadly = ObjectSource.file(tmp_path / "deadly", "deadly")
    summary, _ = fleet.run(server.url, sources, first_for_child=deadly, default_request=fleet.dies_of_deadly)
    assert server.model.bodies("bucket") == bodies(sources)
    assert [report.key for report in summary.failed] == ["deadly"]
    assert str(summary.failed[0]) == (
        f"failed {tmp_path}/deadly to deadly: {tmp_path}/deadly: each process that uploads it ends "
        "(the last: exit code 9)"
    )
    assert summary.uploaded == SMALL_FILES


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (s3_error(404, "NoSuchBucket"), FailureKind.NO_SUCH_BUCKET),
        (s3_error(403, "AccessDenied"), FailureKind.ACCESS_DENIED),
    ],
    ids=["no bucket", "denied"],
)
def test_what_no_file_would_survive_ends_the_job(
    fault_server: StartFaultServer,
    sources: list[ObjectSource],
    capfd: pytest.CaptureFixture[str],
    answer: object,
    kind: FailureKind,
) -> None:
    server = fault_server(lambda request: answer)
    with pytest.raises(RunError) as raised:
        fleet.run(server.url, sources)
    assert raised.value.kind is kind
    assert raised.value.summary.uploaded == 0
    assert capfd.readouterr().err == ""


def test_what_a_function_raises_in_a_process_ends_the_job_in_words(
    fault_server: StartFaultServer, sources: list[ObjectSource], capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where such an exception cannot be made again here."""
    server = fault_server()
    with pytest.raises(Exception, match="1 and 2"):
        fleet.run(server.url, sources, default_request=fleet.raises_in_child)
    assert capfd.readouterr().err == ""


@pytest.fixture
def auto_begins_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and one alone."""
    monkeypatch.setattr(Growth, "grows", lambda *_, **__: True)
    monkeypatch.setattr(uploading, "processors", lambda: 2)


@pytest.mark.usefixtures("auto_begins_another")
def test_with_auto_a_process_that_cannot_begin_its_work_leaves_it_to_the_first(
    fault_server: StartFaultServer, sources: list[ObjectSource]
) -> None:
    """It may lack credentials that somebody has typed in the first one's terminal."""
    server = fault_server()
    summary, _ = fleet.run(server.url, sources, default_request=fleet.raises_in_child, processes="auto")
    assert server.model.bodies("bucket") == bodies(sources)
    assert summary.uploaded == len(sources)
    [note] = [note for note in summary.notes if "went on alone" in note]
    assert "a process ended before it had uploaded anything" in note


@pytest.mark.usefixtures("auto_begins_another")
def test_with_auto_what_cannot_travel_leaves_all_to_the_first_and_a_note_says_why(
    fault_server: StartFaultServer, sources: list[ObjectSource]
) -> None:
    server = fault_server()
    few = sources[:16]  # each comes 0.15 s after the one before: `Shared`
    summary, _ = fleet.run(server.url, few, default_request=lambda source: None, processes="auto")
    assert server.model.bodies("bucket") == bodies(few)
    [note] = summary.notes
    assert note.startswith("one process uploaded all: default_request cannot be sent to another process (")


@pytest.mark.parametrize("path", [None, "/a:/b"])
def test_what_a_process_begins_finds_the_modules_that_it_would_find_from_the_first(
    fault_server: StartFaultServer,
    sources: list[ObjectSource],
    monkeypatch: pytest.MonkeyPatch,
    path: str | None,
) -> None:
    """A credential_process, say, in a Python of another version."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    server = fault_server()
    fleet.run(server.url, sources, default_request=fleet.tells_its_path)
    sent = {
        (request.headers["x-amz-meta-child"], request.headers["x-amz-meta-path"])
        for request in server.of("PUT")
        if "x-amz-meta-child" in request.headers
    }
    assert sent == {("True", path or "none"), ("False", path or "none")}


def test_what_is_no_text_in_the_path_of_modules_does_no_harm(
    fault_server: StartFaultServer, sources: list[ObjectSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python itself passes over it."""
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/x")])
    server = fault_server()
    _, reports = fleet.run(server.url, sources)
    assert server.model.bodies("bucket") == bodies(sources)
    assert any(report.seq >= fleet.OF_WORKER for report in reports)


def test_what_is_raised_while_a_process_is_begun_ends_the_job(
    fault_server: StartFaultServer, sources: list[ObjectSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise ValueError("unforeseen")

    monkeypatch.setattr(child, "_spawn", fail)
    with pytest.raises(ValueError, match="unforeseen"):
        fleet.run(fault_server().url, sources)


@pytest.mark.parametrize("error", [ValueError("enough"), StopIteration(), asyncio.CancelledError()])
def test_progress_that_raises_ends_the_job_and_all_its_processes(
    fault_server: StartFaultServer, sources: list[ObjectSource], error: BaseException
) -> None:
    server = fault_server()

    def fail() -> None:
        raise error

    with pytest.raises((ValueError, RuntimeError), match=r"enough|StopIteration|CancelledError") as raised:
        fleet.run(server.url, sources, told=once(fail))
    assert 0 < raised.value.summary.uploaded < SMALL_FILES  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_a_listener_raises_of_another_process_ends_the_job(
    fault_server: StartFaultServer,
    sources: list[ObjectSource],
    capfd: pytest.CaptureFixture[str],
    kind: type[BaseException],
) -> None:
    """Also Ctrl-C in that very moment, which a loop would print before it went on."""
    server = fault_server()

    def hear(event: Event) -> None:
        if isinstance(event, ObjectEnded) and event.report.seq >= fleet.OF_WORKER:
            raise kind("enough")

    with pytest.raises(kind, match="enough"):
        fleet.run(server.url, sources, events=hear)
    assert capfd.readouterr().err == ""


def test_a_function_that_cannot_travel_is_refused_before_anything_is_sent(
    fault_server: StartFaultServer, sources: list[ObjectSource]
) -> None:
    server = fault_server()
    with pytest.raises(ConfigError, match="default_request cannot be sent to another process"):
        fleet.run(server.url, sources, default_request=lambda source: None)
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"share": "background"}, "has to see all of its own connections"),
        ({"max_bandwidth": "50%"}, "can be found out by one process only"),
    ],
    ids=lambda given: str(given),
)
def test_what_one_process_alone_can_do_is_refused(
    sources: list[ObjectSource], arguments: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=f"^processes = 2: .*{why}.*: leave it out$"):
        fleet.run("http://127.0.0.1:9", sources, **arguments)
