"""Links that are slower than most. Virtual time."""

from __future__ import annotations

from tests.sim.oracle import violations
from tests.sim.run import Meddling, run_world
from tests.sim.scenarios import LIMIT_S, scenario
from tests.sim.world import KIB


def test_small_files_on_a_slow_uplink_do_not_starve_each_other_until_some_fail() -> None:
    """The store gives up on a body that is silent for 20 s, before any timer of ours does."""
    one = scenario("half a Mbit/s", count=150, size=128 * KIB, rtt_s=0.05, rate=62_500.0)
    outcome = run_world(one.world, Meddling(limit_s=LIMIT_S))
    assert violations(outcome) == []
    summary = outcome.runs[0].summary
    assert summary is not None
    assert summary.causes.get("400 RequestTimeout"), "nothing starved: this proves nothing"
    assert summary.failed == ()
    assert summary.wall_time_s <= 1.1 * one.ideal_s
