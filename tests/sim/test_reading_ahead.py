"""How files are read ahead: disks that take longer than the link, and little memory. Virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3_upload.config import UploadConfig
from tests.sim.oracle import violations
from tests.sim.run import Meddling, run_world
from tests.sim.scenarios import LIMIT_S, scenario
from tests.sim.world import KIB, MIB

THREADS = 4


@pytest.mark.parametrize("count", [8, 24, 72])
def test_files_are_read_by_all_threads_at_once_however_few_there_are(count: int) -> None:
    world = scenario("a slow disk", count=count, size=2 * MIB, rtt_s=0.001, rate=1e9).world
    one_file_s = 1.0
    world = replace(world, disk_rate=2 * MIB / one_file_s, config=UploadConfig(reader_threads=THREADS))
    outcome = run_world(world, Meddling(limit_s=LIMIT_S))
    assert violations(outcome) == []
    assert outcome.virtual_s < 1.15 * one_file_s * (count / THREADS)


def test_where_memory_lets_one_read_at_a_time_it_takes_all_that_it_may() -> None:
    """Each batch then waits for the answers to the one before it: small ones cost a round trip each."""
    world = scenario("little memory", count=100, size=4 * KIB, rtt_s=0.1, rate=1e9).world
    outcome = run_world(replace(world, config=UploadConfig(max_in_flight_bytes=16 * MIB)))
    assert violations(outcome) == []
    assert outcome.virtual_s < 1.0
