"""The hosts: three network namespaces whose only way out is the emulated link.

    with Network(plan) as network:
        network.spawn("up", [...])        # a process on the uploading host

`up` uploads, `fg` makes the foreground traffic, `far` has the store and the sinks.  Everything has
names with this process's id, so that two labs can run, and everything goes when the `with` block is
left, however it is left.  What a killed lab left behind is swept away by the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lab.emulator import LATE_QUANTILE, LATE_S, TUN_QUEUE_PACKETS, VERY_LATE_S, LinkPlan, open_tun
from lab.link import MTU

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).parents[1]
ADDRESS = {"up": "10.99.0.1", "fg": "10.99.0.2", "far": "10.99.0.9"}
SUBNET = "10.99.0.0/24"
GATEWAY = "10.99.0.254"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
NICE = ("nice", "-n", "-5")
MAX_BUFFER_BYTES = 32 << 20
"""How far the kernel may tune a socket's buffers: above 100 Mbit/s times 420 ms, with its overhead, so
that no flow is held back by them (the usual 4 MiB would hold one back from 200 ms on)."""
SYSCTLS = {
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv4.tcp_no_metrics_save": "1",  # or a connection would begin with what the last one learned
    "net.ipv4.tcp_wmem": f"4096 16384 {MAX_BUFFER_BYTES}",
    "net.ipv4.tcp_rmem": f"4096 131072 {MAX_BUFFER_BYTES}",
}
_NAME = re.compile(r"s3lab-(\d+)-\w+")


class LabError(Exception):
    """The lab cannot go on; the message is one line."""


@dataclass(frozen=True)
class Recording:
    """What the emulator saw. Each row: time, sent bytes of `up` and `fg` so far (with overhead), the
    queue in seconds, packets dropped there so far, how late the emulator was."""

    rows: list[list[float]]
    packets: int
    cpu_share: float
    priority: str
    unread: int

    def late_s(self) -> float:
        return max((row[5] for row in self.rows), default=0.0)

    def overload(self) -> str:
        """Why this is not what the link would have done; "" if the emulator kept up."""
        if self.unread:
            return f"{self.unread} packets came faster than the emulator read them"
        late = sorted(row[5] for row in self.rows)
        usual_s = late[int(len(late) * LATE_QUANTILE)] if late else 0.0
        if usual_s > LATE_S or self.late_s() > VERY_LATE_S:
            return f"the emulator was up to {self.late_s() * 1e3:.1f} ms late, often {usual_s * 1e3:.1f}"
        return ""


class Hosts(ABC):
    """Namespaces and what runs in them; `_build` of a subclass joins them. A context manager.

    Raises `LabError` if they cannot be made.
    """

    def __init__(self, names: Sequence[str], *, algorithms: Mapping[str, str] | None = None) -> None:
        """`algorithms`: host -> congestion control; CUBIC where nothing is said."""
        self._hosts = names
        self._algorithm = dict.fromkeys(ADDRESS, "cubic") | dict(algorithms or {})
        self._spawned: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for host in self._hosts:
                run("ip", "netns", "add", name_of(host))
                settings = (f"{name}={value}" for name, value in SYSCTLS.items())
                run(*inside(host), "sysctl", "-q", "-w", *settings)
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _build(self) -> None:
        """Joins the hosts."""

    def connect(self, host: str, *settings: str) -> None:
        """Moves the device of `host` there, gives it an address and makes it the way to all the others."""
        device, ip = device_of(host), ("ip", "-n", name_of(host))
        run("ip", "link", "set", device, "netns", name_of(host))
        run(*ip, "link", "set", "lo", "up")
        sizes = ("mtu", str(MTU), "txqueuelen", str(TUN_QUEUE_PACKETS))
        run(*ip, "link", "set", device, *sizes, *settings, "up")
        run(*ip, "address", "add", f"{ADDRESS[host]}/32", "dev", device)
        way = ("dev", device, "src", ADDRESS[host])
        # By route, since the sysctl takes only what the whole machine allows to everyone.
        run(*ip, "route", "add", SUBNET, *way, "congctl", self._algorithm[host])

    def spawn(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """A process on `host`, in a session of its own; it goes with the hosts."""
        process = subprocess.Popen([*inside(host), *argv], start_new_session=True, cwd=ROOT, **options)
        self._spawned.append(process)
        return process

    def start(self, host: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """One of the lab's own processes, which says "ready" first. Raises `LabError`."""
        process = self.spawn(
            host, [*NICE, sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        await_ready(process, f"{module} {' '.join(arguments)}")
        return process

    def close(self) -> None:
        for process in reversed(self._spawned):
            end(process)
        self._spawned.clear()
        for host in self._hosts:
            subprocess.run(["ip", "netns", "delete", name_of(host)], stderr=subprocess.DEVNULL, check=False)


class Network(Hosts):
    """All three hosts, joined by the emulator."""

    def __init__(self, plan: LinkPlan, *, algorithms: Mapping[str, str] | None = None) -> None:
        super().__init__(tuple(ADDRESS), algorithms=algorithms)
        self._plan = plan
        self._emulator: subprocess.Popen[bytes] | None = None

    def _build(self) -> None:
        tuns = {}
        try:
            for host in self._hosts:
                tuns[host] = open_tun(device_of(host))
                self.connect(host)
            order = {
                "plan": asdict(self._plan),
                "near": {int(ADDRESS[host].split(".")[3]): tuns[host] for host in ("up", "fg")},
                "far": tuns["far"],
            }
            self._emulator = subprocess.Popen(
                [sys.executable, "-m", "lab.emulator", json.dumps(order)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=tuple(tuns.values()), cwd=ROOT,
                start_new_session=True,
            )  # fmt: skip
        finally:
            for fd in tuns.values():
                os.close(fd)
        await_ready(self._emulator, "the emulator")

    def stop(self) -> Recording:
        """Ends the link. Raises `LabError` if the emulator does not answer."""
        assert self._emulator is not None
        unread = sum(self._unread(host) for host in ADDRESS)
        seen = ask(self._emulator)
        return Recording(seen["rows"], seen["packets"], seen["cpu_share"], seen["priority"], unread)

    def _unread(self, host: str) -> int:
        """Packets that the kernel dropped since nobody read them from the TUN."""
        about = json.loads(run("ip", "-j", "-s", "-n", name_of(host), "link", "show", device_of(host)))
        return int(about[0]["stats64"]["tx"]["dropped"])

    def close(self) -> None:
        if self._emulator is not None:
            end(self._emulator)
            self._emulator = None
        super().close()


def await_ready(process: subprocess.Popen[bytes], name: str) -> None:
    """Raises `LabError` if it does not say so in time."""
    assert process.stdout is not None
    said, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    if not said or process.stdout.readline() != b"ready\n":
        raise LabError(f"{name} did not start")


def ask(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Ends one of the lab's processes by its stdin; what it measured. Raises `LabError`."""
    try:
        said, _ = process.communicate(timeout=STOP_TIMEOUT_S)
        answer: dict[str, Any] = json.loads(said)
    except (subprocess.TimeoutExpired, ValueError):
        raise LabError(f"{process.args!r} did not tell what it measured") from None
    return answer


def algorithms() -> list[str]:
    """The congestion control that this kernel has."""
    return Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()


def name_of(host: str) -> str:
    return f"s3lab-{os.getpid()}-{host}"


def device_of(host: str) -> str:
    return f"l{os.getpid()}{host}"


def inside(host: str) -> list[str]:
    return ["ip", "netns", "exec", name_of(host)]


def run(*argv: str) -> str:
    """What the command printed. Raises `LabError` with what it complained about."""
    try:
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise LabError(f"{argv[0]} was not found (Debian: apt-get install iproute2 procps)") from None
    except subprocess.CalledProcessError as error:
        raise LabError(f"{' '.join(argv)}: {error.stderr.strip()}") from None


def end(process: subprocess.Popen[Any]) -> None:
    """Ends a process and all of its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def sweep() -> None:
    """Removes what labs left behind that are no more."""
    for line in run("ip", "netns", "list").splitlines():
        space = line.split()[0]
        match = _NAME.fullmatch(space)
        if match is None or Path("/proc", match[1]).exists():
            continue
        for pid in run("ip", "netns", "pids", space).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", space)
