"""Runs the contenders in turn and checks what they uploaded.

Rules:

* One measurement is one whole process, from fork to exit, with its CPU time from `wait4`.
* The store is emptied before each run, and after it every object is compared with its file, byte
  by byte.  A run that fails, or whose store is wrong, is an error of the benchmark, never a number.
* Contenders take turns (A B C, A B C, ...), so that a busy spell of the machine hits all of them; the
  ratios are taken within a round and their median is reported.  The first round is a warm-up.
* Start-up, the time a contender needs for a single tiny file, is measured in every round right before
  its run, for the same reason.
"""

from __future__ import annotations

import filecmp
import os
import random
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING

from bench.contenders import Contender, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.nginx import Sink

RUN_TIMEOUT_S = 300.0
FILES_PER_DIRECTORY = 100
CALIBRATION_RUNS = 2


class RunError(Exception):
    """A contender failed or uploaded something wrong; the message is for the user."""


@dataclass(frozen=True)
class Workload:
    """`count` files of `size` bytes of noise below `directory`, `FILES_PER_DIRECTORY` to a directory."""

    name: str
    count: int
    size: int
    directory: Path

    def create(self) -> Workload:
        noise = random.Random(self.name)
        for number in range(self.count):
            path = self.directory / _key(number)
            if number % FILES_PER_DIRECTORY == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(noise.randbytes(self.size))
        return self

    @property
    def keys(self) -> set[str]:
        """The files' paths below `directory`, which become their keys."""
        return {_key(number) for number in range(self.count)}


def _key(number: int) -> str:
    return f"d{number // FILES_PER_DIRECTORY:04}/f{number:06}.bin"


@dataclass(frozen=True)
class Run:
    wall_s: float
    cpu_s: float


@dataclass
class Measured:
    """What came out for one contender on one workload. `startups` are runs with a single tiny file."""

    contender: Contender
    setting: str = ""
    calibration_s: dict[str, float] = field(default_factory=dict)
    startups: list[Run] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        return median(run.wall_s for run in self.runs)

    @property
    def startup_s(self) -> float:
        return median(run.wall_s for run in self.startups)

    @property
    def cpu_s(self) -> float:
        return median(run.cpu_s for run in self.runs)


def measure(
    workload: Workload,
    *,
    tiny: Workload,
    sink: Sink,
    lineup: Sequence[Contender],
    rounds: int,
    say: Callable[[str], None],
) -> list[Measured]:
    """Calibrates, then `rounds` rounds after a warm-up round."""
    results = [Measured(contender) for contender in lineup]
    for result in results:
        _calibrate(result, workload, sink)
        say(f"{workload.name}: {result.contender.name} takes part {result.setting or 'with its defaults'}")
    for number in range(rounds + 1):
        for result in results:
            startup = run_once(result.contender, result.setting, tiny, sink)
            run = run_once(result.contender, result.setting, workload, sink)
            if number > 0:
                result.startups.append(startup)
                result.runs.append(run)
        say(f"{workload.name}: {f'round {number} of {rounds}' if number else 'warm-up round'} done")
    return results


def _calibrate(result: Measured, workload: Workload, sink: Sink) -> None:
    """Takes the setting with the best of `CALIBRATION_RUNS` runs."""
    contender = result.contender
    if len(contender.settings) > 1:
        result.calibration_s = {
            setting: min(run_once(contender, setting, workload, sink).wall_s for _ in range(CALIBRATION_RUNS))
            for setting in contender.settings
        }
    result.setting = min(contender.settings, key=lambda setting: result.calibration_s.get(setting, 0.0))


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
    on_start: Callable[[int], None] = lambda pid: None,
) -> Ended:
    """One process from fork to exit; `on_start` is told its process ID."""
    late = threading.Event()
    started = time.perf_counter()
    with subprocess.Popen(
        argv,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
    ) as process:

        def end() -> None:
            late.set()
            process.kill()

        watchdog = threading.Timer(timeout_s, end)
        watchdog.start()
        on_start(process.pid)
        assert process.stderr is not None
        complaint = process.stderr.read().decode(errors="replace").strip()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watchdog.cancel()
    run = Run(wall_s, usage.ru_utime + usage.ru_stime)
    return Ended(run, process.returncode, complaint, late.is_set())


def run_once(contender: Contender, setting: str, workload: Workload, sink: Sink) -> Run:
    """One upload of `workload` into an empty store. Raises `RunError`."""
    sink.empty()
    ended = run_process(contender.command(setting, workload.directory, sink.url), environment(sink.ca_file))
    name = f"{contender.name} {setting}".strip()
    if ended.returncode != 0:
        why = f"was killed after {RUN_TIMEOUT_S:.0f} s" if ended.late else f"ended with {ended.returncode}"
        raise RunError(f"{name}, {workload.name}: {why}: {ended.complaint[-1000:]}")
    wrong = compare(workload.directory, sink.bucket_dir)
    if wrong:
        raise RunError(f"{name}, {workload.name}: {wrong}")
    return ended.run


def compare(sources: Path, store: Path) -> str:
    """What differs between two trees, names and bytes; "" if nothing does."""
    expected, found = _tree(sources), _tree(store)
    for names, what in ((expected - found, "missing"), (found - expected, "not asked for")):
        if names:
            return f"{len(names)} object(s) {what} in the store, first: {min(names)}"
    _, differing, unreadable = filecmp.cmpfiles(sources, store, expected, shallow=False)
    wrong = differing + unreadable
    return f"{len(wrong)} object(s) with wrong bytes in the store, first: {min(wrong)}" if wrong else ""


def _tree(root: Path) -> set[str]:
    return {os.path.relpath(Path(parent, name), root) for parent, _, names in os.walk(root) for name in names}
