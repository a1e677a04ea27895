"""`screen.watch`: from events to what is shown, every so often."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from s3_upload.errors import FailureKind, UploadError
from s3_upload.observe.events import BytesAcknowledged, LimitsChanged, ObjectEnded
from s3_upload.observe.limits import LINK
from s3_upload.observe.status import WANTED, Comparing, Status, Total
from s3_upload.report import EXISTS, SKIPPED, SUCCESS, UploadReport
from s3_upload.screen import watch as watch_module
from s3_upload.screen.lookahead import EXACT, SAMPLE, Lookahead
from s3_upload.screen.watch import FIRST_S, FRAME_S, MAX_UNSIZED, Watch
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import LINK as LINK_REASON
from s3_upload.threads import DaemonThreads
from tests.sim.loop import SimLoop

HANG_S = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def ended(seq: int, size: int, outcome: str = SUCCESS, *, reason: str = "", path: str = "") -> ObjectEnded:
    error = UploadError("no", key="k", kind=FailureKind.SOURCE, attempts=0) if outcome == "source" else None
    source = ObjectSource.file(path, "k") if path else None
    report = UploadReport(
        seq=seq, key="k", source="s", bytes=size, outcome=outcome, reason=reason, object=source, error=error
    )  # fmt: skip
    return ObjectEnded(at_s=0.0, report=report)


def acknowledged(seq: int, count: int, size: int) -> BytesAcknowledged:
    return BytesAcknowledged(at_s=0.0, seq=seq, key="k", bytes=count, size=size)


def counted(*sizes: int) -> Lookahead:
    found = [ObjectSource.stream([], f"k/{n}", size) for n, size in enumerate(sizes)]
    ahead = Lookahead(lambda: found, rest=lambda _: None)
    ahead.run()
    return ahead


def watching(lookahead: Lookahead | None = None, **more: Any) -> tuple[Watch, Clock]:
    clock = Clock()
    return Watch(lambda status: None, lookahead, clock, **more), clock


def test_it_listens_to_what_the_fold_needs_and_tells_how_the_run_stands() -> None:
    watch, clock = watching()
    listening = watch.listening
    assert listening.kinds == WANTED
    clock.now += 2.0
    listening.listener(acknowledged(0, 500, 1_000))
    listening.listener(ended(1, 70))
    listening.listener(LimitsChanged(at_s=0.0, requests=3, max_requests=9, limited_by=LINK))
    clock.now += 1.5
    status = watch.status()
    assert (status.elapsed_s, status.bytes, status.files, status.limited_by) == (3.5, 570, 1, LINK)
    assert status.moving[0].since_s == 2.0
    assert status.total is None


def test_what_there_is_is_counted_from_the_moment_on_that_was_said() -> None:
    watch, clock = watching(counted(10, 20), count_after_s=5.0)
    assert watch.status().total is None
    clock.now += 5.0
    assert watch.status().total == Total(files=2, bytes=30, complete=True)


def test_each_object_is_seen_once_whether_it_is_big_or_small() -> None:
    sizes = [100] * (EXACT + 16 * SAMPLE)
    big, small = EXACT + 1, EXACT + 2
    sizes[big] = 5_000_000
    ahead = counted(*sizes)
    watch, _ = watching(ahead)
    hear = watch.listening.listener
    for sent in (1_000_000, 2_000_000, 4_000_000):
        hear(acknowledged(big, sent, 5_000_000))
    assert ahead.total.bytes == sum(sizes)
    hear(ended(big, 5_000_000))
    hear(ended(small, 100))
    assert ahead.total.bytes == sum(sizes)
    for seq in range(EXACT, len(sizes)):
        if seq not in (big, small):
            hear(ended(seq, 100))
    assert ahead.total == Total(files=len(sizes), bytes=sum(sizes), complete=True)


async def shows(watch: Watch, whole_bytes: int | None) -> None:
    """Until it has looked at all."""
    looked = asyncio.Event()
    watch._show = lambda status: looked.set() if status.whole_bytes == whole_bytes else None
    task = asyncio.create_task(watch.run())
    await asyncio.wait_for(looked.wait(), HANG_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_S", "FRAME_S"):
        monkeypatch.setattr(watch_module, name, 0.0)


@pytest.mark.usefixtures("at_once")
def test_what_is_not_uploaded_is_looked_at_by_a_thread_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a million files that the store has, each look would hold up what is sent."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * 400)
    stat, lookers = os.stat, list[threading.Thread]()

    def seen_stat(at: Any, **more: Any) -> os.stat_result:
        if at == str(path):
            lookers.append(threading.current_thread())
        return stat(at, **more)

    monkeypatch.setattr(os, "stat", seen_stat)
    ahead = counted(400, 400)
    for watch, whole_bytes in ((watching()[0], None), (watching(ahead)[0], 0)):
        watch.listening.listener(ended(0, 0, SKIPPED, reason=EXISTS, path=str(path)))
        watch.listening.listener(ended(1, 0, "source", path=str(path)))
        asyncio.run(shows(watch, whole_bytes))
    assert len(lookers) == 2
    assert threading.main_thread() not in lookers
    assert ahead.total.bytes == 800


@pytest.mark.usefixtures("at_once")
def test_what_is_not_uploaded_is_taken_off_even_if_it_ended_before_its_size_was_known(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 400)
    watch, clock = watching(counted(100, 400, 400))
    hear = watch.listening.listener
    hear(ended(0, 100))
    hear(ended(1, 0, "source", path=str(path)))
    hear(ended(2, 0, SKIPPED, reason=EXISTS, path=str(path)))
    asyncio.run(shows(watch, 100))
    clock.now += 1.0
    status = watch.status()
    assert (status.done, status.whole_bytes, status.share) == (3, 100, 1.0)


@pytest.mark.usefixtures("at_once")
def test_of_files_that_nobody_gets_to_look_at_only_some_are_kept(tmp_path: Path) -> None:
    """On a network drive that hangs a look may take minutes: the others count as all do in the mean."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * 400)
    length = 5 * MAX_UNSIZED
    watch, _ = watching(counted(*[400] * length))
    for seq in range(length):
        watch.listening.listener(ended(seq, 0, SKIPPED, reason=EXISTS, path=str(path)))
    assert len(watch._unsized) == MAX_UNSIZED
    assert watch.status().whole_bytes == 400 * MAX_UNSIZED
    asyncio.run(shows(watch, 0))


