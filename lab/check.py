"""The emulator checked against the kernel's own shaper: the same flow over a veth pair with TBF.

    tc qdisc add dev VETH root tbf rate R burst B limit Q

TBF has no delay line, so both links have none: what is compared is rate, queue and drops, by one bulk
flow's throughput and the probes beside it.  TBF sits on a router of its own: on the sending host the
kernel would see its own packets wait there and hold the flow back (TCP small queues).  The veth devices
make no packets larger than the MTU (`gso_max_segs 1`), since TBF would else queue those as one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from lab.emulator import LinkPlan
from lab.link import MTU, OVERHEAD_BYTES
from lab.matrix import MAX_INVALID
from lab.metrics import quantile, received_Mbps
from lab.network import ADDRESS, GATEWAY, Hosts, LabError, Network, ask, device_of, inside, name_of, run

BURST_BYTES = 2 * (MTU + OVERHEAD_BYTES)
RATES_MBPS = (10.0, 100.0)
QUEUE_MS = 80.0
SETTLE_S = 3.0
MEASURE_S = 10.0


class TbfPath(Hosts):
    """`fg` -- `up` -- `far`, two veth pairs; `up` routes, and shapes what it forwards."""

    def __init__(self, bits_per_s: float, queue_bytes: int) -> None:
        super().__init__(("fg", "up", "far"))
        self._shape = ("rate", f"{bits_per_s:.0f}bit", "burst", str(BURST_BYTES), "limit", str(queue_bytes))

    def _build(self) -> None:
        router = name_of("up")
        run(*inside("up"), "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.proxy_arp=1")
        for host in ("fg", "far"):
            port = f"{device_of('up')}{host}"
            run("ip", "link", "add", device_of(host), "type", "veth", "peer", "name", port, "netns", router)
            self.connect(host, "gso_max_segs", "1")
            run("ip", "-n", router, "link", "set", port, "gso_max_segs", "1", "up")
            run("ip", "-n", router, "address", "add", f"{GATEWAY}/32", "dev", port)
            run("ip", "-n", router, "route", "add", f"{ADDRESS[host]}/32", "dev", port)
            run("tc", "-n", router, "qdisc", "add", "dev", port, "root", "tbf", *self._shape)


@dataclass(frozen=True)
class Agreement:
    """Throughput in Mbit/s, the probes' times in ms: by TBF and by the emulator."""

    rate_Mbps: float
    algorithm: str
    tbf: dict[str, float]
    emulator: dict[str, float]

    def differences(self) -> dict[str, float]:
        return {name: self.emulator[name] / self.tbf[name] - 1 for name in self.tbf}


def check(algorithm: str, rate_Mbps: float, runs: int) -> Agreement:
    """Raises `LabError`."""
    bits_per_s = rate_Mbps * 1e6
    queue_bytes = int(bits_per_s / 8 * QUEUE_MS / 1e3)
    tbf, emulator = [], []
    for seed in range(runs):
        with TbfPath(bits_per_s, queue_bytes) as path:
            tbf.append(_measure(path, algorithm))
        emulator.append(_emulated(LinkPlan(bits_per_s, 0.0, queue_bytes, seed=seed), algorithm))
    return Agreement(rate_Mbps, algorithm, _medians(tbf), _medians(emulator))


def _emulated(plan: LinkPlan, algorithm: str) -> dict[str, float]:
    """Again where the emulator did not keep up, as in the runs that this vouches for. Raises `LabError`."""
    complaint = ""
    for _ in range(MAX_INVALID):
        with Network(plan) as network:
            found = _measure(network, algorithm)
            complaint = network.stop().overload()
        if not complaint:
            return found
    raise LabError(f"the check was invalid {MAX_INVALID} times: {complaint}")


def _measure(hosts: Hosts, algorithm: str) -> dict[str, float]:
    sinks = hosts.start("far", "lab.traffic", "sinks", ADDRESS["far"])
    probe = hosts.start("fg", "lab.traffic", "probe", ADDRESS["far"])
    flow = hosts.start("fg", "lab.traffic", "bulk", ADDRESS["far"], algorithm)
    time.sleep(SETTLE_S)
    begin = time.monotonic()
    time.sleep(MEASURE_S)
    end = time.monotonic()
    ask(flow)
    took = sorted(seconds for moment, seconds in ask(probe)["probes"] if begin <= moment < end)
    return {
        "received_Mbps": received_Mbps(ask(sinks)["bulk"], begin, end),
        "probe_p50_ms": quantile(took, 0.5) * 1e3,
        "probe_p95_ms": quantile(took, 0.95) * 1e3,
    }


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(run[name] for run in runs) for name in runs[0]}


def as_data(agreement: Agreement) -> dict[str, Any]:
    return {
        "rate_Mbps": agreement.rate_Mbps, "algorithm": agreement.algorithm,
        "tbf": agreement.tbf, "emulator": agreement.emulator,
    }  # fmt: skip
