"""Measures a row of the suite: everybody in turn, each with its own best setting.

Rules:

* A sweep on some of the files chooses each peer's setting; the best of its runs counts.
* Contenders take turns (A B C, A B C, ...), so that a busy spell of the machine hits all of them; ratios
  are taken within a round.
* Every run has a store of its own, is one whole process and is checked: all keys, all sizes.  The first
  round is a warm-up, after which every byte of what came is compared by MD5.
* Who fails, or whose objects are wrong, is out of the row, and the row says why.  Who needs long takes
  part in as many rounds as fit into `LONG_S`, but in `LEAST_ROUNDS` at least.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import floor, sinks
from bench.contenders import Contender, environment
from bench.measure import Run, RunError, Workload, run_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.rows import Row

LONG_S, LEAST_ROUNDS = 120.0, 2
TIMEOUT_S = 1200.0


@dataclass
class Result:
    """What came out for one contender. `sweep_s`: its settings, and the best time of each."""

    contender: Contender
    setting: str = ""
    sweep_s: dict[str, float] = field(default_factory=dict)
    rounds: int = 0
    runs: list[Run] = field(default_factory=list)
    failed: str = ""

    def as_data(self) -> dict[str, Any]:
        return {
            "name": self.contender.name, "setting": self.setting, "sweep_s": self.sweep_s,
            "runs": [asdict(run) for run in self.runs], "failed": self.failed,
        }  # fmt: skip


def rounds_for(rounds: int, wall_s: float) -> int:
    """In how many of the rounds someone takes part who needs so long for one."""
    return min(rounds, max(LEAST_ROUNDS, int(LONG_S / wall_s)))


class RowRun:
    """One row, measured in a folder of its own on the RAM disk."""

    def __init__(self, row: Row, home: Path, say: Callable[[str], None]) -> None:
        self._row, self._home, self._say = row, home, say
        self._floors_s: list[float] = []
        self._no_floor = floor.missing(row.floor)

    def measure(self, lineup: Sequence[Contender], rounds: int) -> dict[str, Any]:
        """`rounds` rounds after a warm-up. Raises `SinkError`."""
        row = self._row
        taking_part = [one for one in lineup if self._why_not(one) == ""]
        results = [Result(one, self._settings(one)[0], rounds=rounds) for one in taking_part]
        self._sweep_all(results)
        with self._files(row.count) as workload:
            for result in results:
                self._warm_up(result, workload)
            self._say(f"{row.name}: warm-up done")
            for number in range(rounds):
                self._measure_floor(workload)
                for result in results:
                    if number < result.rounds and not result.failed:
                        with self._counted(result):
                            result.runs.append(self._run(result.contender, result.setting, workload))
                self._say(f"{row.name}: round {number + 1} of {rounds} done")
            total_bytes = workload.total_bytes
        return {
            "name": row.name, "title": row.title, "files": row.count, "bytes": total_bytes,
            "sink": row.sink, "tls": row.tls, "delay_ms": row.delay_ms, "at_least": row.at_least,
            "rounds": rounds, "sweep_files": row.sweep,
            "floor": {"kind": row.floor, "walls_s": self._floors_s, "missing": self._no_floor},
            "contenders": [result.as_data() for result in results],
            "left_out": {one.name: why for one in lineup if (why := self._why_not(one))},
        }  # fmt: skip

    def _why_not(self, contender: Contender) -> str:
        if contender.missing:
            return contender.missing
        peers = self._row.peers
        return "" if contender.ours or peers is None or contender.name in peers else self._row.why

    def _settings(self, contender: Contender) -> tuple[str, ...]:
        return (contender.far if self._row.delay_ms else ()) or contender.settings

    def _sweep_all(self, results: Sequence[Result]) -> None:
        if not self._row.sweep:
            return
        with self._files(self._row.sweep) as workload:
            for result in results:
                settings = self._settings(result.contender)
                if len(settings) > 1:
                    self._sweep(result, settings, workload)

    def _sweep(self, result: Result, settings: Sequence[str], workload: Workload) -> None:
        """A setting with which it fails is not the best one; with none it is out."""
        for setting in settings:
            try:
                walls_s = [
                    self._run(result.contender, setting, workload).wall_s for _ in range(self._row.sweep_runs)
                ]
                result.sweep_s[setting] = min(walls_s)
            except RunError as error:
                self._say(f"{self._row.name}: {result.contender.name} with {setting}: {error}")
                result.failed = str(error)
        if result.sweep_s:
            result.failed = ""
            result.setting = min(result.sweep_s, key=result.sweep_s.__getitem__)
            self._say(f"{self._row.name}: {result.contender.name} takes part with {result.setting}")

    def _warm_up(self, result: Result, workload: Workload) -> None:
        if not result.failed:
            with self._counted(result):
                took = self._run(result.contender, result.setting, workload, contents=True)
                result.rounds = rounds_for(result.rounds, took.wall_s)

    def _measure_floor(self, workload: Workload) -> None:
        if self._row.floor and not self._no_floor:
            with self._target(md5=False) as target:
                try:
                    self._floors_s.append(floor.floor_s(self._row.floor, workload, target))
                except ValueError as error:
                    self._no_floor = str(error)

    @contextlib.contextmanager
    def _counted(self, result: Result) -> Iterator[None]:
        """Whose run fails takes no further part."""
        try:
            yield
        except RunError as error:
            result.failed = str(error)
            self._say(f"{self._row.name}: {result.contender.name} is out: {error}")

    def _run(self, contender: Contender, setting: str, workload: Workload, *, contents: bool = False) -> Run:
        """One upload into an empty store. Raises `RunError`."""
        with self._target(md5=contents) as target, tempfile.TemporaryDirectory() as home:
            env = environment(target.ca_file, target.keys)
            # What a tool keeps at home it keeps here: on the disk, as at its users'.
            env |= {"HOME": home, **contender.extra(setting, Path(home))}
            argv = contender.command(setting, workload.directory, target.url)
            ended = run_apart(argv, env, TIMEOUT_S, Path(home))
            if ended.late:
                raise RunError(f"not done after {TIMEOUT_S:.0f} s")
            if ended.returncode:
                last = (ended.complaint.splitlines() or ["it said nothing"])[-1]
                raise RunError(f"ended with {ended.returncode}: {last[:200]}")
            if problem := sinks.wrong(workload, target.objects(), contents=contents):
                raise RunError(problem)
        return ended.run

    def _target(self, *, md5: bool) -> contextlib.AbstractContextManager[sinks.Target]:
        row = self._row
        return sinks.target(row.sink, self._home, tls=row.tls, delay_ms=row.delay_ms, md5=md5)

    @contextlib.contextmanager
    def _files(self, count: int) -> Iterator[Workload]:
        folder = self._home / "files"
        try:
            yield self._row.files(folder, count).create()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
