"""A kernel that fills in half of TCP_INFO costs nothing: what never moves is not believed. Virtual time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from s3_upload.config import UploadConfig
from s3_upload.http1 import tcp_info
from tests.sim.oracle import violations
from tests.sim.run import Outcome, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.world import MIB, AddressSpec, ObjectSpec, World

SLOW = World(
    seed=1,
    objects=tuple(ObjectSpec(f"{n}", "file", 10 * MIB, start=n) for n in range(2)),
    config=UploadConfig(multipart_threshold=6 * MIB, part_size=5 * MIB),
    addresses=(AddressSpec(0.05),),
    rates=((0.0, 300e3),),
    queue_bytes=60_000,
    store=StoreSpec(service_s=0.02, sigma=0.1),
)
"""70 s of work for the link, in four parts that share it: none of them is through before STALL_MIN_S."""


def finished(world: World) -> Outcome:
    outcome = run_world(world)
    assert violations(outcome) == []
    assert outcome.model.uploads == {}
    return outcome


@pytest.mark.parametrize("works", [False, True], ids=["tried out", "only seen on the way"])
def test_a_kernel_that_does_not_tell_what_was_acknowledged_costs_no_stalls(
    monkeypatch: Any, works: bool
) -> None:
    whole = finished(SLOW)
    monkeypatch.setattr(tcp_info, "works", lambda: works)
    half = finished(dataclasses.replace(SLOW, half_empty_info=True))
    [run] = half.runs
    assert run.summary is not None
    assert [a.timer for report in run.reports for a in report.attempt_reports if a.timer] == []
    assert (run.summary.uploaded, run.summary.wasted_bytes) == (2, 0)
    assert half.virtual_s < 1.1 * whole.virtual_s


@pytest.mark.parametrize("works", [False, True], ids=["tried out", "only seen on the way"])
def test_a_transfer_on_a_dead_path_is_cut_all_the_same(monkeypatch: Any, works: bool) -> None:
    """The store reads no more, its kernel's buffer is full, and nothing leaves the transport's: that is
    silence, whatever ours tells."""
    monkeypatch.setattr(tcp_info, "works", lambda: works)
    frozen = Faults(end_s=40.0, frozen=0.5)
    half = finished(dataclasses.replace(SLOW, half_empty_info=True, faults=frozen))
    assert half.injected["frozen"]
    [run] = half.runs
    assert run.summary is not None
    assert run.summary.uploaded == 2
    timers = [a.timer for report in run.reports for a in report.attempt_reports if a.timer]
    assert set(timers) == {"stall"}
    assert half.virtual_s < 600.0
