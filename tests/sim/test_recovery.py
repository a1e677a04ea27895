"""After a bad time a run goes on at once: an outage costs its own length and little more. Virtual time."""

from __future__ import annotations

import dataclasses
import statistics
from functools import cache
from typing import Any

import pytest

from s3_upload.config import UploadConfig
from s3_upload.errors import RunError
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, HEAD_OBJECT
from s3_upload.transfer.inquiry import ASK_AFTER_S
from tests.sim.oracle import violations
from tests.sim.run import Outcome, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.world import KIB, MIB, AddressSpec, ObjectSpec, World

SHARE, SLACK_S = 0.2, 3.0
"""What a run may take beyond the outage: this share of what it takes without one, and as many seconds."""
MAX_PROBE_S = 15.0
"""How far apart the probes are, at last."""


def small_files(faults: Faults | None = None) -> World:
    """2,000 of 4 KiB, 40 ms away: 0.9 s of work."""
    return World(
        seed=1,
        objects=tuple(ObjectSpec(f"p/{n:05d}", "file", 4 * KIB, start=n * 16) for n in range(2000)),
        config=UploadConfig(),
        addresses=(AddressSpec(0.02),),
        rates=((0.0, 125e6),),
        queue_bytes=1 << 20,
        store=StoreSpec(service_s=0.02, sigma=0.4, capacity_per_s=3000.0),
        faults=faults or Faults(),
    )


def big_files() -> World:
    """24 of 4 to 12 MiB, in one piece or in parts, over 25 MB/s: 8 s of work."""
    sizes = [12 * MIB if n % 4 == 0 else 4 * MIB for n in range(24)]
    return World(
        seed=2,
        objects=tuple(ObjectSpec(f"p/{n:05d}", "file", size, start=n * 16) for n, size in enumerate(sizes)),
        config=UploadConfig(multipart_threshold=6 * MIB, part_size=5 * MIB),
        addresses=(AddressSpec(0.04),),
        rates=((0.0, 25e6),),
        queue_bytes=2 * MIB,
        store=StoreSpec(service_s=0.05),
    )


WORLDS = {"small": small_files(), "big": big_files()}
CUTS_S = {"small": (0.4,), "big": (2.5, 2.0, 3.0)}
"""Moments in mid-run: of "big" what was on its way then decides over a second more or less."""


@cache
def undisturbed_s(name: str) -> float:
    return finished(WORLDS[name])[1]


def finished(world: World) -> tuple[Outcome, float]:
    """What happened, and how long it took: everything was uploaded and nothing was left."""
    outcome = run_world(world)
    assert violations(outcome) == []
    [run] = outcome.runs
    assert run.summary is not None
    assert run.summary.uploaded == len(world.objects)
    assert outcome.model.uploads == {}
    return outcome, run.summary.wall_time_s


@pytest.mark.parametrize(("name", "away_s"), [("small", 3.0), ("big", 3.0), ("big", 30.0), ("small", 90.0)])
def test_a_store_that_is_away_behind_its_ingress_costs_what_an_outage_costs(name: str, away_s: float) -> None:
    without_s, cut_s = undisturbed_s(name), CUTS_S[name][0]
    faults = Faults(begin_s=cut_s, end_s=cut_s + away_s, ingress=1.0)
    _, taken_s = finished(dataclasses.replace(WORLDS[name], faults=faults))
    assert taken_s - away_s <= (1 + SHARE) * without_s + SLACK_S


def test_an_object_whose_complete_answer_is_lost_costs_seconds() -> None:
    without_s = undisturbed_s("big")
    world = dataclasses.replace(WORLDS["big"], faults=Faults(end_s=1e3, unheard=1.0))
    outcome, taken_s = finished(world)
    assert outcome.injected["unheard"] == 6
    assert taken_s <= without_s + ASK_AFTER_S + SLACK_S


def test_a_complete_that_takes_minutes_is_asked_about_a_few_times_and_not_cut() -> None:
    world = WORLDS["big"]
    store = dataclasses.replace(world.store, complete_s=90.0)
    outcome, _ = finished(dataclasses.replace(world, store=store, objects=world.objects[:1]))
    [report] = outcome.runs[0].reports
    asked = [attempt.operation for attempt in report.attempt_reports]
    assert asked.count(COMPLETE_MULTIPART_UPLOAD) == 1
    assert 1 <= asked.count(HEAD_OBJECT) <= 4


