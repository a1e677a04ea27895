"""One run of a scenario: builds the network, starts everybody in turn, returns a `Trace`.

All times in a trace are seconds since the upload was started (without an uploader: since the probes
were).  A run that says nothing (the emulator came too late, the machine had no time left) raises
`InvalidRunError`, and is repeated by `lab.matrix`; one whose upload ended before its time raises
`FailedRunError`, and is kept as what it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.network import ADDRESS, NICE, LabError, Network, Recording, ask
from lab.scenario import IDLE_S, NOTHING, VIDEO, Scenario
from lab.store import PORT
from lab.uploaders import NOBODY, Uploader, environment, uploader

LOOK_S = 0.5
MAX_COMPLAINT = 300
MIN_IDLE_SHARE = 0.03
"""With less of the machine's CPU time left over, the traffic was slowed by more than the link."""
ESTABLISHED = "01"
RAM_DISK = Path("/dev/shm")


class InvalidRunError(Exception):
    """This run measured something else than the link; why."""


class FailedRunError(Exception):
    """The upload ended, though it had more than it could send; why."""


@dataclass
class Trace:
    """`rows`: [time, bytes of the upload, of the foreground, queue in s, drops], sums since the start, bytes
    as on the link.  `received`: [time, bytes] of the bulk flow at its sink; `stored`: of bodies at the
    store.  `probes`, `chunks`: [start, seconds]; `missing`: of chunks that never came, how long they took so
    far.  `connections`: [time, how many] of the uploader."""

    begin_s: float = 0.0
    end_s: float = 0.0
    rows: list[list[float]] = field(default_factory=list)
    received: list[list[float]] = field(default_factory=list)
    stored: list[list[float]] = field(default_factory=list)
    probes: list[list[float]] = field(default_factory=list)
    chunks: list[list[float]] = field(default_factory=list)
    missing: list[list[float]] = field(default_factory=list)
    connections: list[list[float]] = field(default_factory=list)
    emulator: dict[str, Any] = field(default_factory=dict)


@contextmanager
def workload(count: int, size: int) -> Iterator[Path]:
    """A folder of `count` files of `size` bytes that take no room: holes on the RAM disk."""
    with tempfile.TemporaryDirectory(prefix="s3lab-", dir=RAM_DISK) as name:
        for number in range(count):
            with Path(name, f"f{number:05}.bin").open("wb") as file:
                file.truncate(size)
        yield Path(name)


def run_once(scenario: Scenario, seed: int, folder: Path) -> Trace:
    """Raises `InvalidRunError`, `FailedRunError`, `LabError`."""
    who = None if scenario.uploader == NOBODY else uploader(scenario.uploader, folder)
    if who is not None and who.missing:
        raise LabError(who.missing)
    with (
        tempfile.TemporaryDirectory() as state,
        Network(scenario.plan(seed), algorithms={"up": scenario.algorithm}) as network,
    ):
        return _Run(scenario, network, Path(state)).through(who)


class _Run:
    def __init__(self, scenario: Scenario, network: Network, state: Path) -> None:
        self._scenario = scenario
        self._network = network
        self._state = state
        self._trace = Trace()
        self._zero = 0.0
        self._upload: subprocess.Popen[bytes] | None = None

    def through(self, who: Uploader | None) -> Trace:
        scenario, trace = self._scenario, self._trace
        store = self._network.start("far", "lab.store", ADDRESS["far"])
        sinks = self._network.start("far", "lab.traffic", "sinks", ADDRESS["far"])
        probe = self._network.start("fg", "lab.traffic", "probe", ADDRESS["far"])
        before = cpu_times()
        self._zero = time.monotonic()
        if who is not None:
            self._upload = self._network.spawn(
                "up", [*NICE, *who.argv], env=environment(self._state), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
        self._watch(scenario.alone_s if who else IDLE_S)
        chunks = self._foreground() if scenario.foreground != NOTHING else {}
        idle_share = idle_between(before, cpu_times())
        probed, received, stored = ask(probe), ask(sinks), ask(store)
        recording = self._network.stop()
        self._judge(recording, probed["failed"], idle_share)
        trace.rows = [[row[0] - self._zero, *row[1:5]] for row in recording.rows]
        trace.probes = self._shifted(probed["probes"])
        trace.received = self._shifted(received["bulk"])
        trace.stored = self._shifted(stored["received"])
        trace.chunks = self._shifted(chunks.get("chunks", []))
        trace.missing = self._shifted(chunks.get("missing", []))
        trace.emulator = {
            "cpu_share": recording.cpu_share, "packets": recording.packets, "priority": recording.priority,
            "late_ms": recording.late_s() * 1e3, "idle_share": idle_share,
        }  # fmt: skip
        return trace

    def _foreground(self) -> dict[str, Any]:
        scenario, trace = self._scenario, self._trace
        role = (VIDEO, "cubic") if scenario.foreground == VIDEO else ("bulk", scenario.foreground)
        flow = self._network.start("fg", "lab.traffic", role[0], ADDRESS["far"], role[1])
        trace.begin_s = time.monotonic() - self._zero
        self._watch(scenario.beside_s)
        trace.end_s = time.monotonic() - self._zero
        said = ask(flow)
        if self._upload is not None:
            self._watch(scenario.after_s)
        return said

    def _watch(self, seconds: float) -> None:
        """Waits, and counts the uploader's connections. Raises `FailedRunError` if the upload ends."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            time.sleep(min(LOOK_S, left_s))
            if self._upload is None:
                continue
            if self._upload.poll() is not None:
                _, complaint = self._upload.communicate()
                why = " ".join(complaint.decode(errors="replace").split())[-MAX_COMPLAINT:]
                code = self._upload.returncode
                raise FailedRunError(f"exit {code}, early: {why or 'it said nothing'}")
            self._trace.connections.append([time.monotonic() - self._zero, connections_of(self._upload.pid)])

    def _judge(self, recording: Recording, failed_probes: list[str], idle_share: float) -> None:
        if complaint := recording.overload():
            raise InvalidRunError(complaint)
        if failed_probes:
            raise InvalidRunError(f"a probe failed: {failed_probes[0]}")
        if idle_share < MIN_IDLE_SHARE:
            raise InvalidRunError(f"the machine had {idle_share:.1%} of its CPU time left")

    def _shifted(self, pairs: list[list[float]]) -> list[list[float]]:
        return [[moment - self._zero, value] for moment, value in pairs]


def connections_of(pid: int) -> int:
    """Established connections to the store in the network namespace of that process."""
    port = f":{PORT:04X}"
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in lines if (word := line.split())[2].endswith(port) and word[3] == ESTABLISHED)


def cpu_times() -> tuple[int, int]:
    """Idle and all CPU time of the machine so far, in ticks."""
    words = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return words[3] + words[4], sum(words)


def idle_between(before: tuple[int, int], after: tuple[int, int]) -> float:
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "python": sys.version.split()[0],
    }
