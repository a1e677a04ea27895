"""The files to be uploaded, and the processes that upload them: one measurement is one whole process.

A run takes its time from start to exit, and its processor time and peak memory from `wait4`, which counts
the processes that it waited for, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

RUN_TIMEOUT_S = 300.0
PIECE_BYTES = 1 << 20


class RunError(Exception):
    """A contender failed or uploaded something wrong; the message is for the user."""


class FailedUploadError(RunError):
    """It was s3-upload that failed, or that stored something wrong: a target that is missed, the gravest."""


@dataclass(frozen=True)
class Workload:
    """`count` files of noise below `directory`, `per_folder` to a folder.

    All are of `size` bytes, unless `sizes` has one for each.
    """

    name: str
    count: int
    size: int
    directory: Path
    sizes: tuple[int, ...] = ()
    per_folder: int = 100

    def create(self) -> Workload:
        noise = random.Random(self.name)
        for number in range(self.count):
            path = self.directory / self._key(number)
            if number % self.per_folder == 0:
                path.parent.mkdir(parents=True)
            left = self.size_of(number)
            with path.open("wb") as file:
                while left > 0:
                    left -= file.write(noise.randbytes(min(left, PIECE_BYTES)))
        return self

    def size_of(self, number: int) -> int:
        return self.sizes[number] if self.sizes else self.size

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes) if self.sizes else self.count * self.size

    @property
    def keys(self) -> set[str]:
        """The files' paths below `directory`, which become their keys."""
        return {self._key(number) for number in range(self.count)}

    def sizes_by_key(self) -> Iterator[tuple[str, int]]:
        return ((self._key(number), self.size_of(number)) for number in range(self.count))

    def _key(self, number: int) -> str:
        return f"d{number // self.per_folder:04}/f{number:06}.bin"


def etag_of(path: Path, part_bytes: int) -> str:
    """What S3 makes of a file that went in parts of so many bytes; 0: at once."""
    with path.open("rb") as file:
        if not part_bytes:
            return hashlib.file_digest(file, "md5").hexdigest()
        parts = [hashlib.md5(part).digest() for part in iter(lambda: file.read(part_bytes), b"")]
    return f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"


@dataclass(frozen=True)
class Run:
    """`peak_bytes`: its largest process; 0 where nobody has measured it."""

    wall_s: float
    cpu_s: float
    peak_bytes: int = 0


@dataclass(frozen=True)
class Ended:
    """How a process ended. `complaint` is its stderr; `late`: it was killed when its time was over."""

    run: Run
    returncode: int
    complaint: str
    late: bool = False


def run_process(
    argv: Sequence[str],
    env: Mapping[str, str],
    timeout_s: float = RUN_TIMEOUT_S,
    *,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
    on_start: Callable[[int], None] = lambda pid: None,
    session: bool = False,
) -> Ended:
    """One process from fork to exit; `on_start` is told its process ID.

    With `session` it has one of its own, and all that it has started ends with it. Where its `stderr` goes
    elsewhere, there is no complaint.
    """
    late = threading.Event()
    with contextlib.ExitStack() as stack:
        # A journal of an earlier run, whose store had the same port, would leave nothing to do; and the
        # user's own folder, which XDG_STATE_HOME may name as well, is not to fill with ours.
        state = stack.enter_context(tempfile.TemporaryDirectory())
        started = time.perf_counter()
        process = stack.enter_context(
            subprocess.Popen(
                argv, env={**env, "XDG_STATE_HOME": state}, stdin=stdin, stdout=stdout,
                stderr=stderr, start_new_session=session,
            )
        )  # fmt: skip

        def end() -> None:
            with contextlib.suppress(ProcessLookupError):
                if session:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()

        def end_late() -> None:
            late.set()
            end()

        watchdog = threading.Timer(timeout_s, end_late)
        watchdog.start()
        try:
            on_start(process.pid)
            said = b"" if process.stderr is None else process.stderr.read()
            complaint = said.decode(errors="replace").strip()
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            end()
            raise
        finally:
            watchdog.cancel()
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    run = Run(wall_s, usage.ru_utime + usage.ru_stime)
    return Ended(run, process.returncode, complaint, late.is_set())


def run_apart(argv: Sequence[str], env: Mapping[str, str], timeout_s: float, home: Path) -> Ended:
    """The same from `spawn.py`, which tells the peak of its memory as well. `home` is a folder for that."""
    result = home / "took.json"
    spawn = [sys.executable, "-I", "-S", str(Path(__file__).with_name("spawn.py")), str(result)]
    ended = run_process([*spawn, *argv], env, timeout_s, session=True)
    took = json.loads(result.read_text()) if result.exists() else {"wall_s": 0.0, "cpu_s": 0.0}
    return Ended(Run(**took), ended.returncode, ended.complaint, ended.late)


def last_record(output: str) -> dict[str, Any]:
    """The last line that the command wrote with --json; {} where there is none, or it was cut off."""
    with contextlib.suppress(IndexError, ValueError):
        found = json.loads(output.splitlines()[-1])
        if isinstance(found, dict):
            return found
    return {}
