"""The rows of the suite: which files go to which store."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from bench.measure import Workload
from bench.sinks import MINIO, NGINX, STORE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
QUICK_PEERS = ("s5cmd", "obstore")
QUICK = ("small", "small-tls", "medium", "large", "hundred", "one", "delay-20")
MIX_MEDIAN, MIX_SIGMA, MIX_RANGE = 100 * KIB, 2.0, (KIB, 50 * 10**6)
"""Log-normal, and what is beyond the range is at its end: 4,000 files have 2.8 GB."""


@dataclass(frozen=True)
class Row:
    """`count` files of `size` bytes, or a mix of sizes with 0, to the store `sink`. `about` is its title.

    `sweep`: settings are tried `sweep_runs` times on so many files of the same kind; 0: everyone takes its
    first setting.
    `floor`: what is measured beside the contenders. `peers`: who takes part, all if None, and `why` the
    others do not. `at_least`: what the ratio to s5cmd has to reach. `quick`: how many files go with
    `--quick`.
    """

    name: str
    about: str
    count: int
    size: int
    sweep: int
    quick: int
    sink: str = STORE
    tls: bool = False
    delay_ms: int = 0
    floor: str = ""
    peers: tuple[str, ...] | None = None
    why: str = ""
    at_least: float | None = None
    default: bool = True
    sweep_runs: int = 2

    @property
    def title(self) -> str:
        return self.about.format(f"{self.count:,}")

    def files(self, folder: Path, count: int) -> Workload:
        """The workload, not created yet."""
        return Workload("files", count, self.size, folder, () if self.size else mix(count))


def mix(count: int) -> tuple[int, ...]:
    """Sizes of as many files, log-normal; the same at every call."""
    low, high = MIX_RANGE
    sizes = random.Random("mix")
    drawn = (sizes.lognormvariate(math.log(MIX_MEDIAN), MIX_SIGMA) for _ in range(count))
    return tuple(min(max(int(size), low), high) for size in drawn)


_FAST = ("s5cmd", "obstore", "awscrt", "rclone")
_SLOW = "takes minutes; it takes part in the row of 20,000 files of 4 KiB over http"
_SMALL = Row("small", "{} files of 4 KiB", 20_000, 4 * KIB, 2_000, 3_000, floor="wrk")
_FAR = replace(_SMALL, floor="", peers=_FAST, why=_SLOW)
_MEDIUM = Row("medium", "{} files of 4 MiB", 256, 4 * MIB, 64, 64, floor="sendfile")
_LARGE = Row("large", "{} files of 512 MiB", 4, 512 * MIB, 2, 2, floor="sendfile")
ROWS = (
    _SMALL,
    replace(_FAR, name="small-tls", about=f"{_SMALL.about}, TLS", tls=True, quick=2_000, floor="wrk"),
    _MEDIUM,
    replace(_MEDIUM, name="medium-tls", about=f"{_MEDIUM.about}, TLS", tls=True, peers=_FAST, why=_SLOW),
    _LARGE,
    replace(_LARGE, name="large-tls", about=f"{_LARGE.about}, TLS", tls=True, peers=_FAST, why=_SLOW),
    Row("mix", "{} files of 1 KiB to 50 MB, log-normal", 4_000, 0, 400, 400, peers=_FAST, why=_SLOW),
    Row("hundred", "{} files of 64 KiB", 100, 64 * KIB, 100, 100, at_least=1.0),
    Row("one", "one file of 4 KiB", 1, 4 * KIB, 0, 1, at_least=1 / 1.6),
    replace(_FAR, name="delay-20", about=f"{_FAR.about}, 20 ms per answer", delay_ms=20),
    replace(_FAR, name="delay-100", about=f"{_FAR.about}, 100 ms per answer", delay_ms=100),
    Row("minio", "{} files of 64 KiB to MinIO", 2_000, 64 * KIB, 400, 400, sink=MINIO),
    Row(
        "nginx", "{} files of 4 KiB to nginx", 5_000, 4 * KIB, 1_000, 1_000, sink=NGINX, floor="wrk",
        peers=("s5cmd", "obstore", "rclone", "aws s3 cp", "boto3"),
        why="takes nginx's answer, 201, for a failure",
    ),
    Row(
        "huge", "{} files of 16 bytes", 1_000_000, 16, 10_000, 20_000, peers=("s5cmd", "obstore", "awscrt"),
        why="would take hours", default=False,
    ),
)  # fmt: skip


def chosen(patterns: str, *, quick: bool, huge: bool) -> list[Row]:
    """The rows that match one of the patterns, such as "small*,one"; without any, those of a usual run."""
    if patterns:
        found = [row for row in ROWS if any(fnmatch(row.name, one) for one in patterns.split(","))]
    else:
        found = [row for row in ROWS if (row.name in QUICK if quick else row.default or huge)]
    return [_quicker(row) for row in found] if quick else found


def _quicker(row: Row) -> Row:
    return replace(row, count=row.quick, sweep=min(row.sweep, row.quick // 6), sweep_runs=1)


def is_complete(names: Iterable[str]) -> bool:
    """Whether all rows of a usual run are there."""
    return {row.name for row in ROWS if row.default} <= set(names)