@pytest.mark.usefixtures("at_once")
def test_where_no_thread_can_be_had_the_next_frame_tries_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 400)
    call, no_thread = DaemonThreads.call, [RuntimeError("can't start new thread")]

    def refused_once(self: DaemonThreads, function: Any) -> Any:
        if no_thread:
            raise no_thread.pop()
        return call(self, function)

    monkeypatch.setattr(DaemonThreads, "call", refused_once)
    watch, _ = watching(counted(100, 400))
    watch.listening.listener(ended(1, 0, SKIPPED, reason=EXISTS, path=str(path)))
    asyncio.run(shows(watch, 100))
    assert not no_thread


def test_what_is_skipped_unseen_leaves_what_the_others_count_as() -> None:
    """A link was never counted: so it takes nothing off what those count as that are only guessed."""
    size, length = 60_000, 8_000
    link = ObjectSource(key="k", path="/l", skip_reason=LINK_REASON)
    found = [link if n % 2 else ObjectSource.stream([], f"k/{n}", size) for n in range(length)]
    ahead = Lookahead(lambda: found, rest=lambda _: None)
    ahead.run()
    watch, _ = watching(ahead)
    wholes = [watch.status().whole_bytes]
    for seq in range(length):
        is_link = seq % 2
        watch.listening.listener(
            ended(seq, 0, SKIPPED, reason=LINK_REASON, path="/l") if is_link else ended(seq, size)
        )
        if (seq + 1) % (length // 4) == 0:
            wholes.append(watch.status().whole_bytes)
    assert wholes == [size * length // 2] * 5


def test_it_shows_until_it_is_cancelled_and_then_counts_no_more() -> None:
    shown: list[Status] = []
    ahead = counted(1)

    loop = SimLoop(60.0)

    async def run() -> None:
        task = asyncio.create_task(Watch(shown.append, ahead, loop.time).run())
        await asyncio.sleep(FIRST_S + 2.5 * FRAME_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run_until_complete(run())
    loop.close()
    times = [round(status.elapsed_s, 3) for status in shown]
    assert times == [FIRST_S, FIRST_S + FRAME_S, FIRST_S + 2 * FRAME_S]


def test_a_run_that_is_over_at_once_shows_nothing() -> None:
    shown: list[Status] = []
    loop = SimLoop(60.0)

    async def run() -> None:
        task = asyncio.create_task(Watch(shown.append, None, loop.time).run())
        await asyncio.sleep(FIRST_S / 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run_until_complete(run())
    loop.close()
    assert shown == []


def test_what_is_compared_is_asked_for_at_each_look() -> None:
    so_far = [(3, 0)]
    watch = Watch(lambda status: None, compared=lambda: so_far[-1])
    assert watch.status().compared == Comparing(3, 0)
    so_far.append((5, 70))
    assert watch.status().compared == Comparing(5, 70)
