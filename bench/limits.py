"""What a store with a limit allows, and what the uploads made of it: the pure part of `bench.throttled`.

Rules:

* All is counted by the store, from the first request to the last that it served: start-up is left out.
* What is allowed is the rate times that time, or the steps of the rate added up.  The second of burst that a
  token bucket begins with is not counted, nor is a window that has only just begun: a good client gets
  a little more than 100 %.
* One Python process has one core, which a row of thousands a second may take: where the upload had BUSY of it
  or more, the processor limited it and not its control.  The table says so, and what each object took.
"""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("fixed", "token", "sliding")
RATES = (100, 800, 3_500, 10_000)
DELAYS_MS = (2, 5, 40, 100)
CHANGES = (((0.0, 800), (15.0, 200), (30.0, 800)), ((0.0, 3_500), (15.0, 1_000)))
"""Steps of a rate that changes in mid-run: from which second, how many requests a second."""
LAST_STEP_S = 15.0
CHANGE_DELAYS_MS = (5, 40)
SETTLED_S = 3
"""From here on the refusals are judged."""
MIN_SHARE, MAX_REFUSED = 0.95, 0.03
NOISE = 0.02
"""Two uploads that differ by less are as fast as each other."""
BUSY = 0.8
"""Of a core; the rest of the time others had it, above all the store, which shares the machine."""

Steps = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Row:
    """One limiter: its kind, its rate or the steps of it, and how long an answer takes."""

    kind: str
    steps: Steps
    delay_ms: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{'~'.join(str(rate) for _, rate in self.steps)}-{self.delay_ms}"

    @property
    def rate_option(self) -> str:
        return ",".join(f"{rate}@{at_s:g}" for at_s, rate in self.steps)

    @property
    def highest(self) -> int:
        return max(rate for _, rate in self.steps)

    def lasts_s(self, seconds: float) -> float:
        """How long an upload at the allowed rate is to take: `seconds`, or as the steps need."""
        last_s = self.steps[-1][0]
        return last_s + LAST_STEP_S if last_s else seconds

    def allowed(self, duration_s: float) -> float:
        """Requests that may be served in the first `duration_s` seconds."""
        ends_s = [at_s for at_s, _ in self.steps[1:]] + [math.inf]
        return sum(
            rate * max(0.0, min(duration_s, end_s) - at_s)
            for (at_s, rate), end_s in zip(self.steps, ends_s, strict=True)
        )


def all_rows() -> list[Row]:
    steady = [Row(kind, ((0.0, rate),), ms) for kind in KINDS for rate in RATES for ms in DELAYS_MS]
    changing = [Row(kind, steps, ms) for kind in KINDS for steps in CHANGES for ms in CHANGE_DELAYS_MS]
    return steady + changing


QUICK = ("token-3500-5", "fixed-800-40", "sliding-800~200~800-5")


def chosen(patterns: str) -> list[Row]:
    """The rows whose names match one of the patterns, as in a shell; with commas between."""
    wanted = patterns.split(",")
    return [row for row in all_rows() if any(fnmatch.fnmatchcase(row.name, one) for one in wanted)]


@dataclass(frozen=True)
class Outcome:
    """What one upload came to, by the store's own count. `problem`: why it does not count, "" if it does."""

    name: str
    accepted: int
    duration_s: float
    share: float
    """Of what was allowed in that time."""
    refused: float
    """Share of the requests that were refused from second `SETTLED_S` on."""
    refused_at_all: float
    retried: int
    max_in_flight: int
    max_open: int
    wall_s: float
    cpu_s: float
    problem: str = ""
    per_second: list[list[int]] = field(default_factory=list)

    @property
    def cores(self) -> float:
        """How many it kept busy."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0

    @property
    def by_processor(self) -> bool:
        """Whether less than is asked for was used because the processor gave no more."""
        return not self.problem and self.share < MIN_SHARE and self.cores >= BUSY


def outcome(
    row: Row, name: str, stats: dict[str, Any], *, wall_s: float, cpu_s: float, problem: str
) -> Outcome:
    """Of the store's count `stats` after an upload by `name`."""
    seconds: list[list[int]] = stats["per_second"]
    duration_s = float(stats["last_accepted_s"])
    allowed = row.allowed(duration_s)
    return Outcome(
        name=name,
        accepted=stats["accepted"],
        duration_s=duration_s,
        share=stats["accepted"] / allowed if allowed else 0.0,
        refused=refused_share(seconds[SETTLED_S:]),
        refused_at_all=refused_share(seconds),
        retried=stats["refused"],
        max_in_flight=stats["max_in_flight"],
        max_open=stats["max_open"],
        wall_s=wall_s,
        cpu_s=cpu_s,
        problem=problem,
        per_second=seconds,
    )


def refused_share(seconds: Sequence[Sequence[int]]) -> float:
    """Of (accepted, refused) pairs."""
    accepted, refused = sum(second[0] for second in seconds), sum(second[1] for second in seconds)
    return refused / (accepted + refused) if accepted + refused else 0.0


def shortfalls(ours: Outcome, others: Sequence[Outcome]) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    if ours.problem:
        return [ours.problem]
    found = []
    if ours.share < MIN_SHARE and not ours.by_processor:
        found.append(f"{ours.share:.0%} of what is allowed")
    if ours.refused > MAX_REFUSED:
        found.append(f"{ours.refused:.1%} refused")
    for other in others:
        if not other.problem and ours.share < other.share * (1 - NOISE):
            found.append(f"slower than {other.name}")
    return found