@pytest.mark.parametrize(
    ("kind", "bad_s"), [("error", 3.0), ("reset", 8.0), ("error", 20.0), ("reset", 20.0)]
)
def test_once_requests_succeed_again_what_waited_goes_on_at_once(kind: str, bad_s: float) -> None:
    """Every request fails for so long: the retry budget is empty and the delays are long by then."""
    without_s = undisturbed_s("small")
    faults = dataclasses.replace(Faults(end_s=bad_s), **{kind: 1.0})
    _, taken_s = finished(small_files(faults))
    assert taken_s - bad_s <= (1 + SHARE) * without_s + SLACK_S


@pytest.mark.parametrize(
    ("name", "how", "away_s"),
    [
        *((name, how, 30.0) for name in WORLDS for how in ("restarts", "down")),
        ("small", "restarts", 3.0),
        ("big", "down", 3.0),
        ("small", "down", 12.0),
        ("big", "restarts", 12.0),
        ("small", "down", 90.0),
        ("big", "restarts", 90.0),
    ],
)
def test_an_outage_costs_its_own_length_and_little_more(name: str, how: str, away_s: float) -> None:
    """The store is restarted: resets and refuses; or the link is down: nothing passes, and nobody says so.

    The median over the moments counts.
    """
    without_s = undisturbed_s(name)
    costs_s = []
    for begins_s in CUTS_S[name]:
        assert begins_s < 0.6 * without_s, "it is not in mid-run"
        away: dict[str, Any] = {how: ((begins_s, begins_s + away_s),)}
        outcome, taken_s = finished(dataclasses.replace(WORLDS[name], **away))
        costs_s.append(taken_s - away_s)
        if name == "small":
            assert {report.attempts for report in outcome.runs[0].reports} <= {1, 2}, "tries were used up"
    assert statistics.median(costs_s) <= (1 + SHARE) * without_s + SLACK_S


def test_an_outage_that_begins_before_anything_was_answered_is_waited_for() -> None:
    """The first request of the run is on its way when the link goes down."""
    world = dataclasses.replace(WORLDS["big"], down=((0.15, 30.0),))
    _, taken_s = finished(world)
    assert taken_s <= 30.0 + (1 + SHARE) * undisturbed_s("big") + SLACK_S


def test_a_store_that_is_away_again_and_again_is_waited_for_each_time() -> None:
    restarts = tuple((begins_s, begins_s + 9.0) for begins_s in (0.2, 10.5, 20.5, 30.5))
    outcome, _ = finished(dataclasses.replace(WORLDS["small"], restarts=restarts))
    assert outcome.runs[0].summary is not None


def test_an_outage_that_does_not_end_is_given_up_after_the_time_that_was_allowed() -> None:
    settings = dataclasses.replace(UploadConfig(), max_outage_s=60.0)
    world = dataclasses.replace(WORLDS["small"], config=settings, restarts=((0.4, 1e6),))
    [run] = run_world(world).runs
    assert isinstance(run.error, RunError)
    assert "has been away for 60 s" in str(run.error)
    assert 60.0 <= run.ended_s - 0.4 <= 65.0
    assert run.leaks == []


def test_a_store_that_was_away_limited_for_as_long_as_it_was_away() -> None:
    """What is sent then may take seconds to be answered on a slow link: that is the link's time."""
    slow = dataclasses.replace(WORLDS["big"], rates=((0.0, 5e6),), restarts=((10.0, 16.0),))
    outcome, taken_s = finished(slow)
    summary = outcome.runs[0].summary
    assert summary is not None
    assert summary.limits["away"] * taken_s == pytest.approx(6.0, rel=0.1)


def test_a_network_that_is_gone_for_ten_minutes_and_comes_back_loses_nothing_where_that_is_allowed() -> None:
    settings = dataclasses.replace(WORLDS["big"].config, max_outage_s=900.0)
    world = dataclasses.replace(WORLDS["big"], config=settings, down=((2.5, 602.5),))
    _, taken_s = finished(world)
    assert taken_s <= 600.0 + MAX_PROBE_S + (1 + SHARE) * undisturbed_s("big") + SLACK_S


def test_a_network_that_is_gone_for_ten_minutes_ends_a_run_that_may_wait_for_five() -> None:
    """What is done by then the journal knows (docs/running-again.md)."""
    [run] = run_world(dataclasses.replace(WORLDS["big"], down=((2.5, 602.5),))).runs
    assert isinstance(run.error, RunError)
    assert "has been away for 300 s" in str(run.error)
    assert run.ended_s <= 2.5 + 310.0
