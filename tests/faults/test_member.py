"""One process of a job, as the process sees it: what it is told, it does, and what it does, it tells.

Here it runs in the tests' own process: one that a job has begun is killed at its end."""

from __future__ import annotations

import asyncio
import pickle
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import ObjectEnded, UploadConfig
from s3_upload.config import MIB
from s3_upload.fleet.member import TICK_S, Line, Member
from s3_upload.fleet.task import Untold
from s3_upload.fleet.wire import (
    Answer,
    Begin,
    Ended,
    Finish,
    Frame,
    GiveBack,
    GivenBack,
    Item,
    Lease,
    Question,
    Rates,
    Ready,
    Stop,
    Told,
    Work,
    framed,
    numbers_of,
    unpacked,
)
from s3_upload.observe.journal_rows import KnownUploads
from s3_upload.sources.source import Here
from tests.faults.actions import Delay, Rule, s3_error
from tests.faults.fleet import SMALL, known

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from s3_upload.transfer.resume import UploadsBefore
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer


def order(server: FaultServer, **others: Any) -> Begin:
    plain: dict[str, Any] = {
        "recipe": known(server.url),
        "bucket": "bucket",
        "config": UploadConfig(**SMALL),
        "default_request": None,
        "wanted": numbers_of(frozenset({ObjectEnded})),
        "epoch_s": time.monotonic(),
        "keeps": False,
        "asks_store": False,
        "paced": False,
    }
    return Begin(**plain | others)


def work(folder: Path, *bodies: bytes) -> Work:
    items: list[Item] = []
    for number, body in enumerate(bodies):
        path = folder / f"{number}"
        path.write_bytes(body)
        items.append((str(path), f"key-{number}", None))
    return Work(items)


def done(told: list[Frame]) -> dict[str, str | None]:
    """The objects that were told of, and what of each has failed."""
    events = [unpacked(values) for frame in told if isinstance(frame, Told) for values in frame.events]
    reports = [event.report for event in events if isinstance(event, ObjectEnded)]
    assert len({report.key for report in reports}) == len(reports)
    return {report.key: report.error.kind.name if report.error else None for report in reports}


def bounded(work: Coroutine[Any, Any, Ended]) -> Ended:
    return asyncio.run(asyncio.wait_for(work, 30.0))


def run(begin: Begin, *frames: Frame, before: UploadsBefore | None = None) -> tuple[Ended, list[Frame]]:
    """What a process that hears `frames` comes to, and all that it tells."""
    told: list[Frame] = []

    async def main() -> Ended:
        member = Member(begin, told.append, before)
        for frame in frames:
            member.hear(frame)
        return await member.ended()

    return bounded(main()), told


