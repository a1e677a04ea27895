"""One budget for all processes of a job: what each may take of it. Pure.

The bandwidth is cut anew every tick.  Who used less than `full` of what it had is left with what it used and
`spare` more; the others share the rest evenly.  So the leases never add up to more than the budget, and what
one cannot use another one gets.  Whoever has begun just now is cut in like those who use all they have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import TypeVar

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.units import MIN_BYTES_PER_S

Name = TypeVar("Name", bound=Hashable)
MIN_IN_FLIGHT_BYTES = 16 << 20


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory."""

    full: float = 0.85
    """Who uses at least this share of its lease could use more."""
    spare: float = 0.25
    """Who uses less keeps this share of an even part beyond what it uses, so that its use can grow."""
    fades: float = 0.8
    """What is used comes in bursts: the most of late counts, and this share of that each tick later."""


DEFAULT = Tuning()


class Use(msgspec.Struct, frozen=True):
    """Of one process, in bytes a second: what it has used of late, and its lease. None used: nothing is known
    yet."""

    used_per_s: float | None
    lease_per_s: float


def cut(budget_per_s: float, uses: Mapping[Name, Use], tuning: Tuning = DEFAULT) -> dict[Name, float]:
    """The lease of each, in bytes a second; together the budget."""
    leases: dict[Name, float] = {}
    hungry = dict(uses)
    even = budget_per_s / max(len(uses), 1)
    for name, use in uses.items():
        if use.used_per_s is not None and use.used_per_s < tuning.full * use.lease_per_s:
            wants = use.used_per_s + tuning.spare * even
            if wants < even:
                leases[name] = wants
                del hungry[name]
    rest = budget_per_s - sum(leases.values())
    if hungry:
        return leases | dict.fromkeys(hungry, rest / len(hungry))
    # Nobody uses what it has: all may use more.
    return {name: lease + rest / len(leases) for name, lease in leases.items()}


def as_bandwidth(bytes_per_s: float) -> str:
    """As `max_bandwidth` has it; "" for 0.0, no bound."""
    return f"{max(int(bytes_per_s), MIN_BYTES_PER_S)}B/s" if bytes_per_s else ""


def share_of(config: UploadConfig, count: int) -> UploadConfig:
    """What one of `count` processes may do of what the job may. The bandwidth is a lease of its own."""
    least = max(MIN_IN_FLIGHT_BYTES, config.multipart_threshold)
    return dataclasses.replace(
        config,
        max_in_flight=max(config.max_in_flight // count, 1),
        max_in_flight_bytes=max(int(config.max_in_flight_bytes) // count, least),
        max_bandwidth="",
    )
