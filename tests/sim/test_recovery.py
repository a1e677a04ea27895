"""After a bad time a run goes on at once: an outage costs its own length and little more. Virtual time."""

from __future__ import annotations

import dataclasses

import pytest

from s3_upload.config import UploadConfig
from tests.sim.oracle import violations
from tests.sim.run import Outcome, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.world import KIB, AddressSpec, ObjectSpec, World

SHARE, SLACK_S = 0.2, 3.0
"""What a run may take beyond the outage: this share of what it takes without one, and as many seconds."""


def small_files(faults: Faults | None = None) -> World:
    """4,000 of 4 KiB, 40 ms away: 1.5 s of work."""
    return World(
        seed=1,
        objects=tuple(ObjectSpec(f"p/{n:05d}", "file", 4 * KIB, start=n * 16) for n in range(4000)),
        config=UploadConfig(),
        addresses=(AddressSpec(0.02),),
        rates=((0.0, 125e6),),
        queue_bytes=1 << 20,
        store=StoreSpec(service_s=0.02, sigma=0.4, capacity_per_s=3000.0),
        faults=faults or Faults(),
    )


def finished(world: World) -> tuple[Outcome, float]:
    """What happened, and how long it took: everything was uploaded and nothing was left."""
    outcome = run_world(world)
    assert violations(outcome) == []
    [run] = outcome.runs
    assert run.summary is not None
    assert run.summary.uploaded == len(world.objects)
    assert outcome.model.uploads == {}
    return outcome, run.summary.wall_time_s


@pytest.mark.parametrize("kind", ["error", "reset"])
@pytest.mark.parametrize("bad_s", [3.0, 8.0, 20.0])
def test_once_requests_succeed_again_what_waited_goes_on_at_once(kind: str, bad_s: float) -> None:
    """Every request fails for so long: the retry budget is empty and the delays are long by then."""
    _, without_s = finished(small_files())
    faults = dataclasses.replace(Faults(end_s=bad_s), **{kind: 1.0})
    _, taken_s = finished(small_files(faults))
    assert taken_s - bad_s <= (1 + SHARE) * without_s + SLACK_S