def test_all_that_it_is_given_is_uploaded_and_told_before_it_ends(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server()
    ended, told = run(order(server), work(tmp_path, b"one", b"two"), Finish())
    assert ended == Ended()
    assert server.model.bodies("bucket") == {"key-0": b"one", "key-1": b"two"}
    assert done(told) == {"key-0": None, "key-1": None}


def test_what_it_has_not_begun_it_gives_back_the_last_first_and_does_not_do(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server()
    frames = (work(tmp_path, b"one", b"two", b"three"), GiveBack(2), GiveBack(0), Finish())
    ended, told = run(order(server), *frames)
    assert [frame.keys for frame in told if isinstance(frame, GivenBack)] == [["key-2", "key-1"], []]
    assert (ended, done(told)) == (Ended(), {"key-0": None})
    assert server.model.bodies("bucket").keys() == {"key-0"}


def test_without_work_it_ends_when_there_will_be_none(fault_server: StartFaultServer) -> None:
    server = fault_server()
    assert run(order(server), Finish()) == (Ended(), [])
    assert server.requests == []


def test_what_ends_the_run_ends_it_with_that_error(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server(lambda _: s3_error(404, "NoSuchBucket"))
    ended, _ = run(order(server), work(tmp_path, b"one"), Finish())
    assert "bucket" in str(ended.error)


@pytest.mark.parametrize("at_once", [False, True])
def test_stopped_it_ends_without_an_error(
    fault_server: StartFaultServer, tmp_path: Path, at_once: bool
) -> None:
    """Though there may be more work."""
    server = fault_server()
    ended, told = run(order(server), work(tmp_path, b"one"), Stop(at_once=at_once))
    assert ended == Ended()
    assert server.model.bodies("bucket").keys() == {key for key, error in done(told).items() if error is None}


def test_what_it_sends_it_tells_though_nothing_is_refused(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """Or it would not slow down with the others before something of its own is refused."""
    server = fault_server([Rule(Delay(2 * TICK_S), key="key-1")])
    _, told = run(order(server), work(tmp_path, b"a", b"b"), Finish())
    assert any(one.accepted for frame in told if isinstance(frame, Rates) for one in frame.seen)


def test_a_bound_may_be_set_and_lifted(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server()
    frames = (Lease(50.0 * MIB), work(tmp_path, b"one"), Lease(0.0), Finish())
    ended, told = run(order(server, paced=True), *frames)
    assert (ended, done(told)) == (Ended(), {"key-0": None})


def test_of_uploads_in_parts_the_job_is_asked_before_and_told_after(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server()
    asked: list[tuple[str, str]] = []
    told: list[Frame] = []

    async def main() -> Ended:
        def tell(frame: Frame) -> None:
            told.append(frame)
            if isinstance(frame, Question):
                asked.append((frame.name, frame.argument))
                answer = KnownUploads(()) if frame.name == "known_uploads" else None
                member.hear(Answer(frame.number, answer))

        member = Member(order(server, keeps=True), tell)
        member.hear(work(tmp_path, bytes(6 * MIB)))
        member.hear(Finish())
        return await member.ended()

    assert bounded(main()) == Ended()
    assert server.model.bodies("bucket") == {"key-0": bytes(6 * MIB)}
    assert asked[:2] == [("known_uploads", "key-0"), ("begin_creating", "key-0")]
    assert done(told) == {"key-0": None}


OF_JOB_S = 60.0
"""So long ago the job began: the store's times are whole seconds."""


def not_overwriting(server: FaultServer) -> Begin:
    config = UploadConfig(**SMALL, if_exists="fail")
    return order(server, config=config, epoch_s=time.monotonic() - OF_JOB_S)


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_a_process_of_the_job_had_sent_before_it_ended_is_no_object_of_somebody_else(
    fault_server: StartFaultServer, tmp_path: Path, is_lost: bool
) -> None:
    server = fault_server()
    sent = work(tmp_path, b"one", b"", bytes(6 * MIB))
    run(order(server), sent, Finish(), before=Untold({}, keeps=False))
    keys = tuple(key for _, key, _ in sent.items)
    again = Work(sent.items, keys if is_lost else ())
    outcome = None if is_lost else "EXISTS"
    _, told = run(not_overwriting(server), again, Finish(), before=Untold({}, keeps=False))
    assert done(told) == dict.fromkeys(keys, outcome)
    assert server.model.uploads == {}


def test_only_what_is_proven_to_be_of_the_job_is(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server()
    others = work(tmp_path, b"two", b"three")
    run(order(server), others, Finish())
    server.model.objects["bucket/key-1"].modified_s -= 2 * OF_JOB_S
    own = work(tmp_path, b"one", b"three")
    _, told = run(not_overwriting(server), Work(own.items, ("key-0", "key-1")), Finish())
    assert done(told) == {"key-0": "EXISTS", "key-1": "EXISTS"}
    assert server.model.bodies("bucket") == {"key-0": b"two", "key-1": b"three"}


def on_a_line(sent: bytes, heard: Callable[[Line], Coroutine[Any, Any, list[Frame]]]) -> list[Frame]:
    """What is heard of `sent` on a line; that the other end closes after that is noticed."""

    async def main() -> list[Frame]:
        ours, theirs = socket.socketpair()
        lost = asyncio.Event()
        line = Line(lost.set)
        await asyncio.get_running_loop().create_connection(lambda: line.ear, sock=ours)
        with theirs:
            theirs.sendall(sent)
            frames = await heard(line)
            assert not lost.is_set()
        await lost.wait()
        line.send(Ready())  # to nobody: no error
        return frames

    return asyncio.run(asyncio.wait_for(main(), 30.0))


def test_frames_that_come_before_somebody_listens_wait_in_their_order(tmp_path: Path) -> None:
    sent: list[Frame] = [Ready(), work(tmp_path, b"one"), Finish()]

    async def heard(line: Line) -> list[Frame]:
        frames, all_there = [await line.first], asyncio.Event()

        def hear(frame: Frame) -> None:
            frames.append(frame)
            if len(frames) == len(sent):
                all_there.set()

        line.listen(hear)
        await all_there.wait()
        return frames

    assert on_a_line(b"".join(map(framed, sent)), heard) == sent


def test_a_first_frame_that_cannot_be_read_is_an_error_of_whoever_waits_for_it() -> None:
    async def heard(line: Line) -> list[Frame]:
        with pytest.raises(pickle.UnpicklingError):
            await line.first
        return []

    assert on_a_line(b"\0\0\0\4oops", heard) == []


def test_in_a_directory_that_was_removed_lies_nothing_though_the_same_path_is_there_for_a_worker(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "removed").mkdir()
    monkeypatch.chdir(tmp_path / "removed")
    (tmp_path / "removed").rmdir()
    begin = order(fault_server(), directory=Here().told)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_bytes(b"another")
    _, told = run(begin, Work([("a", "a", None)]), Finish())
    assert done(told) == {"a": "SOURCE"}
