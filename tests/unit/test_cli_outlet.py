"""Lines written by a thread: order, bounds, errors."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli import output, session
from s3_upload.cli.options.upload import UploadOptions
from s3_upload.cli.outlet import BATCH_BYTES, MAX_QUEUED_BYTES, Outlet
from s3_upload.cli.output import LAST_WORDS_S, StdoutError
from s3_upload.cli.views.display import Display
from s3_upload.cli.views.render import JsonLines, Text
from s3_upload.descriptors import write_all
from s3_upload.report import UploadReport

if TYPE_CHECKING:
    from collections.abc import Iterator

HANG_S = 60.0
REPORT = UploadReport(seq=0, key="k", source="s", bytes=0, outcome="success")


class Reader:
    """What lines are written to: it takes them only as long as it reads."""

    def __init__(self, *, reads: bool) -> None:
        self.got: list[bytes] = []
        self.reads = threading.Event()
        if reads:
            self.reads.set()

    def write(self, data: bytes) -> None:
        assert self.reads.wait(HANG_S)
        self.got.append(data)


@pytest.fixture
def outlet() -> Iterator[Outlet]:
    made = Outlet()
    yield made
    made.close()


def gone(_data: bytes) -> None:
    raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_lines_come_out_in_the_order_in_which_they_were_put(outlet: Outlet) -> None:
    reader = Reader(reads=False)
    to_first, to_second = reader.write, lambda data: reader.write(data.upper())
    lines = [f"line {number}\n".encode() for number in range(1_000)]
    for number, line in enumerate(lines):
        outlet.put(to_second if number % 100 == 0 else to_first, line)
    reader.reads.set()
    assert outlet.flush()
    assert b"".join(reader.got).lower() == b"".join(lines)
    assert [data[:4] for data in reader.got if data[:4] == b"LINE"] == [b"LINE"] * 10
    assert len(reader.got) < 100, "what waits is written together"
    assert all(len(data) < BATCH_BYTES + 100 for data in reader.got)


def test_nothing_is_awaited_while_there_is_room(outlet: Outlet) -> None:
    outlet.put(Reader(reads=True).write, b"x\n")
    assert not outlet.full
    asyncio.run(outlet.room())


def test_who_makes_lines_waits_for_who_reads_them_and_memory_stays(outlet: Outlet) -> None:
    reader, line = Reader(reads=False), b"x" * 10_000

    async def make() -> int:
        most, waited = 0, 0
        for _ in range(4 * MAX_QUEUED_BYTES // len(line)):
            outlet.put(reader.write, line)
            most = max(most, outlet._queued_bytes)
            if outlet.full:
                waited += 1
                reader.reads.set()
                await outlet.room()
        assert waited > 0
        return most

    assert asyncio.run(make()) <= MAX_QUEUED_BYTES + len(line)
    assert outlet.flush()
    assert sum(map(len, reader.got)) == 4 * MAX_QUEUED_BYTES // len(line) * len(line)


def test_the_wait_for_room_can_be_cancelled(outlet: Outlet) -> None:
    reader = Reader(reads=False)
    outlet.put(reader.write, b"x" * (MAX_QUEUED_BYTES + 1))

    async def give_up() -> None:
        waiting = asyncio.ensure_future(outlet.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(give_up())
    assert not outlet.flush(0.0)
    reader.reads.set()  # and the thread tells a loop that is closed
    assert outlet.flush()


def test_a_failed_write_is_told_to_all_who_wait_or_write(outlet: Outlet) -> None:
    held = threading.Event()

    def fail(_data: bytes) -> None:
        assert held.wait(HANG_S)
        gone(b"")

    outlet.put(fail, b"x" * (MAX_QUEUED_BYTES + 1))

    async def wait() -> None:
        waiting = asyncio.ensure_future(outlet.room())
        await asyncio.sleep(0)
        held.set()
        await waiting

    asyncio.run(wait())
    with pytest.raises(BrokenPipeError):
        outlet.put(fail, b"more")
    with pytest.raises(BrokenPipeError):
        outlet.flush()
    assert not outlet.full


def test_a_thread_that_is_stuck_is_left_behind() -> None:
    outlet, reader = Outlet(), Reader(reads=False)
    outlet.put(reader.write, b"x")
    outlet.close()
    reader.reads.set()
    assert outlet.flush()


def test_all_is_written_to_a_descriptor_that_takes_a_little_at_a_time() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = os.urandom(1 << 20)
    got = bytearray()

    def read() -> None:
        while chunk := os.read(reading, 4096):
            got.extend(chunk)

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writing, data)
    os.close(writing)
    thread.join()
    os.close(reading)
    assert bytes(got) == data


# --- what the renderings make of it


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch, outlet: Outlet) -> Reader:
    """Of a run whose lines are written in the background: nobody reads them."""
    reader = Reader(reads=False)
    monkeypatch.setitem(output._channels, "stdout", output._Channel(reader.write, outlet))
    monkeypatch.setitem(output._channels, "stderr", output._Channel(reader.write, outlet))
    return reader


@pytest.mark.parametrize("kind", [JsonLines, Text])
def test_a_run_waits_for_those_who_read_its_results_and_its_errors(stdout: Reader, kind: type[Text]) -> None:
    rendering = kind("b")
    failed = UploadReport(seq=0, key="k", source="s" * 1_000, bytes=0, outcome="rejected")
    added = 0
    while (waiting := rendering.add(failed)) is None:
        added += 1
    assert added > MAX_QUEUED_BYTES // 4_000
    stdout.reads.set()

    async def wait() -> None:
        assert waiting is not None
        await waiting

    asyncio.run(wait())
    assert output.flush()


def test_a_reader_that_went_away_is_told_once_and_the_rest_dropped(
    monkeypatch: pytest.MonkeyPatch, outlet: Outlet
) -> None:
    discarded: list[bool] = []
    monkeypatch.setattr(output, "discard_stdout", lambda: discarded.append(True))
    monkeypatch.setitem(output._channels, "stdout", output._Channel(gone, outlet))
    JsonLines("b").add(REPORT)
    with pytest.raises(StdoutError) as caught:
        output.flush()
    assert caught.value.gone
    JsonLines("b").add(REPORT)
    assert output.flush()
    assert discarded == [True]


def test_where_nobody_reads_results_errors_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, outlet: Outlet
) -> None:
    class Errors(Outlet):
        def flush(self, timeout_s: float | None = None) -> bool:
            reader.reads.set()  # somebody reads, from now on
            return super().flush(timeout_s)

    reader, errors = Reader(reads=False), Errors()
    monkeypatch.setattr(output, "discard_stdout", lambda: None)
    monkeypatch.setitem(output._channels, "stdout", output._Channel(gone, outlet))
    monkeypatch.setitem(output._channels, "stderr", output._Channel(reader.write, errors))
    output.note("failed")
    JsonLines("b").add(REPORT)
    with pytest.raises(StdoutError):
        output.flush()
    assert reader.got == [b"failed\n"]


def test_a_run_whose_results_nobody_reads_waits_for_those_who_read_its_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise StdoutError(BrokenPipeError(errno.EPIPE, "Broken pipe"))

    waited: list[bool] = []
    monkeypatch.setattr(session, "_upload_and_tell", fail)
    monkeypatch.setattr(session, "last_words", lambda: waited.append(True))
    with pytest.raises(StdoutError):
        session.run(
            session.Job(
                bucket="b", passes=[], options=UploadOptions(), rendering=Text("b"), display=Display("none")
            )
        )
    assert waited == [True]


class Looked(threading.Condition):
    """Between two looks of who waits with a bound 0.9 of that pass, in which a reader takes one line."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.now = 0.0
        self.taken = threading.Semaphore(0)
        self._left = lines

    def take(self, _data: bytes) -> None:
        assert self.taken.acquire(timeout=HANG_S)

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait()
        if not self._left:
            self.now += timeout
            return False
        self._left -= 1
        self.now += 0.9 * timeout
        self.taken.release()
        return super().wait(HANG_S)


@pytest.mark.parametrize("reads", [12, 5])
def test_last_words_are_waited_for_as_long_as_somebody_reads(
    monkeypatch: pytest.MonkeyPatch, outlet: Outlet, reads: int
) -> None:
    outlet._changed = looked = Looked(reads)
    monkeypatch.setitem(output._channels, "stderr", output._Channel(looked.take, outlet))
    for _ in range(12):
        outlet.put(looked.take, b"x" * BATCH_BYTES)
    output.last_words()
    assert outlet._queued_bytes == (12 - reads) * BATCH_BYTES
    assert looked.now == pytest.approx((0.9 * reads + (reads < 12)) * LAST_WORDS_S)
    looked.taken.release(12)


def test_errors_that_nobody_can_read_are_no_error(monkeypatch: pytest.MonkeyPatch, outlet: Outlet) -> None:
    monkeypatch.setitem(output._channels, "stderr", output._Channel(gone, outlet))
    output.note("failed")
    assert output.flush()
    output.note("failed again")
    assert output.flush()
