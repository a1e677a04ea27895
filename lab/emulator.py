"""The emulator process: joins the hosts' TUN devices by one link, and tells whether it kept up.

    host "up"  ──┐                          ┌── host "far"
    host "fg"  ──┴──► Link (queue, rate) ──►┘
                 ◄── Link (same numbers) ◄──

A host is a network namespace with a TUN device as its only way out.  A TUN carries whole IP packets
and, used plainly, no offload: the kernel cuts what it sends into packets of the MTU before it gets
here, and puts nothing together that it gets from here.

It runs with real-time priority, since a late packet would be a delay that the link does not have.
Every sample says how late it was at worst: how much longer it slept or worked than it meant to.  That,
and packets which the kernel dropped in front of a TUN because nobody read them, make a run invalid
(`lab.network.Recording.overload`).

stdin is its leash: at end of file it stops.  On stdout it says "ready" and, at the end, one line of
JSON for `lab.network.Recording`.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import random
import select
import signal
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

from lab.link import FairQueue, Fifo, Link

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
TUN_QUEUE_PACKETS = 20_000
"""What may wait for this process in the kernel: more than any host has in flight."""
SAMPLE_S = 0.1
LATE_S, LATE_QUANTILE, VERY_LATE_S = 0.005, 0.99, 0.05
"""A recording is valid whose emulator was less late than `LATE_S` in this share of all samples, and
never later than `VERY_LATE_S`."""
QUANTUM_S = 0.0001
"""It sleeps at least this long, so that busy moments come in batches: at most this late by intent."""
BATCH = 64
PRIORITY = 10


@dataclass(frozen=True)
class LinkPlan:
    """What the link is like. `rtt_s`: the base round trip, one half of it each way."""

    bits_per_s: float
    rtt_s: float
    queue_bytes: int
    fair_queue: bool = False
    loss: float = 0.0
    seed: int = 0

    def build(self, direction: int) -> Link:
        queue = (FairQueue if self.fair_queue else Fifo)(self.queue_bytes)
        return Link(
            queue, bits_per_s=self.bits_per_s, delay_s=self.rtt_s / 2, loss=self.loss,
            rng=random.Random(self.seed * 2 + direction),
        )  # fmt: skip


def open_tun(name: str) -> int:
    """A TUN device of that name, in this process's namespace; it lives as long as the descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


class Emulator:
    """`near`: the TUNs of the hosts that share the link; `far`: the one at its other end.

    `near` maps the last byte of a host's address to its descriptor.
    """

    def __init__(self, plan: LinkPlan, near: dict[int, int], far: int) -> None:
        self.forward = plan.build(0)
        self.back = plan.build(1)
        self.rows: list[list[float]] = []
        self._near = near
        self._far = far
        self.packets = 0
        self._late_s = 0.0

    def run(self, stop_fd: int) -> None:
        """Until `stop_fd` is readable."""
        clock, waiting = time.monotonic, select.select
        descriptors = [stop_fd, self._far, *self._near.values()]
        next_sample = clock()
        while True:
            now = clock()
            if now >= next_sample:
                self._sample(now)
                next_sample = max(next_sample + SAMPLE_S, now)
            due = min(self.forward.due(), self.back.due(), next_sample)
            sleep_s = max(QUANTUM_S, due - now)
            readable = waiting(descriptors, (), (), sleep_s)[0]
            if stop_fd in readable:
                return
            awake = clock()
            if readable:
                self._read(readable, awake)
            self._write(clock())
            self._late_s = max(self._late_s, awake - now - sleep_s, clock() - awake)

    def _read(self, readable: list[int], now: float) -> None:
        far, read = self._far, os.read
        for fd in readable:
            offer = self.back.offer if fd == far else self.forward.offer
            try:
                for _ in range(BATCH):
                    packet = read(fd, 2048)
                    if packet[0] >> 4 == 4:  # the kernel also tries IPv6 on its own
                        offer(now, packet)
            except BlockingIOError:
                pass

    def _write(self, now: float) -> None:
        far, near, write = self._far, self._near, os.write
        oldest = now
        for link in (self.forward, self.back):
            take = link.take
            while (item := take(now)) is not None:
                due, packet = item
                oldest = min(oldest, due)
                self.packets += 1
                if (fd := far if link is self.forward else near.get(packet[19])) is not None:
                    write(fd, packet)
        self._late_s = max(self._late_s, now - oldest)

    def _sample(self, now: float) -> None:
        self.forward.serve(now)
        self.rows.append(
            [
                now,
                *(self.forward.sent_bytes[host] for host in self._near),
                self.forward.waiting_s(now),
                self.forward.queue.dropped,
                self._late_s,
            ]
        )
        self._late_s = 0.0


def claim_priority() -> str:
    """Real-time priority or, where that is not to be had, a better nice value. Returns which."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        try:
            os.nice(-PRIORITY)
        except OSError:
            return "ordinary priority"
        return f"nice {-PRIORITY}"
    return "real-time priority"


def main() -> None:
    """`python -m lab.emulator PLAN`: see `lab.network`, which starts it."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the lab, which closes our stdin
    near = {int(host): fd for host, fd in order["near"].items()}
    emulator = Emulator(LinkPlan(**order["plan"]), near, order["far"])
    priority = claim_priority()
    gc.disable()  # nothing here makes cycles, and a collection is a pause
    print("ready", flush=True)
    wall, cpu = time.monotonic(), time.process_time()
    emulator.run(sys.stdin.fileno())
    print(
        json.dumps(
            {
                "rows": emulator.rows,
                "packets": emulator.packets,
                "cpu_share": (time.process_time() - cpu) / max(1e-9, time.monotonic() - wall),
                "priority": priority,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
