"""The command whose output nobody reads: the run waits, memory stays, signals are heard, nothing is lost."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.actions import Rule, Stall, s3_error
from tests.faults.uploads import BUCKET, stored
from tests.platforms import needs_full_disk, needs_proc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
TIMEOUT_S = 60
SIGNALS = [signal.SIGINT, signal.SIGTERM]
STOPPING = b"s3-upload: stopping: "
INTERRUPTED = b"s3-upload: interrupted after "


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """500 files, whose lines are more than a pipe takes."""
    folder = tmp_path / "src"
    folder.mkdir()
    for number in range(500):
        (folder / f"{number:03}").write_bytes(b"x")
    return folder


class FullPipe:
    """A pipe into which nothing fits until somebody reads, which `read` does."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self.filled = 0
        while True:
            try:
                self.filled += os.write(self.writing, b"#" * 65_536)
            except BlockingIOError:
                break
        os.set_blocking(self.writing, True)

    def read(self) -> bytes:
        """All that is written to it until the last writer has closed it."""
        os.close(self.writing)
        with os.fdopen(self.reading, "rb") as file:
            return file.read()[self.filled :]

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def pipe() -> Iterator[FullPipe]:
    made = FullPipe()
    yield made
    for fd in (made.reading, made.writing):
        try:
            os.close(fd)
        except OSError:
            continue


