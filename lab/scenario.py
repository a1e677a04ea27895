"""What is run: a scenario is one uploader beside one kind of foreground traffic on one link.

The timeline of a run: the upload alone for `alone_s`, the foreground beside it for `beside_s`, the
upload alone again for `after_s`.  The scenario without an uploader is what the others are compared
with; in it the first part is the idle link, `IDLE_S` long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.emulator import LinkPlan
from lab.link import MTU, OVERHEAD_BYTES
from lab.uploaders import MODES, NOBODY

BULK = ("cubic", "bbr")
VIDEO = "video"
NOTHING = "nothing"
IDLE_S = 5.0
FILES, FILE_BYTES = 512, 32 << 20
"""What an uploader is given: more than it can send in its time."""


@dataclass(frozen=True)
class Scenario:
    """`uploader`: see `lab.uploaders.uploader`, or `NOBODY`. `algorithm`: its congestion control.

    `foreground`: "cubic" or "bbr" (one bulk flow), "video", or "nothing". `loss`: the share of packets
    that the link loses at random, in each direction.  The uploader has `files` of `file_bytes` to send.
    """

    uploader: str
    foreground: str
    rtt_ms: float
    algorithm: str = "cubic"
    fair_queue: bool = False
    loss: float = 0.0
    rate_Mbps: float = 100.0
    queue_ms: float = 80.0
    alone_s: float = 20.0
    beside_s: float = 30.0
    after_s: float = 10.0
    files: int = FILES
    file_bytes: int = FILE_BYTES

    @property
    def key(self) -> str:
        """Names it among the results; durations are no part of the name."""
        return (
            f"{self.uploader}/{self.algorithm} beside {self.foreground}, {self.rtt_ms:g} ms, "
            f"{self.rate_Mbps:g} Mbit/s, {'DRR' if self.fair_queue else 'FIFO'} {self.queue_ms:g} ms, "
            f"loss {self.loss * 100:g} %{f', {self.workload}' if self.workload else ''}"
        )

    @property
    def workload(self) -> str:
        """ "" for the usual one."""
        if (self.files, self.file_bytes) == (FILES, FILE_BYTES):
            return ""
        return f"{self.files:,} files of {self.file_bytes >> 10:,} KiB"

    @property
    def is_ours(self) -> bool:
        """Whether it is s3-upload that uploads."""
        return self.uploader.partition(" ")[0] in MODES

    @property
    def alone(self) -> Scenario:
        """The same foreground with nobody beside it."""
        return replace(self, uploader=NOBODY, algorithm="cubic", files=FILES, file_bytes=FILE_BYTES)

    @property
    def duration_s(self) -> float:
        if self.uploader == NOBODY:
            return IDLE_S + self.beside_s
        return self.alone_s + (self.beside_s + self.after_s if self.foreground != NOTHING else 0.0)

    def plan(self, seed: int) -> LinkPlan:
        bits_per_s = self.rate_Mbps * 1e6
        return LinkPlan(
            bits_per_s=bits_per_s,
            rtt_s=self.rtt_ms / 1e3,
            queue_bytes=max(2 * (MTU + OVERHEAD_BYTES), int(bits_per_s / 8 * self.queue_ms / 1e3)),
            fair_queue=self.fair_queue,
            loss=self.loss,
            seed=seed,
        )


def with_baselines(scenarios: list[Scenario]) -> list[Scenario]:
    """Each foreground alone before it is met beside something; nothing twice."""
    wanted: dict[str, Scenario] = {}
    for scenario in scenarios:
        if scenario.foreground != NOTHING:
            wanted.setdefault(scenario.alone.key, scenario.alone)
        wanted.setdefault(scenario.key, scenario)
    return list(wanted.values())
