"""Links that are slower than most. Virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3_upload.config import UploadConfig
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


@pytest.mark.parametrize("connect_timeout_s", [5.0, 20.0])
def test_where_no_handshake_is_over_in_time_the_error_names_what_allows_more(
    connect_timeout_s: float,
) -> None:
    """TCP and TLS 1.2 take three round trips."""
    world = scenario("2 s away", count=2, size=KIB, rtt_s=2.0, rate=1e6).world
    world = replace(world, tls=True, config=UploadConfig(connect_timeout_s=connect_timeout_s))
    [run] = run_world(world, Meddling(limit_s=LIMIT_S)).runs
    if connect_timeout_s > 6.0:
        assert run.summary is not None
        assert run.summary.uploaded == 2
    else:
        said = str(run.error)
        assert "cannot be reached, after 9 attempts: no connection to" in said
        assert said.endswith("within 5 s; connect_timeout_s (--connect-timeout) says how long to wait")