@contextmanager
def start(server: FaultServer, src: Path, *flags: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command; one that hangs does not outlive the test."""
    alone = ("--no-sign-request", "--no-journal", "--no-progress", "--grace", "0")
    words = [str(src), f"s3://{BUCKET}", "--endpoint-url", server.url, *alone, *flags]
    with subprocess.Popen([COMMAND, *words], **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_writing(process: subprocess.Popen[bytes], fd: int) -> None:
    """Until a thread of `process` is in the system call write(fd). Where the system does not tell, never
    mind: what the tests promise does not hang on it."""
    if not Path("/proc/self").exists():
        return
    tasks = Path(f"/proc/{process.pid}/task")
    until_s = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < until_s:
        try:
            calls = [(task / "syscall").read_text().split() for task in tasks.iterdir()]
        except FileNotFoundError:  # a thread that has ended
            continue
        except OSError:
            return
        if any(call[0] in {"1", "64"} and int(call[1], 16) == fd for call in calls if len(call) > 1):
            return
        os.sched_yield()


def test_a_signal_ends_a_run_whose_results_nobody_reads(
    fault_server: StartFaultServer, src: Path, pipe: FullPipe
) -> None:
    server = fault_server()
    with start(server, src, "--json", stdout=pipe.writing, stderr=subprocess.PIPE) as process:
        wait_until_writing(process, 1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    *_, first, second = err.splitlines()  # before these it may have said that it stops
    assert first.startswith(INTERRUPTED)
    assert second == b"s3-upload: nobody reads what is written, so not all results are told"


def test_a_signal_ends_a_run_whose_errors_nobody_reads(
    fault_server: StartFaultServer, src: Path, pipe: FullPipe
) -> None:
    server = fault_server([Rule(s3_error(400, "InvalidRequest"), key="*[1-9]")])
    with start(server, src, stdout=subprocess.DEVNULL, stderr=pipe.writing) as process:
        wait_until_writing(process, 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 143


@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_ends_it_whatever_it_waits_for(
    fault_server: StartFaultServer, src: Path, pipe: FullPipe, second: signal.Signals
) -> None:
    server = fault_server()
    # Without a buffer of Python's: select would know nothing of a line that waits there.
    streams = {"stdout": pipe.writing, "stderr": subprocess.PIPE, "bufsize": 0}
    with start(server, src, "--json", **streams) as process:
        assert process.stderr is not None
        wait_until_writing(process, 1)
        process.send_signal(signal.SIGINT)
        line = STOPPING
        while line.startswith(STOPPING):  # where the signal came before the end
            assert select.select([process.stderr], [], [], TIMEOUT_S)[0]
            line = process.stderr.readline()
        assert line.startswith(INTERRUPTED)  # it waits for a reader of the rest
        process.send_signal(second)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (128 + second, b"")


def test_a_second_signal_does_not_wait_for_the_store(fault_server: StartFaultServer, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(6_000_000))
    server = fault_server([Rule(Stall(), method="PUT"), Rule(Stall(), method="DELETE")])
    flags = ("--multipart-threshold", "5MiB", "--part-size", "5MiB")
    with start(server, tmp_path / "big", *flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        server.wait_until(lambda: bool(server.of("PUT")), TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        server.wait_until(lambda: bool(server.of("DELETE")), TIMEOUT_S)  # the abort, never answered
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (130, b"")
    assert all(line.startswith(STOPPING) for line in err.splitlines())  # where the second one came late


def test_results_are_read_late_and_none_is_lost_or_out_of_order(
    fault_server: StartFaultServer, src: Path, pipe: FullPipe
) -> None:
    """The run goes on for as many results as may wait: it does not stop at what a pipe takes."""
    server = fault_server()
    with start(server, src, "--json", stdout=pipe.writing, stderr=subprocess.PIPE) as process:
        server.wait_until(lambda: len(stored(server)) == 500, TIMEOUT_S)
        lines = [json.loads(line) for line in pipe.read().splitlines()]
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, b"")
    uploads = [line for line in lines if line["type"] == "upload"]
    assert sorted(line["key"] for line in uploads) == [f"{number:03}" for number in range(500)]
    ends = [line["attempt_reports"][-1]["ended_s"] for line in uploads]
    assert ends == sorted(ends)
    assert lines[-1]["type"] == "summary"


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing(
    fault_server: StartFaultServer, src: Path, pipe: FullPipe
) -> None:
    server = fault_server()
    os.set_blocking(pipe.writing, False)
    with start(server, src, "--json", stdout=pipe.writing, stderr=subprocess.PIPE) as process:
        server.wait_until(lambda: len(stored(server)) == 500, TIMEOUT_S)
        lines = pipe.read().splitlines()
        _, err = process.communicate(timeout=TIMEOUT_S)
    uploads = [line for line in lines if line.startswith(b'{"type":"upload"')]
    assert (process.returncode, err, len(uploads)) == (0, b"", 500)


def test_both_streams_in_one_pipe_keep_their_order(fault_server: StartFaultServer, src: Path) -> None:
    """The head of the table, the failure of whichever file comes first, the other rows, the summary."""
    server = fault_server(lambda request: s3_error(400, "InvalidRequest") if request.number == 1 else None)
    words = [COMMAND, "perf-data", str(src), BUCKET, "p", "--endpoint-url", server.url]
    result = subprocess.run(
        [*words, "--no-sign-request", "--max-in-flight", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    head, failed, *rows, summary, causes = result.stdout.splitlines()
    assert head.startswith(b"attempts")
    assert failed.startswith(b"failed: ")
    assert causes == b"  failed attempts: 400 InvalidRequest once"
    assert {len(row) for row in rows} == {len(head)}
    assert (len(rows), summary.split(b";")[1]) == (499, b" 1 failed")


@needs_full_disk
@pytest.mark.parametrize("flags", [("--json",), ()], ids=["json", "text"])
def test_a_full_disk_is_an_error_whenever_it_shows(
    fault_server: StartFaultServer, src: Path, flags: tuple[str, ...]
) -> None:
    server = fault_server()
    with (
        Path("/dev/full").open("wb") as full,
        start(server, src, *flags, stdout=full, stderr=subprocess.PIPE) as process,
    ):
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3
    assert err == b"s3-upload: error: cannot write to stdout: No space left on device\n"


def test_a_reader_that_leaves_ends_the_run_quietly(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    with start(server, src, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        err = process.stderr.read()
        process.wait(TIMEOUT_S)
    assert (process.returncode, err) == (141, b"")


def test_where_the_reader_of_stdout_leaves_that_of_stderr_is_told_all_that_failed(
    fault_server: StartFaultServer, tmp_path: Path, pipe: FullPipe
) -> None:
    """Also what is more than a pipe takes, if it reads in time (`LAST_WORDS_S`)."""
    (folder := tmp_path / "src").mkdir()
    for number in range(2_000):
        (folder / f"{number:04}-{'long' * 20}").symlink_to("nowhere")
    for number in range(10):
        (folder / f"good{number}").write_bytes(b"x")
    server = fault_server()
    nobody = os.pipe()
    os.close(nobody[0])
    with start(server, folder, "--verbose", stdout=nobody[1], stderr=pipe.writing) as process:
        os.close(nobody[1])
        server.wait_until(lambda: len(stored(server)) > 1, TIMEOUT_S)
        err = pipe.read()
        process.wait(TIMEOUT_S)
    assert process.returncode == 141
    assert sum(line.startswith(b"failed: ") for line in err.splitlines()) == 2_000
    assert err.endswith(b"\n")


def test_a_dry_run_that_nobody_reads_can_be_interrupted(
    fault_server: StartFaultServer, src: Path, pipe: FullPipe
) -> None:
    with start(fault_server(), src, "--dryrun", stdout=pipe.writing, stderr=subprocess.PIPE) as process:
        wait_until_writing(process, 1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (130, b"s3-upload: interrupted: nothing was uploaded\n")


def test_json_is_utf8_whatever_the_locale(fault_server: StartFaultServer, tmp_path: Path) -> None:
    (tmp_path / "ü.txt").write_bytes(b"x")
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    with start(fault_server(), tmp_path, "--json", stdout=subprocess.PIPE, env=env) as process:
        out, _ = process.communicate(timeout=TIMEOUT_S)
    [report] = [line for line in map(json.loads, out.splitlines()) if line["type"] == "upload"]
    assert (report["key"], report["source"]) == ("ü.txt", str(tmp_path / "ü.txt"))


def test_what_is_ignored_stays_ignored(fault_server: StartFaultServer, src: Path) -> None:
    """A shell has its jobs in the background ignore Ctrl-C, which is for the one in front."""
    server = fault_server()
    words = f"trap '' INT; exec {COMMAND} {src} s3://{BUCKET} --endpoint-url {server.url} --no-sign-request"
    with subprocess.Popen(["/bin/sh", "-c", words], stdout=subprocess.PIPE) as process:
        server.wait_until(lambda: bool(server.requests), TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert out.startswith(b"uploaded 500 files, ")


@needs_proc
def test_the_pipe_of_these_tests_is_full(pipe: FullPipe) -> None:
    assert pipe.filled == fcntl.fcntl(pipe.writing, fcntl.F_GETPIPE_SZ)
