"""One budget for all processes of a job: what each may take of it. Pure.

The bandwidth is cut anew every tick, and when somebody is given something to do: evenly among those who have
something.  Who has nothing sends nothing; its lease is an even part of all, with which it begins until the
next cut.  (It is not less: what a connection has queued at a low pace leaves at that pace, whatever comes
after.  And how much each has used of late is no guide: it is known too late and comes in bursts, and leases
that went by it swung until nothing moved.)

A worker elsewhere has the lease of its ticket until it is through, and nobody can tell it another.  So what
tickets hold is no part of what is cut, and there are no more of them than the budget has room for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import TypeVar

from s3_upload.config import UploadConfig
from s3_upload.transfer.read_ahead import bytes_of_read
from s3_upload.units import MIN_BYTES_PER_S, Bandwidth

Name = TypeVar("Name", bound=Hashable)
MIN_IN_FLIGHT_BYTES = 16 << 20
ADDED_READS = 3
"""A process that "auto" adds has room for so many at a time: nobody has bounded what all hold together."""


def cut(budget_per_s: float, busy: Mapping[Name, bool]) -> dict[Name, float]:
    """The lease of each, in bytes a second. `busy`: who has something to do: these have the budget."""
    idle_per_s = budget_per_s / len(busy)
    busy_per_s = budget_per_s / (sum(busy.values()) or 1)
    return {name: busy_per_s if has_work else idle_per_s for name, has_work in busy.items()}


def of_ticket(budget_per_s: float, slots: int, *, home_has_work: bool) -> float:
    """The lease of one of `slots` tickets: an even part of what home leaves."""
    return (budget_per_s - left_for_home(budget_per_s, slots, has_work=home_has_work)) / slots


def left_for_home(budget_per_s: float, slots: int, *, has_work: bool) -> float:
    """What tickets leave for the process at home; without work it needs no more than to begin."""
    even_per_s = budget_per_s / (slots + 1)
    return even_per_s if has_work else min(even_per_s, MIN_BYTES_PER_S)


def as_bandwidth(bytes_per_s: float) -> Bandwidth | None:
    """As a `Pace` has it; None for 0.0, no bound.  However little it is: with the least that somebody may ask
    for, many leases together would be more than the budget."""
    return Bandwidth(bytes_per_s) if bytes_per_s else None


def most_of(budget_per_s: float) -> int:
    """How many may take part: each has at least what keeps a few connections alive."""
    return max(int(budget_per_s / (4 * MIN_BYTES_PER_S)), 1)


def share_of(config: UploadConfig, count: int, *, reads: int = 1) -> UploadConfig:
    """What one of `count` processes may do of what the job may. The bandwidth is a lease of its own.
    `reads`: there is room for so many at a time in each, but for no more than the whole job has."""
    read_bytes = bytes_of_read(config)
    reads = max(1, min(reads, int(config.max_in_flight_bytes) // read_bytes))
    least = max(MIN_IN_FLIGHT_BYTES, reads * read_bytes)
    return dataclasses.replace(
        config,
        max_in_flight=max(config.max_in_flight // count, 1),
        max_in_flight_bytes=max(int(config.max_in_flight_bytes) // count, least),
        max_bandwidth="",
    )
